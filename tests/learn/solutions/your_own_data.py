"""Right solutions of the exercises on your own data, and mistakes that must be recognised."""

import hashlib
import itertools

import torch
from torch import Tensor


def mean_and_std_of_channels(images: Tensor) -> tuple[Tensor, Tensor]:
    pixels = images.double() / 255
    return pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3), correction=0)


def middle_square(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def part_by_content(content: bytes, test_share: float) -> str:
    number = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
    return "test" if number / 2**64 < test_share else "train"


def _bytes(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3), correction=0)


def _not_scaled(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = mean_and_std_of_channels(images)
    return 255 * mean, 255 * std


def _of_all_channels(images: Tensor) -> tuple[Tensor, Tensor]:
    pixels = images.double() / 255
    return pixels.mean(), pixels.std(correction=0)


def _divided_by_three(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = mean_and_std_of_channels(images)
    return mean / 3, std / 3


def _mean_of_deviations(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, _ = mean_and_std_of_channels(images)
    return mean, (images.double() / 255).std(dim=(2, 3), correction=0).mean(dim=0)


def _mean_of_variances(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, _ = mean_and_std_of_channels(images)
    return mean, (images.double() / 255).var(dim=(2, 3), correction=0).mean(dim=0).sqrt()


def _mean_square(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, _ = mean_and_std_of_channels(images)
    return mean, (images.double() / 255).square().mean(dim=(0, 2, 3)).sqrt()


def _variance(images: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = mean_and_std_of_channels(images)
    return mean, std.square()


def _sample(images: Tensor) -> tuple[Tensor, Tensor]:
    pixels = images.double() / 255
    return pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))


def _exchanged(width: int, height: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = middle_square(height, width)
    return left, top, right, bottom


def _width_and_height(width: int, height: int) -> tuple[int, int, int, int]:
    left, top, _, _ = middle_square(width, height)
    return left, top, min(width, height), min(width, height)


def _fractions(width: int, height: int) -> tuple[float, float, float, float]:
    side = min(width, height)
    return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def _rounded_up(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(width, height)
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    return left, top, left + side, top + side


_TURNS = itertools.cycle(("train", "test"))


def _last_byte_first(content: bytes, test_share: float) -> str:
    number = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
    return "test" if number / 2**64 < test_share else "train"


MISTAKES = [
    ("mean_and_std_of_channels", _bytes, "floats"),
    ("mean_and_std_of_channels", _not_scaled, "255"),
    ("mean_and_std_of_channels", _of_all_channels, "shape"),
    ("mean_and_std_of_channels", _divided_by_three, "three"),
    ("mean_and_std_of_channels", _mean_of_deviations, "own"),
    ("mean_and_std_of_channels", _mean_of_variances, "mean variance"),
    ("mean_and_std_of_channels", _mean_square, "subtract"),
    ("mean_and_std_of_channels", _variance, "root"),
    ("mean_and_std_of_channels", _sample, "one less"),
    ("middle_square", _exchanged, "exchanged"),
    ("middle_square", lambda width, height: (0, 0, min(width, height), min(width, height)), "middle"),
    ("middle_square", _width_and_height, "edge"),
    ("middle_square", _fractions, "whole"),
    ("middle_square", _rounded_up, "rounds down"),
    ("part_by_content", lambda content, test_share: next(_TURNS), "again"),
    ("part_by_content", lambda content, test_share: "train" if len(content) else "test", "below"),
    ("part_by_content", _last_byte_first, "big"),
    ("part_by_content", lambda content, test_share: part_by_content(content, test_share) == "test", "called"),
    ("part_by_content", lambda content, test_share: torch.tensor([0, 1]), "called"),
]
