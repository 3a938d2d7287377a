"""What the operators answer, without computing it: shapes, dtypes and memory formats, for tracing and compiling.

Their gradients are in csrc/autograd.cpp. Import this once the library is loaded.
"""

import torch
from torch import Tensor


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
    return gx, _pooled(weight, 1) if need_dweight else x.new_empty(0)


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
    shape = (images, channels, height // pool, width // pool)
    return torch.empty(shape, dtype=maps.dtype, device=maps.device, memory_format=torch.channels_last)


def _statistics(maps: Tensor) -> Tensor:
    """A float32 for each channel."""
    return maps.new_empty(maps.shape[1], dtype=torch.float32)


torch.library.register_fake("convscope::norm_act_pool", _norm_act_pool)
torch.library.register_fake("convscope::norm_act_pool_backward", _norm_act_pool_backward)
torch.library.register_fake("convscope::conv_norm_act_pool", _conv_norm_act_pool)
torch.library.register_fake("convscope::conv_norm_act_pool_backward", _conv_norm_act_pool_backward)
torch.library.register_fake("convscope::winograd", _winograd)
torch.library.register_fake("convscope::winograd_backward", _winograd_backward)
torch.library.register_fake("convscope::track", lambda *arguments: None)
torch.library.register_fake("convscope::batch", _batch)
