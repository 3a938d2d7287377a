"""The networks, one paper a file; `build_model` makes any of them by its name in the catalogue."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from torch import nn

from convscope.catalog import ModelEntry, model_entry
from convscope.errors import UserError, unknown

__all__ = ["build_model", "check_options"]

_SHARED = ("num_classes", "in_channels", "input_size")
"""What every builder takes; the rest of its keywords are options."""


def build_model(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    input_size: int = 28,
    seed: int | None = None,
    **options: object,
) -> nn.Module:
    """Build a network of the catalogue for images of shape (in_channels, input_size, input_size).

    With a `seed` the same call gives the same weights, and PyTorch's global generator stays as it was.
    `options` are the further keywords of the network's builder, such as `hidden=256` for `tinyvgg`.

    Raises:
        UserError: unknown model or option, an option of the wrong type, or images too small for the network.
    """
    entry = model_entry(name)
    for argument, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value < 1:
            raise UserError(f"{argument} is {value}, but a network needs at least one: give 1 or more.")
    if input_size < entry.least_size:
        raise UserError(
            f"images of {input_size} pixels are too small for '{name}', which leaves nothing of them for its "
            f"last layer: give images of at least {entry.least_size} pixels."
        )
    check_options(name, options)
    builder = _builder(entry)
    # Only the CPU's generator is seeded and put back: weights are drawn on the CPU wherever they go later.
    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        return builder(num_classes=num_classes, in_channels=in_channels, input_size=input_size, **options)


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Compare options with the signature of the network's builder, which is where they are written down.

    Raises:
        UserError: the network has no such option, or the value is of the wrong type.
    """
    parameters = inspect.signature(_builder(model_entry(name))).parameters
    known = {key: value.annotation for key, value in parameters.items() if key not in _SHARED}
    for key, value in options.items():
        if not known:
            raise UserError(f"unknown option '{key}': the model '{name}' has none, leave it out.")
        if key not in known:
            raise unknown(f"{name} option", key, known)
        # A whole number will do where a fraction is asked for; True is no number here, though Python says so.
        accepted = (int, float) if known[key] is float else known[key]
        if isinstance(value, bool) or not isinstance(value, accepted):
            kind = "a number" if known[key] is float else "a whole number"
            raise UserError(f"the option '{key}' of the model '{name}' is {value!r}, but must be {kind}.")


def takes_option(name: str, option: str) -> bool:
    """Whether the network has this option."""
    return option not in _SHARED and option in inspect.signature(_builder(model_entry(name))).parameters


def _builder(entry: ModelEntry) -> Callable[..., nn.Module]:
    module, _, function = entry.builder.partition(":")
    builder: Callable[..., nn.Module] = getattr(importlib.import_module(module), function)
    return builder
