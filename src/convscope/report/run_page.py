"""The report on one run, as a page to read and as slides to present.

It is made from the run directory alone; what a run does not have is left out.
"""

import math
from pathlib import Path
from typing import Any

from convscope import plots
from convscope.metrics import calibration_bins
from convscope.report import words
from convscope.report.answers import answers_of
from convscope.report.matrix import matrix
from convscope.report.network import layers_of
from convscope.report.page import drawing, write_page
from convscope.runs import Run

WORST = 24
"""Mistakes that are shown."""


def write_report(run: Run) -> Path:
    """Write `report.html` into the run's directory and return its path; an unfinished run will do.

    Raises:
        UserError: a file of the run is missing or damaged.
        ConvscopeError: the page cannot be written.
    """
    return write_page(run.path / "report.html", template="run.html", **_content(run))


def write_slides(run: Run) -> Path:
    """Write the same as `slides.html`, a deck to present, and return its path; errors as in `write_report`."""
    return write_page(run.path / "slides.html", template="run_slides.html", **_content(run))


def _content(run: Run) -> dict[str, Any]:
    config, metrics, history = run.config(), run.metrics(), run.history()
    splits = {{"val": "validation"}.get(split, split): report for split, report in run.reports().items()}
    # Class by class for one split: test, or validation while test is still unread.
    split, detail = next(reversed(splits.items()), ("", None))
    answers = answers_of(run, [row["name"] for row in detail["per_class"]]) if detail and split == "test" else None
    data = run.data_facts()
    bins = calibration_bins(answers.logits, answers.labels) if answers else []
    cells = answers.cells() if answers else {}
    return {
        "name": run.name,
        "status": metrics.get("status", "unknown"),
        "config": config,
        "metrics": metrics,
        "history": history,
        "curves": drawing(plots.curves({config.model: history})) if history else None,
        "alarms": run.alarms(),
        "scores": {name: words.scores(report) for name, report in splits.items()},
        "split": split,
        "report": detail,
        "chance_loss": math.log(len(detail["per_class"])) if detail and detail["per_class"] else None,
        "matrix": matrix(detail, cells) if detail else None,
        "random": answers.shots(answers.random) if answers else [],
        "mistakes": answers.mistakes(WORST) if answers else [],
        "bins": [row for row in bins if row.images],
        "reliability": drawing(plots.reliability(bins)) if bins else None,
        "data": words.data_words(data) if data else None,
        # What a class looks like is best seen where the network is sure and right.
        "one_each": [shots[0] for (true, predicted), shots in sorted(cells.items()) if true == predicted],
        "network": layers_of(config, data) if data else None,
        "settings": words.settings(config),
        "environment": list(words.facts(run.environment())),
        "repeat": words.repeat(run),
        "resume": words.resume(run),
        "evaluate": words.evaluate(run),
    }
