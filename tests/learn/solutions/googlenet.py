"""Solutions of the chapter on GoogLeNet, and mistakes that people make."""

import torch
from torch import Tensor


def same_padding(kernel: int, *, dilation: int = 1) -> int:
    return dilation * (kernel - 1) // 2


def pointwise(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("nchw,oc->nohw", images, weight) + bias[:, None, None]


def inception_parameters(
    in_channels: int, conv1: int, conv3_reduce: int, conv3: int, conv5_reduce: int, conv5: int, projection: int
) -> int:
    return (
        (in_channels + 1) * (conv1 + conv3_reduce + conv5_reduce + projection)
        + (9 * conv3_reduce + 1) * conv3
        + (25 * conv5_reduce + 1) * conv5
    )


def _whole(kernel: int, *, dilation: int = 1) -> int:
    return dilation * (kernel - 1)


def _undilated(kernel: int, *, dilation: int = 1) -> int:
    return (kernel - 1) // 2


def _dilated_kernel(kernel: int, *, dilation: int = 1) -> int:
    return dilation * kernel // 2


def _rounded_up(kernel: int, *, dilation: int = 1) -> int:
    return (kernel + 1) // 2


def _reshaped(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    n, c, h, w = images.shape
    return (images.reshape(n, h, w, c) @ weight.T + bias).permute(0, 3, 1, 2)


def _without_bias(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("nchw,oc->nohw", images, weight)


def _channels_last(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1) @ weight.T + bias


def _reshaped_at_last(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    n, _, h, w = images.shape
    return _channels_last(images, weight, bias).reshape(n, len(weight), h, w)


def _not_reduced(
    in_channels: int, conv1: int, conv3_reduce: int, conv3: int, conv5_reduce: int, conv5: int, projection: int
) -> int:
    return _naive(in_channels, conv1, 0, conv3, 0, conv5, 0) + (in_channels + 1) * projection


def _naive(
    in_channels: int, conv1: int, conv3_reduce: int, conv3: int, conv5_reduce: int, conv5: int, projection: int
) -> int:
    return (in_channels + 1) * conv1 + (9 * in_channels + 1) * conv3 + (25 * in_channels + 1) * conv5


def _no_biases(*row: int) -> int:
    return inception_parameters(*row) - sum(row[1:])


def _no_projection(*row: int) -> int:
    return inception_parameters(*row[:6], 0)


def _three_by_three(
    in_channels: int, conv1: int, conv3_reduce: int, conv3: int, conv5_reduce: int, conv5: int, projection: int
) -> int:
    row = (in_channels, conv1, conv3_reduce, conv3, conv5_reduce, conv5, projection)
    return inception_parameters(*row) - 16 * conv5_reduce * conv5


MISTAKES = [
    ("same_padding", _whole, "both sides"),
    ("same_padding", _undilated, "dilation"),
    ("same_padding", _dilated_kernel, "spans"),
    ("same_padding", _rounded_up, "middle"),
    ("pointwise", _reshaped, "permute"),
    ("pointwise", _without_bias, "bias"),
    ("pointwise", _channels_last, "channels come last"),
    ("pointwise", _reshaped_at_last, "permute moves it"),
    ("inception_parameters", _naive, "naive"),
    ("inception_parameters", _not_reduced, "reduced maps"),
    ("inception_parameters", _no_biases, "bias"),
    ("inception_parameters", _no_projection, "pool"),
    ("inception_parameters", _three_by_three, "5x5"),
]
