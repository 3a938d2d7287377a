"""What a search varies: for some fields of the setting, the values they may take. Nothing here needs torch."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import yaml

from convscope.config import Config, Option
from convscope.errors import UserError

Method = Literal["tpe", "random", "grid"]
"""Who proposes settings."""
Goal = Literal["accuracy", "loss"]
"""The validation figure that decides."""
Pruner = Literal["median", "halving", "hyperband", "none"]
"""Who gives trials up."""

OPTIONS = "model_options."
"""Before the name of an option of the network."""


@dataclass(frozen=True)
class Choices:
    """One of some values, which have no order."""

    values: tuple[Option | None, ...]


@dataclass(frozen=True)
class Range:
    """Any number from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Whether each factor is as likely as another, rather than each difference."""
    step: float | None = None
    """Between neighbouring values; without, all are possible. With it, `high` is the last of them."""
    whole: bool = False
    """Whether the numbers are whole."""


Dimension = Choices | Range
Space = Mapping[str, Dimension]
Values = Mapping[str, Any]
"""One value for each field of a space."""


def default_space(base: Config, *, dropout: bool) -> Space:
    """What is worth varying around a setting when nobody says, its own values included; `dropout`: whether it has it.

    The learning rate is the one hyperparameter that always matters (Bengio 2012, arXiv 1206.5533, §3.1.1).
    """
    # For adamw the decay is a factor of the learning rate, for the others a part of the gradient.
    decays = (0.0, 0.01, 0.05, 0.2) if base.optimizer == "adamw" else (0.0, 1e-4, 5e-4, 2e-3)
    sizes = (max(1, round(base.batch_size * factor)) for factor in (0.25, 0.5, 1, 2))
    space: dict[str, Dimension] = {
        "lr": Range(base.lr / 10, base.lr * 10, log=True),
        "weight_decay": _choices(*decays, base.weight_decay),
        "batch_size": _choices(*sizes),
        "label_smoothing": Range(0.0, max(0.2, base.label_smoothing)),
        "schedule": _choices("one-cycle", "cosine", base.schedule),
        "flip": _choices(False, True),
        "shift": Range(0, max(3, base.shift), whole=True),
    }
    return space | ({"dropout": _choices(None, 0.0, 0.2, 0.5, base.dropout)} if dropout else {})


def rounded(base: Config, space: Space, values: Values) -> dict[str, Any]:
    """The values of a trial as it is trained: those of the base as they are, other numbers as a person copies them."""
    own = base_values(base, space)
    return {key: values[key] if values[key] == own[key] else _rounded(space[key], values[key]) for key in space}


def setting_of(base: Config, values: Values) -> Config:
    """The base with the values of a trial."""
    own = {key: value for key, value in values.items() if not key.startswith(OPTIONS)}
    options = {key.removeprefix(OPTIONS): value for key, value in values.items() if key.startswith(OPTIONS)}
    return replace(base, **own, model_options=base.model_options | options)


def base_values(base: Config, space: Space) -> Values:
    """The values that a setting itself has; None for an option that it does not give."""
    return {
        key: base.model_options.get(key.removeprefix(OPTIONS)) if key.startswith(OPTIONS) else getattr(base, key)
        for key in space
    }


def contains(dimension: Dimension, value: Any) -> bool:
    """Whether a value is one of a dimension's."""
    if isinstance(dimension, Choices):
        return value in dimension.values
    if isinstance(value, bool) or not isinstance(value, int if dimension.whole else int | float):
        return False
    steps = (value - dimension.low) / dimension.step if dimension.step else 0.0
    return dimension.low <= value <= dimension.high and math.isclose(steps, round(steps), abs_tol=1e-6)


def grid_size(space: Space) -> int:
    """How many combinations there are; a UserError where a range has infinitely many values."""
    return math.prod(_count(key, dimension) for key, dimension in space.items())


def grid(space: Space) -> Iterator[Values]:
    """All combinations."""
    for values in itertools.product(*(_all_values(key, dimension) for key, dimension in space.items())):
        yield dict(zip(space, values, strict=True))


def number_at(low: float, step: float, index: int) -> float:
    """The number of a range that is so many steps above its low, as it would be written down: 0.3, not 0.1 + 0.2."""
    number = Decimal(str(low)) + index * Decimal(str(step))
    return int(number) if isinstance(low, int) and isinstance(step, int) else float(number)


def count_steps(low: float, high: float, step: float) -> int:
    """How many whole steps there are between two numbers."""
    return int((Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step)))


def to_yaml(space: Space) -> str:
    """What `reading.load_space` reads."""
    return yaml.safe_dump(
        {key: _to_plain(dimension) for key, dimension in space.items()}, sort_keys=False, default_flow_style=None
    )


def _choices(*values: Option | None) -> Choices:
    return Choices(tuple(dict.fromkeys(values)))


def _to_plain(dimension: Dimension) -> Any:
    if isinstance(dimension, Choices):
        return list(dimension.values)
    plain: dict[str, Any] = {"low": dimension.low, "high": dimension.high}
    return plain | ({"log": True} if dimension.log else {}) | ({"step": dimension.step} if dimension.step else {})


def _step(dimension: Range) -> float | None:
    """Between neighbouring values of a grid; None where it has no end."""
    return dimension.step or (1 if dimension.whole and not dimension.log else None)


def _count(key: str, dimension: Dimension) -> int:
    if isinstance(dimension, Choices):
        return len(dimension.values)
    step, low, high = _step(dimension), dimension.low, dimension.high
    if step is None:
        raise UserError(
            f"a grid cannot hold all numbers from {low:g} to {high:g}, which {key} may be: "
            f"give a list, such as {key}={low:g},{high:g}, or a step."
        )
    return count_steps(low, high, step) + 1


def _all_values(key: str, dimension: Dimension) -> tuple[Any, ...]:
    if isinstance(dimension, Choices):
        return dimension.values
    return tuple(number_at(dimension.low, _step(dimension) or 0, index) for index in range(_count(key, dimension)))


def _rounded(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension, Choices) or dimension.whole:
        return value
    if dimension.step is not None:
        return number_at(dimension.low, dimension.step, round((value - dimension.low) / dimension.step))
    return min(max(float(f"{value:.4g}"), dimension.low), dimension.high)
