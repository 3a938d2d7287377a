"""Exercises of the chapter on your own data."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal, shown


def _check_mean_and_std_of_channels(answer: Callable[..., Any]) -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 120, (4, 3, 5, 6), generator=generator)
    images = (images + torch.tensor([0, 40, 90, 130])[:, None, None, None]).to(torch.uint8)  # some darker than others
    pixels = images.double() / 255
    mean, std = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3), correction=0)
    call = "mean_and_std_of_channels(images of shape (4, 3, 5, 6))"
    try:
        got = answer(images)
    except RuntimeError as error:
        if "Byte" in str(error) or "floating" in str(error):
            raise Wrong(
                f"{call} raised an error: bytes (uint8) have no mean; turn them into floats and divide by 255 first."
            ) from error
        raise
    if not isinstance(got, list | tuple) or len(got) != 2:
        raise Wrong(f"{call} gave {shown(got)}, and not two tensors of shape (3,): the means, the standard deviations.")
    expect_equal(
        got[0],
        mean,
        call=f"the mean of {call}",
        hints={
            255 * mean: "pixels are to be in [0, 1]: divide by 255",
            255 / 256 * mean: "the largest byte is 255: divide by 255, not by 256",
            torch.zeros(3): "// rounds down, here to 0: divide with /",
            std: "these are the standard deviations: the means come first",
            mean / 3: "the sum of a channel is divided by its pixels; it is not to be divided by three again",
            pixels.mean(): "that is the mean of all channels together; each has its own, so leave dim 1 out of the sum",
            pixels.mean(dim=(1, 2, 3)): "that is the mean of each image; asked is that of each channel",
        },
    )
    own = pixels.std(dim=(2, 3), correction=0).mean(dim=0)
    expect_equal(
        got[1],
        std,
        call=f"the standard deviation of {call}",
        hints={
            own: "that is the mean of the images' own deviations, which forgets that images differ from one another",
            pixels.std(dim=(2, 3)).mean(dim=0): "that is the mean of the images' own deviations, which forgets that "
            "images differ from one another",
            pixels.var(dim=(2, 3), correction=0).mean(dim=0).sqrt(): "that is the root of the images' mean variance, "
            "which forgets that images differ from one another",
            pixels.square().mean(dim=(0, 2, 3)).sqrt(): "that is the root of the mean square; first subtract the mean",
            std.square(): "that is the variance; the standard deviation is its root",
            std / 3: "the sum of a channel is divided by its pixels; it is not to be divided by three again",
            255 * std: "pixels are to be in [0, 1]: divide by 255",
            pixels.std(dim=(0, 2, 3)): "that divides by one less than the pixels; here all there are count "
            "(correction=0)",
        },
    )


def _check_middle_square(answer: Callable[..., Any]) -> None:
    for width, height in ((72, 48), (48, 72), (100, 100), (11, 4)):
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        left_up, top_up = (width - side + 1) // 2, (height - side + 1) // 2
        expect_equal(
            answer(width, height),
            (left, top, left + side, top + side),
            call=f"middle_square({width}, {height})",
            hints={
                (top, left, top + side, left + side): "the places of left and top are exchanged; width belongs to left",
                (0, 0, side, side): "that is the corner at the top left; the square lies in the middle",
                (left, top, side, side): "the last two numbers are right and bottom edge, not width and height",
                (left, top, left + side - 1, top + side - 1): "right and bottom are just outside, so that right - left "
                "is the width",
                (0, 0, width, height): "that is the whole photo, which is no square",
                (left, top, left + max(width, height), top + max(width, height)): "the square is as large as the "
                "shorter side, or it would reach over the edge",
                (left_up, top_up, left_up + side, top_up + side): "where the middle falls between two pixels, the "
                "square lies to the left or to the top: // rounds down",
                ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2): "pixels are "
                "whole numbers: // rounds down, / gives fractions",
            },
        )


_CONTENTS = tuple(f"photo {number}".encode() for number in range(40))


def _check_part_by_content(answer: Callable[..., Any]) -> None:
    import hashlib

    for share in (0.5, 0.1):
        for content in _CONTENTS:
            number = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
            wanted = "test" if number < share else "train"
            call = f"part_by_content({content!r}, {share})"
            got, again = answer(content, share), answer(content, share)
            if not isinstance(got, str) or got not in ("train", "test"):
                raise Wrong(f"{call} gave {shown(got)}: the parts are called 'train' and 'test'.")
            if got != again:
                raise Wrong(
                    f"{call} gave {got!r}, and {shown(again)} when asked again: nothing in it may be random, or a "
                    "photo would change sides with every start."
                )
            if got != wanted:
                raise Wrong(
                    f"{call} gave {got!r} instead of {wanted!r}: the first eight bytes of the SHA-256, as a number "
                    f"between 0 and 1, are {number:.4f}, and it is for testing if that is below the share. Python's "
                    "own hash() is another one at each start; the highest byte comes first (big)."
                )
    for share, wanted in ((0.0, "train"), (1.0, "test")):
        expect_equal(answer(_CONTENTS[0], share), wanted, call=f"part_by_content({_CONTENTS[0]!r}, {share})")


EXERCISES = (
    Exercise(
        name="middle_square",
        task="The largest square in the middle of a photo, as (left, top, right, bottom) in whole pixels, as Pillow's "
        "`crop` takes it; right and bottom are just outside. Where the middle falls between two pixels, the square "
        "lies to the left or to the top. middle_square(72, 48) is (12, 0, 60, 48).",
        stub="def middle_square(width: int, height: int) -> tuple[int, int, int, int]:",
        check=_check_middle_square,
    ),
    Exercise(
        name="mean_and_std_of_channels",
        task="Mean and standard deviation of each channel over all pixels of all images, for pixels in [0, 1]. "
        "`images` are uint8 (N, C, H, W); the answer is two float tensors of shape (C,). All pixels count, so the "
        "variance is divided by their number, not by one less. For two pixels 0 and 255 both are 0.5.",
        stub="def mean_and_std_of_channels(images: Tensor) -> tuple[Tensor, Tensor]:",
        check=_check_mean_and_std_of_channels,
    ),
    Exercise(
        name="part_by_content",
        task="Decide by the bytes of a photo whether it is for 'test' or for 'train', so that copies stay together and "
        "nothing moves when photos are added. Take the first eight bytes of `hashlib.sha256(content).digest()` as a "
        "whole number, `int.from_bytes(..., 'big')`, divide it by 2**64, and answer 'test' if that is below "
        "`test_share`, else 'train'.",
        stub="def part_by_content(content: bytes, test_share: float) -> str:",
        check=_check_part_by_content,
    ),
)
