"""Exercises of the chapter on squeeze-and-excitation."""

import math
from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_squeeze(squeeze: Callable[..., Any]) -> None:
    import torch

    x = torch.tensor([[[[4.0, 8], [0, 4]], [[1, 3], [2, 2]]]])
    mean = x.mean(dim=(2, 3))
    hints = {
        x.sum(dim=(2, 3)): "this is the sum. The average does not depend on how many pixels there are",
        x.sum(dim=(2, 3)) / 2: "there are height times width pixels to divide by",
        x.amax(dim=(2, 3)): "this is the maximum",
        3.0: "this is the average of everything. Each channel has its own: only the axes of height and width go",
        (3.0,): "the average runs over the channels too",
        mean[0]: "the axis of the images stays, even if there is a single one",
        mean[:, :, None, None]: "leave the axes of height and width out",
        x.mean(dim=1): "this is the average of the channels at each pixel. Height and width go, dim=2 and dim=3",
        x.mean(dim=2): "height and width both go",
        x.mean(dim=3): "height and width both go",
    }
    call = "squeeze of one image with the channels [[4, 8], [0, 4]] and [[1, 3], [2, 2]]"
    expect_equal(squeeze(x), mean, call=call, hints=hints)
    x = torch.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    hints = {x.sum(dim=(2, 3)) / 4: "there are height times width pixels to divide by, here 20"}
    expect_equal(squeeze(x), x.mean(dim=(2, 3)), call="squeeze of images (2, 3, 4, 5)", hints=hints)


def _check_squeeze_and_excite(squeeze_and_excite: Callable[..., Any]) -> None:
    import torch

    # The chapter's example, whose factors are 3/4 and 1/4; the same with a hidden unit below zero; several images.
    x = torch.tensor([[[[4.0, 8], [0, 4]], [[1, 3], [2, 2]]]])
    half = math.log(3) / 2
    down, up, zero = torch.tensor([[1.0, -1]]), torch.tensor([[half], [-half]]), torch.zeros(2)
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 8, 4, 5), (2, 8), (2,), (8, 2), (8,))
    several, *parameters = (torch.randn(*shape, generator=generator) for shape in shapes)
    several += 2 * torch.randn(3, 8, 1, 1, generator=generator)
    cases = (
        ("the chapter's two channels, averages (4, 2) and a hidden unit of 2", x, (down, zero[:1], up, zero)),
        ("the chapter's two channels and a hidden unit of -2 before the ReLU", x, (-down, zero[:1], up, zero)),
        ("maps (3, 8, 4, 5) with 2 hidden units", several, tuple(parameters)),
    )
    for case, maps, weights in cases:
        given = maps.clone()
        got = squeeze_and_excite(given, *weights)
        if not torch.equal(given, maps):
            raise Wrong(
                "squeeze_and_excite changed the maps that it was given: `x *= ...` works in place. Write `x * ...`."
            )
        wanted = maps * _factors(maps, *weights)[:, :, None, None]
        expect_equal(got, wanted, call=f"squeeze_and_excite of {case}", hints=_scaled_wrongly(maps, *weights))


def _factors(
    x: Any,
    down: Any,
    down_bias: Any,
    up: Any,
    up_bias: Any,
    *,
    squeeze: Any = None,
    hidden: Any = None,
    gate: Any = None,
) -> Any:
    """The factors of the channels, (N, C), with what is not None in the place of average, ReLU and sigmoid."""
    import torch

    z = x.mean(dim=(2, 3)) if squeeze is None else squeeze(x)
    h = (hidden or torch.relu)(z @ down.T + down_bias)
    return (gate or torch.sigmoid)(h @ up.T + up_bias)


