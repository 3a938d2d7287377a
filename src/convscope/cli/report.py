"""`convscope report RUN...`: write the report of a run anew, or compare several."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run


@dataclass(frozen=True)
class Report:
    """Write the report of a run, finished or not, as one self-contained HTML page; of several runs, their comparison.

    The page of one run lies in its directory, that of several in a new one below RUNS-DIR/comparisons.

    $ convscope report latest --slides
    $ convscope report first second
    """

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Names of runs, their paths, or `latest`."""
    slides: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write slides.html too, beside the page: the same as a deck to present, which the arrow keys turn."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""


def main(argv: list[str]) -> int:
    """Write the page and say where it is; 0."""
    flags = read_flags(Report, argv, verb="report")
    if not flags.runs:
        raise UserError("there is nothing to report on: name at least one run, such as `latest`.")
    runs = [Run.open(run, flags.runs_dir) for run in flags.runs]

    from convscope.report import write_comparison, write_comparison_slides, write_report, write_slides

    if len(runs) == 1:
        print(write_report(runs[0]))
        if flags.slides:
            print(write_slides(runs[0]))
        return 0

    from convscope.experiment import compare_runs

    comparison = compare_runs(runs, runs_dir=flags.runs_dir)
    print(write_comparison(comparison))
    if flags.slides:
        print(write_comparison_slides(comparison))
    return 0
