"""Several runs side by side: one table, one figure of curves, one directory to come back to."""

import csv
import io
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

from convscope import plots
from convscope.config import Config
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.experiment.session import Session
from convscope.experiment.training import Observer, train
from convscope.files import write_text
from convscope.runs import Run
from convscope.runs.grouping import deviation, repetitions


@dataclass(frozen=True)
class Row:
    """One setting of a comparison; figures are means over its seeds, shares between 0 and 1."""

    label: str
    model: str
    seeds: int
    parameters: int
    epochs: float
    seconds: float
    """Training and validation time."""
    val_accuracy: float
    test_accuracy: float
    test_low: float
    """95% interval of the test accuracy for the number of test images (of a single run)."""
    test_high: float
    macro_f1: float
    val_accuracy_std: float | None
    """Standard deviations over the seeds; None for a single run."""
    test_accuracy_std: float | None
    macro_f1_std: float | None


@dataclass(frozen=True)
class Comparison:
    """What was compared, and where it lies."""

    path: Path
    """The directory with curves.png and comparison.csv."""
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    row_of: tuple[int, ...]
    """The place in `rows` of each of the runs."""

    @property
    def labels(self) -> list[str]:
        """Names for the runs: that of the row, and the seed where the row has several."""
        rows = [self.rows[place] for place in self.row_of]
        return [
            row.label if row.seeds == 1 else f"{row.label}, seed {run.config().seed}"
            for row, run in zip(rows, self.runs, strict=True)
        ]

    @property
    def figure(self) -> Path:
        """The curves of all runs."""
        return self.path / "curves.png"


def compare_settings(
    configs: Sequence[Config],
    *,
    seeds: int = 1,
    runs_dir: Path = Path("runs"),
    data_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    interrupted: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Comparison:
    """Train each setting with `seeds` seeds, counted up from its own, and compare the runs.

    Raises:
        UserError: a setting cannot be trained, or is there twice; nothing was written.
        Interrupted: the finished runs can be compared by their names.
    """
    settings = [replace(config, seed=config.seed + offset) for offset in range(seeds) for config in configs]
    if len({setting.to_yaml() for setting in settings}) < max(2, len(settings)):
        raise UserError(
            "a comparison needs at least two settings, all different: name each network once, or take several seeds."
        )
    for config in configs:  # what cannot be trained is told before the first training, not after hours of others
        Session.prepare(config, data_dir=data_dir, progress=progress)
    runs = [
        train(
            setting,
            runs_dir=runs_dir,
            data_dir=data_dir,
            observers=observers,
            interrupted=interrupted,
            progress=progress,
        )
        for setting in settings
    ]
    return compare_runs(runs, runs_dir=runs_dir)


def compare_runs(runs: Sequence[Run], *, runs_dir: Path = Path("runs")) -> Comparison:
    """Compare finished runs; those that differ in their seed alone become one row.

    Raises:
        UserError: fewer than two runs, an unfinished one, or runs on different data.
    """
    if len({run.path.resolve() for run in runs}) < 2:
        raise UserError("a comparison needs at least two different runs: name another, or train one more.")
    for run in runs:
        if run.status != "finished":
            raise UserError(f"{run.path} is {run.status}, not finished: resume it with `convscope train --resume`.")
    if len({run.config().data for run in runs}) > 1:
        names = ", ".join(sorted({run.config().data for run in runs}))
        raise UserError(f"the runs were trained on different data ({names}): compare runs on the same data set.")
    groups = repetitions([run.config() for run in runs], [run.name for run in runs])
    rows = [_row(label, [runs[place] for place in places]) for label, places in groups]

    path = runs_dir / "comparisons" / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    row_of = {runs[place].path: number for number, (_, places) in enumerate(groups) for place in places}
    comparison = Comparison(path, tuple(rows), tuple(runs), tuple(row_of[run.path] for run in runs))
    histories = {label: run.history() for label, run in zip(comparison.labels, runs, strict=True)}
    plots.save_figure(plots.curves(histories), comparison.figure)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path / "comparison.csv", text.getvalue())
    return comparison


def _row(label: str, runs: Sequence[Run]) -> Row:
    metrics = [run.results() for run in runs]
    val = [values["val"]["top1"] for values in metrics]
    test = [values["test"]["top1"] for values in metrics]
    macro_f1 = [values["test"]["macro_f1"] for values in metrics]
    return Row(
        label=label,
        model=metrics[0]["model"],
        seeds=len(runs),
        parameters=metrics[0]["parameters"],
        epochs=_mean(values["epochs"] for values in metrics),
        seconds=_mean(values["train_seconds"] for values in metrics),
        val_accuracy=_mean(val),
        test_accuracy=_mean(test),
        test_low=_mean(values["test"]["top1_low"] for values in metrics),
        test_high=_mean(values["test"]["top1_high"] for values in metrics),
        macro_f1=_mean(macro_f1),
        val_accuracy_std=deviation(val),
        test_accuracy_std=deviation(test),
        macro_f1_std=deviation(macro_f1),
    )


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)
