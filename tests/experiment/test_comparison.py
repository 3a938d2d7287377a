"""Runs side by side: the rows, their names, means and deviations, and what cannot be compared."""

import csv
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from convscope import plots
from convscope.config import Config
from convscope.errors import UserError
from convscope.experiment import compare_runs, compare_settings
from convscope.metrics import classification_report
from convscope.runs import COLUMNS, Run, create_run

BASE = Config(data="fashion-mnist-mini", model="linear", epochs=2)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The curves that would be drawn, without the drawing."""
    histories: list[dict[str, Any]] = []
    monkeypatch.setattr(plots, "curves", lambda runs: histories.append(dict(runs)))
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: None)
    return histories


def finished(runs_dir: Path, name: str, config: Config, accuracy: float = 0.8, **figures: Any) -> Run:
    """A run directory as a training leaves it, its figures made up."""
    run = create_run(runs_dir, name, config, {})
    report = classification_report([[1.0, 0.0], [0.0, 1.0]], [0, 1], ("cat", "dog")) | {
        "top1": accuracy,
        "top1_low": accuracy - 0.02,
        "top1_high": accuracy + 0.02,
        "macro_f1": accuracy - 0.01,
    }
    run.write_metrics(
        {
            "status": "finished",
            "model": config.model,
            "data": config.data,
            "parameters": 7850,
            "epochs": 2,
            "best_epoch": 1,
            "train_seconds": 10.0,
            "train_images_per_second": 1000.0,
            "val": report | {"top1": accuracy + 0.05},
            "test": report,
        }
        | figures
    )
    run.write_history([dict.fromkeys(COLUMNS, 0.5) | {"epoch": epoch} for epoch in (1, 2)])
    return run


def labels(runs: list[Run], runs_dir: Path) -> list[str]:
    return [row.label for row in compare_runs(runs, runs_dir=runs_dir).rows]


def test_a_row_for_each_run_with_its_figures(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    # R-B6
    first = finished(tmp_path, "first", BASE, 0.8)
    second = finished(tmp_path, "second", replace(BASE, model="lenet5"), 0.9, parameters=61_706, epochs=5)
    comparison = compare_runs([first, second], runs_dir=tmp_path)
    row = comparison.rows[0]
    assert (row.label, row.model, row.seeds, row.parameters, row.epochs, row.seconds) == (
        *("linear", "linear", 1, 7850),
        *(2, 10.0),
    )
    assert (row.val_accuracy, row.test_accuracy) == pytest.approx((0.85, 0.8))
    assert (row.test_low, row.test_high, row.macro_f1) == pytest.approx((0.78, 0.82, 0.79))
    assert row.val_accuracy_std is row.test_accuracy_std is row.macro_f1_std is None
    assert (comparison.rows[1].label, comparison.rows[1].parameters, comparison.rows[1].epochs) == ("lenet5", 61_706, 5)
    assert comparison.runs == (first, second)
    assert drawn == [{"linear": first.history(), "lenet5": second.history()}]  # all curves in one figure


def test_the_table_is_written_down(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    runs = [finished(tmp_path, name, replace(BASE, model=name), 0.7) for name in ("linear", "lenet5")]
    comparison = compare_runs(runs, runs_dir=tmp_path)
    assert comparison.path.parent == tmp_path / "comparisons"
    with (comparison.path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    for row, line in zip(comparison.rows, written, strict=True):
        assert line == {name: "" if value is None else str(value) for name, value in asdict(row).items()}


def test_seeds_become_one_row_with_mean_and_deviation(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    # R-F5
    accuracies = [0.8, 0.82, 0.87]
    runs = [
        finished(tmp_path, f"run-{seed}", replace(BASE, seed=seed), accuracy, epochs=4 + seed)
        for seed, accuracy in enumerate(accuracies)
    ]
    (row,) = compare_runs(runs, runs_dir=tmp_path).rows
    assert row.seeds == 3
    assert row.test_accuracy == pytest.approx(statistics.mean(accuracies))
    assert row.test_accuracy_std == pytest.approx(statistics.stdev(accuracies))
    assert row.val_accuracy_std == pytest.approx(statistics.stdev(accuracies))
    assert row.macro_f1_std == pytest.approx(statistics.stdev(accuracies))
    assert row.epochs == 5
    assert list(drawn[0]) == ["linear, seed 0", "linear, seed 1", "linear, seed 2"]


def test_a_seed_repeated_is_not_another_seed(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    """A deviation of 0 from two equal runs would be a lie."""
    runs = [finished(tmp_path, name, BASE) for name in ("monday", "tuesday")]
    rows = compare_runs(runs, runs_dir=tmp_path).rows
    assert [(row.label, row.seeds) for row in rows] == [("linear monday", 1), ("linear tuesday", 1)]
    assert list(drawn[0]) == ["linear monday", "linear tuesday"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([{}, {"model": "lenet5"}], ["linear", "lenet5"]),
        ([{}, {"lr": 0.1}], ["linear (lr 0.002)", "linear (lr 0.1)"]),
        ([{}, {"lr": 0.1}, {"model": "lenet5"}], ["linear (lr 0.002)", "linear (lr 0.1)", "lenet5"]),
        ([{"flip": True}, {"flip": True, "clip_norm": 1.0}], ["linear (clip_norm None)", "linear (clip_norm 1.0)"]),
        ([{"lr": 0.1}, {"epochs": 3}], ["linear (epochs 2, lr 0.1)", "linear (epochs 3, lr 0.002)"]),
        ([{"seed": 1}, {"seed": 2, "lr": 0.1}], ["linear (lr 0.002)", "linear (lr 0.1)"]),
    ],
)
def test_rows_are_named_by_what_tells_them_apart(
    changes: list[dict[str, Any]], expected: list[str], tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    runs = [finished(tmp_path, f"run-{index}", replace(BASE, **change)) for index, change in enumerate(changes)]
    assert labels(runs, tmp_path) == expected


def test_what_cannot_be_compared(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    first = finished(tmp_path, "first", BASE)
    elsewhere = finished(tmp_path, "elsewhere", replace(BASE, data="mnist"))
    stopped = finished(tmp_path, "stopped", replace(BASE, seed=1), status="interrupted")
    for runs, message in (
        ([first], "at least two different runs"),
        ([first, Run(tmp_path / "elsewhere" / ".." / "first")], "at least two different runs"),
        ([first, elsewhere], r"different data \(fashion-mnist-mini, mnist\)"),
        ([first, stopped], "stopped is interrupted, not finished: resume it"),
    ):
        with pytest.raises(UserError, match=message):
            compare_runs(runs, runs_dir=tmp_path)
    assert drawn == []
    assert not (tmp_path / "comparisons").exists()


# Trained for the purpose


@pytest.fixture
def setting(fashion_slice: Path) -> Config:
    return Config(data=str(fashion_slice), model="linear", epochs=1, batch_size=270, precision="float32")


def test_networks_are_trained_with_every_seed_on_the_same_split(
    setting: Config, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    configs = [setting, replace(setting, model="lenet5")]
    comparison = compare_settings(configs, seeds=2, runs_dir=tmp_path)
    assert [(row.label, row.seeds) for row in comparison.rows] == [("linear", 2), ("lenet5", 2)]
    assert [(run.config().model, run.config().seed) for run in comparison.runs] == [
        *(("linear", 0), ("lenet5", 0)),
        *(("linear", 1), ("lenet5", 1)),
    ]
    assert {run.config().split_seed for run in comparison.runs} == {0}
    accuracies = [run.metrics()["test"]["top1"] for run in comparison.runs if run.config().model == "linear"]
    assert comparison.rows[0].test_accuracy == pytest.approx(statistics.mean(accuracies))
    assert comparison.rows[0].test_accuracy_std == pytest.approx(statistics.stdev(accuracies))


@pytest.mark.parametrize(
    ("changes", "seeds", "message"),
    [
        ([{}], 1, "at least two settings"),
        ([{}, {}], 1, "at least two settings"),
        ([{}, {"seed": 1}], 2, "at least two settings"),
        ([{}, {"model": "lenet"}], 1, "unknown model 'lenet': did you mean 'lenet5'"),
        ([{"input_size": 8}, {"input_size": 8, "model": "lenet5"}], 1, "at least 12 pixels"),
        ([{}, {"model": "lenet5", "dropout": 0.5}], 1, "unknown option 'dropout'"),
        ([{}, {"batch_size": 541}], 1, "more than the 540 training images"),
        ([{"seed": 2**63 - 1}], 2, "seed is"),
    ],
)
def test_mistakes_are_told_before_the_first_training(
    changes: list[dict[str, Any]], seeds: int, message: str, setting: Config, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        compare_settings([replace(setting, **change) for change in changes], seeds=seeds, runs_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
