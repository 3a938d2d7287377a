"""What the benchmarks share: figures over rounds, the machine they were taken on, and the CSV that holds both."""

import csv
import io
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from convscope.files import write_text

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    what: str
    engine: str
    unit: str
    median: float
    least: float
    most: float
    target: str = ""
    """What it is meant to be, where something was promised."""

    @classmethod
    def over(cls, values: Sequence[float], what: str, engine: str, unit: str, target: str = "") -> "Figure":
        return cls(what, engine, unit, statistics.median(values), min(values), max(values), target)


def measure(script: str, *arguments: object) -> dict[str, Any]:
    """What a script beside this one answers as JSON in its last line, in a process of its own."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return result


def describe(facts: dict[str, Any]) -> dict[str, Any]:
    """The machine and versions that stand in every line of the result."""
    cpu, versions = facts["cpu"], facts["versions"]
    return {
        "date": date.today().isoformat(),
        "cpu": cpu["model"],
        "features": " ".join(cpu["features"]),
        "cores": cpu["cores"],
        "threads": facts["threads"],
        "memory_gib": facts["memory_gib"],
        **{name: versions[name] for name in ("python", "torch", "convscope")},
    }


def print_figures(figures: Sequence[Figure]) -> None:
    """A line for each, with what it is meant to be."""
    for figure in figures:
        target = f"  (target: {figure.target})" if figure.target else ""
        print(f"{figure.what}, {figure.engine}: {figure.median:.4g} {figure.unit}{target}")


def write_figures(path: Path, figures: Sequence[Figure], machine: dict[str, Any]) -> None:
    """Put figures into a CSV, in place of those from the same CPU; what other CPUs came to stays."""

    def rounded(figure: Figure) -> dict[str, Any]:
        values = asdict(figure)
        return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}

    same = ("cpu", "features")
    others = [old for old in read_lines(path) if any(old[key] != machine[key] for key in same)]
    write_lines(path, [*others, *(rounded(figure) | machine for figure in figures)])


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a CSV, as text; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Replace a CSV; the columns are those of the last line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[-1]))
    writer.writeheader()
    writer.writerows(lines)
    write_text(path, text.getvalue())
