"""What a search sets out to do, and the three small files that say so."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from convscope.config import Config
from convscope.errors import UserError
from convscope.files import write_text
from convscope.models import check_options
from convscope.recipes import differences, load_config, parse_mapping, read_setting
from convscope.search.reading import load_space
from convscope.search.space import OPTIONS, Choices, Goal, Method, Pruner, Space, grid_size, to_yaml
from convscope.shapes import misfit
from convscope.training.environment import version

FORMAT = 1
"""Version of a search's files; raised when an older Convscope could no longer read them."""

_MOST_TRIALS = 100_000
_SHAPE = {"format": int, "method": str, "goal": str, "pruner": str, "trials": int}


@dataclass(frozen=True)
class SearchPlan:
    """What is varied around which setting, how, and for how long."""

    base: Config
    space: Space
    method: Method = "tpe"
    goal: Goal = "accuracy"
    pruner: Pruner = "median"
    trials: int = 20
    """In all; a grid may be stopped by it before its end."""

    def __post_init__(self) -> None:
        """Refuse what cannot be searched.

        Raises:
            UserError: a number of trials out of range, a grid without end, or an option that the network does not have.
        """
        if not 1 <= self.trials <= _MOST_TRIALS:
            raise UserError(f"trials is {self.trials}: it must be at least 1 and at most {_MOST_TRIALS}.")
        if self.method == "grid" and grid_size(self.space) > _MOST_TRIALS:
            raise UserError(
                f"this grid has {grid_size(self.space):,} combinations: give shorter lists, or use --method random."
            )
        model = self.space.get("model")
        for key, dimension in self.space.items():
            values = dimension.values if isinstance(dimension, Choices) else (dimension.low, dimension.high)
            if key == "model" or (key.startswith(OPTIONS) and not isinstance(model, Choices)):
                for value in values:
                    name, options = (str(value), {}) if key == "model" else (self.base.model, _option(key, value))
                    check_options(name, options)

    def write(self, folder: Path) -> None:
        """Write base.yaml, space.yaml and, last, search.yaml, without which the folder is no search."""
        write_text(folder / "base.yaml", self.base.to_yaml())
        write_text(folder / "space.yaml", to_yaml(self.space))
        made_with = {name: version(name) for name in ("convscope", "optuna", "torch")}
        facts = {"method": self.method, "goal": self.goal, "pruner": self.pruner, "trials": self.trials}
        write_text(
            folder / "search.yaml", yaml.safe_dump({"format": FORMAT, **facts, "made_with": made_with}, sort_keys=False)
        )

    @classmethod
    def read(cls, folder: Path) -> "SearchPlan":
        """What `write` wrote; a UserError where a file is missing or says something else."""
        path = folder / "search.yaml"
        values, _ = parse_mapping(read_setting(path), source=str(path))
        problem = misfit(values, _SHAPE)
        if problem is None:
            kinds = {"method": Method, "goal": Goal, "pruner": Pruner}
            problem = next(
                (f"its {key} is none" for key, kind in kinds.items() if values[key] not in get_args(kind)), None
            )
        if problem is not None:
            raise UserError(f"{path} is not what a search wrote ({problem}): restore it, or start another search.")
        if values["format"] != FORMAT:
            raise UserError(
                f"{folder} has format {values['format']}, and this Convscope reads format {FORMAT}: "
                f"use the version of Convscope that wrote it."
            )
        facts: dict[str, Any] = {key: values[key] for key in _SHAPE if key != "format"}
        return cls(load_config(folder / "base.yaml"), load_space(folder / "space.yaml"), **facts)

    def digest(self) -> str:
        """Tells one plan from another, but for the number of trials, which may change."""
        parts = (str(differences(self.base)), to_yaml(self.space), self.method, self.goal, self.pruner)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _option(key: str, value: Any) -> dict[str, Any]:
    return {key.removeprefix(OPTIONS): value}
