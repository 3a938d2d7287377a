"""Exercises of the chapter on FashionMNIST and MNIST."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_nearest_mean(answer: Callable[..., Any]) -> None:
    import torch

    # Two by two pixels. The fourth new image is nearest to the mean of class 3 by squares, to that of class 0 by
    # absolute values; the last one resembles an image of class 3, but is nearer to the mean of class 0.
    def of_pixels(rows: list[list[int]]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.uint8).reshape(-1, 1, 2, 2)

    dark, bright, right = ([[0] * 4, [40] * 4], [[255] * 4, [215] * 4], [[0, 255] * 2, [60, 255] * 2])
    images = of_pixels([right[0], dark[0], bright[0], [0, 0, 120, 20], dark[1], bright[1], right[1], [160, 120, 0, 20]])
    labels = torch.tensor([2, 0, 1, 3, 0, 1, 2, 3])
    new = of_pixels([[10, 30, 10, 30], [200, 240, 230, 250], [0, 250, 0, 100], [120, 20, 20, 20], [0, 0, 110, 20]])
    call = "nearest_mean(images, labels, new)"
    try:
        got = answer(images, labels, new)
    except RuntimeError as error:
        if "Byte" in str(error) or "floating" in str(error):
            raise Wrong(
                f"{call} raised an error: the images are bytes (uint8); turn them into floats first."
            ) from error
        raise
    pixels = images.double().flatten(1)
    means = torch.stack([pixels[labels == label].mean(dim=0) for label in range(4)])
    apart = new.double().flatten(1)[:, None] - means  # (new images, classes, pixels)
    singles = (new.double().flatten(1)[:, None] - pixels).square().sum(dim=2)
    mistakes = (
        (apart.square().sum(dim=2).argmax(dim=1), "these are the classes farthest away: the smallest distance wins"),
        (apart.sum(dim=2).argmin(dim=1), "without squares, differences below and above 0 cancel out"),
        (
            (new.double().flatten(1) @ means.T).argmax(dim=1),
            "a product of image and mean prefers what is bright; the distance is the sum of squared differences",
        ),
        (apart.sum(dim=2).square().argmin(dim=1), "square the difference of each pixel before the sum, not the sum"),
        (apart.abs().sum(dim=2).argmin(dim=1), "those are nearest by absolute differences; square each difference"),
        (
            (new.flatten(1)[:, None] - means.to(torch.uint8)).square().sum(dim=2).argmin(dim=1),
            "bytes (uint8) begin again at 0 after 255, also differences and squares: turn them into floats first",
        ),
        (labels[singles.argmin(dim=1)], "these are the classes of the nearest images; asked is the nearest mean"),
        (singles.argmin(dim=1), "these are the numbers of the nearest images; asked is the class of the nearest mean"),
    )
    expect_equal(
        got,
        apart.square().sum(dim=2).argmin(dim=1),
        call=call,
        hints={tuple(classes.tolist()): hint for classes, hint in mistakes},
    )


def _check_shuffle_pixels(answer: Callable[..., Any]) -> None:
    import torch

    images = torch.arange(2 * 2 * 2 * 3, dtype=torch.float32).reshape(2, 2, 2, 3)
    order = torch.tensor([5, 0, 3, 1, 4, 2])
    given = images.clone()
    got = answer(given, order.clone())
    wanted = images.flatten(2)[:, :, order].view_as(images)
    inverse = torch.argsort(order)
    call = "shuffle_pixels(images of shape (2, 2, 2, 3), [5, 0, 3, 1, 4, 2])"
    if not torch.equal(given, images):
        raise Wrong(f"{call} changed the images it was given: give new ones.")
    expect_equal(
        got,
        wanted,
        call=call,
        hints={
            images.flatten(2)[:, :, inverse].view_as(images): "that is the inverse order: pixel i of the answer is "
            "pixel order[i] of the image",
            images.flatten(1)[
                :, order
            ]: "each channel is shuffled by itself: flatten height and width, not the channels",
            images.flatten(2)[:, :, order]: "the pixels are in the right order, but in a row: give them the shape "
            "of the images again",
        },
    )


def _check_times_the_errors(answer: Callable[..., Any]) -> None:
    for first, second in ((0.842, 0.917), (0.9, 0.99), (0.5, 0.75)):
        errors = (1 - first) / (1 - second)
        expect_equal(
            answer(first, second),
            errors,
            call=f"times_the_errors({first}, {second})",
            hints={
                second / first: "that is the ratio of the accuracies; of the errors, 1 minus each",
                first / second: "that is the ratio of the accuracies; of the errors, 1 minus each",
                1 / errors: "that is the other way round: the errors of the first, divided by those of the second",
                1 - first / 1 - second: "/ is computed before -: put both differences in parentheses",
                second - first: "that is the difference in accuracy; asked is how many times as many errors",
                (100 - first)
                / (100 - second): "the accuracies are shares, not percentages: the errors are 1 minus each",
                (1 - first) // (1 - second): "// rounds down to a whole number; / does not",
            },
        )


EXERCISES = (
    Exercise(
        name="times_the_errors",
        task="Accuracies hide how far apart two networks are: 90% and 99% sound alike, but the first makes ten times "
        "as many errors. Give this factor for two accuracies between 0 and 1: times_the_errors(0.9, 0.99) is 10.0.",
        stub="def times_the_errors(first: float, second: float) -> float:",
        check=_check_times_the_errors,
    ),
    Exercise(
        name="shuffle_pixels",
        task="Put the pixels of all images into one and the same order. Number an image's pixels row by row from 0: "
        "in each channel, pixel i of the answer is pixel order[i] of the image. `images` are (N, C, H, W), `order` is "
        "int64 (H·W,); the answer has the images' shape. The order [3, 2, 1, 0] turns images of 2x2 pixels upside down "
        "and mirrors them.",
        stub="def shuffle_pixels(images: Tensor, order: Tensor) -> Tensor:",
        check=_check_shuffle_pixels,
    ),
    Exercise(
        name="nearest_mean",
        task="A classifier without training: take the mean image of each class, and answer each new image with the "
        "class whose mean is nearest, by the sum of squared differences of pixels. `images` and `new` are uint8 "
        "(N, C, H, W) and (M, C, H, W), `labels` int64 (N,) from 0 on, without a gap. The answer is int64 (M,).",
        stub="def nearest_mean(images: Tensor, labels: Tensor, new: Tensor) -> Tensor:",
        check=_check_nearest_mean,
    ),
)
