"""Two networks on the same test images: is one better, or was it luck? And which images does one alone get right?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from convscope.catalog import DATA
from convscope.experiment import Comparison
from convscope.metrics import holm, mcnemar
from convscope.numbers import counted
from convscope.report.answers import Answers, Shot, answers_of
from convscope.runs import Run

MOST_PAIRS = 15
"""Pairs that are compared: of six networks each with each."""
MOST_IMAGES = 12
"""Images shown that one network of a pair has right and the other wrong."""
CHANCE = 0.05
"""p-values from this on are taken for chance."""


@dataclass(frozen=True)
class Pair:
    """What two networks make of the same images."""

    first: str
    second: str
    first_only: int
    """Images that the first alone has right."""
    second_only: int
    p: float
    """McNemar's, of all pairs of a comparison adjusted together (Holm)."""
    won: list[tuple[Shot, Shot]]
    """Some images that the first alone has right: what the first said, and what the second."""
    lost: list[tuple[Shot, Shot]]
    """And some that the second alone has right."""

    @property
    def verdict(self) -> str:
        """One sentence."""
        counts = (
            f"{self.first} alone is right on {counted(self.first_only, 'image')}, {self.second} alone on "
            f"{self.second_only:,} (McNemar's test, {'p < 0.0001' if self.p < 1e-4 else f'p = {self.p:.2g}'})"
        )
        if self.p >= CHANCE:
            return f"The difference could be chance: {counts}."
        better = self.first if self.first_only > self.second_only else self.second
        return f"{better} is better, by more than chance: {counts}."


def pairs_of(comparison: Comparison) -> tuple[list[Pair], str]:
    """The pairs of runs in different rows, those of the same seed where rows have several; and what pairs are missing.

    Raises:
        UserError: predictions of a run are damaged.
    """
    runs, labels = comparison.runs, comparison.labels
    rivals = [
        (first, second)
        for first, second in combinations(range(len(runs)), 2)
        if comparison.row_of[first] != comparison.row_of[second]
        and (_alone(comparison, first, second) or runs[first].config().seed == runs[second].config().seed)
    ]
    answers = [answers_of(run, [row["name"] for row in run.results()["test"]["per_class"]]) for run in runs]
    if reason := _unpaired(runs, answers):
        return [], reason
    known = [item for item in answers if item is not None]
    chosen = rivals[:MOST_PAIRS]
    tests = [mcnemar(known[first].right, known[second].right) for first, second in chosen]
    adjusted = holm([p for _, _, p in tests])
    pairs = [
        Pair(
            first=labels[first],
            second=labels[second],
            first_only=test[0],
            second_only=test[1],
            p=p,
            won=_shots(known[first], known[second], known[first].right & ~known[second].right),
            lost=_shots(known[first], known[second], known[second].right & ~known[first].right),
        )
        for (first, second), test, p in zip(chosen, tests, adjusted, strict=True)
    ]
    if not rivals:
        return [], "The runs differ in their seed alone."
    return pairs, "" if len(rivals) == len(chosen) else f"Only {MOST_PAIRS} of {len(rivals)} pairs are compared."


def _alone(comparison: Comparison, first: int, second: int) -> bool:
    """Whether neither run has others in its row."""
    return all(comparison.rows[comparison.row_of[place]].seeds == 1 for place in (first, second))


def _unpaired(runs: Sequence[Run], answers: Sequence[Answers | None]) -> str:
    """Why the runs cannot be compared image by image; empty if they can."""
    for run, item in zip(runs, answers, strict=True):
        if item is None:
            return f"{run.name} has not kept what it said about each image: run convscope evaluate {run.path}."
    known = [item for item in answers if item is not None]
    configs = [run.config() for run in runs]
    published = configs[0].data in DATA and DATA[configs[0].data].test_images is not None
    # Labels in the order of folders are the same for any choice of photos.
    same_choice = published or len({(config.test_share, config.split_seed) for config in configs}) == 1
    if not same_choice or not all(_same_labels(known[0], item) for item in known[1:]):
        return "The runs were tested on different images, so they cannot be compared image by image."
    return ""


def _same_labels(first: Answers, second: Answers) -> bool:
    return first.classes == second.classes and np.array_equal(first.labels, second.labels)


def _shots(first: Answers, second: Answers, wanted: NDArray[np.bool_]) -> list[tuple[Shot, Shot]]:
    """Images of those wanted that either run has kept, where one network is wrong and most sure of it first."""
    images = {**second.images, **first.images}
    wrong = np.where(first.right, second.confidences, first.confidences)
    places = [place for place in np.flatnonzero(wanted).tolist() if place in images]
    places = sorted(places, key=lambda place: -wrong[place])[:MOST_IMAGES]
    return list(zip(first.shots(places, images), second.shots(places, images), strict=True))
