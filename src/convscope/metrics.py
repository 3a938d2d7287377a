"""What a classifier's answers are worth: loss, accuracy, scores per class, calibration, confusion.

Everything is counted from the logits of a whole split at once, in float64, with numpy alone.

Shapes: N images, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convscope.errors import ConvscopeError, UserError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NORMAL_95 = 1.959963984540054
"""The normal distribution holds 95% of its mass within this many standard deviations."""

PAIRS = 10
"""How many confused pairs a report lists."""

BINS = 15
"""Of confidence, in which calibration is judged; as many as Guo et al. took."""


def classification_report(
    logits: ArrayLike, labels: ArrayLike, classes: Sequence[str], top_k: int = 5
) -> dict[str, Any]:
    """Every figure of an evaluation, in plain JSON types; shares, not percentages.

    Takes logits (N, K) and labels (N,). The keys: `images`, `loss` (mean cross-entropy in nats), `top1` with
    its 95% interval `top1_low` to `top1_high`, `top_k` (the share whose class is among the `k` highest
    logits), `macro_f1`, `calibration_error`, `per_class`, `confusion` (rows true, columns predicted),
    `most_confused`.

    Raises:
        UserError: no images, or shapes, labels and classes that do not belong together.
        ConvscopeError: a logit is NaN or infinite.
    """
    logits, labels = _checked(logits, labels, classes)
    images, num_classes = logits.shape
    k = min(top_k, num_classes)
    places = ranks(logits, labels)
    correct = int((places == 0).sum())
    low, high = wilson_interval(correct, images)
    confusion = confusion_matrix(labels, logits.argmax(axis=1), num_classes)
    precision, recall, f1 = class_scores(confusion)
    # A class that neither occurs nor was ever predicted says nothing about the network: it is left out.
    occurs = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    return {
        "images": images,
        "loss": cross_entropy(logits, labels),
        "top1": correct / images,
        "top1_low": low,
        "top1_high": high,
        "top_k": int((places < k).sum()) / images,
        "k": k,
        "macro_f1": float(f1[occurs].mean()),
        "calibration_error": calibration_error(logits, labels),
        "per_class": [
            {
                "name": name,
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "images": int(confusion[index].sum()),
            }
            for index, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "most_confused": most_confused(confusion, classes),
    }


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of the predicted probabilities: (N, K) -> (N, K)."""
    # Subtracting the row's maximum changes nothing mathematically, and keeps exp() from overflowing.
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalised: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised


def cross_entropy(logits: Floats, labels: Integers) -> float:
    """Mean of -log p(true class) over the images, in nats: ln K for a network that knows nothing."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def ranks(logits: Floats, labels: Integers) -> Integers:
    """How many classes the network prefers to the true one, for each image (N,): 0 where it is right.

    Among equal logits the class of the lower index comes first, as in argmax. So the true class never counts
    as found merely because everything is tied: a dead network that answers all zeros scores 1/K, not 100%.
    """
    true = logits[np.arange(len(labels)), labels][:, None]  # (N, 1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]  # (N, K)
    preferred: Integers = ((logits > true) | ((logits == true) & earlier)).sum(axis=1)
    return preferred


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """The 95% interval of an accuracy measured on `images` > 0 images (Wilson 1927).

    Unlike the textbook's p ± 1.96 sqrt(p(1-p)/n) it stays within [0, 1] and is honest for a handful of images
    or an accuracy near 100%.
    """
    share, squared = correct / images, NORMAL_95**2
    centre = (share + squared / (2 * images)) / (1 + squared / images)
    spread = share * (1 - share) / images + squared / (4 * images**2)
    half = NORMAL_95 / (1 + squared / images) * math.sqrt(spread)
    # At 0% and 100% the bound is exactly the share; rounding must not push it past.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def confusion_matrix(labels: Integers, predictions: Integers, num_classes: int) -> Integers:
    """Counts (K, K): row = true class, column = predicted class."""
    # Each (true, predicted) pair is a number in base K; counting the numbers counts the pairs.
    pairs = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def class_scores(confusion: Integers) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class (K,), from the counts (K, K); 0 instead of a division by 0."""
    correct = np.diag(confusion)
    predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
    return _ratio(correct, predicted), _ratio(correct, true), _ratio(2 * correct, predicted + true)


