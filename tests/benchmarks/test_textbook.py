"""The loop that Convscope's speed is measured against trains the same network on the same inputs.  R-F9."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from convscope.data import Preprocessing, Splits
from convscope.models import build_model

PATH = Path(__file__).parents[2] / "benchmarks" / "textbook.py"


@pytest.fixture(scope="module")
def textbook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("textbook", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_inputs_are_those_of_convscope(textbook: ModuleType, fashion_splits: Splits) -> None:
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    dataset = textbook.FashionDataset(fashion_splits.val, preprocessing.mean, preprocessing.std)
    images = torch.stack([dataset[index][0] for index in range(len(dataset))])
    torch.testing.assert_close(images, preprocessing(fashion_splits.val.images), atol=1e-5, rtol=1e-5)
    assert [dataset[index][1] for index in range(len(dataset))] == fashion_splits.val.labels.tolist()


def test_network_is_convscopes(textbook: ModuleType) -> None:
    theirs = textbook.with_convscopes_weights(textbook.network(), 3).eval()
    ours = build_model("tinyvgg_bn", seed=3).eval()
    images = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(theirs(images), ours(images))
    assert sum(parameter.numel() for parameter in theirs.parameters()) == 435_754


def test_to_tensor_is_grey_in_unit_range(textbook: ModuleType) -> None:
    image = Image.new("L", (3, 2), 51)
    assert torch.equal(textbook.to_tensor(image), torch.full((1, 2, 3), 0.2))
