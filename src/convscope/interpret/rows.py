"""The layers of a network by the names that its summary gives them."""

from collections.abc import Iterable, Sequence

from convscope.errors import UserError, unknown
from convscope.models.summary import Layer


def find_layer(layers: Sequence[Layer], name: str) -> Layer:
    """The row of this name among a summary's, but for those that evaluation does not pass through.

    Raises:
        UserError: there is none; names the nearest.
    """
    rows = {layer.name: layer for layer in layers if not layer.training_only}
    if name not in rows:
        raise unknown("layer", name, rows)
    return rows[name]


def check_channels(layer: str, there: int, channels: Iterable[int] | None) -> list[int]:
    """The channels that are asked for of the `there` ones of a layer's output; all of them when None.

    Raises:
        UserError: the layer has no such channel, or none is asked for.
    """
    chosen = list(range(there)) if channels is None else list(channels)
    for channel in chosen:
        if not 0 <= channel < there:
            raise UserError(f"'{layer}' has {there} channels and no channel {channel}: choose from 0 to {there - 1}.")
    if not chosen:
        raise UserError(f"no channel of '{layer}' is chosen: choose from 0 to {there - 1}.")
    return chosen
