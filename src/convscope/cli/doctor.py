"""`convscope doctor [environment]`, `doctor data DATA` and `doctor training`: what is wrong, and what to do about it.

The first word chooses the subject, and each subject has flags of its own.
"""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from convscope.cli.doctor_training import examine_training, in_short
from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run

if TYPE_CHECKING:
    from convscope.doctor.data import DataReport


@dataclass(frozen=True)
class Environment:
    """Examine the machine: versions, device, CPU, data sets, what is missing.

    `convscope doctor data --help` and `convscope doctor training --help` explain the other two subjects. The exit
    status is 0 whatever is found.

    $ convscope doctor
    $ convscope doctor data photos/
    $ convscope doctor training fashion-mnist tinyvgg_bn --lr 0.01
    """

    subject: Annotated[
        Literal["environment"],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[environment|data|training]"),
    ] = "environment"
    """What to examine."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of tables."""


@dataclass(frozen=True)
class Data:
    """Examine the images of a data set: damaged files, copies, leaks, wrong labels, imbalance, wrong statistics.

    $ convscope doctor data photos/
    $ convscope doctor data fashion-mnist --run latest
    """

    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """A name of `convscope data list`, or a folder of photos or of data files."""
    run: str | None = None
    """A run on it (name, path or `latest`), whose network then looks for wrong labels."""
    mean: tuple[float, ...] | None = None
    """The mean of each channel that you normalise with, for pixels from 0 to 1, to be checked."""
    std: tuple[float, ...] | None = None
    """Likewise the standard deviation."""
    size: int = 128
    """Side in pixels to which photos are brought; that of the run, if one is given."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """How a photo becomes a square; as in the run, if one is given."""
    output: Path | None = None
    """Where to write the page; `doctor-DATA.html` by default."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Print what was found; 0 whatever it is."""
    subject, rest = argv[:1], argv[1:]
    if subject == ["data"]:
        _examine_data(read_flags(Data, rest, verb="doctor data"))
    elif subject == ["training"]:
        examine_training(rest)
    elif subject == ["environment"] and rest and not rest[0].startswith("-"):
        raise UserError(f"the environment is one: leave '{rest[0]}' out, or write `convscope doctor data {rest[0]}`.")
    else:
        _examine_environment(read_flags(Environment, argv, verb="doctor"))
    return 0


def _examine_data(flags: Data) -> None:
    if flags.data is None:
        raise UserError("which data set? Name one, or a folder: convscope doctor data DATA.")
    run = None if flags.run is None else Run.open(flags.run, flags.runs_dir)
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from convscope.cli.progress import Preparation
    from convscope.doctor.data import examine
    from convscope.report import write_data_page

    with Preparation() as preparation:
        report = examine(
            flags.data,
            size=flags.size,
            resize=flags.resize,
            mean=flags.mean,
            std=flags.std,
            run=run,
            data_dir=flags.data_dir,
            progress=preparation,
        )
    page = write_data_page(flags.output or Path(f"doctor-{Path(flags.data).resolve().name}.html"), report)
    if flags.json:
        print(json.dumps(report.to_dict() | {"page": str(page)}, indent=1))
        return
    for line in _data_lines(report):
        print(line)
    print(f"\nwrote {page}")


def _data_lines(report: "DataReport") -> Iterator[str]:
    """The findings as short as they can be understood."""
    images = {part: sum(counts.values()) for part, counts in report.facts["images"].items()}
    yield f"{report.name}: {', '.join(f'{count:,} images in {part}' for part, count in images.items())}"
    yield from in_short(report.findings)
    for sentence in report.not_examined:
        yield f"\n{textwrap.fill(sentence, width=100)}"


def _examine_environment(flags: Environment) -> None:
    from rich.table import Table

    from convscope.cli.console import console
    from convscope.doctor.environment import examine

    facts = examine(flags.data_dir)
    if flags.json:
        print(json.dumps(facts, indent=1))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _rows(facts):
        table.add_row(name, value)
    console().print(table)
    for advice in facts["advice"]:
        print(f"\n• {advice}")
    if not facts["advice"]:
        print("\nNothing is missing.")


def _rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and value of each fact, in the words of a person."""
    device, cpu, data = facts["device"], facts["cpu"], facts["data"]
    for name, version in (facts["versions"] | facts["extras"]).items():
        yield name, version or "not installed"
    yield "system", facts["system"]
    yield "device", f"{device['auto']} (present: {', '.join(device['present'])})"
    for index, name in enumerate(device["gpus"]):
        yield f"cuda:{index}", name
    yield "precision", f"{facts['precision']['auto']}: {facts['precision']['why']}"
    yield "compiling", f"not possible: {facts['compile']}" if facts["compile"] else "possible"
    yield "compiled kernels", _kernels(facts["kernels"])
    if facts["kernels"]["layers"]:
        yield "layers timed", _layers(facts["kernels"])
    yield "CPU", cpu["model"] or "unknown"
    yield "CPU features", ", ".join(cpu["features"]) or "none that matter here"
    quota = "" if cpu["quota"] is None else f", of which the container grants {cpu['quota']:g}"
    yield "cores", f"{cpu['cores'] or 'unknown'}{quota}"
    yield "threads", str(facts["threads"])
    yield "memory", "unknown" if facts["memory_gib"] is None else f"{facts['memory_gib']} GiB"
    yield "data directory", data["directory"]
    for name, place in data["sets"].items():
        yield name, place or "not here"


def _kernels(kernels: dict[str, Any]) -> str:
    if kernels["obstacle"] is not None:
        return f"off: {kernels['obstacle']}"
    if not kernels["built"]:
        return "built at the first training"
    return f"on, {'with' if kernels['amx'] else 'without'} AMX"


def _layers(kernels: dict[str, Any]) -> str:
    ways = ", ".join(f"{count} faster by {way}" for way, count in sorted(kernels["layers"].items()))
    return f"{ways}; if the machine was busy then, have it done anew by deleting {kernels['layers_file']}"
