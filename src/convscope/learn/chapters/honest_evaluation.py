"""Exercises of the chapter on honest evaluation."""

import math
from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_interval_of_accuracy(answer: Callable[..., Any]) -> None:
    z = 1.96
    for correct, images in ((9, 10), (84, 100), (450, 500)):
        share, squared = correct / images, z * z
        centre = (share + squared / (2 * images)) / (1 + squared / images)
        spread = share * (1 - share) / images
        half = z / (1 + squared / images) * math.sqrt(spread + squared / (4 * images**2))
        textbook = z * math.sqrt(spread)
        narrow = z / (1 + squared / images) * math.sqrt(spread)
        expect_equal(
            answer(correct, images),
            (centre - half, centre + half),
            call=f"interval_of_accuracy({correct}, {images})",
            hints={
                (share - textbook, share + textbook): "that is the textbook's interval around the share itself; "
                "Wilson's has another centre",
                (max(0.0, share - textbook), min(1.0, share + textbook)): "that is the textbook's interval, cut off at "
                "0 and 1; Wilson's has another centre",
                (share - half, share + half): "the width is right, but the centre is not the share: it lies "
                "nearer to one half",
                (centre - narrow, centre + narrow): "under the root z²/4n² is missing",
                (centre, half): "these are centre and half the width: give the lower and the upper bound",
                (centre + half, centre - half): "the lower bound comes first",
                (100 * (centre - half), 100 * (centre + half)): "give shares between 0 and 1, not percentages",
            },
        )
    expect_equal(
        answer(10, 10),
        (10 / (10 + z * z), 1.0),
        call="interval_of_accuracy(10, 10)",
        hints={(1.0, 1.0): "ten of ten do not make certain that the eleventh is right too"},
    )


def _check_coin_p_value(answer: Callable[..., Any]) -> None:
    for first, second in ((8, 2), (2, 8), (1, 9), (25, 5)):
        total, fewer = first + second, min(first, second)
        width = math.sqrt(2 * total)
        tail = sum(math.comb(total, k) for k in range(fewer + 1)) / 2**total
        other = sum(math.comb(total, k) for k in range(first, total + 1)) / 2**total
        expect_equal(
            answer(first, second),
            2 * tail,
            call=f"coin_p_value({first}, {second})",
            hints={
                tail: "that is one side only: the second network might as well have been ahead, so count both sides",
                2 * math.comb(total, fewer) / 2**total: "that is the probability of exactly these counts; add those "
                "that are further apart",
                2
                * (tail - math.comb(total, fewer) / 2**total): "counts that are exactly as far apart belong to it too",
                **dict.fromkeys(
                    (math.erfc(abs(first - second) / width), math.erfc((abs(first - second) - 1) / width)),
                    "that is the approximation for many images, by the normal distribution; count the tosses",
                ),
                1 - 2 * tail: "that is the probability of counts nearer together; p is of those at least as far apart",
                **(
                    dict.fromkeys(
                        (2 * other, 1.0),
                        "which network comes first must not matter: add up from 0 to the smaller count",
                    )
                    if other > 0.5
                    else {}
                ),
            },
        )
    expect_equal(
        answer(3, 3),
        1.0,
        call="coin_p_value(3, 3)",
        hints={
            2 * sum(math.comb(6, k) for k in range(4)) / 2**6: "both sides hold the middle, so that twice one side "
            "is more than 1; a probability is at most 1"
        },
    )
    try:
        got = answer(0, 0)
    except (ZeroDivisionError, ValueError) as error:
        raise Wrong(
            f"coin_p_value(0, 0) raised {type(error).__name__}: two networks that never disagree are no evidence of "
            "a difference, so p is 1."
        ) from error
    expect_equal(got, 1.0, call="coin_p_value(0, 0)")


