"""Every network of the catalogue in every format, read back by the means of programs that know nothing of Convscope."""

from functools import partial
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.catalog import MODELS, ModelEntry
from convscope.data import Preprocessing
from convscope.engines.deployable import Deployable
from convscope.engines.folding import folded
from convscope.engines.int8 import quantised
from convscope.export import FORMATS
from convscope.models import build_model, takes_option

# Slimmer layers, and the smallest images: what the file holds of a network does not depend on how wide it is.
SLIM: dict[str, dict[str, Any]] = {
    "AlexNet": {"width": 1 / 8},
    "VGG": {"width": 1 / 16},
    "ResNet": {"width": 1 / 8},
    "SENet": {"width": 1 / 8},
    "DenseNet": {"growth_rate": 4},
}


# Their blocks are those of the others, and their stem is that of resnet18_small.
SAME_PARTS = {"resnet50_small": "resnet50", "se_resnet18_small": "se_resnet18"}


def draw(count: int, height: int, width: int) -> Tensor:
    """Images of coarse noise, each brighter than the one before."""
    generator = torch.Generator().manual_seed(height)
    coarse = torch.rand(count, 3, 4, 4, generator=generator) * torch.linspace(40, 255, count)[:, None, None, None]
    return F.interpolate(coarse, (height, width)).to(torch.uint8)


def size_of(entry: ModelEntry) -> int:
    # OpenVINO refuses pools that reach over the border on both sides, as GoogLeNet's last one does in less than 64.
    return 64 if entry.family == "GoogLeNet" else max(entry.least_size, 28)


def shortened(entry: ModelEntry) -> Any:
    """The builder of the network, with two blocks in the first stage and one in the others, which has all kinds of
    block: one that changes channels, one that changes size too, and one that does neither.
    """
    long = resolve_name(entry.builder)
    if entry.family == "VGG":  # published with one or two convolutions a stage, and the same with more
        return partial(long.func, "A" if long.args[0] == "A" else "B", *long.args[1:])
    if entry.family in ("ResNet", "SENet", "DenseNet"):
        return partial(long.func, *((2, 1, 1, 1) if isinstance(a, tuple) else a for a in long.args))
    return long


def distinct() -> list[list[ModelEntry]]:
    """The networks in groups of those that are one and the same when shortened, or made of the same parts."""
    groups: dict[Any, list[ModelEntry]] = {}
    for entry in MODELS.values():
        builder = shortened(MODELS[SAME_PARTS.get(entry.name, entry.name)])
        same = (builder.func, builder.args) if isinstance(builder, partial) else builder
        groups.setdefault((same, size_of(entry)), []).append(entry)
    return list(groups.values())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortened networks in the place of the full ones."""
    for entry in MODELS.values():
        monkeypatch.setattr(entry.builder.replace(":", "."), shortened(entry))


@torch.no_grad()
def deployable(entry: ModelEntry, *, any_size: bool = False) -> Deployable:
    """The network with statistics of its own in the batch norms, as after a training."""
    size = size_of(entry)
    options = SLIM.get(entry.family, {}) | ({"dropout": 0.0} if takes_option(entry.name, "dropout") else {})
    model = build_model(entry.name, num_classes=4, in_channels=3, input_size=size, seed=0, **options)
    if entry.family == "GoogLeNet":  # three of the nine modules change no number of channels; six are enough
        for name in ("inception4b", "inception4c", "inception5a"):
            model.set_submodule(name, nn.Identity())
    known = Preprocessing(
        size=size, channels=3, mean=(0.3,) * 3, std=(0.25,) * 3, border=0.5, decode_size=size + 4, resize="pad"
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model(known(draw(16, size, size)))
    return Deployable(folded(model, channels=3, size=size), known, softmax=False, any_size=any_size)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("entries", distinct(), ids=lambda entries: "+".join(entry.name for entry in entries))
def test_every_network_answers_the_same_in_every_format(entries: list[ModelEntry]) -> None:
    # R-F4, R-A12. Images of any size are squares for the network, whichever it is: two of them are asked.
    any_size = entries[0].name in ("lenet5", "resnet18_small")
    module = deployable(entries[0], any_size=any_size)
    side = module.decode_size
    cases = [draw(1, side, side), draw(3, side + 9, side - 3) if any_size else draw(3, side, side)]
    with torch.inference_mode():
        expected = [module(images) for images in cases]
    spread = expected[1].std(dim=0).max()
    assert spread > 0.1 * expected[1].abs().max(), "all images look the same to it"
    model = FORMATS["onnx"].convert(module)  # OpenVINO reads it too
    for name, form in FORMATS.items():
        converted = model if "onnx" in form.libraries else form.convert(module)
        answer = form.read(form.pack(converted, {"classes": ["a", "b", "c", "d"]}))
        for images, wanted in zip(cases, expected, strict=True):
            with torch.inference_mode():
                assert (answer(images) - wanted).abs().max() < 1e-3 * spread, name


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", ["se_resnet18_small", "densenet121_small"])
def test_int8_takes_all_kinds_of_layers(name: str) -> None:
    # R-F4: one has products, sums, means and a sigmoid besides what all have, the other concatenations and batch norms.
    module = deployable(MODELS[name])
    images = draw(32, module.decode_size, module.decode_size)
    with torch.inference_mode():
        expected = module(images)
    model = quantised(FORMATS["onnx"].convert(module), images.split(16))
    for to in ("onnx", "openvino"):
        form = FORMATS[to]
        answers = form.read(form.pack(model, {}))(images)
        assert not torch.equal(answers, expected)
        assert (answers - expected).square().mean().sqrt() < 0.25 * expected.std(dim=0).mean(), to
