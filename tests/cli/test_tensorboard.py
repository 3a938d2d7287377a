"""`--tensorboard` of `convscope train` and `convscope compare`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from convscope.runs import Run

Command = Callable[..., Any]
QUICK = ("--epochs", "1", "--batch-size", "128", "--device", "cpu", "--threads", "1")


def tags(run: Path) -> Any:
    return EventAccumulator(str(run / "tensorboard")).Reload().Tags()


def test_train_leaves_events(command: Command, place: Path, fashion_slice: Path) -> None:
    # R-A12
    done = command("train", fashion_slice, "linear", "--tensorboard", "--name", "first", *QUICK)
    assert done.status == 0, done
    found = tags(place / "runs" / "first")
    assert {"loss/val", "results/test_accuracy"} <= set(found["scalars"])
    assert {"images/training", "filters/output", "results/confusion"} <= set(found["images"])
    assert "weights/output.weight" in found["histograms"] and found["graph"]
    assert "_hparams_/session_end_info" in found["tensors"]


def test_compare_leaves_events_of_each_run(
    command: Command, place: Path, fashion_slice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which take most of the time.
    monkeypatch.setattr("convscope.report.write_report", lambda run: None)
    monkeypatch.setattr("convscope.plots.save_figure", lambda figure, path: None)
    done = command("compare", fashion_slice, "linear", "simplenet", "--tensorboard", *QUICK)
    assert done.status == 0, done
    runs = [path.parent for path in (place / "runs").glob("*/config.yaml")]
    assert len(runs) == 2
    assert all("results/test_accuracy" in tags(run)["scalars"] for run in runs)


def test_there_are_none_unless_asked_for(run_path: Path) -> None:
    assert not Run(run_path).events.exists()


@pytest.mark.parametrize(
    "words", [["train", "fashion-mnist-mini"], ["compare", "fashion-mnist-mini", "linear", "lenet5"]]
)
def test_without_the_package_nothing_is_trained(words: list[str], place: Path) -> None:
    hide = "import sys; sys.modules['tensorboard'] = None; from convscope.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", hide, *words, "--tensorboard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'get it with `pip install "convscope[tensorboard]"`' in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(place.iterdir()) == []


def test_going_on_keeps_the_events(command: Command, run_path: Path) -> None:
    run = Run(run_path)
    run.write_metrics({"status": "interrupted"})
    line = f"go on: convscope train --resume {run_path}"
    assert f"{line}\n" in command("runs", "show", "first").out
    run.events.mkdir()
    assert f"{line} --tensorboard\n" in command("runs", "show", "first").out
