"""Exercises of the chapter on residual and dense connections."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_residual(residual: Callable[..., Any]) -> None:
    import torch

    x = torch.tensor([[1.0, -2, 3, -4]])
    before = x.clone()
    got = residual(x, lambda value: -2 * value)
    if not torch.equal(x, before):
        raise Wrong(
            "residual changed the tensor that it was given: `x += ...`, `relu_` and the like work in place. Write "
            "`x + branch(x)`."
        )
    hints: dict[Any, str] = {
        ((0.0, 4.0, 0.0, 8.0),): "the input is not added: this is relu(branch(x)) alone",
        ((-1.0, 2.0, -3.0, 4.0),): "the ReLU after the sum is missing",
        ((1.0, 2.0, 3.0, 4.0),): "the ReLU comes after the sum: the branch must be able to take away too",
        ((1.0, 4.0, 3.0, 8.0),): "there is one ReLU, after the sum",
    }
    wanted = torch.tensor([[0.0, 2, 0, 4]])
    expect_equal(got, wanted, call="residual([[1, -2, 3, -4]], branch) with branch(x) = -2x", hints=hints)
    got = residual(torch.tensor([[1.0, -2]]), lambda value: 3 * value, shortcut=lambda value: -5 * value)
    hints = {
        ((4.0, 0.0),): "x itself is added, though there is a shortcut",
        ((0.0, 2.0),): "the shortcut's output takes the place of x: not both are added",
        ((3.0, 0.0),): "the shortcut's output is not added",
        ((0.0, 24.0),): "the shortcut is a function of the block's input x, not of the branch's output",
    }
    call = "residual([[1, -2]], branch, shortcut) with branch(x) = 3x and shortcut(x) = -5x"
    expect_equal(got, torch.tensor([[0.0, 4]]), call=call, hints=hints)


def _check_basic_block_parameters(basic_block_parameters: Callable[..., Any]) -> None:
    identity = "the shape stays the same, so the shortcut is the identity and has no parameters"
    hints = {
        73_728: "these are the convolutions alone. Each of the two norms has a scale and a shift for every channel",
        73_856: "a norm has two parameters for every channel, a scale and a shift",
        74_240: "a norm's running mean and variance are no parameters, for they are not learnt",
        74_112: "the convolutions have no biases, because a norm follows each of them",
        24_832: "a 3x3 kernel has 9 weights",
        36_992: "the block has two convolutions, with a norm after each",
        73_984 + 64 * 64: identity,
        73_984 + 64 * 64 + 128: identity,
    }
    call = "basic_block_parameters(64, 64, stride=1)"
    expect_equal(basic_block_parameters(64, 64, stride=1), 73_984, call=call, hints=hints)
    hints = {
        221_696: "the channels change, so the shortcut is a 1x1 convolution with a norm",
        229_888: "the shortcut's convolution has a norm too: 2·128 more",
        230_016: "the shortcut's convolution has a norm, and no bias",
        230_272: "the shortcut's convolution has no bias either, because a norm follows it",
        303_872: "the second convolution has 128 channels in and out, the first one 64 in",
        156_416: "the second convolution has as many channels in as the first one gives",
        230_144 + 8 * 64 * 128: "the shortcut's kernel is 1x1",
        115_072: "a stride makes the maps smaller, not the kernels",
    }
    call = "basic_block_parameters(64, 128, stride=2)"
    expect_equal(basic_block_parameters(64, 128, stride=2), 230_144, call=call, hints=hints)
    hints = {73_984: "the stride changes the shape too, so the shortcut needs its 1x1 convolution"}
    call = "basic_block_parameters(64, 64, stride=2)"
    expect_equal(basic_block_parameters(64, 64, stride=2), 73_984 + 64 * 64 + 2 * 64, call=call, hints=hints)
    hints = {221_696: "without a stride too the channels change, so the shortcut needs its 1x1 convolution"}
    call = "basic_block_parameters(64, 128, stride=1)"
    expect_equal(basic_block_parameters(64, 128, stride=1), 230_144, call=call, hints=hints)


def _check_dense_channels(dense_channels: Callable[..., Any]) -> None:
    no_transition = "a transition follows each block but the last, and halves the channels"
    hints = {
        (256, 640, 1408, 1920): no_transition,
        (128, 256, 512, 1024): "these are the channels after the transitions, not those out of the blocks",
        (256, 512, 1024, 512): "no transition follows the last block",
        (128, 256, 512, 512): "these are the channels after the transitions, and no transition follows the last block",
        (256, 384, 768, 512): "each layer adds to all maps before it: what comes into a block stays in its output",
        (192, 384, 768, 512): "the maps that come into a block stay in its output: they are stacked with the new ones",
        (96, 80, 72, 68): "each layer of a block adds growth_rate maps, and depths says how many layers it has",
        (64, 256, 512, 1024, 1024): "in_channels come into the first block; listed are the channels out of each",
    }
    got = dense_channels(64, [6, 12, 24, 16], growth_rate=32)
    call = "dense_channels(64, [6, 12, 24, 16], growth_rate=32)"
    expect_equal(got, [256, 512, 1024, 1024], call=call, hints=hints)
    got = dense_channels(20, [3, 2], growth_rate=12)
    expect_equal(got, [56, 52], call="dense_channels(20, [3, 2], growth_rate=12)")
    call = "dense_channels(16, [4], growth_rate=8)"
    expect_equal(dense_channels(16, [4], growth_rate=8), [48], call=call, hints={(24,): no_transition})


EXERCISES = (
    Exercise(
        name="residual",
        task="Give the output of a residual block: the ReLU of the branch's output plus the shortcut's. Both are "
        "functions of the block's input x; without a shortcut x itself is added. x must stay as it is. For x = [1, -2] "
        "and a branch that gives [-2, 4] the answer is [0, 2].",
        stub="def residual(x: Tensor, branch: Callable[[Tensor], Tensor], shortcut: Callable[[Tensor], Tensor] | None "
        "= None) -> Tensor:",
        check=_check_residual,
    ),
    Exercise(
        name="basic_block_parameters",
        task="Count the parameters of ResNet's basic block: two 3x3 convolutions, from in_channels to channels and "
        "from channels to channels, the first with the stride, each followed by a batch norm and so without biases. "
        "Where the output's shape differs from the input's, the shortcut is a 1x1 convolution with a batch norm; else "
        "it has none. From 64 to 128 channels with stride 2 there are 230,144.",
        stub="def basic_block_parameters(in_channels: int, channels: int, *, stride: int) -> int:",
        check=_check_basic_block_parameters,
    ),
    Exercise(
        name="dense_channels",
        task="List the channels that come out of each dense block of a DenseNet. in_channels come into the first "
        "block; a block has as many layers as depths says, and each adds growth_rate maps. Between blocks a transition "
        "halves the channels. DenseNet-121, dense_channels(64, [6, 12, 24, 16], growth_rate=32), gives [256, 512, "
        "1024, 1024].",
        stub="def dense_channels(in_channels: int, depths: list[int], *, growth_rate: int) -> list[int]:",
        check=_check_dense_channels,
    ),
)
