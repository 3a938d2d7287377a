"""ONNX Runtime and OpenVINO, against the network itself, in every arithmetic they have."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from convscope.data import Splits
from convscope.engines.agreement import Agreement
from convscope.engines.choice import CONVERTED, open_engine, present
from convscope.engines.finished import Finished
from convscope.predict import Predictor
from convscope.runs import Run

CPU = torch.device("cpu")
CLOSE = {"float32": 1e-5, "bfloat16": 0.02, "int8": 0.1}
"""How far probabilities may be from the network's own."""


@pytest.fixture(scope="module")
def predictor(make_run: Callable[..., Run]) -> Predictor:
    return Predictor.from_run(make_run("tinyvgg_bn", hidden=16), device="cpu")


@pytest.fixture(scope="module")
def finished(predictor: Predictor, fashion_splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """With both models converted and kept."""
    made = Finished(predictor.model, predictor.preprocessing, predictor.digest, tmp_path_factory.mktemp("run"))
    made.onnx("int8", fashion_splits.train.take(torch.arange(64)))
    return made


@pytest.fixture(scope="module")
def images(fashion_splits: Splits) -> Tensor:
    return fashion_splits.val.take(torch.arange(60))


@pytest.mark.parametrize("name", CONVERTED)
def test_it_answers_as_the_network_does(name: str, finished: Finished, predictor: Predictor, images: Tensor) -> None:
    # R-F4
    if present(CPU)[name] is not None:
        pytest.skip(f"{name} {present(CPU)[name]}")
    assert finished.is_kept("float32") and finished.is_kept("int8")
    engine = open_engine(name, finished, CPU)
    expected = predictor.engine(images)
    assert engine.name == name
    for count in (1, 7, 60):
        logits = engine(images[:count])
        assert logits.dtype == torch.float32
        assert Agreement.of(logits, expected[:count]).largest_difference < CLOSE[name.rpartition("-")[2]]
    if not name.endswith("float32"):
        assert not torch.allclose(engine(images), expected, atol=1e-5), "it does not compute in what it is called"


@pytest.mark.parametrize("name", ["onnxruntime-float32", "openvino-float32"])
def test_any_thread_may_ask_and_keeps_its_answer(name: str, finished: Finished, images: Tensor) -> None:
    engine = open_engine(name, finished, CPU)
    parts = list(images.split(3)) * 3
    alone = [engine(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine, parts))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize("name", ["onnxruntime-float32", "openvino-float32"])
def test_images_in_any_order_of_memory(name: str, finished: Finished, images: Tensor) -> None:
    engine = open_engine(name, finished, CPU)
    scattered = images.repeat(1, 3, 1, 1)[:, 1:2].transpose(2, 3).contiguous().transpose(2, 3)
    assert not scattered.is_contiguous()
    torch.testing.assert_close(engine(scattered), engine(images))


SIGNAL_AFTER_ENGINES = """
import signal, sys, torch
from pathlib import Path
from convscope.engines.runtimes import OpenVino

model = Path(sys.argv[1]).read_bytes()
first, second = (OpenVino("openvino", model, "f32") for _ in range(2))
first(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
del first
del second
signal.signal(signal.SIGINT, lambda number, frame: print("heard"))
signal.raise_signal(signal.SIGINT)
"""


def test_signals_are_heard_after_engines_are_gone(finished: Finished, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "model.onnx").write_bytes(finished.onnx("float32"))
    command = [sys.executable, "-c", SIGNAL_AFTER_ENGINES, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
