"""`convscope doctor training`: what is wrong with a training before it begins."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from convscope.catalog import DATA
from convscope.cli.settings import Settings, parse, setting
from convscope.runs import NEWEST, Run

if TYPE_CHECKING:
    from convscope.doctor.findings import Finding
    from convscope.doctor.training import TrainingReport

MOST_ROWS = 40
"""Layers up to which all are shown on the terminal."""


@dataclass(frozen=True)
class Training(Settings):
    """Examine a training before it begins: a minute of steps on copies of the network; no run is written.

    It takes the flags of `convscope train`, so that any setting can be examined; in place of DATA the setting of a RUN.

    $ convscope doctor training fashion-mnist tinyvgg_bn
    $ convscope doctor training fashion-mnist vgg11 --input-size 64 --optimizer sgd --lr 0.1
    $ convscope doctor training latest
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA|RUN]")] = "fashion-mnist"
    """A name of `convscope data list` or a folder, as for `convscope train`; or a run (name, path or `latest`), whose
    setting is then examined, with its first weights."""
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL]")] = "tinyvgg_bn"
    """Network: a name of `convscope models`."""
    log_every: Annotated[int | None, tyro.conf.Suppress] = None
    output: Path | None = None
    """Where to write the page; `doctor-MODEL-DATA.html` by default."""
    json: bool = False
    """Print JSON instead of tables."""


def examine_training(argv: list[str]) -> None:
    """Examine the setting that the flags in `argv` give, write the page and print the rest in short."""
    flags = parse(Training, argv, verb="doctor training")
    run = _run_named(flags)
    if run is not None:
        # Its setting is where the flags start from, as with --config.
        others = [argument for argument in argv if argument != flags.data]
        flags = parse(Training, ["--config", str(run.path / "config.yaml"), *others], verb="doctor training")
    config = setting(flags)
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from convscope.cli.progress import Examination, Preparation
    from convscope.doctor.training import examine
    from convscope.experiment.session import Session
    from convscope.report import write_training_page

    with Preparation() as preparation:
        session = Session.prepare(config, data_dir=flags.data_dir, progress=preparation)
    with Examination() as examination:
        report = examine(session, progress=examination)
    name = f"doctor-{config.model}-{Path(config.data).resolve().name}.html"
    page = write_training_page(flags.output or Path(name), report)
    if flags.json:
        print(json.dumps(report.to_dict() | {"page": str(page)}, indent=1))
        return
    _say_training(report)
    print(f"\nwrote {page}")


def _say_training(report: "TrainingReport") -> None:
    """The findings, the layers in short, and what the training will take."""
    from convscope.cli.console import console, plain_table
    from convscope.doctor.training.words import sentences

    print(report.name)
    for line in in_short(report.findings):
        print(line)
    table = plain_table("layer")
    for column in ("mean", "deviation", "dead", "gradient", "update"):
        table.add_column(column, justify="right")
    layers = [layer for layer in report.layers if len(report.layers) <= MOST_ROWS or layer.kind in ("Conv2d", "Linear")]
    for layer in layers:
        cells = (layer.mean, layer.std, layer.dead, layer.grad_norm, layer.update)
        table.add_row(layer.name, *("" if value is None else f"{value:.2g}" for value in cells))
    print()
    console().print(table)
    if len(layers) < len(report.layers):
        print("norms and activations are on the page")
    print()
    for sentence in sentences(report.facts):
        print(textwrap.fill(sentence, width=100))


def in_short(findings: "Sequence[Finding]") -> Iterator[str]:
    """What they are and what to do, without why."""
    for finding in findings:
        yield f"\n{finding.severity}: {finding.kind}"
        for text in (finding.what, finding.remedy):
            yield textwrap.fill(text, width=100, initial_indent="  ", subsequent_indent="  ")
    if not findings:
        yield "\nnone of the faults looked for was found"


def _run_named(flags: Training) -> Run | None:
    """The run that stands where a data set might; None where it is a data set."""
    is_run = flags.data == NEWEST or any(
        (path / "config.yaml").is_file() for path in (Path(flags.data), flags.runs_dir / flags.data)
    )
    return Run.open(flags.data, flags.runs_dir) if is_run and flags.data not in DATA else None
