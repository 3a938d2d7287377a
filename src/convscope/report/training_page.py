"""The page of the doctor for a training that has not begun: findings, curves, layers, and what it will take."""

from pathlib import Path
from typing import TYPE_CHECKING

from convscope import plots
from convscope.doctor.training.words import sentences
from convscope.report.page import drawing, write_page

if TYPE_CHECKING:  # for its name alone
    from convscope.doctor.training import TrainingReport


def write_training_page(path: Path, report: "TrainingReport") -> Path:
    """Write the page on a training to `path` and return that.

    Raises:
        ConvscopeError: the page cannot be written.
    """
    rates, layers = report.facts["rates"], report.layers
    return write_page(
        path,
        template="training.html",
        report=report,
        sentences=list(sentences(report.facts)),
        rates=drawing(
            plots.loss_over_rate(
                rates["rates"],
                rates["losses"],
                rates["smoothed"],
                own=report.config.lr,
                suggested=rates["suggested"],
                crawls_below=rates["crawls_below"],
                fails_above=rates["fails_above"],
            )
        ),
        one_batch=drawing(
            plots.one_batch(report.facts["one_batch"]["losses"], guessing=report.facts["answers"]["guessing_loss"])
        ),
        depth=drawing(
            plots.through_depth(
                [layer.name for layer in layers],
                [layer.mean for layer in layers],
                [layer.std for layer in layers],
                [layer.relative_gradient for layer in layers],
                [layer.update for layer in layers],
            )
        ),
    )
