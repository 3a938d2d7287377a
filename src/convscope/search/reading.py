"""Reading what a search is to vary, from a YAML file or from words of the command line.

As YAML, one field a line: a list of values, or a range.

    lr: {low: 1e-4, high: 1e-1, log: true}
    batch_size: [64, 128, 256]
    model_options.hidden: [10, 20]
"""

import math
import reprlib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from convscope.config import Config, Option, check_range
from convscope.errors import UserError, unknown
from convscope.recipes import convert_field, parse_mapping, read_setting
from convscope.search.space import OPTIONS, Choices, Dimension, Range, Space, count_steps, number_at

_OTHER_IMAGES = "trials that are judged on different images cannot be compared"
_NO_OUTCOME = "it is about the machine, not about what is learnt"
_NEVER = {
    **dict.fromkeys(("data", "val_share", "test_share", "split_seed"), _OTHER_IMAGES),
    **dict.fromkeys(("device", "compile", "kernels", "threads", "sync_batch_norm"), _NO_OUTCOME),
    **dict.fromkeys(("checkpoint_every", "snapshots"), _NO_OUTCOME),
    "seed": "the best of several seeds is luck, not a better setting",
}
"""Fields that no search varies, and why."""

_TYPES = get_type_hints(Config)


def load_space(path: Path) -> Space:
    """The space in a YAML file; a UserError names the line of what is wrong."""
    values, lines = parse_mapping(read_setting(path), source=str(path))
    space = {}
    for key, value in values.items():
        try:
            space[str(key)] = _dimension(str(key), value)
        except UserError as error:
            raise UserError(f"{path}, line {lines.get(str(key), 1)}: {error}") from None
    if not space:
        raise UserError(
            f"{path} names nothing to vary: write lines such as 'lr: {{low: 1e-4, high: 1e-1, log: true}}'."
        )
    return space


def parse_dimension(text: str) -> tuple[str, Dimension]:
    """A field and its values from one word of the command line.

    `lr=1e-4..1e-1:log` and `dropout=0..0.5` are ranges, `dropout=0..0.5:0.1` one with a step, and
    `batch_size=64,128` a list.

    Raises:
        UserError: it is not written like this, or cannot be varied so.
    """
    key, _, values = text.partition("=")
    key = key.replace("-", "_")
    if not values:
        raise UserError(f"'{text}' does not say what to vary: write it like lr=1e-4..1e-1:log or batch_size=64,128.")
    if ".." not in values:
        return key, _dimension(key, [_plain(value) for value in values.split(",")])
    limits, _, rest = values.partition(":")
    low, _, high = limits.partition("..")
    form = {"log": True} if rest == "log" else {"step": _plain(rest)} if rest else {}
    return key, _dimension(key, {"low": _plain(low), "high": _plain(high), **form})


def _plain(text: str) -> Any:
    """A word as YAML understands it: `true` is a truth value, `3` a number."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text


def _dimension(key: str, value: Any) -> Dimension:
    """What a key may be, from a list or a mapping as YAML has them."""
    names = [field.name for field in fields(Config) if field.name not in {*_NEVER, "model_options"}]
    if key in _NEVER:
        raise UserError(f"{key} cannot be varied, for {_NEVER[key]}: leave it out.")
    if key == "model_options":
        raise UserError(f"the network's options are varied one by one: write {OPTIONS}NAME, such as {OPTIONS}hidden.")
    if key not in names and not (key.startswith(OPTIONS) and len(key) > len(OPTIONS)):
        raise unknown("field to vary", key, names)
    if isinstance(value, list):
        return _choices(key, value)
    if isinstance(value, dict):
        return _range(key, value)
    raise UserError(f"{key} has only one value: give a list such as [64, 128], or a range such as {{low: 0, high: 4}}.")


def _choices(key: str, values: list[Any]) -> Choices:
    choices = tuple(_checked(key, value) for value in values)
    if len(choices) < 2 or len(set(choices)) < len(choices):
        raise UserError(f"{key} needs two or more different values to choose from: give them all, each once.")
    return Choices(choices)


def _range(key: str, form: dict[Any, Any]) -> Range:
    numbers = {name: form.get(name) for name in ("low", "high", "step")}
    log = form.get("log", False)
    if set(form) - {"low", "high", "log", "step"} or not {"low", "high"} <= set(form) or not isinstance(log, bool):
        raise UserError(
            f"{key} has no proper range: write {{low: 0.1, high: 0.5}}, with log: true or step: 0.1 or not."
        )
    whole = all(isinstance(number, int) for number in numbers.values() if number is not None)
    whole = whole if key.startswith(OPTIONS) else int in (_TYPES[key], *getattr(_TYPES[key], "__args__", ()))
    low, high, step = (None if number is None else _number(key, number, whole=whole) for number in numbers.values())
    if low is None or high is None or not low < high:
        raise UserError(f"the range of {key} is empty: give a low below the high.")
    if log and (low <= 0 or step is not None):
        raise UserError(
            f"{key} cannot have a logarithmic range from 0 or below, or with a step: leave one of both out."
        )
    if step is not None:
        if not 0 < step <= high - low:
            raise UserError(
                f"the step of {key} does not fit into its range: give one above 0 and at most {high - low:g}."
            )
        high = number_at(low, step, count_steps(low, high, step))
    _checked(key, low)
    _checked(key, high)
    return Range(low, high, log=log, step=step, whole=whole)


def _number(key: str, value: Any, *, whole: bool) -> float:
    """A limit of a range; YAML reads 1e-3, without a point, as a text."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != round(number)):
        kind = "whole numbers" if whole else "numbers"
        raise UserError(f"the range of {key} must have {kind} as its limits and step: give a list where it has none.")
    return int(number) if whole else number


def _checked(key: str, value: Any) -> Any:
    """One of the values, as the type that the field has."""
    if key.startswith(OPTIONS):
        if not isinstance(value, Option):
            raise UserError(f"{key} is {reprlib.repr(value)}: it must be a number, a text, true or false.")
        return value
    try:
        converted = convert_field(key, value)
    except ValueError as error:
        raise UserError(f"{key} cannot be {reprlib.repr(value)}: {error}") from None
    check_range(key, converted)
    return converted
