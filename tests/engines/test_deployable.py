"""A network with its preprocessing as one module, against the two apart."""

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.data import Preprocessing
from convscope.data.decoding import Resize, read_square
from convscope.engines.deployable import Deployable
from convscope.models import build_model
from convscope.models.layers import Classifier


def network(preprocessing: Preprocessing) -> Classifier:
    channels, size = preprocessing.channels, preprocessing.size
    return build_model("tinyvgg_bn", num_classes=5, in_channels=channels, input_size=size, seed=0).eval()


def prepared(size: int, decode_size: int, channels: int = 3, resize: Resize = "crop") -> Preprocessing:
    return Preprocessing(
        size=size,
        channels=channels,
        mean=(0.48, 0.45, 0.4)[:channels],
        std=(0.22, 0.23, 0.27)[:channels],
        border=0.5,
        decode_size=decode_size,
        resize=resize,
    )


@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize(("size", "decode_size", "channels"), [(28, 28, 1), (32, 28, 1), (32, 40, 3), (32, 100, 3)])
def test_squares_are_answered_as_by_the_run(size: int, decode_size: int, channels: int, any_size: bool) -> None:
    # R-F4
    known = prepared(size, decode_size, channels)
    images = torch.randint(0, 256, (3, channels, decode_size, decode_size), dtype=torch.uint8)
    model = network(known)
    with torch.inference_mode():
        expected = model(known(images))
        answers = Deployable(model, known, softmax=False, any_size=any_size)(images)
        probabilities = Deployable(model, known, softmax=True, any_size=any_size)(images)
    torch.testing.assert_close(answers, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(probabilities, expected.softmax(dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_a_photo_as_it_comes_is_answered_as_by_the_run(resize: Resize) -> None:
    # R-F4
    known = prepared(32, 40, resize=resize)
    pixels = np.random.default_rng(0).integers(0, 256, (75, 101, 3)).astype(np.uint8)
    square = read_square(Image.fromarray(pixels), size=40, resize=resize)
    model = network(known)
    with torch.inference_mode():
        expected = model(known(square[None]))
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        answers = Deployable(model, known, softmax=False, any_size=True)(images)
        black = model(known(torch.zeros_like(square[None])))
    # A level of 255 in some pixels, from rounding, beside what the whole image changes.
    assert (answers - expected).abs().max() < 0.02 * (expected - black).abs().max()


def test_it_names_its_output_and_the_shapes_it_takes() -> None:
    known = prepared(32, 40)
    fixed = Deployable(network(known), known, softmax=False)
    free = Deployable(network(known), known, softmax=True, any_size=True)
    assert (fixed.output, free.output) == ("logits", "probabilities")
    assert [dimension.__name__ for dimension in fixed.dynamic_shapes().values()] == ["batch"]
    assert [dimension.__name__ for dimension in free.dynamic_shapes().values()] == ["batch", "height", "width"]
    for module in (fixed, free):
        assert not module.training
        assert module(module.examples()).shape == (2, 5)


def test_its_example_has_three_different_lengths() -> None:
    # Equal ones would be recorded as one and the same.
    known = prepared(32, 40)
    assert len(set(Deployable(network(known), known, softmax=True, any_size=True).examples().shape)) == 4
