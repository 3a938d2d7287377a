"""Which parts of which images excite a channel most: what it has learned to look for.

The channel's map is searched for its largest value in each image, and the images with the largest ones are kept
(Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014, arXiv 1311.2901, figure 2). The
patch that this value saw is its receptive field.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from convscope.data import ImageSet, Preprocessing
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.interpret.activations import record
from convscope.interpret.rows import check_channels, find_layer
from convscope.interpret.sampling import batches_of, spread
from convscope.models.summary import Field, summarise

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1: the first column and row, and those just behind the last ones."""


@dataclass(frozen=True)
class Patch:
    """The place in one image that excites a channel most."""

    image: int
    """Its index in the set."""
    value: float
    """The channel's largest value there."""
    place: tuple[int, int]
    """Row and column of that value in the channel's map; (0, 0) of a layer without maps."""
    box: Box
    """What this value sees, in pixels of the network's input, as far as it lies inside the image."""


def exciting(
    model: nn.Module,
    preprocessing: Preprocessing,
    image_set: ImageSet,
    layer: str,
    *,
    channels: Iterable[int] | None = None,
    k: int = 9,
    limit: int = 2000,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> dict[int, tuple[Patch, ...]]:
    """Of each channel the `k` images that excite it most, one patch of each, the most exciting first.

    The layer is given by its name in the network's summary; of its `channels` all are looked at when None. At most
    `limit` images are searched, evenly over the set, and `progress` is told how many are done.

    Raises:
        UserError: no such layer or channel, or `k` or `limit` is below 1.
    """
    if min(k, limit) < 1:
        raise UserError(f"{k} patches of {limit} images cannot be shown: ask for at least 1 of each.")
    size = preprocessing.size
    row = find_layer(summarise(model, (preprocessing.channels, size, size)).layers, layer)
    chosen = check_channels(layer, row.output_shape[0], channels)
    indices = spread(len(image_set), limit)
    values, places, width = [], [], 1
    batches = batches_of(
        model,
        preprocessing,
        image_set,
        indices,
        batch_size=batch_size,
        progress=progress,
        what=f"searching images for {layer}",
    )
    for inputs, _ in batches:
        maps = record(model, inputs, [layer])[layer]
        maps = maps[:, chosen].reshape(len(inputs), len(chosen), *(maps.shape[2:] or (1, 1)))  # (B, c, H, W)
        width = maps.shape[3]
        largest, place = maps.flatten(2).max(dim=2)  # (B, c) both
        values.append(largest.cpu())
        places.append(place.cpu())
    best, which = torch.cat(values).topk(min(k, len(indices)), dim=0)  # (k, c)
    place_of = torch.cat(places).gather(0, which)
    return {
        channel: tuple(
            _patch(row.receptive_field, size, int(indices[image]), value, divmod(place, width))
            for image, value, place in zip(
                which[:, column].tolist(), best[:, column].tolist(), place_of[:, column].tolist(), strict=True
            )
        )
        for column, channel in enumerate(chosen)
    }


def field_box(field: Field | None, place: tuple[int, int], size: int) -> Box:
    """What the value at `place` (row, column) of a map sees of an image of `size` pixels a side.

    The part of the receptive field that lies in the padding is cut off. Where the field cannot be told, all.
    """
    if field is None:
        return 0, 0, size, size
    first = [start + step * at for start, step, at in zip(field.start, field.stride, place, strict=True)]
    last = [start + length for start, length in zip(first, field.size, strict=True)]
    (y0, x0), (y1, x1) = ([min(max(edge, 0), size) for edge in edges] for edges in (first, last))
    return x0, y0, x1, y1


def _patch(field: Field | None, size: int, image: int, value: float, place: tuple[int, int]) -> Patch:
    return Patch(image=image, value=value, place=place, box=field_box(field, place, size))
