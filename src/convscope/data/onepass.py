"""The way of a batch from the set's bytes to what the network takes in one pass, by the compiled kernels."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from convscope.data.augment import Augmentation
from convscope.data.imageset import ImageSet
from convscope.data.preprocessing import Preprocessing
from convscope.data.sharing import Part
from convscope.kernels import build

_BYTES = 16
"""Height and width of an image that has each byte once."""


@dataclass(frozen=True)
class OnePass:
    """Gathers images, flips and moves them, blots out a square and normalises, and writes each value once.

    The bits are those of `Preprocessing` and `Augmentation`, which draw the random numbers and fill the table in which
    the kernel looks up what each byte becomes.
    """

    image_set: ImageSet
    augmentation: Augmentation
    table: Tensor
    """float32 (channels, 256)."""
    fill: Tensor
    """float32 (channels,): what comes in over the border."""

    @classmethod
    def of(cls, image_set: ImageSet, preprocessing: Preprocessing, augmentation: Augmentation) -> "OnePass | None":
        """None where the kernels are not loaded, or do not do all that is asked for."""
        pixels, (channels, *sides) = image_set.images, image_set.shape
        by_table = channels in (1, preprocessing.channels) and set(sides) == {preprocessing.size}
        by_pixel = augmentation.crop_scale == 1 and not (augmentation.rotation or augmentation.jitter)
        if not (by_table and by_pixel and pixels.device.type == "cpu" and pixels.is_contiguous() and build.is_loaded()):
            return None
        every_byte = torch.arange(256, dtype=torch.uint8).view(_BYTES, _BYTES).expand(1, channels, -1, -1)
        table = replace(preprocessing, size=_BYTES)(every_byte).view(-1, 256)
        return cls(image_set, augmentation, table, torch.tensor(preprocessing.black, dtype=torch.float32))

    def __call__(self, indices: Tensor, generator: torch.Generator, part: Part) -> Tensor:
        """A batch of float32 (B, channels, size, size), channels-last unless it is yet to be blended.

        Args:
            indices: int64 (B,), of the images in the set.
            generator: on the CPU; decides everything random.
            part: which images of a batch these are.

        Raises:
            IndexError: there is no such image.
        """
        moves = self.augmentation.draw(self.image_set.shape[1:], generator, part=part)
        images: Tensor = torch.ops.convscope.batch(
            self.image_set.images,
            self.image_set.places(indices),
            self.table,
            self.fill,
            moves.mirrored,
            moves.offsets,
            moves.centres,
            self.augmentation.cutout,
        )
        # PyTorch blends the last few values of a tensor by other instructions, which may give a zero another sign: they
        # must be the same ones as without kernels.
        return images.contiguous() if self.augmentation.mixup else images
