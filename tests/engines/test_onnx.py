"""A network as an ONNX model."""

import getpass
import logging
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from convscope.data import Preprocessing
from convscope.engines.deployable import Deployable
from convscope.engines.onnx import OPSET, to_onnx
from convscope.models import build_model

KNOWN = Preprocessing(size=32, channels=3, mean=(0.4,) * 3, std=(0.2,) * 3, border=0.5, decode_size=40, resize="pad")


def deployable(*, any_size: bool) -> Deployable:
    model = build_model("resnet18_small", num_classes=4, in_channels=3, input_size=32, width=0.125, seed=0)
    return Deployable(model, KNOWN, softmax=False, any_size=any_size)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return to_onnx(deployable(any_size=True))


def test_input_and_output_have_names_and_free_dimensions(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["batch", 3, "height", "width"])
    assert (logits.name, logits.type, logits.shape) == ("logits", "tensor(float)", ["batch", 4])


@pytest.mark.parametrize("shape", [(1, 3, 40, 40), (5, 3, 40, 40), (2, 3, 1, 9), (2, 3, 97, 64), (1, 3, 300, 200)])
def test_it_answers_as_the_module(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    # R-F4
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = deployable(any_size=True)(images)
    answers = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    torch.testing.assert_close(answers, expected, rtol=1e-4, atol=1e-4)


def test_nothing_in_it_tells_of_this_machine(model: onnx.ModelProto) -> None:
    content = model.SerializeToString()
    for word in (str(Path.home()), str(Path.cwd()), "site-packages", ".py"):
        assert word.encode() not in content, word
    assert f"/{getpass.getuser()}/".encode() not in content


def test_the_same_network_gives_the_same_bytes_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    level = logging.getLogger("torch.onnx").level
    first, second = (to_onnx(deployable(any_size=False)).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert logging.getLogger("torch.onnx").level == level
    assert capfd.readouterr() == ("", "")


def test_batch_norms_are_part_of_the_convolutions(model: onnx.ModelProto) -> None:
    assert all(node.op_type != "BatchNormalization" for node in model.graph.node)
