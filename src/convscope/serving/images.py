"""The images of a request, decoded: those that can be, and why the others cannot."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.data import Preprocessing
from convscope.data.decoding import Undecodable, decode_square, open_image, undecodable
from convscope.errors import UserError
from convscope.predict.doubts import doubts
from convscope.serving.questions import Given, Limits


@dataclass(frozen=True)
class Decoded:
    """What became of some images."""

    squares: Tensor
    """uint8 (n, channels, decode_size, decode_size) of those that could be decoded."""
    warnings: Sequence[str | None]
    """A reason to doubt what a network will say, of each of these n."""
    errors: Sequence[UserError | None]
    """Of each image that was given."""

    @classmethod
    def of_all(cls, parts: "Sequence[Decoded]") -> "Decoded":
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.cat([part.squares for part in parts]),
            [warning for part in parts for warning in part.warnings],
            [error for part in parts for error in part.errors],
        )


def decode(images: Sequence[Given], known: Preprocessing, limits: Limits, *, invert: bool) -> Decoded:
    """Decode images as those of the training were; `invert` exchanges light and dark.

    For any number of threads, around which Pillow is to be kept quiet, see `data.decoding.quiet_pillow`.
    """
    squares: list[Tensor] = []
    errors: list[UserError | None] = []
    for given in images:
        try:
            squares.append(_square(given, known, limits))
            errors.append(None)
        except UserError as error:
            errors.append(error)
    if not squares:
        nothing = torch.empty(0, known.channels, known.decode_size, known.decode_size, dtype=torch.uint8)
        return Decoded(nothing, (), errors)
    together = 255 - torch.stack(squares) if invert else torch.stack(squares)
    reasons = doubts(together, known.border, exchanged=invert)
    # Here it is no flag of the command line, but a parameter.
    return Decoded(together, [reason and reason.replace("--invert", "invert") for reason in reasons], errors)


def _square(given: Given, known: Preprocessing, limits: Limits) -> Tensor:
    """uint8 (channels, decode_size, decode_size)."""
    if isinstance(given.content, UserError):
        raise given.content
    if len(given.content) > limits.image_bytes:
        raise Undecodable(given.name, f"has more than {limits.image_bytes >> 20} MiB", "give a smaller copy of it")
    with undecodable(given.name), open_image(io.BytesIO(given.content)) as opened:
        pixels = opened.width * opened.height
        square = decode_square(opened, size=known.decode_size, resize=known.resize) if pixels <= limits.pixels else None
    if square is None:
        millions = limits.pixels // 10**6
        raise Undecodable(given.name, f"has more than {millions} million pixels", "give a smaller copy of it")
    return known.to_channels(square[None])[0]
