"""Training with and without the compiled kernels, and the peak that it is measured against."""

import importlib
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from convscope.experiment.session import Session
from convscope.models import build_model
from convscope.models.summary import summarise

PEAK = {"float32": 1e9, "bfloat16": 4e9}


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts import each other by their bare names."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def kernels() -> ModuleType:
    return importlib.import_module("kernels")


@pytest.fixture
def peak() -> ModuleType:
    return importlib.import_module("peak")


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_peak_is_measured(
    peak: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peak, "QUICK_SECONDS", 1e-4)
    monkeypatch.setattr(sys, "argv", ["peak.py", "--quick", "--threads", "2"])
    peak.main()
    printed = capsys.readouterr().out
    for what, unit in peak.KINDS.values():
        if what != peak.KINDS["bfloat16"][0]:
            assert re.search(rf"^{what}, .*: [\d.e+]+ {unit}$", printed, flags=re.MULTILINE)
    assert "written" not in printed


def test_without_a_compiler_no_peak_is_known(
    peak: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None)
    monkeypatch.setattr(sys, "argv", ["peak.py", "--json"])
    peak.main()
    assert capsys.readouterr().out == "{}\n"
    assert peak.shares([1.0], "what", "engine", "float32", each=1.0, peak=[{}]) == []


def test_the_peak_of_bfloat16_is_not_below_that_of_float32(peak: ModuleType) -> None:
    def rates(what: str, *values: float) -> dict[str, Any]:
        return {"what": what, "with": "", "rates": values}

    slow = [rates("float32", 3.0, 4.0, 2.0), rates("bfloat16", 1.0, 2.0), rates("memory", 9.0)]
    assert peak.peaks(slow) == {"float32": 4.0, "bfloat16": 4.0}
    assert peak.peaks([*slow, rates("bfloat16", 7.0)]) == {"float32": 4.0, "bfloat16": 7.0}


def test_a_training_takes_the_forward_pass_three_times(peak: ModuleType) -> None:
    model = build_model("tinyvgg_bn")
    image_gradient = 2 * 28 * 28 * 32 * 9  # which nobody asks for
    expected = 6 * summarise(model, (1, 28, 28)).multiply_adds - image_gradient
    assert peak.operations(model, channels=1, size=28) == expected
    with_auxiliary = build_model("googlenet", input_size=64)
    assert (
        peak.operations(with_auxiliary, channels=1, size=64) > 6 * summarise(with_auxiliary, (1, 64, 64)).multiply_adds
    )


def test_each_engine_is_measured_and_compared(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fashion_slice: Path
) -> None:
    trained: list[Session] = []

    def in_this_process(script: str, *arguments: object) -> dict[str, float]:
        words = [str(argument) for argument in arguments]
        assert "--quick" in words
        if script == "peak.py":
            return PEAK
        engine, data = words[words.index("--engine") + 1], str(fashion_slice)
        result: dict[str, float] = kernels.speed(words[0], engine, data, batch_size=2, quick=True)
        return result

    def step_speed(session: Session, *, steps: int, warm_up: int) -> float:
        trained.append(session)
        return 50.0 if session.config.kernels else 20.0

    monkeypatch.setattr(kernels, "build", SimpleNamespace(load=lambda say: True))
    monkeypatch.setattr(kernels, "cpu_gains_by_bfloat16", lambda: True)
    monkeypatch.setattr(kernels, "locate", lambda entry: None)
    monkeypatch.setattr(kernels, "measure", in_this_process)
    monkeypatch.setattr(kernels, "step_speed", step_speed)
    threads = torch.get_num_threads()
    monkeypatch.setattr(
        sys,
        "argv",
        ["kernels.py", *("tinyvgg_bn", "resnet18_small"), "--quick", "--threads", str(threads)],
    )
    kernels.main()
    assert len(trained) == 2 * 4
    assert {(session.config.precision, session.config.kernels) for session in trained} == {
        *(("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True))
    }
    prepared = {session.config.model: session.preprocessing for session in trained}
    shapes = {name: (preprocessing.channels, preprocessing.size) for name, preprocessing in prepared.items()}
    assert shapes == {"tinyvgg_bn": (1, 28), "resnet18_small": (3, 32)}
    printed = capsys.readouterr().out.splitlines()
    images = "training tinyvgg_bn, fashion-mnist-mini in 1x28x28"
    assert f"{images}, bfloat16: 2.5 times as fast as without kernels  (target: at least 1)" in printed
    assert f"{images}, float32-without-kernels: 20 images/s" in printed
    assert f"{images}, float32: {100 * 50 * 0.17520384:.4g} % of the float32 peak" in printed
    assert f"{images}, bfloat16: {25 * 50 * 0.17520384:.4g} % of the bfloat16 peak" in printed
    assert any(line.startswith(f"{images}, float32: ") and line.endswith("peak memory, MiB") for line in printed)
    assert not any(line.startswith("written") for line in printed)


def test_shares_of_operators_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    operators = importlib.import_module("operators")
    threads = str(torch.get_num_threads())
    engine = ["--engine", "float32-without-kernels"]
    monkeypatch.setattr(sys, "argv", ["operators.py", "tinyvgg_bn", "--quick", "--threads", threads, *engine])
    operators.main()
    lines = capsys.readouterr().out.splitlines()
    shares = [float(line.rpartition(" ")[2].removesuffix("%")) for line in lines]
    assert shares == sorted(shares, reverse=True) and 60 < sum(shares) < 100.1
    assert any(line.startswith("tinyvgg_bn, float32-without-kernels, aten::convolution_backward: ") for line in lines)


def test_epochs_are_compared_with_the_textbook_and_the_peak() -> None:
    epoch = importlib.import_module("epoch")

    def rounds(*speeds: float) -> list[dict[str, float]]:
        return [{"images_per_second": speed, "val_accuracy": 0.9, "peak_mib": 1, "images": 1} for speed in speeds]

    epochs = {engine: rounds(10, 20) for engine in epoch.ENGINES} | {
        "float32": rounds(20, 20),
        "default": rounds(90, 240),
    }
    figures = {(figure.what, figure.engine): figure for figure in epoch.epoch_figures(epochs)}
    ratio = figures["speed against the textbook", "default"]
    assert (ratio.median, ratio.least, ratio.most) == (10.5, 9, 12)
    assert "10" in ratio.target
    assert figures["speed against the textbook", "float32"].target == "at least 1.8"
    assert figures["speed against the textbook", "float32-without-kernels"].target == ""
    of_peak = {figure.engine: figure for figure in epoch.peak_figures(epochs, [PEAK, PEAK])}
    assert of_peak.keys() == set(epoch.ENGINES)
    assert of_peak["textbook"].median == pytest.approx(100 * 15 * 0.17520384e9 / 1e9)
