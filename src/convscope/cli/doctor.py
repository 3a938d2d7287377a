"""`convscope doctor [environment]` and `convscope doctor data DATA`: what is wrong, and what to do about it."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run

if TYPE_CHECKING:
    from convscope.doctor.data import DataReport


@dataclass(frozen=True)
class Doctor:
    """Examine the machine (versions, device, CPU, data sets, what is missing), or the images of a data set.

    The exit status is 0 whatever is found.

    $ convscope doctor
    $ convscope doctor data photos/
    $ convscope doctor data fashion-mnist --run latest
    """

    subject: Annotated[
        Literal["environment", "data"], tyro.conf.Positional, tyro.conf.arg(metavar="[environment|data]")
    ] = "environment"
    """What to examine."""
    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """With data: a name of `convscope data list`, or a folder of photos or of data files."""
    run: str | None = None
    """With data: a run on it (name, path or `latest`), whose network then looks for wrong labels."""
    mean: tuple[float, ...] | None = None
    """With data: the mean of each channel that you normalise with, for pixels from 0 to 1, to be checked."""
    std: tuple[float, ...] | None = None
    """With data: likewise the standard deviation."""
    size: int = 128
    """With data: side in pixels to which photos are brought; that of the run, if one is given."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """With data: how a photo becomes a square; as in the run, if one is given."""
    output: Path | None = None
    """With data: where to write the page; `doctor-DATA.html` by default."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Print what was found; 0 whatever it is."""
    flags = read_flags(Doctor, argv, verb="doctor")
    if flags.subject == "data":
        _examine_data(flags)
    elif flags.data is not None:
        raise UserError(
            f"the environment is one: leave '{flags.data}' out, or write `convscope doctor data {flags.data}`."
        )
    else:
        _examine_environment(flags)
    return 0


def _examine_data(flags: Doctor) -> None:
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
    for line in _lines(report):
        print(line)
    print(f"\nwrote {page}")


def _lines(report: "DataReport") -> Iterator[str]:
    """The findings as short as they can be understood."""
    images = {part: sum(counts.values()) for part, counts in report.facts["images"].items()}
    yield f"{report.name}: {', '.join(f'{count:,} images in {part}' for part, count in images.items())}"
    for finding in report.findings:
        yield f"\n{finding.severity}: {finding.kind}"
        for text in (finding.what, finding.remedy):
            yield textwrap.fill(text, width=100, initial_indent="  ", subsequent_indent="  ")
    if not report.findings:
        yield "\nnone of the faults looked for was found"
    for sentence in report.not_examined:
        yield f"\n{textwrap.fill(sentence, width=100)}"


def _examine_environment(flags: Doctor) -> None:
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
    for name, version in facts["versions"].items():
        yield name, version or "not installed"
    yield "system", facts["system"]
    yield "device", f"{device['auto']} (present: {', '.join(device['present'])})"
    for index, name in enumerate(device["gpus"]):
        yield f"cuda:{index}", name
    yield "precision", f"{facts['precision']['auto']}: {facts['precision']['why']}"
    yield "CPU", cpu["model"] or "unknown"
    yield "CPU features", ", ".join(cpu["features"]) or "none that matter here"
    quota = "" if cpu["quota"] is None else f", of which the container grants {cpu['quota']:g}"
    yield "cores", f"{cpu['cores'] or 'unknown'}{quota}"
    yield "threads", str(facts["threads"])
    yield "memory", "unknown" if facts["memory_gib"] is None else f"{facts['memory_gib']} GiB"
    yield "data directory", data["directory"]
    for name, place in data["sets"].items():
        yield name, place or "not here"
