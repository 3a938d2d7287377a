"""What a network said about the test images, and pictures of those that its run has kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UserError
from convscope.experiment.results import EXAMPLE_SIZE
from convscope.metrics import log_softmax
from convscope.report.pictures import thumbnail
from convscope.runs import Run

TINY = 32
"""Longer side in pixels up to which an image is shown pixel by pixel."""


@dataclass(frozen=True)
class Shot:
    """One image of the test split with what was said about it."""

    number: int
    """Its place in the split, from 0 on."""
    address: str
    tiny: bool
    """Whether it has so few pixels that each is to be seen."""
    true: str
    predicted: str
    confidence: float
    """Probability of the predicted class."""

    @property
    def right(self) -> bool:
        """Whether the network was."""
        return self.true == self.predicted


@dataclass(frozen=True, eq=False)
class Answers:
    """Of all N test images, in the order of the split."""

    classes: tuple[str, ...]
    logits: NDArray[np.float64]
    """(N, K)"""
    labels: NDArray[np.int64]
    """(N,)"""
    images: Mapping[int, NDArray[np.uint8]]
    """Those that were kept, (C, H, W) by their place in the split."""
    random: tuple[int, ...]
    """Places of images that were drawn at random, all of them kept."""

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """The likeliest classes (N,)."""
        predictions: NDArray[np.int64] = self.logits.argmax(axis=1)
        return predictions

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the network was (N,)."""
        right: NDArray[np.bool_] = self.predictions == self.labels
        return right

    @cached_property
    def confidences(self) -> NDArray[np.float64]:
        """Probabilities of the likeliest classes (N,)."""
        confidences: NDArray[np.float64] = np.exp(log_softmax(self.logits).max(axis=1))
        return confidences

    def shots(self, places: Iterable[int], images: Mapping[int, NDArray[np.uint8]] | None = None) -> list[Shot]:
        """The images at these places, as far as they were kept (or are among `images`), in this order."""
        images = self.images if images is None else images
        return [
            Shot(
                number=place,
                address=thumbnail(images[place]),
                tiny=max(images[place].shape[1:]) <= TINY,
                true=self.classes[self.labels[place]],
                predicted=self.classes[self.predictions[place]],
                confidence=float(self.confidences[place]),
            )
            for place in places
            if place in images
        ]

    def cells(self) -> dict[tuple[int, int], list[Shot]]:
        """The kept images of each cell of the confusion matrix (true, predicted), the most confident first."""
        cells: dict[tuple[int, int], list[Shot]] = defaultdict(list)
        places = sorted(self.images, key=lambda place: -self.confidences[place])
        for place, shot in zip(places, self.shots(places), strict=True):
            cells[int(self.labels[place]), int(self.predictions[place])].append(shot)
        return cells

    def mistakes(self, limit: int) -> list[Shot]:
        """The wrong answers given with the most confidence."""
        wrong = np.flatnonzero(~self.right)
        return self.shots(wrong[np.argsort(-self.confidences[wrong], kind="stable")][:limit].tolist())


def answers_of(run: Run, classes: Sequence[str]) -> Answers | None:
    """What the run holds, of a network for these classes; None where it was never asked about the test images.

    Raises:
        UserError: a file is damaged, or the two do not belong together.
    """
    if not (run.path / "predictions.npz").exists():
        return None
    predictions = run.predictions()
    logits, labels = predictions["logits"], predictions["labels"]
    if not _are_answers(logits, labels, len(classes)):
        raise _damaged(run, "predictions.npz")
    # A run from before examples were kept has none.
    kept = run.examples() if (run.path / "examples.npz").exists() else None
    if kept is not None and not _are_examples(kept, len(labels)):
        raise _damaged(run, "examples.npz")
    return Answers(
        classes=tuple(classes),
        logits=logits.astype(np.float64),
        labels=labels.astype(np.int64),
        images=dict(zip(kept["indices"].tolist(), kept["images"], strict=True)) if kept else {},
        random=tuple(kept["random"].tolist()) if kept else (),
    )


def _are_answers(logits: NDArray[Any], labels: NDArray[Any], num_classes: int) -> bool:
    return (
        logits.ndim == 2
        and logits.dtype.kind == "f"
        and labels.dtype.kind in "iu"
        and labels.shape == logits.shape[:1]
        and len(labels) > 0
        and logits.shape[1] == num_classes
        and 0 <= labels.min() <= labels.max() < num_classes
        and bool(np.isfinite(logits).all())
    )


def _are_examples(kept: Mapping[str, NDArray[Any]], num_images: int) -> bool:
    images, indices, random = kept["images"], kept["indices"], kept["random"]
    return (
        images.dtype == np.uint8
        and images.ndim == 4
        and images.shape[1] in (1, 3)
        and 1 <= min(images.shape[2:]) <= max(images.shape[2:]) <= EXAMPLE_SIZE
        and all(array.dtype.kind in "iu" and array.ndim == 1 for array in (indices, random))
        and len(indices) == len(images) > 0
        and 0 <= indices.min() <= indices.max() < num_images
        and bool(np.isin(random, indices).all())
    )


def _damaged(run: Run, name: str) -> UserError:
    return UserError(
        f"{run.path / name} is damaged (it does not fit the other files of the run): "
        f"run `convscope evaluate {run.path}`."
    )
