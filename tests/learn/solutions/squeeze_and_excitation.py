"""Solutions of the chapter on squeeze-and-excitation, and mistakes that people make."""

from torch import Tensor


def squeeze(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3))


def squeeze_and_excite(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    hidden = (squeeze(x) @ down.T + down_bias).relu()
    factors = (hidden @ up.T + up_bias).sigmoid()
    return x * factors[:, :, None, None]


def se_parameters(channels: int, reduction: int) -> int:
    hidden = max(1, channels // reduction)
    return (channels + 1) * hidden + (hidden + 1) * channels


def _no_images(x: Tensor) -> Tensor:
    return x.mean(dim=(0, 2, 3))


def _over_channels(x: Tensor) -> Tensor:
    return x.mean(dim=1)


def _sum(x: Tensor) -> Tensor:
    return x.sum(dim=(2, 3))


def _kept_axes(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _one_axis(x: Tensor) -> Tensor:
    return x.mean(dim=-1)


def _all_channels(x: Tensor) -> Tensor:
    return x.mean(dim=(1, 2, 3))


def _no_relu(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    return x * ((squeeze(x) @ down.T + down_bias) @ up.T + up_bias).sigmoid()[:, :, None, None]


def _no_sigmoid(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    return x * ((squeeze(x) @ down.T + down_bias).relu() @ up.T + up_bias)[:, :, None, None]


def _softmax(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    return x * ((squeeze(x) @ down.T + down_bias).relu() @ up.T + up_bias).softmax(dim=1)[:, :, None, None]


def _factors_alone(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    return ((squeeze(x) @ down.T + down_bias).relu() @ up.T + up_bias).sigmoid()


def _no_bias(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    return x * ((squeeze(x) @ down.T).relu() @ up.T + up_bias).sigmoid()[:, :, None, None]


def _all_images_alike(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    factors = ((x.mean(dim=(0, 2, 3)) @ down.T + down_bias).relu() @ up.T + up_bias).sigmoid()
    return x * factors[:, None, None]


def _over_columns(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    return x * _factors_alone(x, down, down_bias, up, up_bias)


def _in_place(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    x *= _factors_alone(x, down, down_bias, up, up_bias)[:, :, None, None]
    return x


def _rounded_up(channels: int, reduction: int) -> int:
    hidden = -(-channels // reduction)
    return (channels + 1) * hidden + (hidden + 1) * channels


def _weights_alone(channels: int, reduction: int) -> int:
    return 2 * channels * max(1, channels // reduction)


def _one_layer(channels: int, reduction: int) -> int:
    return (channels + 1) * channels


def _nothing_left(channels: int, reduction: int) -> int:
    hidden = channels // reduction
    return (channels + 1) * hidden + (hidden + 1) * channels


MISTAKES = [
    ("squeeze", _sum, "sum"),
    ("squeeze", _kept_axes, "leave"),
    ("squeeze", _one_axis, "both"),
    ("squeeze", _all_channels, "channels"),
    ("squeeze", _no_images, "axis of the images"),
    ("squeeze", _over_channels, "at each pixel"),
    ("squeeze_and_excite", _no_relu, "ReLU"),
    ("squeeze_and_excite", _no_sigmoid, "sigmoid"),
    ("squeeze_and_excite", _softmax, "softmax"),
    ("squeeze_and_excite", _factors_alone, "factors"),
    ("squeeze_and_excite", _no_bias, "bias"),
    ("squeeze_and_excite", _all_images_alike, "its own averages"),
    ("squeeze_and_excite", _over_columns, "two more axes"),
    ("squeeze_and_excite", _in_place, "in place"),
    ("se_parameters", _weights_alone, "biases"),
    ("se_parameters", _one_layer, "single"),
    ("se_parameters", _rounded_up, "rounded down"),
    ("se_parameters", _nothing_left, "one hidden unit"),
]
