"""`convscope doctor environment`: whether the machine is ready, and what to do about what is not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from convscope.cli.flags import read_flags


@dataclass(frozen=True)
class Doctor:
    """Examine the machine: versions, device, CPU, data sets, and what is missing."""

    subject: Annotated[Literal["environment"], tyro.conf.Positional] = "environment"
    """What to examine."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Print the facts and the advice; 0 whatever they are."""
    options = read_flags(Doctor, argv, verb="doctor")
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from rich.table import Table

    from convscope.cli.console import console
    from convscope.doctor.environment import examine

    facts = examine(options.data_dir)
    if options.json:
        print(json.dumps(facts, indent=1))
        return 0
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _rows(facts):
        table.add_row(name, value)
    console().print(table)
    for advice in facts["advice"]:
        print(f"\n• {advice}")
    if not facts["advice"]:
        print("\nNothing is missing.")
    return 0


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
