"""The networks, one paper a file; `build_model` makes any of them by its name in the catalogue."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Literal, get_args, get_origin

import torch

from convscope.catalog import ModelEntry, model_entry
from convscope.errors import UserError, unknown
from convscope.models.layers import Classifier

__all__ = ["build_model", "check_options", "takes_option"]

_SHARED = ("num_classes", "in_channels", "input_size")
"""What every network is told; the rest of its builder's keywords are options."""


def build_model(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    input_size: int = 28,
    seed: int | None = None,
    **options: object,
) -> Classifier:
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
            f"images of {input_size} pixels are too small for '{name}', which leaves nothing of them for its last "
            f"layer: give images of at least {entry.least_size} pixels, or enlarge them, such as by input_size "
            f"{max(64, entry.least_size)}."
        )
    check_options(name, options)
    builder = _builder(entry)
    shared = {"num_classes": num_classes, "in_channels": in_channels}
    if "input_size" in inspect.signature(builder).parameters:  # others average to a fixed size before their last layers
        shared["input_size"] = input_size
    # Only the CPU's generator is seeded and put back: weights are drawn on the CPU wherever they go later.
    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        model = builder(**shared, **options)
    model.name = name
    return model


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Compare options with the signature of the network's builder, which is where they are written down.

    Raises:
        UserError: the network has no such option, or the value is of the wrong type.
    """
    known = _options(name)
    for key, value in options.items():
        if not known:
            raise UserError(f"unknown option '{key}': the model '{name}' has none: leave it out.")
        if key not in known:
            raise unknown(f"{name} option", key, known)
        _check_value(f"the option '{key}' of the model '{name}'", value, known[key])


def takes_option(name: str, option: str) -> bool:
    """Whether the network has this option."""
    return option in _options(name)


def _options(name: str) -> dict[str, Any]:
    """The network's options and their types."""
    parameters = inspect.signature(_builder(model_entry(name))).parameters.values()
    return {
        parameter.name: parameter.annotation
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in _SHARED
    }


def _check_value(what: str, value: object, wanted: Any) -> None:
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise unknown(f"value of {what}:", str(value), get_args(wanted))
        return
    # A whole number will do where a fraction is asked for; True is no number here, though Python says so.
    accepted = (int, float) if wanted is float else wanted
    if isinstance(value, bool) != (wanted is bool) or not isinstance(value, accepted):
        kind = {float: "a number", int: "a whole number", bool: "true or false"}[wanted]
        raise UserError(f"{what} is {value!r}: it must be {kind}.")


def _builder(entry: ModelEntry) -> Callable[..., Classifier]:
    module, _, name = entry.builder.partition(":")
    builder: Callable[..., Classifier] = getattr(importlib.import_module(module), name)
    return builder
