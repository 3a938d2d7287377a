"""`convscope bench inference RUN`: how fast each engine answers by a run's network, and whether they agree."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run

if TYPE_CHECKING:
    from rich.table import Table

    from convscope.bench import Inference


@dataclass(frozen=True)
class Bench:
    """Measure how fast a finished network answers, in each engine that this machine has.

    An engine is a runtime and its arithmetic: PyTorch in float32 or bfloat16, ONNX Runtime, OpenVINO, and both in int8.
    Each is compared with PyTorch in float32 on up to 1,000 images to validate, of slow networks fewer. The result is
    written to the run's inference.json, by which `convscope predict` then chooses the fastest that agrees; converted
    models stay in the run's folder engines/. Measure on a machine that does nothing else.

    $ convscope bench inference latest
    $ convscope bench inference first --batch-sizes 1 8 --seconds 1
    """

    what: Annotated[Literal["inference"], tyro.conf.Positional, tyro.conf.arg(metavar="inference")]
    """What to measure: answering images."""
    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name or path of the run, or `latest`."""
    batch_sizes: tuple[int, ...] = (1, 32, 256)
    """Images that an engine gets at a time. Many large ones need much memory: VGG at 224 pixels 7 GB for 256."""
    seconds: float = 0.2
    """How long an engine works at each batch size in a round, one batch at least."""
    rounds: int = 5
    """How often the engines take turns; the median counts."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1; on another than the cpu only PyTorch answers."""
    runs_dir: Path = Path("runs")
    """Directory in which a run is looked for by its name."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of a table."""


def main(argv: list[str]) -> int:
    """Measure, print and write; 0."""
    if argv and not argv[0].startswith("-") and argv[0] != "inference":
        raise UserError(f"cannot measure '{argv[0]}': write `convscope bench inference RUN`.")
    flags = read_flags(Bench, argv, verb="bench")
    run = Run.open(flags.run, flags.runs_dir)
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from convscope.bench import bench_inference
    from convscope.cli.console import console
    from convscope.cli.progress import Examination
    from convscope.numbers import counted

    with Examination() as progress:
        inference = bench_inference(
            run,
            batch_sizes=flags.batch_sizes,
            seconds=flags.seconds,
            rounds=flags.rounds,
            device=flags.device,
            data_dir=flags.data_dir,
            progress=progress,
        )
    if flags.json:
        print(json.dumps(inference.to_dict(), indent=1))
        return 0
    there = inference.machine
    place = there["cpu"] if there["device"] == "cpu" else there["device"]
    print(f"{run.name} on {place}, {counted(there['threads'], 'thread')} of {counted(there['cores'], 'core')}\n")
    console().print(_speeds(inference))
    print(f"\nagreement with the first engine on {inference.images:,} images to validate, and what it takes to start:")
    console().print(_agreement(inference))
    for name, reason in inference.left_out.items():
        print(f"left out: {name} ({reason})")
    print(f"wrote {run.path / 'inference.json'}")
    return 0


def _speeds(inference: "Inference") -> "Table":
    """Time and ratio of each engine at each batch size; narrow enough for most terminals."""
    from convscope.cli.console import plain_table

    table = plain_table("engine")
    table.columns[0].no_wrap = True
    for speed in inference.engines[0].speeds:
        size = speed.batch_size
        heads = ("1 image: ms", "95%: ms", "ratio") if size == 1 else (f"{size}: images/s", "ratio")
        for head in heads:
            table.add_column(head, justify="right")
    for row in inference.engines:
        cells = [row.name]
        for speed in row.speeds:
            if speed.batch_size == 1:
                cells += [f"{1e3 * speed.seconds:.2f}", f"{1e3 * speed.seconds_95:.2f}"]
            else:
                cells.append(f"{speed.images_per_second:,.0f}")
            cells.append(f"{speed.ratio:.2f}")
        table.add_row(*cells)
    return table


def _agreement(inference: "Inference") -> "Table":
    """What each engine says and what it takes to start."""
    from convscope.cli.console import plain_table
    from convscope.numbers import percent

    table = plain_table("engine")
    table.columns[0].no_wrap = True
    for head in ("same class", "largest difference", "convert: s", "load: s"):
        table.add_column(head, justify="right")
    for row in inference.engines:
        table.add_row(
            row.name,
            percent(row.top1_agreement, 1),
            f"{row.largest_difference:.4f}",
            f"{row.convert_seconds:.1f}",
            f"{row.load_seconds:.2f}",
        )
    return table
