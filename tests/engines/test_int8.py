"""An ONNX model in 8 bits."""

from collections.abc import Iterator

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from convscope.data import Preprocessing, Splits
from convscope.engines.deployable import Deployable
from convscope.engines.int8 import quantised
from convscope.engines.onnx import to_onnx
from convscope.models import build_model


@pytest.fixture(scope="module")
def float32(fashion_splits: Splits) -> onnx.ModelProto:
    known = Preprocessing.for_training(fashion_splits.train)
    model = build_model("tinyvgg_bn", seed=0).eval()
    return to_onnx(Deployable(model, known, softmax=False, any_size=True))


@pytest.fixture(scope="module")
def int8(float32: onnx.ModelProto, fashion_splits: Splits) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(float32)
    return quantised(copy, fashion_splits.train.pieces(64))


def answers(model: onnx.ModelProto, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def test_all_convolutions_and_matrices_of_the_network_have_weights_of_8_bits(
    float32: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    types = {tensor.name: tensor.data_type for tensor in int8.graph.initializer}
    made = {node.output[0]: node for node in int8.graph.node}
    layers = [node for node in int8.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == 8
    for layer in layers:
        pixels, weights = (made[name] for name in layer.input[:2])
        assert pixels.op_type == weights.op_type == "DequantizeLinear"
        assert types[weights.input[0]] == onnx.TensorProto.INT8
        assert len(next(t for t in int8.graph.initializer if t.name == weights.input[1]).dims) == 1  # for each channel
    assert int8.ByteSize() < 0.3 * float32.ByteSize()


def test_the_preprocessing_stays_as_it_was(float32: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    kept = {node.name: node for node in int8.graph.node}
    operations = []
    for node in float32.graph.node:
        assert kept[node.name] == node
        operations.append(node.op_type)
        if "shift" in node.input:
            break
    assert operations.count("MatMul") == 2 and operations[-2:] == ["Mul", "Add"]


def test_it_answers_nearly_the_same(float32: onnx.ModelProto, int8: onnx.ModelProto, fashion_splits: Splits) -> None:
    images = fashion_splits.test.take(torch.arange(200))
    expected, given = answers(float32, images), answers(int8, images)
    assert not torch.equal(expected, given)
    assert (expected - given).abs().mean() < 0.05 * expected.std()


def test_the_ranges_are_those_of_the_images_given(float32: onnx.ModelProto, fashion_splits: Splits) -> None:
    asked = []

    def dark() -> Iterator[Tensor]:
        for batch in fashion_splits.train.pieces(270):
            asked.append(len(batch))
            yield batch // 8

    images = fashion_splits.test.take(torch.arange(50))
    copy = onnx.ModelProto()
    copy.CopyFrom(float32)
    model = quantised(copy, dark())
    assert asked == [270, 270]
    expected = answers(float32, images)
    # What is brighter than all it was calibrated with is cut off.
    assert (answers(model, images) - expected).abs().mean() > 0.1 * expected.std()
    assert (answers(model, images // 8) - answers(float32, images // 8)).abs().mean() < 0.05 * expected.std()
