"""Solutions of the chapter on residual and dense connections, and mistakes that people make."""

from collections.abc import Callable

from torch import Tensor

Branch = Callable[[Tensor], Tensor]


def residual(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    return (branch(x) + (x if shortcut is None else shortcut(x))).relu()


def basic_block_parameters(in_channels: int, channels: int, *, stride: int) -> int:
    total = 9 * in_channels * channels + 9 * channels * channels + 2 * 2 * channels
    if stride != 1 or in_channels != channels:
        total += in_channels * channels + 2 * channels
    return total


def dense_channels(in_channels: int, depths: list[int], *, growth_rate: int) -> list[int]:
    channels, answer = in_channels, []
    for depth in depths:
        channels += depth * growth_rate
        answer.append(channels)
        channels //= 2
    return answer


def _plain(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    return branch(x).relu()


def _no_relu(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    return branch(x) + (x if shortcut is None else shortcut(x))


def _relu_first(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    return branch(x).relu() + x


def _in_place(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    x += branch(x)
    return x.relu()


def _no_shortcut(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    return (branch(x) + x).relu()


def _x_too(x: Tensor, branch: Branch, shortcut: Branch | None = None) -> Tensor:
    return (branch(x) + x + (0 if shortcut is None else shortcut(x))).relu()


def _no_norms(in_channels: int, channels: int, *, stride: int) -> int:
    return 9 * in_channels * channels + 9 * channels * channels


def _with_biases(in_channels: int, channels: int, *, stride: int) -> int:
    return basic_block_parameters(in_channels, channels, stride=stride) + 2 * channels


def _never_projected(in_channels: int, channels: int, *, stride: int) -> int:
    return 9 * in_channels * channels + 9 * channels * channels + 4 * channels


def _for_strides_alone(in_channels: int, channels: int, *, stride: int) -> int:
    if stride == 1:
        return _never_projected(in_channels, channels, stride=stride)
    return basic_block_parameters(in_channels, channels, stride=stride)


def _running_statistics(in_channels: int, channels: int, *, stride: int) -> int:
    return basic_block_parameters(in_channels, channels, stride=stride) + 2 * 2 * channels


def _for_channels_alone(in_channels: int, channels: int, *, stride: int) -> int:
    return basic_block_parameters(in_channels, channels, stride=1)


def _no_transitions(in_channels: int, depths: list[int], *, growth_rate: int) -> list[int]:
    return [in_channels + growth_rate * sum(depths[: number + 1]) for number in range(len(depths))]


def _after_transitions(in_channels: int, depths: list[int], *, growth_rate: int) -> list[int]:
    answer = dense_channels(in_channels, depths, growth_rate=growth_rate)
    return [channels // 2 for channels in answer[:-1]] + answer[-1:]


def _one_layer_a_block(in_channels: int, depths: list[int], *, growth_rate: int) -> list[int]:
    return dense_channels(in_channels, [1] * len(depths), growth_rate=growth_rate)


def _input_lost(in_channels: int, depths: list[int], *, growth_rate: int) -> list[int]:
    return [depth * growth_rate for depth in depths]


MISTAKES = [
    ("residual", _plain, "not added"),
    ("residual", _no_relu, "missing"),
    ("residual", _relu_first, "after the sum"),
    ("residual", _in_place, "in place"),
    ("residual", _no_shortcut, "x itself"),
    ("residual", _x_too, "takes the place"),
    ("basic_block_parameters", _no_norms, "norms"),
    ("basic_block_parameters", _with_biases, "biases"),
    ("basic_block_parameters", _never_projected, "1x1"),
    ("basic_block_parameters", _for_channels_alone, "the stride changes"),
    ("basic_block_parameters", _for_strides_alone, "the channels change"),
    ("basic_block_parameters", _running_statistics, "not learnt"),
    ("dense_channels", _no_transitions, "halves"),
    ("dense_channels", _after_transitions, "after the transitions"),
    ("dense_channels", _input_lost, "stacked"),
    ("dense_channels", _one_layer_a_block, "depths"),
]
