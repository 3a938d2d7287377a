"""Right solutions of the exercises on convolution, and mistakes that must be recognised."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def output_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def convolve(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    kernel = weight.shape[2]
    height, width = image.shape[1] - kernel + 1, image.shape[2] - kernel + 1
    answer = bias.view(-1, 1, 1).repeat(1, height, width)
    for u in range(kernel):
        for v in range(kernel):
            answer += torch.einsum("oc,chw->ohw", weight[:, :, u, v], image[:, u : u + height, v : v + width])
    return answer


def conv_parameters(in_channels: int, out_channels: int, kernel: int, *, bias: bool = True) -> int:
    return (kernel * kernel * in_channels + bias) * out_channels


def conv_multiply_adds(
    in_channels: int, out_channels: int, kernel: int, *, height: int, width: int, stride: int = 1, padding: int = 0
) -> int:
    places = output_size(height, kernel, stride=stride, padding=padding)
    places *= output_size(width, kernel, stride=stride, padding=padding)
    return kernel * kernel * in_channels * out_channels * places


def _square(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return convolve(image[:, :, : image.shape[1]], weight, bias)


MISTAKES = [
    ("output_size", lambda n, k, *, stride, padding, dilation: (n + padding - k) // stride + 1, "both sides"),
    ("output_size", lambda n, k, *, stride, padding, dilation: (n + 2 * padding - k) // stride, "first place"),
    (
        "output_size",
        lambda n, k, *, stride, padding, dilation: math.ceil((n + 2 * padding - k) / stride) + 1,
        "round down",
    ),
    ("output_size", lambda n, k, *, stride, padding, dilation: (n + 2 * padding - k) / stride + 1, "//"),
    ("output_size", lambda n, k, *, stride, padding, dilation: (n + 2 * padding - k) // stride + 1, "dilation"),
    ("output_size", lambda n, k, *, stride, padding, dilation: (n - k) // stride + 1, "missing"),
    ("convolve", lambda image, weight, bias: F.conv2d(image, weight.flip(2, 3), bias), "turned"),
    ("convolve", lambda image, weight, bias: F.conv2d(image, weight.mT, bias), "rows"),
    ("convolve", lambda image, weight, bias: F.conv2d(image, weight), "biases"),
    ("convolve", lambda image, weight, bias: F.conv2d(image, weight) + bias.sum(), "own bias"),
    ("convolve", lambda image, weight, bias: F.conv2d(image[:1], weight[:, :1], bias), "first input"),
    ("convolve", lambda image, weight, bias: F.conv2d(image, weight, bias, padding=1), "(1, 4, 4)"),
    ("convolve", lambda image, weight, bias: F.conv2d(image[-1:], weight[:, -1:], bias), "last input"),
    ("convolve", lambda image, weight, bias: convolve(image, weight, bias.zero_()), "changed the bias"),
    ("convolve", _square, "square"),
    ("conv_parameters", lambda c, o, k, *, bias: k * k * c * o, "biases"),
    ("conv_parameters", lambda c, o, k, *, bias: k * k * c * o + c, "input"),
    ("conv_parameters", lambda c, o, k, *, bias: (k * k + 1) * o, "all input"),
    ("conv_parameters", lambda c, o, k, *, bias: (k * k * c + 1) * o, "bias=False"),
    ("conv_parameters", lambda c, o, k, *, bias: (9 * c + 1) * o, "5 x 5"),
    ("conv_multiply_adds", lambda c, o, k, **rest: k * k * c * o, "weights"),
    ("conv_multiply_adds", lambda c, o, k, **rest: conv_multiply_adds(1, o, k, **rest), "all input"),
    ("conv_multiply_adds", lambda c, o, k, **rest: conv_multiply_adds(c, 1, k, **rest), "own kernels"),
    ("conv_multiply_adds", lambda c, o, k, **rest: conv_multiply_adds(c, o, k, **(rest | {"padding": 0})), "padding"),
    ("conv_multiply_adds", lambda c, o, k, **rest: 2 * conv_multiply_adds(c, o, k, **rest), "as one"),
    ("conv_multiply_adds", lambda c, o, k, *, height, width, **rest: k * k * c * o * height * width, "output"),
    (
        "conv_multiply_adds",
        lambda c, o, k, **rest: conv_multiply_adds(c, o, k, **(rest | {"width": rest["height"]})),
        "square",
    ),
]
