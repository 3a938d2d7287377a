"""What came of the trials of a search."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convscope.config import Config
from convscope.search.space import Space, Values, contains, setting_of
from convscope.shapes import misfit
from convscope.training.state import EpochRecord

STATUSES = ("running", "finished", "pruned", "diverged", "failed")

_SHAPE = {"status": str, "epochs": int, "seconds": float, "reason": str}
_FIGURES = {"val_loss": float, "val_accuracy": float}


@dataclass(frozen=True)
class Outcome:
    """What came of a trial. The figures are of the weights that a training would keep, those with the lowest loss."""

    status: str
    """finished, pruned (given up as hopeless), diverged or failed; running before it is over."""
    val_loss: float | None = None
    val_accuracy: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    """Why it diverged or failed."""


@dataclass(frozen=True)
class Tried:
    """A trial on record."""

    number: int
    values: Values
    """Of the fields that are varied."""
    base: Config
    outcome: Outcome

    @property
    def setting(self) -> Config:
        """What was trained; a UserError where these values exclude each other, which is how such a trial failed."""
        return setting_of(self.base, self.values)


def kept(history: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch whose weights a training would keep."""
    return min(history, key=lambda record: record.val_loss)


def read_outcome(value: object) -> Outcome:
    """An outcome as a search directory has it, which anybody may have written; ValueError says what is wrong."""
    problem = misfit(value, _SHAPE) or misfit(value, _FIGURES, partial=True)
    if problem is not None or not isinstance(value, dict) or value["status"] not in STATUSES:
        raise ValueError(f"an outcome is none ({problem or 'its status is unknown'})")
    outcome = Outcome(**{key: value[key] for key in (*_SHAPE, *_FIGURES) if key in value})
    loss, accuracy = outcome.val_loss, outcome.val_accuracy
    if outcome.status in ("finished", "pruned") and not (
        loss is not None and math.isfinite(loss) and accuracy is not None and 0 <= accuracy <= 1
    ):
        raise ValueError("an outcome has no proper figures")
    return outcome


def check_values(values: Values, space: Space) -> None:
    """ValueError where the values of a trial are not of the space."""
    if set(values) != set(space) or not all(contains(space[key], value) for key, value in values.items()):
        raise ValueError("a trial has values that are not searched")
