"""Whether a mean and a standard deviation are those of the training images, and which mistake made them if not."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from convscope.data import ImageSet, channel_statistics
from convscope.doctor.data.subject import Subject
from convscope.doctor.findings import Finding
from convscope.errors import UserError
from convscope.numbers import counted

Numbers = tuple[float, ...]

IMAGENET: tuple[Numbers, Numbers] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation by which networks for ImageNet are commonly given their images."""

NEAR = 0.01
"""Largest difference of a mean or a deviation, of pixels from 0 to 1, that does no harm: scaling changes as much."""
SAME = 0.0002
"""Largest difference of numbers that are the same but for rounding to three or four decimals."""


@dataclass(frozen=True)
class Mistake:
    """A wrong way to a mean and a deviation, and what comes out of it."""

    name: str
    mean: Numbers
    std: Numbers
    scale: float = 1.0
    """What white is in these numbers."""

    def distance(self, mean: Numbers, std: Numbers) -> float:
        """The largest difference from other numbers, in units of white."""
        return _distance(mean, std, self.mean, self.std) / self.scale


def find_wrong_statistics(subject: Subject, mean: Numbers, std: Numbers) -> Iterator[Finding]:
    """Compare a mean and a deviation of each channel, for pixels from 0 to 1, with those of the training images.

    Raises:
        UserError: there are not as many numbers as channels.
    """
    channels = subject.splits.train.shape[0]
    if not len(mean) == len(std) == channels:
        raise UserError(
            f"there are {len(mean)} numbers for the mean and {len(std)} for the deviation, but the images have "
            f"{counted(channels, 'channel')}: give one of each for every channel."
        )
    right_mean, right_std = subject.statistics.mean, subject.statistics.std
    off = _distance(mean, std, right_mean, right_std)
    if off <= SAME:
        return
    test = Mistake("statistics of the test images", *channel_statistics(subject.splits.test))
    right = f"The right ones are --mean {_words(right_mean)} --std {_words(right_std)}."
    if off <= NEAR:
        if test.distance(mean, std) <= SAME:
            yield Finding(
                kind="statistics of the test images",
                severity="note",
                what=f"the mean {_words(mean)} and the deviation {_words(std)} are those of the test images.",
                why="What is learnt from test images, were it two numbers, makes them less of a test.",
                remedy=right,
                count=1,
                share=1.0,
            )
        return
    nearest = min((test, *_mistakes(subject.splits.train, right_mean, right_std)), key=lambda m: m.distance(mean, std))
    known = nearest.distance(mean, std) <= NEAR
    yield Finding(
        kind="wrong mean or deviation",
        severity="severe" if known and nearest.scale > 1 else "warning",
        what=f"the mean {_words(mean)} and the deviation {_words(std)} are not those of the training images"
        + (f", but the {nearest.name}." if known else f": they are off by up to {off:.3g} of white."),
        why="Normalised by them the images do not have mean 0 and deviation 1, for which weights are initialised and "
        "learning rates are chosen; at worst all images look the same to the network.",
        remedy=right,
        count=1,
        share=1.0,
    )


def _mistakes(train: ImageSet, mean: Numbers, std: Numbers) -> Iterator[Mistake]:
    """The usual ones, from the right mean and deviation."""
    yield _for_bytes(Mistake("right ones", mean, std))
    yield Mistake("right mean with the variance in place of the deviation", mean, tuple(value**2 for value in std))
    yield Mistake("right ones with the mean divided by three", tuple(value / 3 for value in mean), std)
    yield Mistake("average of the images' own deviations, which is smaller", mean, _average_deviation(train))
    if len(mean) == len(IMAGENET[0]):
        imagenet = Mistake("statistics of ImageNet", *IMAGENET)
        yield from (imagenet, _for_bytes(imagenet))


def _for_bytes(mistake: Mistake) -> Mistake:
    """The same numbers for white at 255."""
    return Mistake(
        f"{mistake.name} for pixels from 0 to 255, where they go from 0 to 1",
        tuple(255 * value for value in mistake.mean),
        tuple(255 * value for value in mistake.std),
        scale=255.0,
    )


def _average_deviation(train: ImageSet) -> Numbers:
    """The mean over the images of each one's standard deviation, for each channel."""
    total = torch.zeros(train.shape[0])
    for images in train.pieces(1024):
        total += images.flatten(start_dim=2).to(torch.float32).std(dim=2, correction=0).sum(dim=0)
    return tuple((total / (255 * len(train))).tolist())


def _distance(mean: Numbers, std: Numbers, other_mean: Numbers, other_std: Numbers) -> float:
    return max(abs(one - other) for one, other in zip(mean + std, other_mean + other_std, strict=True))


def _words(values: Numbers) -> str:
    return " ".join(f"{value:.4g}" for value in values)
