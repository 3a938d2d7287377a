"""Right solutions of the exercises on backpropagation, and mistakes that must be recognised."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def relu_backward(x: Tensor, grad: Tensor) -> Tensor:
    return grad * (x > 0)


def kernel_gradient(image: Tensor, grad: Tensor) -> Tensor:
    height, width = image.shape[0] - grad.shape[0] + 1, image.shape[1] - grad.shape[1] + 1
    answer = torch.zeros(height, width)
    for u in range(height):
        for v in range(width):
            answer[u, v] = (grad * image[u : u + grad.shape[0], v : v + grad.shape[1]]).sum()
    return answer


def image_gradient(grad: Tensor, kernel: Tensor) -> Tensor:
    answer = torch.zeros(grad.shape[0] + kernel.shape[0] - 1, grad.shape[1] + kernel.shape[1] - 1)
    for i in range(grad.shape[0]):
        for j in range(grad.shape[1]):
            answer[i : i + kernel.shape[0], j : j + kernel.shape[1]] += grad[i, j] * kernel
    return answer


def measured_gradient(function: Callable[[Tensor], Tensor], x: Tensor, nudge: float) -> Tensor:
    answer = torch.zeros_like(x)
    for place in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[place] = nudge
        answer.view(-1)[place] = (function(x + step) - function(x - step)) / (2 * nudge)
    return answer


def _convolve(image: Tensor, kernel: Tensor, padding: int = 0) -> Tensor:
    return F.conv2d(image[None, None], kernel[None, None], padding=padding)[0, 0]


def _left_nudged(function: Callable[[Tensor], Tensor], x: Tensor, nudge: float) -> Tensor:
    answer = torch.zeros_like(x)
    for place in range(x.numel()):
        x.view(-1)[place] += nudge
        above = function(x)
        x.view(-1)[place] -= 2 * nudge
        answer.view(-1)[place] = (above - function(x)) / (2 * nudge)
    return answer


def _overwritten(grad: Tensor, kernel: Tensor) -> Tensor:
    answer = torch.zeros(grad.shape[0] + kernel.shape[0] - 1, grad.shape[1] + kernel.shape[1] - 1)
    for i in range(grad.shape[0]):
        for j in range(grad.shape[1]):
            answer[i : i + kernel.shape[0], j : j + kernel.shape[1]] = grad[i, j] * kernel
    return answer


def _one_tensor(function: Callable[[Tensor], Tensor], x: Tensor, nudge: float) -> Tensor:
    answer = torch.zeros_like(x)
    for place in range(x.numel()):
        above = below = x
        above.view(-1)[place] += nudge
        below.view(-1)[place] -= nudge
        answer.view(-1)[place] = (function(above) - function(below)) / (2 * nudge)
    return answer


def _upwards(function: Callable[[Tensor], Tensor], x: Tensor, nudge: float) -> Tensor:
    step = nudge * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
    return torch.stack([(function(x + one) - function(x)) / nudge for one in step]).view(x.shape)


MISTAKES = [
    ("relu_backward", lambda x, grad: grad.relu(), "sign"),
    ("relu_backward", lambda x, grad: grad * x.relu(), "slope"),
    ("relu_backward", lambda x, grad: (x > 0).float(), "multiply"),
    ("relu_backward", lambda x, grad: grad, "shut"),
    ("relu_backward", lambda x, grad: x.sign() * grad, "not -1"),
    ("relu_backward", lambda x, grad: x * (grad > 0), "swapped"),
    ("kernel_gradient", lambda image, grad: _convolve(image, grad.flip(0, 1)), "turned"),
    ("kernel_gradient", lambda image, grad: _convolve(image, grad).flip(0, 1), "the answer is turned"),
    ("kernel_gradient", lambda image, grad: _convolve(image, grad) / grad.numel(), "mean"),
    ("kernel_gradient", lambda image, grad: kernel_gradient(image, grad)[:2, :2], "sides"),
    ("image_gradient", lambda grad, kernel: _convolve(grad, kernel, padding=1), "turned"),
    ("image_gradient", lambda grad, kernel: _convolve(grad, kernel.flip(0), padding=1), "both"),
    ("image_gradient", lambda grad, kernel: _convolve(grad, kernel.T, padding=1), "transposed"),
    ("image_gradient", lambda grad, kernel: _convolve(grad, kernel.flip(0, 1)), "zeros"),
    ("image_gradient", lambda grad, kernel: _convolve(grad, kernel.flip(0, 1), padding=1), "border"),
    ("image_gradient", _overwritten, "+="),
    ("measured_gradient", _upwards, "upwards"),
    ("measured_gradient", _one_tensor, "clone"),
    ("measured_gradient", lambda f, x, nudge: measured_gradient(f, x, nudge).flatten(), "view"),
    ("measured_gradient", lambda f, x, nudge: measured_gradient(f, x, nudge) * nudge**2, "(2 * nudge)"),
    ("measured_gradient", lambda f, x, nudge: (f(x + nudge) - f(x - nudge)) / (2 * nudge), "one at a time"),
    ("measured_gradient", lambda f, x, nudge: measured_gradient(f, x, 1e-6), "measured"),
    ("measured_gradient", _left_nudged, "put each value back"),
    ("measured_gradient", lambda f, x, nudge: measured_gradient(f, x, nudge) * 2, "divide"),
    ("measured_gradient", lambda f, x, nudge: -measured_gradient(f, x, nudge), "sign"),
    ("measured_gradient", lambda f, x, nudge: measured_gradient(f, x.clone(), nudge) * 2 * nudge, "divided"),
]