def _scaled_wrongly(x: Any, *weights: Any) -> dict[Any, str]:
    """What typical mistakes give, and what they are."""
    import torch

    down, down_bias, up, up_bias = weights
    s = _factors(x, *weights)
    no_bias = "a bias is missing. Both layers have one"
    one_for_all = "each image has its own averages: the axis of the images stays"
    mistakes = [
        (_factors(x, *weights, squeeze=lambda x: x.amax(dim=(2, 3))), "the squeeze is the average, not the maximum"),
        (_factors(x, *weights, squeeze=lambda x: x.sum(dim=(2, 3))), "the squeeze is the average, not the sum"),
        (_factors(x, *weights, squeeze=lambda x: x.mean(dim=(0, 2, 3))[None].expand(len(x), -1)), one_for_all),
        (_factors(x, *weights, hidden=lambda z: z), "the ReLU after the first layer is missing"),
        (_factors(x, *weights, hidden=torch.sigmoid), "the first layer ends in a ReLU, the second in a sigmoid"),
        (_factors(x, *weights, gate=lambda z: z), "the sigmoid after the second layer is missing"),
        (_factors(x, *weights, gate=torch.relu), "the second layer ends in a sigmoid, not in a ReLU"),
        (_factors(x, *weights, gate=torch.tanh), "the second layer ends in a sigmoid, whose values lie from 0 to 1"),
        (
            _factors(x, *weights, gate=lambda z: z.softmax(dim=1)),
            "each channel has a sigmoid of its own: no softmax, after which the factors sum to 1",
        ),
        (_factors(x, down, 0.0, up, up_bias), no_bias),
        (_factors(x, down, down_bias, up, 0.0), no_bias),
        (_factors(x, down, 0.0, up, 0.0), no_bias),
    ]
    hints = {x * wrong[:, :, None, None]: hint for wrong, hint in mistakes}
    for factors in (s, s[:, :, None, None], s[:, :, None, None].expand_as(x), x.mean(dim=(2, 3)) * s):
        hints[factors] = "the factors multiply the maps that came in, all pixels of them"
    hints[x + s[:, :, None, None]] = "the factors multiply the maps; here they are added"
    hints[x * (1 + s[:, :, None, None])] = "the maps are scaled; nothing is added to that"
    if x.shape[2:] == (2, 2):
        for factors in (s, s[:, :, None]):
            hints[x * factors] = (
                "the factors have met rows or columns instead of channels. Give them two more axes, s[:, :, None, None]"
            )
    return hints


def _check_se_parameters(se_parameters: Callable[..., Any]) -> None:
    hints = {
        8_192: "these are the weights alone. The first layer has C/r biases, the second C",
        4_112: "this is the first layer alone",
        4_352: "this is the second layer alone",
        8_208: "the second layer has a bias for each channel",
        8_448: "the first layer has a bias for each hidden unit",
        8_224: "the second layer gives C values, so it has C biases",
        8_704: "the first layer gives C/r values, so it has C/r biases",
        131_584: "the hidden layer has C/r units, not C",
        65_792: "this is a single layer from all channels to all",
    }
    expect_equal(se_parameters(256, 16), 8_464, call="se_parameters(256, 16)", hints=hints)
    hints = {580: "r divides the channels: the hidden layer has C/r units, not r"}
    expect_equal(se_parameters(64, 4), 2_128, call="se_parameters(64, 4)", hints=hints)
    hints = {508: "C/r is rounded down, to 3", 451: "the hidden layer has a whole number of units: round down first"}
    expect_equal(se_parameters(56, 16), 395, call="se_parameters(56, 16)", hints=hints)
    hints = {8: "with fewer channels than r one hidden unit is left: 2·8·1 + 1 + 8", 0: "one hidden unit is left"}
    expect_equal(se_parameters(8, 16), 25, call="se_parameters(8, 16)", hints=hints)


EXERCISES = (
    Exercise(
        name="squeeze",
        task="Give for maps (N, C, H, W) the average of each channel of each image, (N, C). The channels [[4, 8], [0, "
        "4]] and [[1, 3], [2, 2]] give [4, 2].",
        stub="def squeeze(x: Tensor) -> Tensor:",
        check=_check_squeeze,
    ),
    Exercise(
        name="squeeze_and_excite",
        task="Scale each channel of maps x (N, C, H, W) by a factor between 0 and 1. The averages (N, C) go through a "
        "fully connected layer with weight down (C/r, C) and bias down_bias (C/r,), a ReLU, a second one with up (C, "
        "C/r) and up_bias (C,), and a sigmoid; that gives the factors (N, C), the same for all pixels of a channel.",
        stub="def squeeze_and_excite(x: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> "
        "Tensor:",
        check=_check_squeeze_and_excite,
    ),
    Exercise(
        name="se_parameters",
        task="Count the parameters of a squeeze-and-excitation layer for so many channels and a reduction r: two fully "
        "connected layers with biases, from C to C/r and back. C/r is rounded down, but is 1 at least. For 256 "
        "channels and r = 16 there are 8,464.",
        stub="def se_parameters(channels: int, reduction: int) -> int:",
        check=_check_se_parameters,
    ),
)
