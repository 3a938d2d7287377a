"""The layers of a run's network, which its directory does not list: they follow from its setting."""

from collections.abc import Mapping
from typing import Any

import torch

from convscope.config import Config
from convscope.errors import UserError
from convscope.experiment.session import model_options
from convscope.models import build_model
from convscope.models.summary import Summary, summarise

_MOST_PIXELS = 4096
"""Side of an image, as in a setting."""


def layers_of(config: Config, data: Mapping[str, Any]) -> Summary | None:
    """Layer by layer, for a setting and `Run.data_facts`; None where this Convscope has no such network."""
    size, channels, num_classes = data["preprocessing"]["size"], data["preprocessing"]["channels"], len(data["classes"])
    if not (1 <= size <= _MOST_PIXELS and channels in (1, 3)):
        return None
    try:
        with torch.device("meta"):  # shapes are enough, weights need not be there
            model = build_model(
                config.model,
                num_classes=num_classes,
                in_channels=channels,
                input_size=size,
                seed=None,
                **model_options(config),
            )
        return summarise(model, (channels, size, size))
    except (UserError, RuntimeError):
        return None
