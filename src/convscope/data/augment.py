"""Random changes that leave an image's class as it is, for a whole batch at once and on its device.

Each image draws its own numbers; nothing loops over images. The numbers come from a generator on the CPU, so
the same seed changes the same images in the same way on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a training image; by default nothing does.

    Raises:
        UserError: a value is out of range.
    """

    flip: bool = False
    """Mirror left and right, every second image on average."""
    shift: int = 0
    """Move by up to this many whole pixels in each direction (a random crop of the padded image)."""
    rotation: float = 0.0
    """Turn about the centre by up to this many degrees either way."""
    cutout: int = 0
    """Side in pixels of a square that is blotted out; 0 for none."""

    def __post_init__(self) -> None:
        if self.shift < 0 or self.cutout < 0:
            raise UserError(
                f"a shift of {self.shift} and a cutout of {self.cutout} pixels: neither can be negative; "
                "use 0 for none."
            )
        if not 0 <= self.rotation <= 180:
            raise UserError(f"a rotation of {self.rotation} degrees is not between 0 and 180; use 0 for none.")

    def __call__(self, images: Tensor, generator: torch.Generator, *, fill: Sequence[float]) -> Tensor:
        """Change a batch.

        Args:
            images: float (N, C, H, W), normalised.
            generator: on the CPU; decides everything.
            fill: what a black pixel is after normalisation, in each channel (`Preprocessing.black`); comes in
                where a shift or rotation uncovers the outside.

        Returns:
            a tensor like `images`; `images` itself when there is nothing to do.
        """
        count = len(images)
        if self.flip:
            chosen = torch.rand(count, generator=generator) < 0.5
            images = flip(images, chosen)
        if self.rotation or self.shift:
            offsets = torch.randint(-self.shift, self.shift + 1, (count, 2), generator=generator)
            if self.rotation:
                degrees = (2 * torch.rand(count, generator=generator) - 1) * self.rotation
                images = rotate_and_shift(images, degrees, offsets, fill)
            else:
                images = shift(images, offsets, self.shift, fill)
        if self.cutout:
            height, width = images.shape[-2:]
            rows = torch.randint(height, (count,), generator=generator)
            columns = torch.randint(width, (count,), generator=generator)
            images = cut_out(images, rows, columns, self.cutout)
        return images


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) for which `chosen`, bool (N,), is true."""
    return torch.where(chosen.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)


def shift(images: Tensor, offsets: Tensor, most: int, fill: Sequence[float]) -> Tensor:
    """Move each image by its own number of pixels: a crop of the image padded by `most` pixels all round.

    Args:
        images: (N, C, H, W).
        offsets: int64 (N, 2) in [-most, most], down and to the right.
        most: the largest offset there is.
        fill: the padding's value, in each channel.
    """
    count, _, height, width = images.shape
    padded = _per_channel(fill, images).repeat(count, 1, height + 2 * most, width + 2 * most)
    padded[:, :, most : most + height, most : most + width] = images
    # A view of all crops, (N, C, 2 most + 1, 2 most + 1, H, W); indexing copies one of them for each image.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)
    top, left = (most - offsets).to(images.device).unbind(1)
    return crops[torch.arange(count, device=images.device), :, top, left]


def rotate_and_shift(images: Tensor, degrees: Tensor, offsets: Tensor, fill: Sequence[float]) -> Tensor:
    """Turn each image about its centre, then move it: one bilinear resampling of the batch.

    Args:
        images: (N, C, H, W).
        degrees: float (N,), anticlockwise.
        offsets: int64 (N, 2), pixels down and to the right.
        fill: the value outside the image, in each channel.
    """
    height, width = images.shape[-2:]
    radians = torch.deg2rad(degrees).to(images)
    cosine, sine = radians.cos(), radians.sin()
    down, right = offsets.to(images).unbind(1)
    # Every pixel of the result asks where it comes from: back by the offset, then back by the angle, both seen
    # from the centre. One product of matrices answers for the batch (F.affine_grid takes ten times as long).
    y = torch.arange(height).to(images) - (height - 1) / 2
    x = torch.arange(width).to(images) - (width - 1) / 2
    points = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones_like(x).repeat(height)])
    matrices = torch.stack(
        [
            torch.stack([cosine, -sine, sine * down - cosine * right], dim=1) * (2 / width),
            torch.stack([sine, cosine, -sine * right - cosine * down], dim=1) * (2 / height),
        ],
        dim=1,
    )  # (N, 2, 3); 2 / width, because grid_sample counts from -1 to 1 between the image's outer edges, x before y
    sources = (matrices.view(-1, 3) @ points).view(-1, 2, height, width)
    # grid_sample puts zeros outside, so the fill is made zero meanwhile.
    outside = _per_channel(fill, images)
    return F.grid_sample(images - outside, sources.permute(0, 2, 3, 1), align_corners=False) + outside


def cut_out(images: Tensor, rows: Tensor, columns: Tensor, side: int) -> Tensor:
    """Set a square of each image to 0, the mean of normalised images.

    DeVries and Taylor: Improved regularization of convolutional neural networks with cutout (arXiv 1708.04552),
    §3: the centre lies anywhere in the image, so that squares at the border lose a part.

    Args:
        images: (N, C, H, W).
        rows: int64 (N,), of the pixel at the centre, or just below it when the side is even.
        columns: int64 (N,), of the pixel at the centre, or just right of it when the side is even.
        side: of the square, in pixels.
    """
    height, width = images.shape[-2:]
    in_rows = _covered(rows, height, side).to(images)
    in_columns = _covered(columns, width, side).to(images)
    # Numbers instead of truth values, because a product broadcasts several times faster than a logical and.
    return images * (1 - in_rows[:, None, :, None] * in_columns[:, None, None, :])


def _covered(centres: Tensor, length: int, side: int) -> Tensor:
    """bool (N, length): which places a segment of `side` around each centre covers."""
    distance = torch.arange(length) - (centres.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)


def _per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
