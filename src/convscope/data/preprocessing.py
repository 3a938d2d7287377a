"""From the bytes of an image to what a network takes. Travels with the weights into every prediction."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.data.decoding import Resize
from convscope.data.imageset import ImageSet
from convscope.data.statistics import Statistics, statistics_of
from convscope.data.transfers import send
from convscope.errors import UserError, unknown

Scaling = Literal["standardise", "unit", "signed"]

LUMA = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the brightness we see: ITU-R BT.601, as in Pillow's "L"."""
_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize, change the channels, scale to [0, 1], normalise: always in this order, whole batches at a time.

    It takes squares of pixels. `decode_size` and `resize` say how a photo becomes one, see `decoding.read_square`.

    Raises:
        UserError: a value is out of range, or `mean` and `std` do not have one number for each channel.
    """

    size: int
    """Height and width the network takes, in pixels; other images are stretched to it."""
    channels: int
    """1 for grey, 3 for colour."""
    mean: tuple[float, ...]
    """Subtracted from the pixels in [0, 1], one number for each channel."""
    std: tuple[float, ...]
    """What they are divided by then."""
    border: float
    """Brightness of the training images' outermost pixels in [0, 1], to recognise inverted photos."""
    decode_size: int
    """Height and width in pixels that the training images had before they were brought to `size`."""
    resize: Resize
    """How a photo of another shape becomes such a square."""

    def __post_init__(self) -> None:
        if min(self.size, self.channels, self.decode_size) < 1:
            raise UserError(
                f"preprocessing from {self.decode_size} to {self.size} pixels and {self.channels} channels is "
                "impossible: all must be at least 1."
            )
        if self.resize not in get_args(Resize):
            raise unknown("resize", str(self.resize), get_args(Resize))
        if not len(self.mean) == len(self.std) == self.channels:
            raise UserError(
                f"preprocessing has {len(self.mean)} means and {len(self.std)} standard deviations for "
                f"{self.channels} channels: give one of each for every channel."
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std, self.border)) or min(self.std) <= 0:
            raise UserError(
                f"preprocessing with mean {self.mean}, std {self.std} and border {self.border} is "
                "impossible: all must be finite and every std positive."
            )

    @classmethod
    def for_training(
        cls,
        train: ImageSet,
        scaling: Scaling = "standardise",
        *,
        size: int | None = None,
        channels: int | None = None,
        resize: Resize = "pad",
        statistics: Statistics | None = None,
    ) -> "Preprocessing":
        """The preprocessing for a network trained on `train`, from that split alone.

        Args:
            train: the training split.
            scaling: pixels with mean 0 and standard deviation 1 over the split ("standardise"), in [0, 1]
                ("unit") or in [-1, 1] ("signed").
            size: height and width of the network's input; that of the images when None.
            channels: channels of the network's input; those of the images when None.
            resize: how the images became squares, see `Splits.resize`.
            statistics: of the training split, where they are known already.

        Raises:
            UserError: the images are not square and no size is given, a channel is constant and cannot be
                standardised, or there is no way from the images' channels to these.
        """
        present, height, width = train.shape
        if size is None and height != width:
            raise UserError(f"the images are {height}x{width}, not square: say to which size to bring them.")
        size = height if size is None else size
        channels = present if channels is None else channels
        _to_channels(train.images[:1], channels)  # complains now if there is no way
        statistics = statistics or Statistics.of(train)
        if scaling == "standardise":
            mean, std = _mean_and_std(train, channels, statistics)
            if min(std) == 0:
                raise UserError(
                    "every pixel of the training images has the same value, so they cannot be standardised: "
                    "check the images."
                )
        elif scaling == "unit":
            mean, std = (0.0,) * channels, (1.0,) * channels
        elif scaling == "signed":
            mean, std = (0.5,) * channels, (0.5,) * channels
        else:
            raise unknown("scaling", scaling, ("standardise", "unit", "signed"))
        return cls(
            size=size,
            channels=channels,
            mean=mean,
            std=std,
            border=statistics.border,
            decode_size=height if height == width else size,
            resize=resize,
        )

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) -> float32 (N, channels, size, size), on the same device."""
        floats = images.to(torch.float32)
        if self.channels == 1:
            floats = _to_channels(floats, 1)  # before the resize, which then has less to do
        if floats.shape[-2:] != (self.size, self.size):
            floats = F.interpolate(
                floats, size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True
            )
        floats = _to_channels(floats, self.channels)
        # (x / 255 - mean) / std as one multiplication and one addition.
        scale = _per_channel([1 / (255 * std) for std in self.std], images)
        # In place, because traffic to the memory is what this costs; but not in the caller's own tensor, nor in a view
        # that shows one channel three times.
        ours = floats.is_contiguous() and floats is not images
        return (floats.mul_(scale) if ours else floats * scale).add_(_per_channel(self.black, images))

    def to_channels(self, images: Tensor) -> Tensor:
        """Images uint8 (N, 1 or 3, H, W) with the network's channels, so that grey and colour fit into one batch."""
        if images.shape[1] == self.channels:
            return images
        return _to_channels(images.float(), self.channels).round().to(torch.uint8)

    @property
    def black(self) -> tuple[float, ...]:
        """What a black pixel becomes, in each channel."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, ready for JSON; `from_dict` is its inverse."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Read back what `to_dict` gave.

        Raises:
            UserError: a key is missing or unknown, or a value has the wrong type.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                raise unknown("preprocessing key", key, names)
        for name in names:
            if name not in values:
                raise UserError(f"the preprocessing lacks '{name}': restore the file it was read from.")
        return cls(
            size=_whole_number("size", values["size"]),
            channels=_whole_number("channels", values["channels"]),
            mean=_numbers("mean", values["mean"]),
            std=_numbers("std", values["std"]),
            border=_numbers("border", [values["border"]])[0],
            decode_size=_whole_number("decode_size", values["decode_size"]),
            resize=values["resize"],
        )


def _mean_and_std(
    train: ImageSet, channels: int, statistics: Statistics
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the images once they have `channels` channels."""
    if train.shape[0] > channels:
        return statistics_of(_to_channels(piece.float(), 1).round().to(torch.uint8) for piece in train.pieces(_CHUNK))
    repeats = channels // train.shape[0]
    return statistics.mean * repeats, statistics.std * repeats


def _to_channels(images: Tensor, channels: int) -> Tensor:
    """float (N, C, H, W) -> (N, channels, H, W): grey is repeated, colour weighted by its luma."""
    present = images.shape[1]
    if present == channels:
        return images
    if present == 1:
        return images.expand(-1, channels, -1, -1)
    if present == 3 and channels == 1:
        return (images * _per_channel(LUMA, images)).sum(dim=1, keepdim=True)
    raise UserError(f"there is no way from {present} channels to {channels}: give grey or colour images.")


def _per_channel(values: tuple[float, ...] | list[float], like: Tensor) -> Tensor:
    return send(torch.tensor(values, dtype=torch.float32), like.device).view(1, -1, 1, 1)


def _whole_number(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"the preprocessing's '{name}' is {value!r}, no whole number: restore the file.")
    return value


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    ):
        raise UserError(f"the preprocessing's '{name}' is {values!r}, not made of numbers: restore the file.")
    try:
        return tuple(float(value) for value in values)
    except OverflowError as error:
        raise UserError(
            f"the preprocessing's '{name}' has a number beyond all that a float can hold: restore the file."
        ) from error
