"""Which engines there are."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from convscope.engines import choice
from convscope.engines.choice import ENGINES, REFERENCE, open_engine, present
from convscope.engines.finished import Finished
from convscope.errors import ConvscopeError, UserError
from convscope.predict import Predictor
from convscope.runs import Run

CPU = torch.device("cpu")


@pytest.fixture
def finished(make_run: Callable[..., Run], tmp_path: Path) -> Finished:
    predictor = Predictor.from_run(make_run("linear"), device="cpu")
    return Finished(predictor.model, predictor.preprocessing, "a digest", tmp_path)


def test_here_all_are_present_but_what_the_cpu_cannot() -> None:
    obstacles = present(CPU)
    assert tuple(obstacles) == ENGINES
    assert all(reason is None or "bfloat16" in reason for reason in obstacles.values())


def test_without_the_extra_pytorch_alone(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda library: None)
    obstacles = present(CPU)
    assert obstacles[REFERENCE] is None
    assert (
        obstacles["openvino-int8"] == 'needs onnx, onnxscript, openvino, which `pip install "convscope[export]"` brings'
    )
    with pytest.raises(
        UserError, match=r'onnxruntime-float32 needs .*, which `pip install "convscope\[export\]"` brings: choose'
    ):
        open_engine("onnxruntime-float32", finished, CPU)


def test_a_cpu_without_bfloat16(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.training.runtime.cpu_gains_by_bfloat16", lambda: False)
    obstacles = present(CPU)
    assert {name for name, reason in obstacles.items() if reason} == {"pytorch-bfloat16", "openvino-bfloat16"}
    with pytest.raises(UserError, match="not faster in bfloat16"):
        open_engine("pytorch-bfloat16", finished, CPU)


def test_on_other_devices_pytorch_alone(finished: Finished) -> None:
    obstacles = present(torch.device("mps"))
    assert [name for name, reason in obstacles.items() if reason is None] == [REFERENCE]
    with pytest.raises(UserError, match="openvino-float32 runs on the cpu, not on mps"):
        open_engine("openvino-float32", finished, torch.device("mps"))


def test_an_unknown_engine(finished: Finished) -> None:
    with pytest.raises(UserError, match="unknown engine 'openvino-float23': did you mean 'openvino-float32'"):
        open_engine("openvino-float23", finished, CPU)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("onnxruntime-float32", ".*protobuf parsing failed"), ("openvino-float32", "Unable to read the model")],
)
def test_what_is_no_model_is_refused(
    name: str, reason: str, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Finished, "onnx", lambda self, precision, calibration: b"no model")
    with pytest.raises(ConvscopeError, match=rf"the engine {name} cannot take this network \({reason}"):
        open_engine(name, finished, CPU)
