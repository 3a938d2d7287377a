"""What the operators answer, without computing it: shapes, dtypes and memory formats, for tracing and compiling.

Their gradients are in csrc/autograd.cpp. Import this once the library is loaded.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def _norm_act_pool(
    z: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    residual: Tensor | None,
    training: bool,
    eps: float,
    activation: str,
    slope: float,
    pool: int,
    pool_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _pooled(z, pool), _statistics(z), _statistics(z)


def _norm_act_pool_backward(
    g: Tensor,
    z: Tensor,
    out: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor,
    invstd: Tensor,
    training: bool,
    normed: bool,
    activation: str,
    slope: float,
    pool: int,
    pool_first: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _pooled(z, 1), _statistics(z), _statistics(z), z.new_empty(0) if out is None else _pooled(z, 1)


def _conv_norm_act_pool(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    residual: Tensor | None,
    stride: int,
    padding: int,
    training: bool,
    eps: float,
    activation: str,
    slope: float,
    pool: int,
    pool_first: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    height, width = ((side + 2 * padding - weight.shape[2]) // stride + 1 for side in x.shape[2:])
    z = x.new_empty((x.shape[0], weight.shape[0], height, width), dtype=torch.bfloat16)
    return _pooled(z, pool), _pooled(z, 1), _statistics(z), _statistics(z)


def _conv_norm_act_pool_backward(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    z: Tensor,
    out: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor,
    invstd: Tensor,
    stride: int,
    padding: int,
    training: bool,
    normed: bool,
    activation: str,
    slope: float,
    pool: int,
    pool_first: bool,
    need_gx: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    gx = _pooled(x, 1) if need_gx else x.new_empty(0)
    dresidual = z.new_empty(0) if out is None else _pooled(z, 1)
    return gx, torch.empty_like(weight), _statistics(z), _statistics(z), dresidual


def _winograd(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    height, width = (side + 2 * padding - 2 for side in x.shape[2:])
    return _pooled(x.new_empty((x.shape[0], weight.shape[0], height, width)), 1)


def _winograd_backward(
    g: Tensor, x: Tensor, weight: Tensor, padding: int, need_gx: bool, need_dweight: bool
) -> tuple[Tensor, Tensor]:
    gx = _pooled(x, 1) if need_gx else x.new_empty(0)
    return gx, _pooled(weight, 1) if need_dweight else weight.new_empty(0)


def _max_pool(x: Tensor, size: int, stride: int, padding: int, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    shape = F.max_pool2d(x, size, stride, padding, ceil_mode=ceil_mode).shape
    return _images(x, shape), _images(x, shape, torch.bfloat16)


def _max_pool_backward(
    g: Tensor, places: Tensor, height: int, width: int, size: int, stride: int, padding: int, ceil_mode: bool
) -> Tensor:
    return _images(g, (*g.shape[:2], height, width))


def _response_norm(x: Tensor, size: int, alpha: float, k: float) -> Tensor:
    return _pooled(x, 1)


def _response_norm_backward(g: Tensor, x: Tensor, size: int, alpha: float, k: float) -> Tensor:
    return _pooled(x, 1)


def _batch(
    pixels: Tensor,
    rows: Tensor,
    table: Tensor,
    fill: Tensor,
    mirrored: Tensor | None,
    offsets: Tensor | None,
    centres: Tensor | None,
    side: int,
) -> Tensor:
    # With one channel both orders are the same.
    order = torch.contiguous_format if len(table) == 1 else torch.channels_last
    shape = (len(rows), len(table), *pixels.shape[2:])
    return torch.empty(shape, dtype=torch.float32, device=pixels.device, memory_format=order)


def _pooled(maps: Tensor, pool: int) -> Tensor:
    """Like (N, C, H, W), after a pool: (N, C, H / pool, W / pool), channels-last."""
    images, channels, height, width = maps.shape
    return _images(maps, (images, channels, height // pool, width // pool))


def _images(like: Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    """Of another shape (N, C, H, W), channels-last, and perhaps of another type."""
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device, memory_format=torch.channels_last)


def _statistics(maps: Tensor) -> Tensor:
    """A float32 for each channel."""
    return maps.new_empty(maps.shape[1], dtype=torch.float32)


torch.library.register_fake("convscope::norm_act_pool", _norm_act_pool)
torch.library.register_fake("convscope::norm_act_pool_backward", _norm_act_pool_backward)
torch.library.register_fake("convscope::conv_norm_act_pool", _conv_norm_act_pool)
torch.library.register_fake("convscope::conv_norm_act_pool_backward", _conv_norm_act_pool_backward)
torch.library.register_fake("convscope::winograd", _winograd)
torch.library.register_fake("convscope::winograd_backward", _winograd_backward)
torch.library.register_fake("convscope::max_pool", _max_pool)
torch.library.register_fake("convscope::max_pool_backward", _max_pool_backward)
torch.library.register_fake("convscope::response_norm", _response_norm)
torch.library.register_fake("convscope::response_norm_backward", _response_norm_backward)
torch.library.register_fake("convscope::track", lambda *arguments: None)
torch.library.register_fake("convscope::batch", _batch)
