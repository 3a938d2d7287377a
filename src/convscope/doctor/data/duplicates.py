"""Images that are copies of one another, whether byte for byte or saved again in another size or quality.

A perceptual hash finds the candidates: the image is reduced to 32x32 grey pixels and these to their 63 lowest
frequencies, and of each only counts whether it lies above their median, a bit. Compression, scaling and a change of
brightness leave nearly all bits as they are. But so does a simple shape in another pattern, so candidates are then
compared pixel by pixel, and more strictly where all images are of a few shapes.

Shapes: N images, P pairs.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.data.preprocessing import LUMA
from convscope.downloads import Progress

SIDE = 32
LOWEST = 8
"""Frequencies along each axis; without the first of all, which is the brightness, they are 63."""


@dataclass(frozen=True)
class Limits:
    """How alike two images must be to count as copies."""

    bits: int
    """In which their hashes may differ, at most."""
    correlation: float
    """Of their pixels, at least."""


PHOTOS = Limits(bits=6, correlation=0.9)
"""For images that differ in many ways, as photos do. Pairs within them are cut, brightened or coloured otherwise, or
the same scene a moment later: of 100 pairs of CIFAR-10's that we looked at, all were one or the other. Of random hashes
1 pair in 10^11 comes so close."""
SHAPES = Limits(bits=4, correlation=0.995)
"""For things of few shapes on one ground. Among FashionMNIST's clothes, pairs within them look the same to us in the
28x28 pixels; beyond, they begin to be two shirts of one cut. Photos saved again at JPEG quality 30, or at a third of
the size, are within them too: of 300 all."""

_SAMPLE = 2000
"""Images by which it is decided which limits are right."""
_FEW = 0.02
"""Close hashes for each image of the sample, up to which they are copies; FashionMNIST has 0.08, CIFAR-10 0.0005."""

LEAST_DEVIATION = 4.0
"""Of an image's pixels, which go to 255: in one that shows less, noise decides over the bits."""
_ROWS = 256
"""Images compared with all others at a time."""
_AT_ONCE = 1 << 14
"""Candidate pairs whose pixels are compared at a time."""


def thumbnails(images: Tensor) -> Tensor:
    """The images, uint8 (N, C, H, W), as small grey ones: uint8 (N, 32, 32)."""
    grey = images.to(torch.float32)
    if images.shape[1] == len(LUMA):  # JPEG keeps brightness more faithfully than the colours
        grey = torch.einsum("nchw,c->nhw", grey, torch.tensor(LUMA))[:, None]
    small = F.interpolate(grey, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return small[:, 0].round().to(torch.uint8)


def hashes(small: Tensor) -> Tensor:
    """The perceptual hash of thumbnails, uint8 (N, 32, 32): float32 (N, 63) of 1 and -1 for the two values of a bit.

    So the scalar product of two hashes is 63 less twice the number of bits in which they differ.
    """
    # The cosine transform (DCT-II) of a row of pixels x is the sum of x[n] cos(pi (2n + 1) k / 2N) for each k.
    k, n = torch.arange(LOWEST)[:, None], torch.arange(SIDE)
    waves = torch.cos(math.pi * (2 * n + 1) * k / (2 * SIDE))  # (8, 32)
    frequencies = (waves @ small.to(torch.float32) @ waves.T).flatten(start_dim=1)[:, 1:]  # (N, 63)
    above = frequencies > frequencies.median(dim=1, keepdim=True).values
    return above.to(torch.float32) * 2 - 1


def identical(digests: Sequence[Hashable]) -> Tensor:
    """For each image the index of the first that has the same digest: int64 (N,)."""
    first: dict[Hashable, int] = {}
    return torch.tensor([first.setdefault(digest, index) for index, digest in enumerate(digests)])


def group_copies(small: Tensor, same: Tensor, progress: Progress | None = None) -> Tensor:
    """Put identical images and near copies into groups, and copies of copies into the same one.

    Every image is compared with every other: matrix products of hashes, a strip of rows at a time, so that memory grows
    with N and not with its square.

    Args:
        small: uint8 (N, 32, 32), see `thumbnails`.
        same: int64 (N,), see `identical`.
        progress: told how many bytes of the thumbnails have been compared with all others.

    Returns:
        for each image the index of the first image of its group: int64 (N,).
    """
    groups = same
    pixels = small.flatten(start_dim=1)
    deviations = torch.cat([piece.to(torch.float32).std(dim=1) for piece in torch.split(pixels, _AT_ONCE)])
    # Of identical images one is enough; groups may be large only where there are many of them.
    chosen = ((same == torch.arange(len(same))) & (deviations >= LEAST_DEVIATION)).nonzero()[:, 0]
    bits = hashes(small[chosen])
    limits = choose_limits(bits)
    for first in range(0, len(chosen), _ROWS):
        likeness = bits[first : first + _ROWS] @ bits[first:].T  # (256, N - first)
        near = (likeness >= bits.shape[1] - 2 * limits.bits).nonzero()
        pairs = chosen[near[near[:, 0] < near[:, 1]] + first]  # (P, 2)
        for some in torch.split(pairs, _AT_ONCE):
            # A pair that is in one group already needs no look; this keeps the frames of one film from taking hours.
            some = some[groups[some[:, 0]] != groups[some[:, 1]]]
            if len(some):
                alike = _correlations(pixels[some[:, 0]], pixels[some[:, 1]]) >= limits.correlation
                groups = join(groups, some[alike])
        if progress:
            progress("looking for copies", min(first + _ROWS, len(chosen)) * SIDE**2, len(chosen) * SIDE**2)
    return groups


def choose_limits(bits: Tensor) -> Limits:
    """The limits for images with these hashes (N, 63): the narrow ones where many hashes come close to one another."""
    sample = bits[torch.randperm(len(bits), generator=torch.Generator().manual_seed(0))[:_SAMPLE]]
    close = sample @ sample.T >= bits.shape[1] - 2 * SHAPES.bits
    pairs = (int(close.sum()) - len(sample)) / 2  # without each image and itself, and each pair once
    return SHAPES if pairs > _FEW * len(sample) else PHOTOS


def join(groups: Tensor, pairs: Tensor) -> Tensor:
    """Unite the groups, int64 (N,), of the images in each pair, int64 (P, 2); a group is named after its first."""
    while True:
        ends = groups[pairs]  # (P, 2)
        least = ends.min(dim=1, keepdim=True).values.expand_as(ends)
        lowered = groups.scatter_reduce(0, ends.flatten(), least.flatten(), reduce="amin")
        lowered = lowered[lowered]  # whoever followed the image that has just been lowered follows it down
        if torch.equal(lowered, groups):
            return groups
        groups = lowered


def members(groups: Tensor) -> Iterable[list[int]]:
    """The indices in each group of more than one image, in ascending order; groups by their first."""
    counts = torch.bincount(groups)
    for group in torch.split(groups.argsort(stable=True), counts[counts > 0].tolist()):
        if len(group) > 1:
            yield group.tolist()


def _correlations(first: Tensor, second: Tensor) -> Tensor:
    """Of images uint8 (P, D) with images uint8 (P, D), one by one: float32 (P,)."""
    one, other = (F.normalize(_centred(images), dim=1) for images in (first, second))
    return (one * other).sum(dim=1)


def _centred(images: Tensor) -> Tensor:
    floats = images.to(torch.float32)
    return floats - floats.mean(dim=1, keepdim=True)
