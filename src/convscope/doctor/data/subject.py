"""The images that the data doctor looks at: those of all three parts, one after the other."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from convscope.config import Config
from convscope.data import ImageSet, Splits, Statistics, is_photos, load_photos, load_splits
from convscope.data.decoded import DecodedFile
from convscope.doctor.findings import Example
from convscope.downloads import Progress

PARTS = ("train", "val", "test")
_SCRATCH = 1 << 25
"""Bytes of pixels that are looked at together."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A data set with what is known of each of its N images: train first, then val, then test."""

    splits: Splits
    size: int
    """Side in pixels to which photos were brought; of other images their longer edge."""
    statistics: Statistics
    """Of the training images."""
    files: tuple[DecodedFile, ...] | None
    """The file of each image; None for a data set of arrays."""

    @property
    def sets(self) -> tuple[ImageSet, ImageSet, ImageSet]:
        """The three parts."""
        return self.splits.train, self.splits.val, self.splits.test

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.splits.train.classes

    @property
    def labels(self) -> Tensor:
        """int64 (N,)."""
        return torch.cat([image_set.labels for image_set in self.sets])

    @property
    def parts(self) -> Tensor:
        """int64 (N,): the index in PARTS."""
        return torch.arange(3).repeat_interleave(torch.tensor([len(image_set) for image_set in self.sets]))

    def __len__(self) -> int:
        return sum(len(image_set) for image_set in self.sets)

    def pieces(self) -> Iterator[Tensor]:
        """All images in order, some at a time: uint8 (at most so many, C, H, W)."""
        at_once = max(1, _SCRATCH // math.prod(self.splits.train.shape))
        for image_set in self.sets:
            yield from image_set.pieces(at_once)

    def digests(self) -> list[str]:
        """Of each image's file, or of its pixels where it has no file: the same for identical copies."""
        if self.files is not None:
            return [file.digest for file in self.files]
        pixels = (image for piece in self.pieces() for image in piece)
        return [hashlib.blake2b(image.contiguous().numpy(), digest_size=16).hexdigest() for image in pixels]

    def example(self, index: int, note: str = "") -> Example:
        """The image at `index`, for a finding to show."""
        part, place = 0, index
        while place >= len(self.sets[part]):
            place -= len(self.sets[part])
            part += 1
        image_set = self.sets[part]
        row = place if image_set.rows is None else int(image_set.rows[place])
        # Validation images are cut off the training file, and have their numbers in it.
        name = self.files[index].path if self.files else f"{'test' if part == 2 else 'train'} image {row}"
        label = image_set.classes[int(image_set.labels[place])]
        return Example(name, label, PARTS[part], note, image_set.take(torch.tensor([place]))[0].clone())


def load_subject(
    data: str | Path,
    config: Config,
    *,
    size: int,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Subject:
    """Load a data set, divided as `config` says, photos at `size` pixels; errors as in `data.load_splits`."""
    if not is_photos(data):
        splits = load_splits(
            data, val_share=config.val_share, seed=config.split_seed, data_dir=data_dir, progress=progress
        )
        return Subject(splits, max(splits.train.shape[1:]), Statistics.of(splits.train), files=None)
    photos = load_photos(
        data,
        val_share=config.val_share,
        test_share=config.test_share,
        seed=config.split_seed,
        size=size,
        resize=config.resize,
        data_dir=data_dir,
        progress=progress,
    )
    rows = torch.cat([photos.parts["train"], photos.parts["val"], photos.parts["test"]])
    splits = photos.splits(str(data))
    files = tuple(photos.decoded.files[row] for row in rows.tolist())
    return Subject(splits, size, splits.statistics or Statistics.of(splits.train), files)
