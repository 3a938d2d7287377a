"""Which part of the image one value of a network depends on, followed from layer to layer.

The arithmetic is that of Araujo, Norris, Sim, Computing receptive fields of convolutional neural networks, Distill
2019: beside the size and the stride of the field its start is needed as soon as branches join, because fields of
one size need not lie in one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import nn

Pair = tuple[int, int]
"""One figure for the height and one for the width."""

_PIXEL_BY_PIXEL = (
    *(nn.ReLU, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh),
    *(nn.BatchNorm2d, nn.LocalResponseNorm),  # the latter looks at neighbouring channels of the same place
    *(nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity),
    nn.Sequential,  # an empty one, such as some networks have for a shortcut
)
"""Layers whose every value comes from one place."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """The rectangle of the image that each value of a layer depends on.

    That of the value in row i and column j begins `stride` · (i, j) pixels after `start`, the one of the value in the
    top left corner. Near the border some of it lies in the padding: rows and columns below 0, or beyond the image.
    """

    start: Pair
    """First row and first column; 0 or less."""
    size: Pair
    """Height and width in pixels."""
    stride: Pair
    """Pixels of the image from one value's field to its neighbour's; 0 where all see the same."""
    everything: bool = False
    """Whether each value depends on the whole image. After a global pool or a fully connected layer that is all there
    is to say: `size` is the image's. Where such values are but factors of maps, as in squeeze-and-excitation, `start`,
    `size` and `stride` go on to tell what the maps see by themselves."""

    @property
    def one_for_all(self) -> bool:
        """Whether no value has a place of its own any more."""
        return self.everything and self.stride == (0, 0)


def pixel() -> Field:
    """The field of the image's own values."""
    return Field(start=(0, 0), size=(1, 1), stride=(1, 1))


def whole(image: Pair) -> Field:
    """The field of what sees all of an image of this height and width."""
    return Field(start=(0, 0), size=image, stride=(0, 0), everything=True)


def after_layer(layer: nn.Module, field: Field | None, *, maps: tuple[int, ...], image: Pair) -> Field | None:
    """The field of a layer's output from that of its input, whose shape is `maps`: (C, H, W) or (features,).

    None for a layer that is not known here, or whose windows are not alike.
    """
    match layer:
        case nn.Linear():
            return whole(image)
        case nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d():
            return _after_adaptive_pool(layer, field, maps[-2:], image)
        case nn.Conv2d() | nn.MaxPool2d() | nn.AvgPool2d() if field is not None:
            kernel, dilation = _pair(layer.kernel_size), _pair(getattr(layer, "dilation", 1))
            reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
            match layer.padding:
                case "same":
                    padding = [r // 2 for r in reach]
                case "valid":
                    padding = [0, 0]
                case int() | tuple() as numbers:
                    padding = list(_pair(numbers))
            return _slide(field, reach=reach, stride=_pair(layer.stride), padding=padding)
        case _:
            return field if isinstance(layer, _PIXEL_BY_PIXEL) else None


def of_junction(
    fields: Sequence[Field | None], *, inputs: Sequence[tuple[int, ...]], output: tuple[int, ...], image: Pair
) -> Field | None:
    """The field where branches meet value by value or as stacked channels; `inputs` and `output` are shapes.

    It reaches from the first row and column that a branch sees to the last. None where the branches' values do not
    lie over each other, step by step.
    """
    known = [field for field in fields if field is not None]
    if len(known) < len(fields):
        return None
    # What sees everything and has one value for all places is stretched over the others' maps and adds no place.
    placed = [(f, shape) for f, shape in zip(known, inputs, strict=True) if not f.one_for_all]
    if not placed:
        return whole(image)
    first = placed[0][0]
    everything = any(field.everything for field in known)
    if all(field == first for field, _ in placed):
        return replace(first, everything=everything)
    if any(len(shape) != 3 or shape[-2:] != output[-2:] or f.stride != first.stride for f, shape in placed):
        return None
    start = [min(field.start[axis] for field, _ in placed) for axis in (0, 1)]
    end = [max(field.start[axis] + field.size[axis] for field, _ in placed) for axis in (0, 1)]
    return Field(
        start=(start[0], start[1]),
        size=(end[0] - start[0], end[1] - start[1]),
        stride=first.stride,
        everything=everything,
    )


def _after_adaptive_pool(
    layer: nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d, field: Field | None, maps: tuple[int, ...], image: Pair
) -> Field | None:
    wanted = layer.output_size if isinstance(layer.output_size, tuple) else (layer.output_size, layer.output_size)
    output = [size if size is not None else there for size, there in zip(wanted, maps, strict=True)]
    if output == [1, 1]:
        return whole(image)
    windows = [_windows(there, size) for there, size in zip(maps, output, strict=True)]
    if field is None or None in windows:
        return None
    (tall, down), (wide, across) = (window for window in windows if window is not None)
    return _slide(field, reach=[tall - 1, wide - 1], stride=(down, across), padding=[0, 0])


def _windows(there: int, wanted: int) -> tuple[int, int] | None:
    """Kernel and stride of the pool that makes `wanted` values of `there`; None where PyTorch's windows differ."""
    starts = [i * there // wanted for i in range(wanted)]
    sizes = {-(-(i + 1) * there // wanted) - start for i, start in enumerate(starts)}
    strides = {after - before for before, after in pairwise(starts)} or {there}
    return (sizes.pop(), strides.pop()) if len(sizes) == len(strides) == 1 else None


def _slide(field: Field, *, reach: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Field:
    """The field behind a window that reaches so many values beyond its first.

    Each of these values lies as far from the next as the strides before have made it.
    """
    (top, left), (height, width), (down, across) = field.start, field.size, field.stride
    return replace(
        field,
        start=(top - padding[0] * down, left - padding[1] * across),
        size=(height + reach[0] * down, width + reach[1] * across),
        stride=(down * stride[0], across * stride[1]),
    )


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """PyTorch's pools keep one number where height and width are alike."""
    return (value, value) if isinstance(value, int) else value
