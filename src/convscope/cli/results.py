"""Printing what a run or a comparison gave."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from convscope.cli.console import console, plain_table
from convscope.experiment import Comparison, Row
from convscope.numbers import duration, number, percent
from convscope.runs import Run


def say_results(run: Run, report: Path) -> None:
    """The final figures of a finished run, and where everything lies."""
    metrics = run.metrics()
    print(
        f"best epoch {metrics['best_epoch']} of {metrics['epochs']} by validation loss; "
        f"{duration(metrics['train_seconds'])}, {metrics['train_images_per_second']:,.0f} images/s"
    )
    for split, name in (("val", "validation"), ("test", "test")):
        print(f"{name:<10}  {scores(metrics[split])}")
    print(f"pictures in {run.figures}, report {report}")
    print(f"look inside: convscope explore {shlex.quote(str(run.path))}")


def scores(report: Mapping[str, Any]) -> str:
    """One line with the figures of a split."""
    return (
        f"accuracy {percent(report['top1'])} (95% interval {percent(report['top1_low'])} to "
        f"{percent(report['top1_high'])}), top-{report['k']} {percent(report['top_k'])}, "
        f"macro F1 {number(report['macro_f1'])}, loss {number(report['loss'])}, "
        f"calibration error {percent(report['calibration_error'])}"
    )


def say_comparison(comparison: Comparison, verdict: str, report: Path) -> None:
    """The table of a comparison, what it comes to, and where everything lies."""
    console().print(_table(comparison.rows))
    if verdict:
        print(verdict)
    print(f"curves {comparison.figure}, report {report}")
    for run in comparison.runs:
        print(f"confusion matrix {run.figures / 'confusion.png'}")
    paths = " ".join(shlex.quote(str(run.path)) for run in comparison.runs)
    print(f"look inside: convscope explore {paths}")


def _table(rows: Sequence[Row]) -> Table:
    several = any(row.seeds > 1 for row in rows)
    table = plain_table("model")
    # One test set gives an interval; several seeds give a deviation instead.
    varying = ("seeds",) if several else ()
    interval = () if several else ("95% interval",)
    names = ("parameters", *varying, "epochs", "time", "val accuracy", "test accuracy", *interval, "macro F1")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.label,
            f"{row.parameters:,}",
            *([str(row.seeds)] if several else []),
            f"{row.epochs:g}",
            duration(row.seconds),
            percent(row.val_accuracy) + _spread(row.val_accuracy_std, percent),
            percent(row.test_accuracy) + _spread(row.test_accuracy_std, percent),
            *([] if several else [f"{percent(row.test_low)} to {percent(row.test_high)}"]),
            number(row.macro_f1) + _spread(row.macro_f1_std, number),
        )
    return table


def _spread(deviation: float | None, write: Any) -> str:
    """Mean ± standard deviation over the seeds, where there are several."""
    return "" if deviation is None else f" ± {write(deviation)}"
