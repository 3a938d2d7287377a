"""The ways to compute a convolution: PyTorch's own, and those of the compiled kernels, for what they can take."""

from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Way = Literal["onednn", "winograd", "amx"]
"""PyTorch's library; Winograd's minimal filtering, in float32 whatever the maps are; Intel's units for matrices, in
bfloat16."""

LONGEST_KERNEL = 11
"""Height of a kernel that the operator for AMX takes at most."""


@cache
def has_amx() -> bool:
    """Whether this machine has the instructions."""
    return bool(torch.ops.convscope.has_amx())


def may_gain_alone(conv: nn.Conv2d) -> bool:
    """Whether one of our own ways may be faster, even if nothing follows that could be computed with it."""
    return has_amx() or _suits_winograd(conv)


def our_way(conv: nn.Conv2d, x: Tensor) -> Way | None:
    """Which of our own ways can take x (N, C, H, W), if any."""
    if isinstance(conv.padding, str) or x.shape[1] != conv.in_channels or min(result_shape(conv, x)) < 1:
        return None
    if torch.is_autocast_enabled("cpu"):
        if result_dtype(x) != torch.bfloat16:
            return None
        if has_amx():
            return "amx" if _suits_amx(conv) else None
    elif x.dtype != torch.float32:
        return None
    return "winograd" if _suits_winograd(conv) else None


def result_dtype(x: Tensor) -> torch.dtype:
    """Of what a convolution makes of x: as autocast has it, or as x is."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def result_shape(conv: nn.Conv2d, x: Tensor) -> torch.Size:
    """Of what `conv`, whose padding is in pixels, makes of x."""
    (height, width), (down, right) = x.shape[2:], conv.stride
    pads: tuple[int, int] = conv.padding  # type: ignore[assignment]
    rows = (height + 2 * pads[0] - conv.kernel_size[0]) // down + 1
    columns = (width + 2 * pads[1] - conv.kernel_size[1]) // right + 1
    return torch.Size([len(x), conv.out_channels, rows, columns])


def convolve(conv: nn.Conv2d, x: Tensor, way: Way) -> Tensor:
    """x (N, C, H, W) -> (N, C', H', W'), the bias left out; not for AMX, which goes on to what follows."""
    weight: Tensor = conv.weight
    if way == "winograd":
        convolved: Tensor = torch.ops.convscope.winograd(x.to(result_dtype(x)), weight, conv.padding[0])
        return convolved
    if weight.shape[1] == 1:
        # oneDNN's way for a single channel takes three times as long as that for four, of which three are zero:
        # 10.7 against 3.4 ms in float32 (128 images of 28 pixels, 3x3, 32 channels, forward and backward).
        x, weight = (F.pad(part, (0, 0, 0, 0, 0, 3)) for part in (x, weight))
        x = x.contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, weight, None, conv.stride, conv.padding)


def _suits_winograd(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.padding in ((0, 0), (1, 1), (2, 2))


def _suits_amx(conv: nn.Conv2d) -> bool:
    kernel, stride, padding = conv.kernel_size, conv.stride, conv.padding
    square = kernel[0] == kernel[1] and stride[0] == stride[1] and padding[0] == padding[1]
    return square and kernel[0] <= LONGEST_KERNEL and int(padding[0]) < kernel[0]
