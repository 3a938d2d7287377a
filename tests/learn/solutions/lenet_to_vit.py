"""Solutions of the chapter from LeNet to ViT, and mistakes that people make."""

from torch import Tensor
from torch.nn import functional


def lenet_parameters(in_channels: int, num_classes: int) -> int:
    c1 = (5 * 5 * in_channels + 1) * 6
    c3 = (5 * 5 * 6 + 1) * 16
    c5 = (5 * 5 * 16 + 1) * 120
    f6 = (120 + 1) * 84
    return c1 + c3 + c5 + f6 + (84 + 1) * num_classes


def patches(images: Tensor, size: int) -> Tensor:
    n, c, h, w = images.shape
    x = images.reshape(n, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(n, (h // size) * (w // size), c * size * size)


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    scores = queries @ keys.T / queries.shape[1] ** 0.5
    return scores.softmax(dim=1) @ values


def _paper_c3(in_channels: int, num_classes: int) -> int:
    return lenet_parameters(in_channels, num_classes) - 900


def _without_bias(in_channels: int, num_classes: int) -> int:
    return 25 * in_channels * 6 + 2400 + 48_000 + 10_080 + 84 * num_classes


def _grey_alone(in_channels: int, num_classes: int) -> int:
    return lenet_parameters(1, num_classes)


def _only_reshaped(images: Tensor, size: int) -> Tensor:
    n, c, h, w = images.shape
    return images.reshape(n, (h // size) * (w // size), c * size * size)


def _down_the_columns(images: Tensor, size: int) -> Tensor:
    n, c, h, w = images.shape
    x = images.reshape(n, c, h // size, size, w // size, size)
    return x.permute(0, 4, 2, 1, 3, 5).reshape(n, (h // size) * (w // size), c * size * size)


def _channels_last(images: Tensor, size: int) -> Tensor:
    n, c, h, w = images.shape
    x = images.reshape(n, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(n, (h // size) * (w // size), c * size * size)


def _channels_first(images: Tensor, size: int) -> Tensor:
    n, c, h, w = images.shape
    x = images.reshape(n, c, h // size, size, w // size, size)
    return x.permute(0, 1, 2, 4, 3, 5).reshape(n, (h // size) * (w // size), c * size * size)


def _unfolded(images: Tensor, size: int) -> Tensor:
    return functional.unfold(images, size, stride=size)


def _unscaled(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return (queries @ keys.T).softmax(dim=1) @ values


def _divided_by_d(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return (queries @ keys.T / queries.shape[1]).softmax(dim=1) @ values


def _over_queries(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return (queries @ keys.T / queries.shape[1] ** 0.5).softmax(dim=0) @ values


def _without_softmax(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return queries @ keys.T / queries.shape[1] ** 0.5 @ values


MISTAKES = [
    ("lenet_parameters", _paper_c3, "C3"),
    ("lenet_parameters", _without_bias, "bias"),
    ("lenet_parameters", _grey_alone, "channels"),
    ("patches", _only_reshaped, "permute"),
    ("patches", _down_the_columns, "columns"),
    ("patches", _channels_last, "channels come last"),
    ("patches", _channels_first, "all its channels"),
    ("patches", _unfolded, "last two axes"),
    ("attention", _unscaled, "√d"),
    ("attention", _divided_by_d, "square root"),
    ("attention", _over_queries, "dim=1"),
    ("attention", _without_softmax, "softmax is missing"),
]