@dataclass(frozen=True)
class Bin:
    """The images that were answered with about the same confidence; means over none of them are 0."""

    low: float
    """Confidences of the bin lie above `low` and up to `high`."""
    high: float
    images: int
    confidence: float
    """Mean probability of the predicted classes."""
    accuracy: float


def calibration_bins(logits: Floats, labels: Integers, bins: int = BINS) -> list[Bin]:
    """Confidence and accuracy side by side, in bins of equal width (DeGroot and Fienberg 1983; Guo et al. 2017)."""
    confidences = np.exp(log_softmax(logits).max(axis=1))
    correct = logits.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    # Bins are open below and closed above, (0, 1/15], (1/15, 2/15], ..., so their inner edges suffice.
    chosen = np.searchsorted(edges[1:-1], confidences, side="left")
    images = np.bincount(chosen, minlength=bins)
    confidence = _ratio(np.bincount(chosen, weights=confidences, minlength=bins), images)
    accuracy = _ratio(np.bincount(chosen, weights=correct, minlength=bins), images)
    columns = (edges[:-1], edges[1:], images, confidence, accuracy)
    return [Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def calibration_error(logits: Floats, labels: Integers, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3): how far confidence and accuracy lie apart.

    The gap between the two in each of `calibration_bins` is averaged, weighted by its images. 0 means that of the
    answers given with 80% confidence, 80% are right.
    """
    rows = calibration_bins(logits, labels, bins)
    return sum(row.images * abs(row.confidence - row.accuracy) for row in rows) / len(labels)


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Whether two networks asked about the same images differ by more than chance (McNemar 1947).

    Takes for each image whether the network was right, (N,) of both. Images on which they agree say nothing about which
    is better. Of the others each counts for one of the two, and were they equally good, for either with probability
    one half. So the p-value is that of a fair coin, exact for any number of images: the probability of counts at least
    as far apart.

    Returns:
        How many images the first alone has right, how many the second alone, and the two-sided p-value.
    """
    first, second = int((first_right & ~second_right).sum()), int((second_right & ~first_right).sum())
    total, fewer = first + second, min(first, second)
    # Logarithms of the binomial coefficients C(total, 0), ..., C(total, fewer), each from the one before it.
    k = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.log((total - k + 1) / k).cumsum()])
    tail = math.exp(np.logaddexp.reduce(logs) - total * math.log(2))
    return first, second, min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, adjusted so that one below 0.05 among them stays rare (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def most_confused(confusion: Integers, classes: Sequence[str], limit: int = PAIRS) -> list[dict[str, Any]]:
    """The largest errors, greatest first: true and predicted class, count, its share of the true class."""
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    rows, columns = np.unravel_index(order, errors.shape)
    return [
        {
            "true": classes[row],
            "predicted": classes[column],
            "count": int(errors[row, column]),
            "share": float(errors[row, column] / confusion[row].sum()),
        }
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if errors[row, column] > 0
    ]


def _ratio(numerator: NDArray[Any], denominator: Integers) -> Floats:
    ratio: Floats = np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
    return ratio


def _checked(logits: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> tuple[Floats, Integers]:
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or scores.shape[1] != len(classes):
        raise UserError(
            f"logits of shape {scores.shape}, labels of shape {truth.shape} and {len(classes)} classes do "
            f"not belong together: give (N, {len(classes)}) logits and (N,) labels."
        )
    if len(truth) == 0:
        raise UserError("there are no images to evaluate: choose a split that has some.")
    if truth.min() < 0 or truth.max() >= len(classes):
        raise UserError(
            f"labels run from {truth.min()} to {truth.max()}, but {len(classes)} classes are numbered "
            f"0 to {len(classes) - 1}: evaluate on the data set the model was trained for."
        )
    if not np.isfinite(scores).all():
        raise ConvscopeError(
            "the network's outputs are not all finite, so nothing can be measured: its weights have "
            "diverged; train again with a lower learning rate."
        )
    return scores, truth
