"""`convscope report RUN`: write a run's report anew."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from convscope.cli.flags import read_flags
from convscope.runs import Run


@dataclass(frozen=True)
class Report:
    """Write the report of a run, finished or not, as one self-contained HTML page."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name of the run, its path, or `latest`."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""


def main(argv: list[str]) -> int:
    """Write the page and say where it is; 0."""
    flags = read_flags(Report, argv, verb="report")
    run = Run.open(flags.run, flags.runs_dir)

    from convscope.report import write_report

    print(write_report(run))
    return 0
