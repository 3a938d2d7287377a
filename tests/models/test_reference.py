"""The networks against torchvision's: state dicts, parameter counts and logits, for weights that anybody can draw.

`tests/golden/torchvision.json` holds what torchvision 0.28 gives for three channels and 1000 classes. Each tensor is
drawn by NumPy from its own name, so neither package is needed to compare them.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convscope.models import build_model

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / "torchvision.json").read_text())

# R-F7: parameters as published with the weights, of the networks whose logits are not in the file too.
PUBLISHED = {
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet_bn": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
}


def build(name: str, **options: object) -> torch.nn.Module:
    return build_model(name, num_classes=1000, in_channels=3, input_size=224, **options)


def draw(name: str, shape: list[int]) -> Tensor:
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        values = abs(values) * 0.5 + 0.75
    elif name.endswith("running_mean"):
        values = values * 0.1
    elif len(shape) == 1:
        values = values * 0.1 + (1 if name.endswith("weight") else 0)
    else:
        values *= np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


@pytest.fixture(scope="module")
def drawn() -> dict[str, Tensor]:
    """Tensors so large that networks share them: to draw the first matrix of VGG's head takes seconds."""
    return {}


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden["model"] for golden in GOLDEN])
def test_logits_and_state_dict_are_torchvision_s(golden: dict[str, Any], drawn: dict[str, Tensor]) -> None:
    # R-F7, R-C1, R-E3
    name = {"googlenet": "googlenet_bn"}.get(golden["model"], golden["model"])
    with torch.device("meta"):
        model = build(name).eval()
    assert [(key, list(tensor.shape)) for key, tensor in model.state_dict().items()] == list(
        golden["state_dict"].items()
    )
    large = {key: shape for key, shape in golden["state_dict"].items() if np.prod(shape) > 10_000_000}
    drawn |= {key: draw(key, shape) for key, shape in large.items() if key not in drawn}
    tensors = {key: drawn[key] if key in large else draw(key, shape) for key, shape in golden["state_dict"].items()}
    model.load_state_dict(tensors, assign=True)
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        logits = model(images)
    tolerance = 1e-4 * golden["logits_std"]
    assert (logits[:, :6] - torch.tensor(golden["logits"])).abs().max() < tolerance
    assert logits.mean().item() == pytest.approx(golden["logits_mean"], abs=tolerance)
    assert logits.std().item() == pytest.approx(golden["logits_std"], abs=tolerance)


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_parameters_are_the_published_ones(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = build(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_state_dict_of_the_auxiliary_classifiers_is_torchvision_s() -> None:
    # Between the last module and the last layer, and each in the order convolution, two fully connected layers.
    with torch.device("meta"):
        model = build("googlenet_bn", auxiliary=True, transform_input=True)
    keys = list(model.state_dict())
    expected = [
        f"aux{number}.{key}"
        for number in (1, 2)
        for key in (
            "conv.conv.weight",
            *(f"conv.bn.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
            *("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"),
        )
    ]
    start = keys.index("aux1.conv.conv.weight")
    assert keys[start : start + len(expected)] == expected
    assert keys[start + len(expected) :] == ["fc.weight", "fc.bias"]
    assert keys[start - 1].startswith("inception5b")
    assert model.aux1.fc1.weight.shape == (1024, 2048) and model.aux2.conv.conv.weight.shape == (128, 528, 1, 1)
