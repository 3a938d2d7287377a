"""Courses of the learning rate: pure functions of the step, but for plateau, which listens to the validation loss."""

import math
from collections.abc import Callable
from typing import Any

START = 1 / 25
"""One-cycle begins at this share of the highest learning rate (Smith & Topin, arXiv 1708.07120)."""


class Schedule:
    """Answers the factor on the learning rate at each step of the training."""

    def __init__(self, factor: Callable[[int], float], *, warmup_steps: int = 0) -> None:
        """`factor` maps a step, from 0, to a factor; a linear warm-up over the first steps is multiplied onto it."""
        self._factor = factor
        self._warmup_steps = warmup_steps

    def factor(self, step: int) -> float:
        """The factor at `step`, counted from 0 over the whole training."""
        warmup = min(1.0, (step + 1) / (self._warmup_steps + 1))
        return warmup * self._factor(step)

    def observe(self, val_loss: float) -> None:
        """Take note of an epoch's validation loss."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


class PlateauSchedule(Schedule):
    """Multiplies the learning rate by `gamma` after `patience` epochs without a better validation loss."""

    def __init__(self, *, gamma: float, patience: int, warmup_steps: int = 0) -> None:
        super().__init__(lambda step: self._scale, warmup_steps=warmup_steps)
        self._gamma, self._patience = gamma, patience
        self._scale, self._best, self._waited = 1.0, math.inf, 0

    def observe(self, val_loss: float) -> None:
        """Count epochs without improvement, and decay when there were more than `patience`."""
        if val_loss < self._best:
            self._best, self._waited = val_loss, 0
            return
        self._waited += 1
        if self._waited > self._patience:
            self._scale, self._waited = self._scale * self._gamma, 0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here."""
        return {"scale": self._scale, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._scale, self._best, self._waited = state["scale"], state["best"], state["waited"]


def step_decay(step: int, *, every: int, gamma: float) -> float:
    """Times `gamma` every `every` steps."""
    return gamma ** (step // every)


def cosine(step: int, *, total: int, final: float = 0.0) -> float:
    """Half a cosine from 1 to `final` (Loshchilov & Hutter, arXiv 1608.03983, without restarts)."""
    progress = min(1.0, step / max(1, total - 1))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def one_cycle(step: int, *, total: int, rise: int, final: float = 0.0) -> float:
    """Straight up from 1/25 to 1 over `rise` steps, then straight down to `final` (Smith, arXiv 1708.07120)."""
    if step < rise:
        return START + (1 - START) * step / rise
    progress = min(1.0, (step - rise) / max(1, total - 1 - rise))
    return 1 - (1 - final) * progress


def build_schedule(
    name: str,
    *,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    step_epochs: int = 5,
    plateau_patience: int = 2,
    gamma: float = 0.5,
    final: float = 0.0,
) -> Schedule:
    """The schedule constant, step, plateau, exponential, cosine or one-cycle over `epochs` of `steps_per_epoch`."""
    total = epochs * steps_per_epoch
    warmup = round(warmup_epochs * steps_per_epoch)
    if name == "constant":
        return Schedule(lambda step: 1.0, warmup_steps=warmup)
    if name == "step":
        every = step_epochs * steps_per_epoch
        return Schedule(lambda step: step_decay(step, every=every, gamma=gamma), warmup_steps=warmup)
    if name == "exponential":
        return Schedule(lambda step: step_decay(step, every=steps_per_epoch, gamma=gamma), warmup_steps=warmup)
    if name == "plateau":
        return PlateauSchedule(gamma=gamma, patience=plateau_patience, warmup_steps=warmup)
    if name == "cosine":
        return Schedule(lambda step: cosine(step, total=total, final=final), warmup_steps=warmup)
    if name == "one-cycle":
        # Its own rise is the warm-up.
        rise = min(warmup or round(0.3 * total), total - 1)
        return Schedule(lambda step: one_cycle(step, total=total, rise=rise, final=final))
    raise ValueError(f"unknown schedule {name!r}")
