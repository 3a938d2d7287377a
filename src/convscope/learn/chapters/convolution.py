"""Exercises of the chapter on convolution."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal

if TYPE_CHECKING:
    from torch import Tensor


def _check_output_size(answer: Callable[..., Any]) -> None:
    for size, kernel, stride, padding, dilation in (
        (4, 3, 1, 0, 1),
        (28, 5, 1, 2, 1),
        (6, 3, 2, 0, 1),
        (6, 3, 2, 1, 1),
        (224, 7, 2, 3, 1),
        (32, 3, 1, 0, 2),
        (33, 5, 3, 2, 2),
    ):
        reach = dilation * (kernel - 1) + 1
        room = size + 2 * padding - reach
        # Where several mistakes give the same number, the last one has not been caught before.
        hints = {
            size // stride: "the kernel and the padding count too",
            room + 1: "the stride is missing: only every so many places are taken",
            (size - reach) // stride + 1: "the padding is missing: it makes the row longer, on both sides",
            (room + 1) // stride: "the first place counts too: divide first, then add 1",
            room // stride: "the first place counts too: add 1",
            (size + padding - reach) // stride + 1: "the padding counts on both sides",
            -(-room // stride) + 1: "a last place that does not fit any more does not count: round down",
            (size + 2 * padding - dilation * kernel) // stride + 1: _DILATION,
            (size + 2 * padding - kernel) // stride + 1: _DILATION,
        }
        expect_equal(
            answer(size, kernel, stride=stride, padding=padding, dilation=dilation),
            room // stride + 1,
            call=f"output_size({size}, {kernel}, stride={stride}, padding={padding}, dilation={dilation})",
            hints=hints,
        )


_DILATION = "with dilation the kernel reaches over dilation · (kernel − 1) + 1 pixels"


def _check_convolve(answer: Callable[..., Any]) -> None:
    import torch
    import torch.nn.functional as F

    image = torch.tensor([[[1.0, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]])
    kernel = torch.tensor([[[[2.0, 0, 1], [0, 1, 2], [1, 0, 2]]]])
    call = "convolve of the chapter's example (1, 4, 4) with its kernel (1, 1, 3, 3)"
    got = _convolve(answer, image, kernel, torch.zeros(1), call)
    if isinstance(got, torch.Tensor) and got.shape == image.shape:
        raise Wrong(f"{call} gave shape {tuple(got.shape)}: without padding the kernel has 2 x 2 places only.")
    hints: dict[Tensor, str] = {
        F.conv2d(image, kernel.flip(2, 3)): "the kernel lies otherwise, turned round (as in mathematics, but not in "
        "networks) or with its rows as columns",
        F.conv2d(image, torch.ones_like(kernel)): "these are sums of the image without the kernel",
        torch.tensor([[[15.0, 6.0], [16.0, 15.0]]]): "rows and columns of the output have changed places",
    }
    expect_equal(got, torch.tensor([[[15.0, 16.0], [6.0, 15.0]]]), call=call, hints=hints)

    generator = torch.Generator().manual_seed(0)
    image, weight, bias = (
        torch.randint(-3, 4, shape, generator=generator).float() for shape in ((3, 3, 5), (2, 3, 2, 2), (2,))
    )
    bias = bias.sign() * 5 + 1.0
    call = "convolve of an image (3, 3, 5) with weights (2, 3, 2, 2) and biases (2,)"
    plain = F.conv2d(image, weight)
    b = bias.view(2, 1, 1)
    got = _convolve(answer, image, weight, bias, call)
    if isinstance(got, torch.Tensor):
        for shape, hint in (
            ((2, 2, 2), "the image is not square: its width is in image.shape[2]"),
            ((1, 2, 4), "there is one map for each output channel: (2, 2, 4)"),
            ((2, 4), "there is one map for each output channel: (2, 2, 4)"),
            ((3, 2, 4), "there is one map for each output channel, 2, and not for each input channel"),
            ((2, 3, 2, 4), "an output channel adds up what its kernels find in all input channels"),
        ):
            if got.shape == shape:
                raise Wrong(f"{call} gave shape {shape}: {hint}.")
    first, last = F.conv2d(image[:1], weight[:, :1]), F.conv2d(image[-1:], weight[:, -1:])
    hints = {
        plain: "the biases are missing",
        plain + 3 * b: "each bias is added once, not once for each input channel",
        plain + bias.sum(): "each output channel has its own bias",
        plain + bias[0]: "each output channel has its own bias",
        first + b: "only the first input channel was looked at: add up all of them",
        last + b: "only the last input channel is left: add up all of them, with += for example",
        F.conv2d(image, weight[:, :1].expand_as(weight)) + b: "each input channel has a kernel of its own",
        plain / 3 + b: "the input channels are added up, not averaged",
        F.conv2d(image, weight.flip(2, 3)) + b: "the kernels were turned round, as in mathematics; networks do not do "
        "that",
        F.conv2d(image, weight.mT) + b: "rows and columns of the kernels have changed places",
    }
    expect_equal(got, plain + b, call=call, hints=hints)


def _convolve(answer: Callable[..., Any], image: "Tensor", weight: "Tensor", bias: "Tensor", call: str) -> Any:
    """What the learner's function makes of these, which stay as they were."""
    given = [image.clone(), weight.clone(), bias.clone()]
    got = answer(*given)
    for name, before, after in zip(("image", "weight", "bias"), (image, weight, bias), given, strict=True):
        if not before.equal(after):
            raise Wrong(f"{call} changed the {name} it was given: make a new tensor instead.")
    return got


