"""Exercises of the chapter on GoogLeNet."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, expect_equal


def _check_same_padding(same_padding: Callable[..., Any]) -> None:
    hints = {
        4: "the padding counts on both sides: h + 2p - k + 1 = h",
        3: "half of the kernel is rounded down: its middle pixel needs no padding",
        2.5: "the middle pixel of the kernel needs no padding: (k - 1) / 2",
    }
    expect_equal(same_padding(5), 2, call="same_padding(5)", hints=hints)
    expect_equal(same_padding(1), 0, call="same_padding(1)", hints={1: "a 1x1 kernel reaches nowhere beyond its pixel"})
    hints = {
        1: "the dilation is not looked at. With dilation 2 the outer pixels of a 3x3 kernel lie 2 pixels from the "
        "middle",
        3: "the kernel spans dilation·(kernel - 1) + 1 = 5 pixels, not dilation·kernel = 6",
    }
    expect_equal(same_padding(3, dilation=2), 2, call="same_padding(3, dilation=2)", hints=hints)
    hints = {10: "(kernel - 1) / 2 pixels, each dilation apart"}
    expect_equal(same_padding(7, dilation=3), 9, call="same_padding(7, dilation=3)", hints=hints)


def _check_pointwise(pointwise: Callable[..., Any]) -> None:
    import torch

    images = torch.arange(18.0).reshape(1, 3, 2, 3)
    weight = torch.tensor([[1.0, -1, 2], [0, 0, 1]])
    bias = torch.tensor([10.0, -8])
    wanted = torch.nn.functional.conv2d(images, weight[:, :, None, None], bias)
    last = wanted.permute(0, 2, 3, 1)
    only_cut = "reshape does not move an axis, it cuts the same row of numbers elsewhere. permute moves it"
    hints = {
        wanted - bias[:, None, None]: "the bias is missing. Each output channel has one, the same at all pixels",
        last: "the channels come last. Move them back to axis 1: permute(0, 3, 1, 2)",
        (images.reshape(1, 2, 3, 3) @ weight.T + bias).permute(0, 3, 1, 2): only_cut,
        (images.reshape(1, 2, 3, 3) @ weight.T + bias).reshape(1, 2, 2, 3): only_cut,
        last.reshape(1, 2, 2, 3): only_cut,
        last.permute(0, 3, 2, 1): "height and width are swapped",
        wanted.flatten(2): "give height and width back: reshape to (N, out, H, W)",
    }
    call = "pointwise(images, weight, bias) of 3 channels of 2x3 pixels to 2 channels"
    expect_equal(pointwise(images, weight, bias), wanted, call=call, hints=hints)
    generator = torch.Generator().manual_seed(0)
    images, weight = torch.randn(2, 5, 3, 4, generator=generator), torch.randn(7, 5, generator=generator)
    bias = torch.randn(7, generator=generator)
    wanted = torch.nn.functional.conv2d(images, weight[:, :, None, None], bias)
    call = "pointwise of images (2, 5, 3, 4) to 7 channels"
    expect_equal(pointwise(images, weight, bias), wanted, call=call)


def _check_inception_parameters(inception_parameters: Callable[..., Any]) -> None:
    row = (192, 64, 96, 128, 16, 32, 32)  # module 3a
    reduced = "the 3x3 and the 5x5 kernels read the reduced maps, conv3_reduce and conv5_reduce, not all in_channels"
    hints = {
        387_296: f"this is the naive module. As built, {reduced}",
        393_472: reduced,
        415_088: reduced,
        79_728: "a 3x3 kernel has 9 weights for each map it reads, a 5x5 kernel 25",
        212_848: "the pool has no parameters, and the convolution after it is 1x1: a weight for each map it reads",
        256: "this is how many maps come out",
        163_328: "these are the weights alone. Each map that a convolution gives has a bias",
        157_520: "the 1x1 convolution after the pool is missing",
        142_080: "the two 1x1 convolutions that reduce the maps are missing",
        155_504: "the third branch has 5x5 kernels: 25 weights for each of its maps",
    }
    expect_equal(inception_parameters(*row), 163_696, call=f"inception_parameters{row}", hints=hints)
    row = (512, 112, 144, 288, 32, 64, 64)  # module 4d
    expect_equal(inception_parameters(*row), 605_376, call=f"inception_parameters{row}")


EXERCISES = (
    Exercise(
        name="same_padding",
        task="Tell how many zeros a convolution with stride 1 needs on each side so that height and width stay the "
        "same; the kernel is odd. With a dilation its pixels lie that far apart. For a kernel of 5 it is 2.",
        stub="def same_padding(kernel: int, *, dilation: int = 1) -> int:",
        check=_check_same_padding,
    ),
    Exercise(
        name="pointwise",
        task="Compute a 1x1 convolution as a product of matrices, without PyTorch's convolutions: images (N, C, H, W), "
        "weight (out, C) and bias (out,) give maps (N, out, H, W). At each pixel every output channel is the sum over "
        "the input channels, each times its weight, plus the bias.",
        stub="def pointwise(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:",
        check=_check_pointwise,
    ),
    Exercise(
        name="inception_parameters",
        task="Count the parameters of an Inception module from its row in table 1: a 1x1 branch; 1x1 then 3x3; 1x1 "
        "then 5x5; a max pool then 1x1 (projection). All convolutions have biases. Module 3a, "
        "inception_parameters(192, 64, 96, 128, 16, 32, 32), has 163,696.",
        stub="def inception_parameters(in_channels: int, conv1: int, conv3_reduce: int, conv3: int, conv5_reduce: int, "
        "conv5: int, projection: int) -> int:",
        check=_check_inception_parameters,
    ),
)
