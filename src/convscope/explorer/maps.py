"""What a network computes for an image: every layer at a glance, and single layers to the last bit."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from convscope.explorer.encoding import floats, heat, numbers
from convscope.explorer.explorer import Explorer
from convscope.explorer.network import weights_of
from convscope.explorer.subject import BEST, Subject
from convscope.models.summary import IMAGE
from convscope.web.answers import Answer, Refused, in_json

TOP = 12
"""Channels of a layer that are shown at a glance."""
_TOP_FEATURES = 64
_LARGEST_MAP = 48  # pixels a side, at a glance
_WEIGHTS_LIMIT = 64 << 20


def recorded(explorer: Explorer, subject: Subject, epoch: str, image: str) -> dict[str, Tensor]:
    """What every layer computes for an image, see `Subject.recorded`."""
    pixels = explorer.images.pixels(image, subject.predictor(epoch).preprocessing)
    return subject.recorded(epoch, image, pixels)


def overview(explorer: Explorer, *, run: str, epoch: str, image: str, top: int = TOP) -> Answer:
    """Every layer as small heat maps, and what the network answers."""
    subject = explorer.subject(run)
    rows = recorded(explorer, subject, epoch, image)
    # The best epoch chooses the channels for all: as epochs pass by on the page, each channel keeps its place.
    best = recorded(explorer, subject, BEST, image)
    logits = rows[subject.output]
    return in_json(
        {
            "image": {"label": explorer.images.label(image), "shape": list(rows[IMAGE].shape)},
            "layers": {
                name: _maps(values, best[name], top if name != IMAGE else len(values))
                if values.ndim == 3
                else _features(values, best[name])
                for name, values in rows.items()
            },
            "logits": numbers(logits),
            "probabilities": numbers(logits.softmax(dim=0)),
        }
    )


def _maps(values: Tensor, ranking: Tensor, top: int) -> dict[str, Any]:
    """The `top` channels of (C, H, W) that reach highest in `ranking`, small, in their order."""
    peaks = ranking.flatten(start_dim=1).amax(dim=1)
    # A stable sort prefers the first of channels that are equally high, such as those that are all 0 after a ReLU.
    channels = peaks.sort(descending=True, stable=True).indices[:top].sort().values
    values = values[channels]
    low, high = values.flatten(start_dim=1).aminmax(dim=1)
    height, width = (min(side, _LARGEST_MAP) for side in values.shape[1:])
    small = F.adaptive_avg_pool2d(values, (height, width))
    return {
        "total": len(ranking),
        "channels": channels.tolist(),
        "size": [height, width],
        "ranges": [list(pair) for pair in zip(numbers(low), numbers(high), strict=True)],
        "maps": heat(small, low, high),
    }


def _features(values: Tensor, ranking: Tensor) -> dict[str, Any]:
    """The features of (F,) furthest from 0 in `ranking`, in their order."""
    channels = ranking.abs().sort(descending=True, stable=True).indices[:_TOP_FEATURES].sort().values
    return {"total": len(values), "channels": channels.tolist(), "values": numbers(values[channels])}


def activation(
    explorer: Explorer, *, run: str, epoch: str, image: str, layer: str, channel: int | None = None
) -> Answer:
    """What one layer, or one of its channels, computes: float32, bit for bit."""
    subject = explorer.subject(run)
    if layer != IMAGE:
        subject.layer(layer)
    rows = recorded(explorer, subject, epoch, image)
    return floats({"": rows[layer] if channel is None else _part(rows[layer], channel, layer)})


def weights(explorer: Explorer, *, run: str, epoch: str, layer: str, channel: int | None = None) -> Answer:
    """The weights of a layer, or those of one channel that it computes: float32, bit for bit."""
    parts = weights_of(explorer, run=run, epoch=epoch, layer=layer)
    if channel is not None:
        parts = {name: _part(tensor, channel, layer) for name, tensor in parts.items()}
        # A kernel is one without the number of its channel; of one number for each channel, one is left.
        parts = {name: part[0] if part.ndim > 1 else part for name, part in parts.items()}
    if 4 * sum(tensor.numel() for tensor in parts.values()) > _WEIGHTS_LIMIT:
        raise Refused(f"the weights of '{layer}' are more than {_WEIGHTS_LIMIT >> 20} MiB: ask for one channel.", 413)
    return floats(parts)


def _part(values: Tensor, channel: int, layer: str) -> Tensor:
    """One channel of a tensor, which keeps its number of dimensions."""
    if channel >= len(values):
        raise Refused(f"the layer '{layer}' has no channel {channel}: choose from 0 to {len(values) - 1}.", 404)
    return values[channel : channel + 1]
