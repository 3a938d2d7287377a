"""What every network of the catalogue promises, whichever it is."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.catalog import MODELS, ModelEntry
from convscope.errors import UserError
from convscope.models import build_model, takes_option
from convscope.models.layers import Classifier

pytestmark = pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)

# Numbers are computed with slimmer layers and smaller images where the full network takes minutes to try; parameters
# and shapes are those of the full network, on PyTorch's meta device, which has no numbers to compute.
SLIM: dict[str, dict[str, Any]] = {
    "AlexNet": {"width": 1 / 8},
    "VGG": {"width": 1 / 8},
    "ResNet": {"width": 1 / 4},
    "SENet": {"width": 1 / 4},
    "DenseNet": {"growth_rate": 8},
}


def size_of(entry: ModelEntry) -> int:
    return min(entry.input_size, max(entry.least_size, 64))


def build(entry: ModelEntry, **keywords: Any) -> Classifier:
    """The network for the images it was made for, or smaller ones."""
    shared = {"in_channels": entry.in_channels, "input_size": size_of(entry), "seed": 0}
    return build_model(entry.name, **(shared | SLIM.get(entry.family, {}) | keywords))


def without_dropout(entry: ModelEntry, **keywords: Any) -> Classifier:
    """Dropout is there to prevent learning by heart, and draws from PyTorch's own generator."""
    return build(entry, **keywords, **({"dropout": 0.0} if takes_option(entry.name, "dropout") else {}))


def outline(entry: ModelEntry, **keywords: Any) -> Classifier:
    """The full network without numbers."""
    with torch.device("meta"):
        return build_model(entry.name, **keywords)


def draw_images(entry: ModelEntry, count: int = 4, *, size: int | None = None) -> Tensor:
    generator, size = torch.Generator().manual_seed(0), size or size_of(entry)
    return torch.randn(count, entry.in_channels, size, size, generator=generator)


def test_published_parameter_count(entry: ModelEntry) -> None:
    shared = {"in_channels": entry.in_channels, "input_size": entry.input_size, "num_classes": entry.num_classes}
    assert sum(parameter.numel() for parameter in outline(entry, **shared).parameters()) == entry.parameters


def test_logits_of_every_size_it_allows(entry: ModelEntry) -> None:
    sizes = sorted({entry.least_size, entry.least_size + 1, 28, 32, 33, 64, 224})
    for number, size in enumerate(size for size in sizes if size >= entry.least_size):
        in_channels, num_classes = ((1, 2), (3, 7))[number % 2]
        model = outline(entry, in_channels=in_channels, num_classes=num_classes, input_size=size)
        images, features = torch.randn(2, in_channels, size, size, device="meta"), list[torch.Size]()
        model.head.register_forward_pre_hook(lambda head, inputs, to=features: to.append(inputs[0].shape))
        assert model.eval()(images).shape == (2, num_classes)
        assert features == [(2, model.num_features)]


def test_smaller_images_are_refused_with_the_least_size(entry: ModelEntry) -> None:
    with pytest.raises(UserError, match=f"at least {entry.least_size} pixels"):
        build(entry, input_size=entry.least_size - 1)


def test_the_least_size_is_the_least(entry: ModelEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    size = entry.least_size - 1
    monkeypatch.setitem(MODELS, entry.name, replace(entry, least_size=0))
    # PyTorch warns of a layer without inputs, which the tests turn into an error, or its layers refuse the image.
    with pytest.raises((UserWarning, RuntimeError)):
        build(entry, in_channels=1, input_size=size).eval()(torch.zeros(1, 1, size, size))


def test_logits_are_the_head_of_the_features(entry: ModelEntry) -> None:
    model, images = build(entry).eval(), draw_images(entry)
    assert torch.equal(model(images), model.head(model.features(images)))


def test_every_parameter_gets_a_gradient(entry: ModelEntry) -> None:
    model = build(entry)
    F.cross_entropy(model(draw_images(entry, 16)), torch.arange(16) % 10).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_same_seed_same_weights_and_the_global_generator_stays(entry: ModelEntry) -> None:
    before = torch.get_rng_state()
    first, second, other = build(entry, seed=3), build(entry, seed=3), build(entry, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    for one, two in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, two)
    assert any(not torch.equal(one, two) for one, two in zip(first.parameters(), other.parameters(), strict=True))


def test_biases_start_at_zero(entry: ModelEntry) -> None:
    # R-C2
    layers = [module for module in build(entry).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert all(layer.bias is None or torch.count_nonzero(layer.bias) == 0 for layer in layers)


def test_the_first_loss_is_that_of_ignorance(entry: ModelEntry) -> None:
    # R-F2: a network that has seen nothing finds all classes about equally likely.
    loss = F.cross_entropy(without_dropout(entry)(draw_images(entry, 64)), torch.arange(64) % 10)
    assert loss.item() == pytest.approx(math.log(10), abs=0.5)


def test_it_learns_a_batch_with_plain_adam(entry: ModelEntry) -> None:
    size = 32 if entry.family == "GoogLeNet" else size_of(entry)  # it takes its time: twenty seconds at 64
    model, labels = without_dropout(entry, input_size=size), torch.arange(20) % 10
    images = draw_images(entry, 20, size=size)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(100):
        optimizer.zero_grad()
        logits = model(images)
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
        if (logits.argmax(dim=1) == labels).float().mean() > 0.9:
            return
    pytest.fail("100 steps are not enough")


def test_reset_head_changes_the_classes_and_nothing_else(entry: ModelEntry) -> None:
    # R-C7, R-A12
    model, images = build(entry).eval().double(), draw_images(entry).double()
    features = model.features(images)
    model.reset_head(3)
    assert model(images).shape == (4, 3)
    assert torch.equal(model.features(images), features)
    with pytest.raises(UserError, match="1 or more"):
        model.reset_head(0)


def test_stages_are_all_layers_from_the_image_to_the_head(entry: ModelEntry) -> None:
    # R-A12
    for options in [{}, {"auxiliary": True}] if takes_option(entry.name, "auxiliary") else [{}]:
        model = outline(entry, input_size=entry.input_size, **options)
        stages = list(model.stages().values())
        parameters = [parameter for stage in stages for parameter in stage.parameters()]
        assert [id(parameter) for parameter in parameters] == [id(parameter) for parameter in model.parameters()]
        layers = {id(layer) for stage in stages for layer in stage}
        assert layers == {id(layer) for layer in model.modules() if not [*layer.children()]}
        assert all([*stage.parameters()] for stage in stages)
        learning_with_the_head = set(stages[-1].parameters()) - set(model.head.parameters())
        assert bool(learning_with_the_head) == bool(options)


def test_logits_in_bfloat16_are_numbers_and_close(entry: ModelEntry) -> None:
    # R-A3
    model, images = build(entry).eval(), draw_images(entry)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    expected = model(images)
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()


def test_state_dict_carries_everything(entry: ModelEntry) -> None:
    model, copy, images = build(entry), build(entry, seed=1), draw_images(entry)
    model(images)  # in training mode, so that running statistics differ from their start
    copy.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(copy.eval()(images), model.eval()(images))


@pytest.mark.parametrize("argument", ["num_classes", "in_channels"])
def test_nothing_to_see_or_to_choose_is_refused(entry: ModelEntry, argument: str) -> None:
    with pytest.raises(UserError, match=f"{argument} is 0"):
        build(entry, **{argument: 0})
