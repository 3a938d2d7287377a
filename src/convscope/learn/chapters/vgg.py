"""Exercises of the chapter on VGG."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, expect_equal


def _check_stacked_saving(stacked_saving: Callable[..., Any]) -> None:
    hints = {
        18 / 25: "this is the share that is left. The share saved is 1 minus it",
        1 - 9 / 25: "one 3x3 kernel sees 3x3. To see 5x5 it takes two of them",
        28.0: "this is in percent. A share lies between 0 and 1",
        1: "`//` rounds down to whole numbers; a share needs `/`",
        1 - 27 / 25: "three 3x3 kernels see 7x7. To see 5x5 it takes two",
        -7 / 25: "the sign is the wrong way round: the share saved is 1 minus the share that is left",
        0.5: "two 3x3 kernels have 18 weights, not half of 25",
        1 - 45 / 25: "it takes (kernel - 1) / 2 of them, because each adds two pixels to the one that is there",
        25 / 18 - 1: "divide by the larger kernel's weights: the question is how much of these is saved",
    }
    expect_equal(stacked_saving(5), 7 / 25, call="stacked_saving(5)", hints=hints)
    hints = {
        1 - 18 / 49: "two 3x3 kernels see 5x5. To see 7x7 it takes three",
        0.45: "give the share as it comes, not rounded",
    }
    expect_equal(stacked_saving(7), 22 / 49, call="stacked_saving(7)", hints=hints)
    expect_equal(stacked_saving(3), 0.0, call="stacked_saving(3)", hints={0: "a 3x3 kernel is replaced by itself"})


def _check_receptive_field(receptive_field: Callable[..., Any]) -> None:
    hints = {
        9: "nine is the product, or the number of pixels in a 3x3 window. How far does the window reach to each side?",
        6: "are the kernels added up? The second kernel's middle lies on a pixel that is counted already: begin with "
        "one pixel, and each layer adds kernel - 1",
        3: "one of them alone sees 3",
        4: "count from one pixel: it sees 1, then each layer adds kernel - 1",
    }
    expect_equal(receptive_field([3, 3], [1, 1]), 5, call="receptive_field([3, 3], [1, 1])", hints=hints)
    expect_equal(receptive_field([3, 3, 3], [1, 1, 1]), 7, call="receptive_field([3, 3, 3], [1, 1, 1])")
    hints = {0: "without layers a value is a pixel"}
    expect_equal(receptive_field([], []), 1, call="receptive_field([], [])", hints=hints)
    hints = {
        6: "the strides are not looked at. After a stride of 2 neighbouring values lie two pixels of the image apart, "
        "so a kernel of 3 reaches 4 pixels further",
        9: "a stride counts for the layers after it, not for its own kernel",
        7: "the pool adds one pixel, and its stride counts for the kernel after it, which adds twice as much",
    }
    expect_equal(receptive_field([3, 2, 3], [1, 2, 1]), 8, call="receptive_field([3, 2, 3], [1, 2, 1])", hints=hints)
    multiply = "strides multiply: after three pools neighbouring values lie 2·2·2 pixels apart"
    hints = {10: multiply, 20: multiply}
    call = "receptive_field([2, 2, 2, 3], [2, 2, 2, 1])"
    expect_equal(receptive_field([2, 2, 2, 3], [2, 2, 2, 1]), 24, call=call, hints=hints)
    vgg11 = [3, 2, 3, 2, 3, 3, 2, 3, 3, 2, 3, 3]
    strides = [2 if kernel == 2 else 1 for kernel in vgg11]
    expect_equal(receptive_field(vgg11, strides), 134, call="receptive_field of VGG11, up to its last convolution,")


def _check_vgg_parameters(vgg_parameters: Callable[..., Any]) -> None:
    hints = {
        9_219_328: "these are the convolutions alone. Three fully connected layers follow: 4096, 4096 and the classes",
        119_586_826: "these are the fully connected layers alone",
        28_142_858: "the last maps are flattened whole: 512·7·7 = 25,088 values reach the first fully connected layer, "
        "not 512",
        128_795_200: "these are the weights alone. Each channel of a convolution and each unit has a bias",
        127_331_594: "within a block all convolutions but the first read as many channels as they give: the second of "
        "block 3 reads 256, not 128",
        123_496_458: "each block is counted with one convolution; the configuration says how many it has",
        112_024_842: "there are three fully connected layers: 4096, 4096 and the classes",
        437_087_498: "five pools halve 224 five times: the last maps are 7x7, not 14x14",
    }
    call = "vgg_parameters((1, 1, 2, 2, 2), in_channels=1, num_classes=10)"
    got = vgg_parameters((1, 1, 2, 2, 2), in_channels=1, num_classes=10)
    expect_equal(got, 128_806_154, call=call, hints=hints, tolerance=0)
    call = "vgg_parameters((2, 2, 3, 3, 3), in_channels=3, num_classes=1000)"
    got = vgg_parameters((2, 2, 3, 3, 3), in_channels=3, num_classes=1000)
    hints = {
        138_357_544 - 2 * 9 * 64: "the first convolution has 9 weights for each of the image's channels, 3 here",
        138_357_544 - 990 * 4097: "the last layer has a unit for each class, 1000 here",
    }
    expect_equal(got, 138_357_544, call=call, hints=hints, tolerance=0)


EXERCISES = (
    Exercise(
        name="stacked_saving",
        task="A convolution with a large odd kernel is replaced by as many 3x3 convolutions, one after the other, as "
        "see just as much; all have as many channels in as out, and no biases. Tell which share of the weights is "
        "saved, from 0 to 1. For a kernel of 5 it is 0.28.",
        stub="def stacked_saving(kernel: int) -> float:",
        check=_check_stacked_saving,
    ),
    Exercise(
        name="receptive_field",
        task="Tell how many pixels wide the part of the image is that one value of the last layer depends on. The "
        "layers, convolutions and pools, are given from the image on: kernels[i] and strides[i] belong together, and "
        "nothing else matters. receptive_field([3, 3], [1, 1]) is 5; with a 2x2 pool between them, receptive_field([3, "
        "2, 3], [1, 2, 1]), it is 8.",
        stub="def receptive_field(kernels: list[int], strides: list[int]) -> int:",
        check=_check_receptive_field,
    ),
    Exercise(
        name="vgg_parameters",
        task="Count the parameters of a VGG for images of 224 pixels, from the number of 3x3 convolutions in each of "
        "its five blocks. The blocks have 64, 128, 256, 512 and 512 channels; the last maps, 512 of 7x7, are flattened "
        "for three fully connected layers of 4096, 4096 and num_classes units. Every layer has biases. Column A, (1, "
        "1, 2, 2, 2), has 128,806,154 for grey images and ten classes.",
        stub="def vgg_parameters(configuration: tuple[int, ...], *, in_channels: int, num_classes: int) -> int:",
        check=_check_vgg_parameters,
    ),
)