def _check_conv_parameters(answer: Callable[..., Any]) -> None:
    for in_channels, out_channels, kernel, bias in ((3, 16, 5, True), (16, 32, 3, True), (64, 128, 5, False)):
        area = kernel * kernel
        weights = area * in_channels * out_channels
        hints = {
            weights: "the biases are missing: one for each output channel",
            weights + 1: "there is a bias for each output channel, not one for the whole layer",
            weights + in_channels: "there is a bias for each output channel, not for each input channel",
            weights + in_channels * out_channels: "there is one bias for each output channel, not one for each kernel",
            (area + 1) * out_channels: "a kernel lies on all input channels: kernel x kernel x in_channels weights",
            area * out_channels: "a kernel lies on all input channels: kernel x kernel x in_channels weights",
        }
        for places in (kernel, 2 * kernel, 9):
            hints[places * in_channels * out_channels + out_channels * bias] = (
                f"a kernel of size {kernel} has {kernel} x {kernel} places"
            )
        if not bias:
            hints = {weights + out_channels: "with bias=False there are no biases"} | hints
        expect_equal(
            answer(in_channels, out_channels, kernel, bias=bias),
            weights + out_channels * bias,
            call=f"conv_parameters({in_channels}, {out_channels}, {kernel}, bias={bias})",
            hints=hints,
        )


def _check_conv_multiply_adds(answer: Callable[..., Any]) -> None:
    for in_channels, out_channels, kernel, height, width, stride, padding in (
        (3, 16, 5, 32, 32, 1, 2),
        (3, 16, 3, 32, 32, 1, 1),
        (2, 8, 3, 28, 28, 1, 0),
        (4, 8, 3, 32, 20, 2, 1),
    ):
        rows, columns = (1 + (size + 2 * padding - kernel) // stride for size in (height, width))
        each = kernel * kernel * in_channels
        unpadded, padded_once, rounded_up = (
            [1 + (size + zeros - kernel + extra) // stride for size in (height, width)]
            for zeros, extra in ((0, 0), (padding, 0), (2 * padding, stride - 1))
        )
        wanted = each * out_channels * rows * columns
        hints = {
            each * out_channels: "these are the weights, and each is used at every place of the output",
            kernel * kernel * out_channels * rows * columns: "a kernel lies on all input channels",
            each * rows * columns: "each output channel has its own kernels, and its own values",
            wanted + out_channels * rows * columns: "the biases are added, not multiplied: they do not count",
            2 * wanted: "a multiplication and the addition after it count as one",
            each * out_channels * rows * rows: "images need not be square",
            wanted // kernel: f"a kernel of size {kernel} has {kernel} x {kernel} places",
            each * out_channels * height * width: "the places are those of the output, which padding and stride decide",
            each * out_channels * math.prod(unpadded): "the padding makes the image larger, and so the output",
            each * out_channels * math.prod(padded_once): "the padding counts on both sides",
            each * out_channels * math.prod(rounded_up): "a last place that does not fit does not count: round down",
            each * out_channels * (rows - 1) * (columns - 1): "the first place counts too: the output's size is "
            "(size + 2 · padding − kernel) // stride + 1",
        }
        expect_equal(
            answer(in_channels, out_channels, kernel, height=height, width=width, stride=stride, padding=padding),
            wanted,
            call=f"conv_multiply_adds({in_channels}, {out_channels}, {kernel}, height={height}, width={width}, "
            f"stride={stride}, padding={padding})",
            hints=hints,
        )


EXERCISES = (
    Exercise(
        name="output_size",
        task="""
            How many values a convolution gives along one direction: of `size` pixels, with `padding` zeros on both
            sides, a kernel of `kernel` pixels, and `stride` pixels from one place to the next. With `dilation` d
            there are d − 1 pixels between two neighbours in the kernel. output_size(28, 3) is 26, with padding=1
            it is 28.
            """,
        stub=(
            "def output_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:"
        ),
        check=_check_output_size,
    ),
    Exercise(
        name="convolve",
        task="""
            The convolution of an image (C, H, W) with weights (O, C, k, k) and biases (O,), without padding and with
            stride 1: (O, H − k + 1, W − k + 1). Write it with loops or with slices, and leave PyTorch's own
            convolutions alone. For the example of the chapter, one channel in and one out, it is
            [[[15, 16], [6, 15]]].
            """,
        stub="def convolve(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:",
        check=_check_convolve,
    ),
    Exercise(
        name="conv_parameters",
        task="""
            The number of parameters of a convolution with square kernels, from in_channels to out_channels. From 3 to
            16 channels, with kernels of 3 x 3, it is 448; without bias 432.
            """,
        stub="def conv_parameters(in_channels: int, out_channels: int, kernel: int, *, bias: bool = True) -> int:",
        check=_check_conv_parameters,
    ),
    Exercise(
        name="conv_multiply_adds",
        task="""
            How many multiplications, each with its addition, a convolution takes for one image (in_channels, height,
            width); biases do not count. From 3 to 16 channels with kernels of 3 x 3, padding 1 and images of 32 x 32
            pixels it is 442368.
            """,
        stub=(
            "def conv_multiply_adds(\n"
            "    in_channels: int, out_channels: int, kernel: int, *, height: int, width: int, stride: int = 1, "
            "padding: int = 0\n"
            ") -> int:"
        ),
        check=_check_conv_multiply_adds,
    ),
)
