"""What may happen at random to training images, for a whole batch at once and on its device.

Each image draws its own numbers; nothing loops over images. The numbers come from a generator on the CPU, so
the same seed changes the same images in the same way on every device. They are drawn for the whole batch even
where only a part of it is at hand, so that several processes change a batch as one would.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.data.mixing import cutmix, draw_share, mixup
from convscope.data.sharing import Part
from convscope.data.transforms import crop, cut_out, flip, jitter, rotate_and_shift, shift
from convscope.errors import UserError

_WIDEST = 4 / 3  # width of a random crop over its height, or the other way round: arXiv 1409.4842, §6


@dataclass(frozen=True)
class Moves:
    """What was drawn for each of N images; None where nothing of the kind is to happen."""

    mirrored: Tensor | None
    """bool (N,): whether left and right change places."""
    offsets: Tensor | None
    """int64 (N, 2): pixels down and to the right."""
    degrees: Tensor | None
    """float (N,): a turn anticlockwise."""
    centres: Tensor | None
    """int64 (N, 2): row and column in the middle of the square that is blotted out."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a training image; by default nothing does.

    A batch goes through `crop` and `recolour` as pixels, through the call once it is normalised, and through `mix` in
    the end. Each gives back the very tensor it was given where it has nothing to do.

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
    crop_scale: float = 1.0
    """Least share of the area that a random part of the image keeps, which is stretched to the full size; 1 for all."""
    jitter: float = 0.0
    """Factors on brightness, contrast and saturation lie this far from 1 at most; 0 for none."""
    mixup: float = 0.0
    """Blend images in pairs, by shares from Beta(mixup, mixup); 0 for none."""
    cutmix: float = 0.0
    """Paste a box of one image into another, by shares from Beta(cutmix, cutmix); 0 for none. With mixup too, each
    batch draws one of the two."""

    def __post_init__(self) -> None:
        if self.shift < 0 or self.cutout < 0:
            raise UserError(
                f"a shift of {self.shift} and a cutout of {self.cutout} pixels: neither can be negative; "
                "use 0 for none."
            )
        if not 0 <= self.rotation <= 180:
            raise UserError(f"a rotation of {self.rotation} degrees is not between 0 and 180; use 0 for none.")
        if not 0 < self.crop_scale <= 1:
            raise UserError(f"a crop_scale of {self.crop_scale} is not a share above 0; use 1 for no cropping.")
        if not 0 <= self.jitter <= 1:
            raise UserError(f"a jitter of {self.jitter} is not between 0 and 1; use 0 for none.")
        if not (0 <= self.mixup < math.inf and 0 <= self.cutmix < math.inf):
            raise UserError(
                f"a mixup of {self.mixup} and a cutmix of {self.cutmix}: both must be finite and not negative; "
                "use 0 for none."
            )

    @property
    def mixes(self) -> bool:
        """Whether images are made out of two."""
        return self.mixup > 0 or self.cutmix > 0

    def crop(self, images: Tensor, size: int, generator: torch.Generator, *, part: Part | None = None) -> Tensor:
        """Keep a random part of each image, brought to the size of the network.

        Szegedy et al.: Going deeper with convolutions (arXiv 1409.4842), §6: a part with a random share of the area and
        a random ratio of its sides. Of the ratios, those are allowed with which such a part fits into the image.

        Args:
            images: uint8 (N, C, H, W).
            size: height and width of the result.
            generator: on the CPU; decides everything.
            part: which images of a batch these are, if not a whole one.

        Returns:
            `images` themselves without cropping; else float32 (N, C, size, size) in [0, 255].
        """
        if self.crop_scale == 1:
            return images
        part = part or Part.all(len(images))
        area, ratio, down, right = torch.rand(4, part.size, generator=generator)[:, part.rows]
        area = self.crop_scale + (1 - self.crop_scale) * area
        widest = torch.minimum(torch.tensor(math.log(_WIDEST)), -area.log())
        ratio = ((2 * ratio - 1) * widest).exp()
        height, width = (area / ratio).sqrt(), (area * ratio).sqrt()
        boxes = torch.stack([down * (1 - height), right * (1 - width), height, width], dim=1)
        return crop(images, boxes, size)

    def recolour(self, images: Tensor, generator: torch.Generator, *, part: Part | None = None) -> Tensor:
        """Change brightness, contrast and saturation of each image.

        Args:
            images: uint8 or float32 (N, C, H, W) in [0, 255].
            generator: on the CPU; decides everything.
            part: which images of a batch these are, if not a whole one.

        Returns:
            `images` themselves without jitter; else float32 in [0, 255] of the same shape.
        """
        if not self.jitter:
            return images
        part = part or Part.all(len(images))
        factors = 1 + self.jitter * (2 * torch.rand(3, part.size, generator=generator) - 1)
        return jitter(images, *factors[:, part.rows])

    def __call__(
        self, images: Tensor, generator: torch.Generator, *, fill: Sequence[float], part: Part | None = None
    ) -> Tensor:
        """Flip, turn and move images, and blot out a square.

        Args:
            images: float (N, C, H, W), normalised.
            generator: on the CPU; decides everything.
            fill: what a black pixel is after normalisation, in each channel (`Preprocessing.black`); comes in
                where a shift or rotation uncovers the outside.
            part: which images of a batch these are, if not a whole one.

        Returns:
            a tensor like `images`; `images` itself when there is nothing to do.
        """
        moves = self.draw(images.shape[-2:], generator, part=part or Part.all(len(images)))
        if moves.mirrored is not None:
            images = flip(images, moves.mirrored)
        if moves.degrees is not None and moves.offsets is not None:
            images = rotate_and_shift(images, moves.degrees, moves.offsets, fill)
        elif moves.offsets is not None:
            images = shift(images, moves.offsets, self.shift, fill)
        if moves.centres is not None:
            down, right = moves.centres.unbind(1)
            images = cut_out(images, down, right, self.cutout)
        return images

    def draw(self, size: Sequence[int], generator: torch.Generator, *, part: Part) -> Moves:
        """What the call is to do to images of this height and width.

        Args:
            size: height and width.
            generator: on the CPU; decides everything.
            part: which images of a batch these are.
        """
        count, rows = part.size, part.rows
        mirrored = offsets = degrees = centres = None
        if self.flip:
            mirrored = torch.rand(count, generator=generator)[rows] < 0.5
        if self.rotation or self.shift:
            offsets = torch.randint(-self.shift, self.shift + 1, (count, 2), generator=generator)[rows]
        if self.rotation:
            degrees = (2 * torch.rand(count, generator=generator)[rows] - 1) * self.rotation
        if self.cutout:
            centres = torch.stack([torch.randint(side, (count,), generator=generator) for side in size], dim=1)[rows]
        return Moves(mirrored, offsets, degrees, centres)

    def mix(
        self, images: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Make images out of two each, and targets to match.

        Args:
            images: float (N, C, H, W).
            labels: int64 (N,).
            num_classes: how many classes there are.
            generator: on the CPU; decides everything.

        Returns:
            `images` and `labels` themselves without mixup and cutmix; else images like them, and float32
            (N, num_classes): how much of each class an image is made of.
        """
        if not self.mixes:
            return images, labels
        targets = F.one_hot(labels, num_classes).to(torch.float32)
        blend = not self.cutmix or (self.mixup > 0 and float(torch.rand((), generator=generator)) < 0.5)
        share = draw_share(self.mixup if blend else self.cutmix, generator)
        if blend:
            return mixup(images, targets, share)
        row, column = (int(torch.randint(side, (), generator=generator)) for side in images.shape[-2:])
        return cutmix(images, targets, share, centre=(row, column))
