"""The confusion matrix as a table whose cells open the images in them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convscope.errors import UserError
from convscope.report.answers import Shot

MOST_CLASSES = 100
"""Beyond that a page would hold more cells than anybody reads, and too many bytes."""
LEVELS = 6
"""Colours of cells that are not empty; parts.css has one for each."""


@dataclass(frozen=True)
class Cell:
    """The images of one class that were given one class."""

    key: str
    """Name of the cell on its page."""
    true: str
    predicted: str
    count: int
    level: int
    """Of the colour: 0 for none, then by the share of the true class up to LEVELS."""
    shots: tuple[Shot, ...]
    """Some of the images, the most confident answers first."""

    @property
    def words(self) -> str:
        """What the cell means."""
        return f"{self.true}, recognised" if self.true == self.predicted else f"{self.true} taken for {self.predicted}"


def matrix(report: Mapping[str, Any], shots: Mapping[tuple[int, int], Sequence[Shot]]) -> list[list[Cell]] | None:
    """The rows of the matrix, one a true class, from a report and the images of each cell; None beyond MOST_CLASSES.

    Raises:
        UserError: the counts do not fit the classes.
    """
    names, counts = [row["name"] for row in report["per_class"]], report["confusion"]
    if {len(names)} != {len(counts), *map(len, counts)}:
        raise UserError(
            "the confusion matrix in metrics.json has not a row and a column for each class: run `convscope evaluate`."
        )
    if len(names) > MOST_CLASSES:
        return None
    return [
        [
            Cell(
                key=f"cell-{true}-{predicted}",
                true=names[true],
                predicted=names[predicted],
                count=count,
                level=_level(count, sum(row)),
                shots=tuple(shots.get((true, predicted), ())),
            )
            for predicted, count in enumerate(row)
        ]
        for true, row in enumerate(counts)
    ]


def _level(count: int, total: int) -> int:
    """By the root of the share: errors are a few per cent, which would be as good as white."""
    return math.ceil(LEVELS * math.sqrt(max(0, count) / total)) if total > 0 else 0
