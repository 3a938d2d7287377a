"""`convscope evaluate RUN`: what a run's best weights are worth on a split."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run


@dataclass(frozen=True)
class Evaluate:
    """Metrics of a run's best weights, per class too, the most confused pairs, and pictures of both.

    $ convscope evaluate latest
    $ convscope evaluate first --split val --json
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name of the run, its path, or `latest`."""
    split: Literal["test", "val", "train"] = "test"
    """Images to evaluate on."""
    top_k: int = 5
    """Count an answer as right in top-k when the class is among the k most probable."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Print the report on one split; 0."""
    flags = read_flags(Evaluate, argv, verb="evaluate")
    if flags.top_k < 1:
        raise UserError(f"top_k is {flags.top_k}: it must be at least 1.")
    run = Run.open(flags.run, flags.runs_dir)

    from convscope.cli.console import console, plain_table
    from convscope.cli.results import scores
    from convscope.experiment import evaluate
    from convscope.numbers import number, percent

    report = evaluate(run, flags.split, device=flags.device, data_dir=flags.data_dir, top_k=flags.top_k)
    if flags.json:
        print(json.dumps(report, indent=1))
        return 0
    print(f"{run.name} on {report['images']:,} images of the {flags.split} split")
    print(scores(report) + "\n")
    classes = plain_table("class")
    for name in ("precision", "recall", "F1", "images"):
        classes.add_column(name, justify="right")
    for row in report["per_class"]:
        classes.add_row(
            row["name"], percent(row["precision"]), percent(row["recall"]), number(row["f1"]), f"{row['images']:,}"
        )
    console().print(classes)
    print("\nmost confused:")
    for pair in report["most_confused"]:
        print(
            f"  {pair['true']} taken for {pair['predicted']}: {pair['count']:,} ({percent(pair['share'], 1)} of them)"
        )
    suffix = "" if flags.split == "test" else f"-{flags.split}"
    names = ", ".join(f"{name}{suffix}.png" for name in ("confusion", "predictions", "mistakes"))
    print(f"\npictures in {run.figures}: {names}")
    return 0
