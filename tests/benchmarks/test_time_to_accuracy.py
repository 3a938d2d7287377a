"""Time to accuracy: what is counted, and the table."""

import csv
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from convscope.config import Config
from convscope.data import Batches
from convscope.experiment.fitting import fit_session
from convscope.experiment.session import Session
from convscope.training.evaluate import evaluate
from convscope.training.state import EpochRecord


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("time_to_accuracy")


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_epoch_that_goes_before_leaves_no_trace(benchmark: ModuleType, fashion_slice: Path, ema: float) -> None:
    config = Config(
        data=str(fashion_slice), model="linear", epochs=3, schedule="plateau", plateau_patience=0, lr=0.1, ema=ema
    )
    measured = benchmark.train_once(config, 0.3)
    session, last = Session.prepare(config), benchmark.Last()
    fit_session(session, None, last)
    test = Batches(session.splits.test, session.preprocessing, batch_size=128)
    assert measured.accuracy == evaluate(last.model, test, session.runtime)[1]
    assert (last.model is session.model) == (ema == 0)
    assert 0 < measured.val_seconds <= measured.seconds
    assert measured.parameters == 7850


def test_the_clock_counts_training_alone(benchmark: ModuleType) -> None:
    clock = benchmark.Clock(samples=1000)
    for epoch, speed in ((1, 100.0), (2, 500.0)):
        numbers = dict.fromkeys(EpochRecord.__dataclass_fields__, 0.0)
        clock.on_epoch(EpochRecord(**numbers | {"epoch": epoch, "images_per_second": speed, "val_accuracy": epoch / 4}))
    assert clock.epochs == [(10.0, 0.25), (12.0, 0.5)]


def test_a_line_for_each_setting(
    benchmark: ModuleType, fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results.csv")
    monkeypatch.setattr(benchmark, "UNFINISHED", tmp_path / "unfinished.json")

    def run(*flags: str) -> list[dict[str, str]]:
        threads = str(torch.get_num_threads())
        shared = ["--data", str(fashion_slice), "--model", "linear", "--device", "cpu", "--threads", threads]
        monkeypatch.setattr(sys, "argv", ["time_to_accuracy.py", "--target", "20", *shared, *flags])
        benchmark.main()
        with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    (line,) = run("--trainings", "2", "--epochs", "2")
    assert (line["trainings"], line["reached"], line["device"], line["parameters"]) == ("2", "2", "cpu", "7850")
    assert 20 < float(line["test_accuracy"]) < 100 and float(line["test_deviation"]) >= 0
    assert float(line["val_seconds"]) <= float(line["seconds"])
    assert line["setting"].endswith("--epochs 2") and line["torch"] == torch.__version__
    lines = run("--trainings", "1", "--epochs", "1")
    assert [line["setting"].split()[-1] for line in lines] == ["2", "1"]
    assert len(run("--trainings", "1", "--epochs", "1")) == 2


def test_stopped_it_goes_on_with_the_training_it_had_begun(
    benchmark: ModuleType, fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results.csv")
    monkeypatch.setattr(benchmark, "UNFINISHED", tmp_path / "unfinished.json")
    seeds: list[int] = []
    stop_at = 1

    def train_once(config: Config, *rest: object) -> object:
        seeds.append(config.seed)
        if config.seed == stop_at:
            raise KeyboardInterrupt
        return benchmark.Training(1.0 + config.seed, 0.5, None, 7850)

    monkeypatch.setattr(benchmark, "train_once", train_once)
    argv = ["time_to_accuracy.py", "--trainings", "3", "--data", str(fashion_slice), "--model", "linear"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(KeyboardInterrupt):
        benchmark.main()
    stop_at = -1
    config = Config(data=str(fashion_slice), model="linear")
    assert benchmark.Measurement(config, 94.0).read().keys() == {0}
    assert not benchmark.Measurement(replace(config, lr=0.1), 94.0).read()
    assert not benchmark.Measurement(config, 90.0).read()
    benchmark.main()
    assert seeds == [0, 1, 1, 2] and not (tmp_path / "unfinished.json").exists()
    (line,) = csv.DictReader((tmp_path / "results.csv").read_text(encoding="utf-8").splitlines())
    assert (line["trainings"], line["seconds"]) == ("3", "2.0")


def test_choosing_looks_at_no_test_image(
    benchmark: ModuleType, fashion_slice: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated: list[int] = []
    evaluate = benchmark.evaluate
    monkeypatch.setattr(
        benchmark,
        "evaluate",
        lambda model, batches, runtime: evaluated.append(batches.samples) or evaluate(model, batches, runtime),
    )
    for name in ("write", "write_text"):
        monkeypatch.setattr(benchmark, name, lambda *values: pytest.fail("nothing is to be written"))
    flags = ["--data", str(fashion_slice), "--model", "linear", "--epochs", "1", "--trainings", "1", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["time_to_accuracy.py", "--choosing", *flags])
    benchmark.main()
    assert evaluated == [60]
    assert "of the validation images after" in capsys.readouterr().out