def _check_accuracy_of_batches(answer: Callable[..., Any]) -> None:
    for accuracies, sizes in (([0.5, 0.75, 1.0], [128, 128, 16]), ([1.0, 0.5], [64, 36])):
        right = [accuracy * size for accuracy, size in zip(accuracies, sizes, strict=True)]
        expect_equal(
            answer(accuracies, sizes),
            sum(right) / sum(sizes),
            call=f"accuracy_of_batches({accuracies}, {sizes})",
            hints={
                sum(accuracies) / len(accuracies): "that is the mean of the batches, in which an image of the small "
                "batch counts for more than the others; weigh each batch by its images",
                sum(right): "that is the number of right answers; divide by the number of images",
                100 * sum(right) / sum(sizes): "give a share between 0 and 1, not a percentage",
                sum(right) / len(sizes): "divide by the number of images, not of batches",
            },
        )


def _check_spread_over_seeds(answer: Callable[..., Any]) -> None:
    values = [0.90, 0.92, 0.95, 0.91]
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    wanted = math.sqrt(squares / 3)
    call = f"spread_over_seeds({values})"
    expect_equal(
        answer(list(values)),
        (mean, wanted),
        call=call,
        hints={
            (mean, math.sqrt(squares / 4)): "the squares are divided by the number of seeds; the mean was taken from "
            "the same seeds, so divide by one less",
            (mean, squares / 3): "that is the variance; the standard deviation is its root",
            (mean, squares / 4): "that is the variance; the standard deviation is its root",
            (mean, wanted / 2): "that is the standard error of the mean; asked is the deviation of a single training",
            (max(values), wanted): "the best seed is no result: give the mean",
            (mean, max(values) - min(values)): "that is the range, which grows with the number of seeds",
        },
    )
    try:
        got = answer([0.9])
    except (ZeroDivisionError, ValueError, ArithmeticError) as error:
        raise Wrong(
            f"spread_over_seeds([0.9]) raised {type(error).__name__}: one seed says nothing of the spread, so give "
            "None for it."
        ) from error
    expect_equal(
        got,
        (0.9, None),
        call="spread_over_seeds([0.9])",
        hints={
            (0.9, 0.0): "a spread of 0 would claim that every seed gives the same; of one seed nothing is known, "
            "so give None",
            None: "the mean is known all the same: give (0.9, None)",
            (0.9, math.nan): "NaN would spoil what is computed from it; of one seed nothing is known, so give None",
        },
    )


EXERCISES = (
    Exercise(
        name="accuracy_of_batches",
        task="The accuracy over all images, from the accuracy of each batch and the number of images in each. "
        "accuracy_of_batches([1.0, 0.5], [64, 36]) is 0.82.",
        stub="def accuracy_of_batches(accuracies: list[float], sizes: list[int]) -> float:",
        check=_check_accuracy_of_batches,
    ),
    Exercise(
        name="spread_over_seeds",
        task="Mean and standard deviation of the test accuracies of one setting, trained with several seeds. The "
        "deviation is that of a sample. Of a single seed it is not known: give None. spread_over_seeds([0.9, 0.92]) "
        "is about (0.91, 0.0141).",
        stub="def spread_over_seeds(accuracies: list[float]) -> tuple[float, float | None]:",
        check=_check_spread_over_seeds,
    ),
    Exercise(
        name="interval_of_accuracy",
        task="Wilson's 95% interval of an accuracy: `correct` of `images` test images were right. Give the lower and "
        "the upper bound, as shares between 0 and 1, with z = 1.96. interval_of_accuracy(9, 10) is about "
        "(0.596, 0.982).",
        stub="def interval_of_accuracy(correct: int, images: int) -> tuple[float, float]:",
        check=_check_interval_of_accuracy,
    ),
    Exercise(
        name="coin_p_value",
        task="McNemar's test: of the images on which two networks disagree, the first alone is right on `first_only`, "
        "the second alone on `second_only`. How probable are counts at least as far apart, to either side, if each "
        "image is the toss of a coin? coin_p_value(8, 2) is 0.109375, and no p is above 1. `math.comb(n, k)` counts "
        "the ways to choose k of n.",
        stub="def coin_p_value(first_only: int, second_only: int) -> float:",
        check=_check_coin_p_value,
    ),
)
