"""Exercises of the chapter on backpropagation."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_relu_backward(answer: Callable[..., Any]) -> None:
    import torch

    x = torch.tensor([[-2.0, 3.0], [0.5, -1.0]])
    grad = torch.tensor([[10.0, -20.0], [30.0, 40.0]])
    expect_equal(
        answer(x.clone(), grad.clone()),
        torch.tensor([[0.0, -20.0], [30.0, 0.0]]),
        call="relu_backward([[-2, 3], [0.5, -1]], [[10, -20], [30, 40]])",
        hints={
            grad.relu(): "the sign of x decides, not that of the gradient: a negative gradient passes where x is "
            "positive",
            grad * x: "the slope of the ReLU is 1 where it is open and 0 where it is shut, whatever x is there",
            grad * x.sign(): "the slope of the ReLU is 0 where x is negative, not -1",
            x * (grad > 0): "x and grad are swapped: the sign of x decides whether grad passes",
            grad * x.relu(): "the slope of the ReLU is 1 where it is open, whatever x is there",
            (x > 0).float(): "that is the slope: multiply it by what comes back",
            grad * (x < 0): "the ReLU is open where x is positive, and shut where it is negative",
            x.relu(): "that is the way forward: what comes back is grad",
            grad: "the ReLU is shut where x is negative, and passes nothing back there",
        },
    )


def _check_kernel_gradient(answer: Callable[..., Any]) -> None:
    import torch
    from torch.nn import functional as F

    image = torch.tensor([[1.0, 2, 0], [0, 1, 3], [2, 1, 1]])
    grad = torch.tensor([[1.0, 2], [-1, 0]])
    wanted = F.conv2d(image[None, None], grad[None, None])[0, 0]
    turned = F.conv2d(image[None, None], grad.flip(0, 1)[None, None])[0, 0]
    expect_equal(
        answer(image.clone(), grad.clone()),
        wanted,
        call="kernel_gradient(image, grad) of the chapter's example",
        hints={
            turned: "grad was turned by half a circle, which only the gradient of the image needs",
            wanted / 4: "a weight's gradient is the sum over all places where it was used, not their mean",
            wanted.T: "rows and columns are swapped",
            wanted.flip(0, 1): "the answer is turned by half a circle",
            wanted[:1, :1]: "the kernel has image - grad + 1 rows and columns: 3 - 2 + 1 = 2",
        },
    )
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(-3, 4, (5, 6), generator=generator).float()
    grad = torch.randint(-3, 4, (3, 5), generator=generator).float()
    wanted = F.conv2d(image[None, None], grad[None, None])[0, 0]
    call = "kernel_gradient(image of 5x6, grad of 3x5)"
    got = answer(image.clone(), grad.clone())
    if isinstance(got, torch.Tensor) and got.shape != wanted.shape:
        raise Wrong(
            f"{call} gave the shape {tuple(got.shape)}, not (3, 2): an image of 5x6 and a kernel of 3x2 give 3x5 "
            "outputs, so the kernel's sides are image - grad + 1, and height and width differ."
        )
    expect_equal(got, wanted, call=call)


def _check_image_gradient(answer: Callable[..., Any]) -> None:
    import torch
    from torch.nn import functional as F

    grad = torch.tensor([[1.0, 2], [-1, 0]])
    kernel = torch.tensor([[1.0, 0], [-1, 2]])
    padded = F.pad(grad, (1, 1, 1, 1))[None, None]
    expect_equal(
        answer(grad.clone(), kernel.clone()),
        F.conv_transpose2d(grad[None, None], kernel[None, None])[0, 0],
        call="image_gradient(grad, kernel) of the chapter's example",
        hints={
            F.conv2d(padded, kernel[None, None])[0, 0]: "the kernel was not turned by half a circle",
            F.conv2d(padded, kernel.flip(0)[None, None])[0, 0]: "the kernel was turned upside down only: flip both "
            "axes",
            F.conv2d(padded, kernel.flip(1)[None, None])[0, 0]: "the kernel was mirrored left to right only: flip "
            "both axes",
            F.conv2d(padded, kernel.T[None, None])[0, 0]: "the kernel was transposed: flip it on both axes instead",
            F.conv2d(grad[None, None], kernel.flip(0, 1)[None, None])[0, 0]: "the border of zeros around grad is "
            "missing",
            torch.tensor([[1.0, 2, 0], [-1, 0, 0], [1, 0, 0]]): "what one output sends back overwrites what came "
            "from another: add it, `+=`",
        },
    )
    generator = torch.Generator().manual_seed(0)
    grad = torch.randint(-3, 4, (4, 2), generator=generator).float()
    kernel = torch.randint(-3, 4, (2, 3), generator=generator).float()
    wanted = F.conv_transpose2d(grad[None, None], kernel[None, None])[0, 0]
    call = "image_gradient(grad of 4x2, kernel of 2x3)"
    got = answer(grad.clone(), kernel.clone())
    if isinstance(got, torch.Tensor) and got.shape != wanted.shape:
        raise Wrong(
            f"{call} gave the shape {tuple(got.shape)}, not (5, 4): the image has grad + kernel - 1 rows and columns, "
            "so the border of zeros is one less than the kernel on each side: 1 above and below, 2 left and right."
        )
    expect_equal(got, wanted, call=call)


def _check_measured_gradient(answer: Callable[..., Any]) -> None:
    import torch

    x = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    given = x.clone()
    nudge = 0.1
    got = answer(lambda values: (values**2).sum(), given, nudge)
    call = "measured_gradient(lambda x: (x ** 2).sum(), [[1, -2], [0.5, 3]], 0.1)"
    if not torch.allclose(given, x):
        raise Wrong(f"{call} left x changed: put each value back after its nudges, or work on a copy.")
    expect_equal(
        got,
        2 * x,
        call=call,
        hints={
            2 * x + nudge: "only nudges upwards: with one up and one down the error of a curved function goes away",
            2 * x - nudge: "only nudges downwards: with one up and one down the error of a curved function goes away",
            4 * x: "from one nudge below to one above are two nudges: divide by 2 * nudge",
            4 * x * nudge: "the difference is not divided by 2 * nudge",
            2 * x * nudge**2: "`/ 2 * nudge` divides by 2 and then multiplies: write `/ (2 * nudge)`",
            -2 * x: "the sign: the value above minus the value below",
            torch.zeros_like(x): "the value above and the value below are the same, as it happens where both are one "
            "tensor with two names: `x.clone()` makes a copy",
            2 * x.flatten(): "the values are right, the shape is not: `.view(x.shape)`",
            2 * x.sum(): "all values were nudged together: one at a time",
            torch.full_like(x, 2 * x.sum().item()): "all values were nudged together: one at a time",
            2 * x.sum(dim=1, keepdim=True).expand(2, 2): "the values of a row were nudged together: one at a time",
        },
    )
    mixed = torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64)
    expect_equal(
        answer(lambda values: values[0] * values[1] * values[2], mixed.clone(), 1e-3),
        torch.tensor([12.0, 8.0, 6.0], dtype=torch.float64),
        call="measured_gradient(lambda x: x[0] * x[1] * x[2], [2, 3, 4], 0.001)",
        hints={
            (12.0, 7.996, 5.995001): "values stay nudged while the others are measured: put each one back",
            (12.0, 8.004, 6.005001): "values stay nudged while the others are measured: put each one back",
        },
    )
    expect_equal(
        answer(lambda values: (values**3).sum(), torch.tensor([1.0, 2.0], dtype=torch.float64), 0.5),
        torch.tensor([3.25, 12.25], dtype=torch.float64),
        call="measured_gradient(lambda x: (x ** 3).sum(), [1, 2], 0.5)",
        hints={(3.0, 12.0): "that is the gradient itself: answer what is measured with nudges of 0.5"},
    )


EXERCISES = (
    Exercise(
        name="relu_backward",
        task="A ReLU saw `x` on the way forward, and `grad`, of the same shape, comes back to its output. Answer what "
        "it passes on to its input. For x [-1, 2] and grad [5, 7] it is [0, 7]. (At 0 itself either answer is right.)",
        stub="def relu_backward(x: Tensor, grad: Tensor) -> Tensor:",
        check=_check_relu_backward,
    ),
    Exercise(
        name="kernel_gradient",
        task="A convolution of one channel, without padding and with stride 1, saw `image` (H, W), and `grad` comes "
        "back to its output, one number for each output. Answer the gradient of its kernel, whose shape follows from "
        "the two. For image [[1, 2]] and grad [[1, 10]] it is [[21]]. Loops or F.conv2d, but not autograd.",
        stub="def kernel_gradient(image: Tensor, grad: Tensor) -> Tensor:",
        check=_check_kernel_gradient,
    ),
    Exercise(
        name="image_gradient",
        task="The same convolution has the kernel `kernel`, and `grad` comes back to its output. Answer the gradient "
        "of the image, which has the image's shape. For grad [[1, 10]] and kernel [[2, 3]] it is [[2, 23, 30]]. Loops "
        "or F.conv2d, but neither autograd nor F.conv_transpose2d.",
        stub="def image_gradient(grad: Tensor, kernel: Tensor) -> Tensor:",
        check=_check_image_gradient,
    ),
    Exercise(
        name="measured_gradient",
        task="Measure the gradient of `function`, which answers one number for a tensor, at `x`: raise and lower one "
        "value at a time by `nudge`, and divide the difference of the two answers by the distance between them. "
        "Answer a tensor like `x`, and leave `x` itself as it was. For x * x at [3] it is [6].",
        stub="def measured_gradient(function: Callable[[Tensor], Tensor], x: Tensor, nudge: float) -> Tensor:",
        check=_check_measured_gradient,
    ),
)
