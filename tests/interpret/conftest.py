"""Networks of the catalogue, small enough to try them all."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from convscope.catalog import MODELS
from convscope.models import build_model, takes_option
from convscope.models.layers import Classifier


@pytest.fixture(scope="session")
def small() -> Callable[..., tuple[Classifier, Tensor]]:
    """By its name a network with few channels and five classes, in training mode, and two images for it."""

    def build(name: str, **keywords: object) -> tuple[Classifier, Tensor]:
        entry = MODELS[name]
        size = min(entry.input_size, max(entry.least_size, 32))
        slim = {"width": 1 / 8, "growth_rate": 4}
        options = {option: value for option, value in slim.items() if takes_option(name, option)} | keywords
        shared = {"in_channels": entry.in_channels, "input_size": size, "num_classes": 5, "seed": 0}
        model = build_model(name, **(shared | options)).train()
        return model, torch.randn(2, entry.in_channels, size, size, generator=torch.Generator().manual_seed(0))

    return build
