"""Right solutions of the exercises on pooling, and mistakes that must be recognised."""

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool(maps: Tensor, size: int) -> Tensor:
    images, channels, height, width = maps.shape
    height, width = height // size, width // size
    squares = maps[:, :, : height * size, : width * size].reshape(images, channels, height, size, width, size)
    return squares.amax(dim=(3, 5))


def global_average_pool(maps: Tensor) -> Tensor:
    return maps.mean(dim=(2, 3))


def max_pool_gradient(values: Tensor, grad: Tensor) -> Tensor:
    answer = torch.zeros_like(values)
    for i in range(grad.shape[0]):
        for j in range(grad.shape[1]):
            square = values[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            row, column = divmod(int(square.argmax()), 2)
            answer[2 * i + row, 2 * j + column] = grad[i, j]
    return answer


def _from_zero(maps: Tensor, size: int) -> Tensor:
    return max_pool(maps, size).clamp(min=0)


def _over_channels(maps: Tensor, size: int) -> Tensor:
    return max_pool(maps, size).amax(dim=1, keepdim=True).expand(-1, maps.shape[1], -1, -1)


def _spread(grad: Tensor) -> Tensor:
    return grad.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)


MISTAKES = [
    ("max_pool", lambda maps, size: F.avg_pool2d(maps, size), "means"),
    ("max_pool", lambda maps, size: F.max_pool2d(maps, size, stride=1), "overlap"),
    ("max_pool", lambda maps, size: F.max_pool2d(maps, size, ceil_mode=True), "dropped"),
    ("max_pool", lambda maps, size: F.max_pool2d(maps, size, stride=2), "every 3"),
    ("max_pool", lambda maps, size: maps[:, :, ::size, ::size], "corners"),
    ("max_pool", lambda maps, size: F.max_pool2d(maps, size, return_indices=True), "two tensors"),
    ("max_pool", lambda maps, size: maps.view(*maps.shape[:2], 2, 2, 2, 2).amax(dim=(4, 5)), "in a row"),
    ("max_pool", lambda maps, size: max_pool(maps.zero_(), size), "changed"),
    ("max_pool", _from_zero, "negative"),
    ("max_pool", _over_channels, "themselves"),
    ("global_average_pool", lambda maps: maps.mean(dim=(2, 3), keepdim=True), "length 1"),
    ("global_average_pool", lambda maps: maps.mean(dim=(0, 1)), "images"),
    ("global_average_pool", lambda maps: maps.mean(), "tensor"),
    ("global_average_pool", lambda maps: maps.amax(dim=(2, 3)), "largest"),
    ("global_average_pool", lambda maps: maps.sum(dim=(2, 3)) / maps.shape[2] ** 2, "square"),
    ("max_pool_gradient", lambda values, grad: _spread(grad) / 4, "average"),
    ("max_pool_gradient", lambda values, grad: _spread(grad), "alone"),
    ("max_pool_gradient", lambda values, grad: max_pool_gradient(values, torch.ones_like(grad)), "winners"),
    ("max_pool_gradient", lambda values, grad: _spread(grad) * (values == values.max()), "own winner"),
    ("max_pool_gradient", lambda values, grad: grad.repeat(2, 2), "side by side"),
    ("max_pool_gradient", lambda values, grad: grad, "shape"),
]
