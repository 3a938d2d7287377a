"""Batch norms folded into convolutions: the same answers, wherever it can be done, and nothing folded elsewhere."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convscope.catalog import MODELS, ModelEntry
from convscope.engines.folding import folded
from convscope.models import build_model
from convscope.models.layers import Classifier

SLIM: dict[str, dict[str, Any]] = {
    "AlexNet": {"width": 1 / 8},
    "VGG": {"width": 1 / 8},
    "ResNet": {"width": 1 / 4},
    "SENet": {"width": 1 / 4},
    "DenseNet": {"growth_rate": 8},
}
STAYS = {"densenet121": 62, "densenet169": 86, "densenet121_small": 62}
"""Norms before a convolution: one in each dense layer and transition, and the last one."""


def lived_in(model: Classifier) -> Classifier:
    """With norms that do something, as after a training."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.3, 0.3),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
            ):
                assert tensor is not None
                nn.init.uniform_(tensor, low, high, generator=generator)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def logits_of(model: Classifier, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(images)
        return logits


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_every_network_answers_the_same(entry: ModelEntry) -> None:
    size = max(entry.least_size, 32)
    options = SLIM.get(entry.family, {})
    model = lived_in(build_model(entry.name, num_classes=7, in_channels=3, input_size=size, seed=0, **options))
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    before, count = logits_of(model, images), norms(model)
    fewer = folded(model, channels=3, size=size)
    torch.testing.assert_close(logits_of(fewer, images), before, rtol=1e-3, atol=1e-3 * before.abs().max().item())
    assert norms(fewer) == STAYS.get(entry.name, 0)
    assert norms(model) == count, "the network itself was changed"


class Twice(nn.Module):
    """A convolution that two layers read, beside one that only a norm reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice = nn.Conv2d(3, 4, 1)
        self.norm1 = nn.BatchNorm2d(4)
        self.read_once = nn.Conv2d(4, 4, 1)
        self.norm2 = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.read_twice(images)
        maps = self.norm1(maps) + maps
        return torch.flatten(self.norm2(self.read_once(maps)), 1)


def test_a_convolution_that_others_read_too_keeps_its_norm() -> None:
    model: Any = lived_in(Twice())  # type: ignore[arg-type]
    fewer: Any = folded(model, channels=3, size=5)
    assert isinstance(fewer.norm1, nn.BatchNorm2d)
    assert isinstance(fewer.norm2, nn.Identity)
    images = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(logits_of(fewer, images), logits_of(model, images))
