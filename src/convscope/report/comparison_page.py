"""Several runs on one page: how they did, what differs in their settings, and on which images they disagree."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from convscope import plots
from convscope.experiment import Comparison
from convscope.plots.style import PALETTE
from convscope.report import words
from convscope.report.matrix import matrix
from convscope.report.page import drawing, write_page
from convscope.report.pairs import pairs_of


def write_comparison(comparison: Comparison) -> Path:
    """Write `comparison.html` into the directory of the comparison and return its path.

    Raises:
        UserError: a file of a run is missing or damaged.
        ConvscopeError: the page cannot be written.
    """
    return write_page(comparison.path / "comparison.html", template="comparison.html", **_content(comparison))


def write_comparison_slides(comparison: Comparison) -> Path:
    """Write the same as `slides.html`, a deck to present, and return its path; errors as in `write_comparison`."""
    return write_page(comparison.path / "slides.html", template="comparison_slides.html", **_content(comparison))


def _content(comparison: Comparison) -> dict[str, Any]:
    runs, labels = comparison.runs, comparison.labels
    histories = {label: run.history() for label, run in zip(labels, runs, strict=True)}
    pairs, missing = pairs_of(comparison)
    return {
        "rows": comparison.rows,
        "labels": labels,
        "data": runs[0].config().data,
        "curves": drawing(plots.curves(histories)),
        # The scale that serves more runs begins near black, which needs light paper.
        "many": len(runs) > len(PALETTE),
        "differences": _differences(comparison),
        "pairs": pairs,
        "missing_pairs": missing,
        "matrices": [(label, matrix(run.results()["test"], {})) for label, run in zip(labels, runs, strict=True)],
        "commands": [words.repeat(run) for run in runs],
    }


def _differences(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """The fields of the setting in which the runs differ, with the value of each run."""
    settings = [asdict(run.config()) for run in comparison.runs]
    values = {name: [words.in_words(setting[name]) for setting in settings] for name in settings[0]}
    return [(name, row) for name, row in values.items() if len(set(row)) > 1]
