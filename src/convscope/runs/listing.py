"""Runs as rows of one table, what was set and what came of it side by side; chosen and sorted by any of it."""

import math
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from convscope.config import Config
from convscope.errors import UserError, unknown
from convscope.numbers import without_infinity
from convscope.runs.run import Run, started

Row = dict[str, Any]
"""Plain values by name; None where there is none."""

RESULTS = (
    *("name", "started", "status", "data", "model", "parameters", "epochs", "best_epoch"),
    *("val", "val_loss", "test", "macro_f1", "seconds"),
)
"""What a row says first. `epochs` are those that are over; `val` and `val_loss` are of the epoch whose weights were
kept, shares between 0 and 1; `test` and `macro_f1` are of the test split; `seconds` are training and validation."""
SETTINGS = tuple(field.name for field in fields(Config) if field.name not in (*RESULTS, "model_options"))
"""What it says then; the network's own options follow under their names."""

_ORDERS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|==|<|>|=)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Listed:
    """One run of the list."""

    row: Row
    config: Config | None
    """None of a damaged run."""


def listed(run: Run) -> Listed:
    """All that is known of a run; of a damaged one its name, its start, and that it is damaged."""
    row: Row = dict.fromkeys((*RESULTS, *SETTINGS))
    begun = {"name": run.name, "started": started(run)}
    try:
        config, history, metrics = run.config(), run.history(), run.metrics()
    except UserError:
        return Listed(row | begun | {"status": "damaged"}, None)
    settings = dict(vars(config))
    options = settings.pop("model_options")
    best = min(history, key=lambda epoch: epoch["val_loss"], default={})
    test = metrics.get("test", {})
    results = {
        "status": run.status_in(metrics),
        "parameters": metrics.get("parameters"),
        "epochs": metrics.get("epochs", len(history)),
        "best_epoch": best.get("epoch"),
        "val": best.get("val_accuracy"),
        "val_loss": best.get("val_loss"),
        "test": test.get("top1"),
        "macro_f1": test.get("macro_f1"),
        "seconds": metrics.get("train_seconds", sum(epoch["seconds"] for epoch in history) or None),
    }
    # In this order: whatever names a stranger's options have, they change none of the others.
    row = row | options | settings | results | begun
    return Listed(without_infinity(row), config)


def names_in(runs: Iterable[Listed]) -> list[str]:
    """All that there is to choose, sort and show by: results, settings, then options of the runs' networks."""
    return list(dict.fromkeys((*RESULTS, *SETTINGS, *(name for run in runs for name in run.row))))


@dataclass(frozen=True)
class Condition:
    """A condition on rows, such as `lr>=0.01`."""

    text: str
    name: str
    sign: str
    wanted: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read NAME=VALUE, or with one of the signs != < <= > >=; a UserError where it is none of these."""
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise UserError(
                f"'{text}' is no condition: give NAME=VALUE, or with another sign, in quotes for the shell's sake, "
                f"'NAME>=VALUE'."
            )
        name, sign, wanted = parts.groups()
        return cls(text, name, "=" if sign == "==" else sign, wanted)

    def holds(self, value: Any) -> bool:
        """Whether a value is as wanted; one that is not there only if `none` is wanted, or that it differs."""
        if self.sign not in _ORDERS:
            return self._equals(value) is (self.sign == "=")
        if value is None or isinstance(value, bool):
            return False
        wanted = self._as(value)
        return wanted is not None and bool(_ORDERS[self.sign](value, wanted))

    def _equals(self, value: Any) -> bool:
        if value is None or isinstance(value, bool):
            return self.wanted.lower() == str(value).lower()
        if isinstance(value, str):
            return any(fnmatchcase(part, self.wanted) for part in (value, PurePath(value).name))
        wanted = self._as(value)
        if isinstance(value, int):
            return wanted == value or self.wanted == str(value)  # a seed may have more digits than `wanted` keeps
        return wanted is not None and math.isclose(wanted, value)  # 94% is 0.94000000000000006 for who computes it

    def _as(self, value: Any) -> Any:
        """What is wanted, as something to hold against a value; None where it cannot be."""
        if isinstance(value, str):
            return self.wanted if self.name == "started" else None
        return _number(self.wanted)

    def check(self, values: Sequence[Any]) -> None:
        """Refuse to compare where no value can be, a text with a number for instance; a UserError says what can."""
        present = [value for value in values if value is not None]
        numbers = [value for value in present if not isinstance(value, bool | str)]
        texts = [value for value in present if isinstance(value, str)]
        if self.sign in _ORDERS:
            if present and not numbers and self.name != "started":
                kind = "a text" if texts else "true or false"
                raise UserError(
                    f"'{self.text}' cannot be told, for {self.name} is {kind}, neither more nor less than another: "
                    f"use {self.name}=VALUE or {self.name}!=VALUE."
                )
        elif self.wanted.lower() == "none" or texts:
            return
        if numbers and _number(self.wanted) is None:
            raise UserError(
                f"'{self.text}' cannot be told, for {self.name} is a number, and '{self.wanted}' is none: "
                f"give one, such as {self.name}{self.sign}{numbers[0]:g}."
            )
        if present and not numbers and not texts and self.wanted.lower() not in ("true", "false"):
            raise UserError(
                f"'{self.text}' cannot be told, for {self.name} is true or false: use {self.name}{self.sign}true."
            )


def select(runs: Sequence[Listed], conditions: Iterable[str]) -> list[Listed]:
    """The runs for which all conditions hold, each written as `Condition.parse` reads it.

    Texts may have * and ? for any letters, and of a path its last part is enough. `90%` is 0.9.

    Raises:
        UserError: a condition that is none, of an unknown name, or that can be told of no run.
    """
    known, chosen = names_in(runs), list(runs)
    for condition in map(Condition.parse, conditions):
        check_names([condition.name], known)
        condition.check([run.row.get(condition.name) for run in runs])
        chosen = [run for run in chosen if condition.holds(run.row.get(condition.name))]
    return chosen


def order(rows: Iterable[Row], name: str) -> list[Row]:
    """The rows by the value of a name, ascending; first those without, so that the best is last."""

    def place(row: Row) -> tuple[bool, bool, Any]:
        value = row.get(name)
        return value is not None, isinstance(value, str), value

    return sorted(rows, key=place)


def check_names(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a name that no row has, with the nearest that some have."""
    for name in names:
        if name not in known:
            raise unknown("column", name, known)


def _number(text: str) -> float | None:
    """0.9, 1e-3 or 90% as a number."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return None
    return value / 100 if text.endswith("%") else value
