"""Single layers that an operator computes faster than PyTorch: max pools that overlap, local response normalisation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from convscope.kernels.groups import are_maps, as_pair, is_dense

Compute = Callable[[Tensor], Tensor]
"""Maps (N, C, H, W) -> what a layer makes of them."""

LARGEST_WINDOW = 16
"""Side of a pool's window that the operator takes at most."""


def by_operator(layer: nn.Module) -> Compute | None:
    """What computes the same as `layer`, by an operator where it can; None for a layer that has none."""
    if "forward" in vars(layer):
        return None
    if type(layer) is nn.MaxPool2d:
        return _max_pool(layer)
    if isinstance(layer, nn.LocalResponseNorm) and type(layer).__module__.partition(".")[0] in ("torch", "convscope"):
        return _response_norm(layer)  # somebody else's may be another function
    return None


def _max_pool(layer: nn.MaxPool2d) -> Compute | None:
    sides = [as_pair(side) for side in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)]
    (size, _), (stride, _), (padding, _), (dilation, _) = sides
    square = all(height == width for height, width in sides)
    if not square or dilation != 1 or layer.return_indices or size > LARGEST_WINDOW:
        return None
    pool = torch.ops.convscope.max_pool
    return _for_usual_maps(layer, lambda maps: pool(maps, size, stride, padding, layer.ceil_mode)[0])


def _response_norm(layer: nn.LocalResponseNorm) -> Compute | None:
    if layer.beta != 0.75 or layer.size % 2 == 0:
        return None
    norm = torch.ops.convscope.response_norm
    return _for_usual_maps(layer, lambda maps: norm(maps, layer.size, layer.alpha, layer.k))


def _for_usual_maps(layer: nn.Module, operator: Compute) -> Compute:
    """By the operator if the maps suit it, else by the layer."""

    def compute(maps: Tensor) -> Tensor:
        out: Tensor = operator(maps) if are_maps(maps) and is_dense(maps) else layer(maps)
        return out

    return compute
