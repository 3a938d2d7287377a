"""Right solutions of the exercises on honest evaluation, and mistakes that must be recognised."""

import math
import statistics


def interval_of_accuracy(correct: int, images: int) -> tuple[float, float]:
    share, squared = correct / images, 1.96**2
    centre = (share + squared / (2 * images)) / (1 + squared / images)
    half = 1.96 / (1 + squared / images) * math.sqrt(share * (1 - share) / images + squared / (4 * images**2))
    return centre - half, centre + half


def coin_p_value(first_only: int, second_only: int) -> float:
    total, fewer = first_only + second_only, min(first_only, second_only)
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(fewer + 1)) / 2.0**total)


def accuracy_of_batches(accuracies: list[float], sizes: list[int]) -> float:
    return sum(accuracy * size for accuracy, size in zip(accuracies, sizes, strict=True)) / sum(sizes)


def spread_over_seeds(accuracies: list[float]) -> tuple[float, float | None]:
    return statistics.fmean(accuracies), statistics.stdev(accuracies) if len(accuracies) > 1 else None


def _textbook(correct: int, images: int) -> tuple[float, float]:
    share = correct / images
    half = 1.96 * math.sqrt(share * (1 - share) / images)
    return share - half, share + half


def _cut_off(interval: tuple[float, float]) -> tuple[float, float]:
    return max(0.0, interval[0]), min(1.0, interval[1])


def _around_the_share(correct: int, images: int) -> tuple[float, float]:
    low, high = interval_of_accuracy(correct, images)
    return correct / images - (high - low) / 2, correct / images + (high - low) / 2


def _percent(correct: int, images: int) -> tuple[float, float]:
    low, high = interval_of_accuracy(correct, images)
    return 100 * low, 100 * high


def _exactly(first_only: int, second_only: int) -> float:
    return 2 * math.comb(first_only + second_only, first_only) / 2.0 ** (first_only + second_only)


def _not_the_smaller(first_only: int, second_only: int) -> float:
    total = first_only + second_only
    return 2 * sum(math.comb(total, k) for k in range(first_only, total + 1)) / 2.0**total


def _unlimited(first_only: int, second_only: int) -> float:
    total, fewer = first_only + second_only, min(first_only, second_only)
    return 2 * sum(math.comb(total, k) for k in range(fewer + 1)) / 2.0**total


def _refusing(first_only: int, second_only: int) -> float:
    return coin_p_value(first_only, second_only) * (first_only + second_only) / (first_only + second_only)


def _population(accuracies: list[float]) -> tuple[float, float]:
    return statistics.fmean(accuracies), statistics.pstdev(accuracies)


def _with_zero(accuracies: list[float]) -> tuple[float, float]:
    mean, deviation = spread_over_seeds(accuracies)
    return mean, deviation or 0.0


def _failing(accuracies: list[float]) -> tuple[float, float]:
    return statistics.fmean(accuracies), statistics.stdev(accuracies)


def _numpy(accuracies: list[float]) -> tuple[float, float]:
    mean, deviation = spread_over_seeds(accuracies)
    return mean, math.nan if deviation is None else deviation


MISTAKES = [
    ("interval_of_accuracy", _textbook, "textbook"),
    ("interval_of_accuracy", _around_the_share, "centre"),
    ("interval_of_accuracy", lambda correct, images: _cut_off(_textbook(correct, images)), "cut off"),
    ("interval_of_accuracy", _percent, "percentages"),
    ("coin_p_value", lambda first, second: coin_p_value(first, second) / 2, "side"),
    ("coin_p_value", _exactly, "exactly"),
    ("coin_p_value", _not_the_smaller, "smaller"),
    ("coin_p_value", lambda first, second: min(1.0, _not_the_smaller(first, second)), "smaller"),
    ("coin_p_value", lambda first, second: coin_p_value(first, second) - _exactly(first, second), "exactly"),
    ("coin_p_value", _unlimited, "at most 1"),
    ("coin_p_value", _refusing, "never disagree"),
    ("accuracy_of_batches", lambda accuracies, sizes: statistics.fmean(accuracies), "weigh"),
    ("accuracy_of_batches", lambda accuracies, sizes: accuracy_of_batches(accuracies, sizes) * sum(sizes), "divide"),
    ("spread_over_seeds", _population, "one less"),
    ("spread_over_seeds", lambda accuracies: (statistics.fmean(accuracies), statistics.variance(accuracies)), "root"),
    ("spread_over_seeds", lambda accuracies: (max(accuracies), statistics.stdev(accuracies)), "best seed"),
    ("spread_over_seeds", _with_zero, "None"),
    ("spread_over_seeds", _numpy, "NaN"),
    ("spread_over_seeds", _failing, "None"),
]
