"""Averages of the weights over the last steps, which often predict better than the last weights themselves."""

import copy
from typing import Any

import torch
from torch import nn


class NoAverage:
    """The neutral form: the model that is trained is the model that is evaluated."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def update(self, model: nn.Module) -> None:
        """Nothing to average."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class MovingAverage:
    """Exponential moving average of parameters and of BatchNorm's running statistics (Polyak & Juditsky, 1992)."""

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        """`decay` is the weight of the past at each step, for example 0.999 for an average over about 1,000 steps."""
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step of `model` into the average."""
        self._updates += 1
        # While few steps are averaged the first, random weights must not linger.
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        averages, weights = [], []
        for average, value in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if average.is_floating_point():
                averages.append(average)
                weights.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here."""
        return {"model": self.model.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        self._updates = state["updates"]


Averaging = NoAverage | MovingAverage


def build_averaging(model: nn.Module, *, decay: float) -> Averaging:
    """A moving average with `decay` per step, or none for 0."""
    return MovingAverage(model, decay=decay) if decay else NoAverage(model)
