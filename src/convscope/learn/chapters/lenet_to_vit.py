"""Exercises of the chapter from LeNet to ViT."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, expect_equal


def _check_lenet_parameters(lenet_parameters: Callable[..., Any]) -> None:
    hints = {
        60_806: "C3 is counted as in table 1 of the paper. Today each of its 16 maps sees all 6 maps: 25·6·16 + 16",
        61_750: "S2 and S4 are counted with a weight and a bias for each map, as in the paper. Today they only average",
        60_000: "this is the network of the paper. Today's has no weights in S2 and S4, full connections in C3 and a "
        "linear layer at the end",
        61_470: "these are the weights alone. Each map of C1 and C3 and each unit of C5, F6 and the output has a bias",
        59_706: "each kernel of C3 has 25 weights for each of the 6 maps it sees, not 25 alone",
        44_426: "C5 reads 16 maps of 5x5: around images of 28 pixels C1 puts zeros, so that they are the paper's 32",
        61_696: "each class has a bias too",
        60_856: "the output layer is missing",
        59_134: "the convolutions C1 and C3 are missing",
    }
    expect_equal(lenet_parameters(1, 10), 61_706, call="lenet_parameters(1, 10)", hints=hints)
    hints = {
        61_706: "the answer does not depend on the image's channels. Each kernel of C1 has 25 weights for each of them",
        62_018: "each map of C1 has one bias, however many channels the image has",
    }
    expect_equal(lenet_parameters(3, 10), 62_006, call="lenet_parameters(3, 10)", hints=hints)
    hints = {
        61_706: "the answer does not depend on the classes. The last layer gives one number for each of them",
        69_256: "each class has a bias too",
    }
    expect_equal(lenet_parameters(1, 100), 69_356, call="lenet_parameters(1, 100)", hints=hints)


def _check_patches(patches: Callable[..., Any]) -> None:
    import torch

    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    wanted = torch.tensor([[[0.0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]])
    only_cut = images.reshape(1, 4, 4).clone()
    down = wanted[:, [0, 2, 1, 3]]
    turned = wanted[:, :, [0, 2, 1, 3]]
    hints = {
        only_cut: "these are the image's rows: reshape alone keeps the order in memory. Split height and width into "
        "two axes each, and permute them",
        down: "the patches go down the columns. They are to be read as a page is: the first row of patches from left "
        "to right, then the next",
        turned: "within each patch rows and columns are swapped",
        wanted.mT: "each row is to be a patch: this is the right answer with its last two axes swapped",
    }
    expect_equal(patches(images, 2), wanted, call="patches(torch.arange(16.0).reshape(1, 1, 4, 4), 2)", hints=hints)
    images = torch.arange(2.0 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    wanted = torch.nn.functional.unfold(images, 2, stride=2).mT
    by_channel = wanted.reshape(2, 6, 3, 4)  # (N, patches, C, pixels)
    channels_last = by_channel.mT.reshape(2, 6, 12)
    channels_first = by_channel.transpose(1, 2).reshape(2, 6, 12)
    hints = {
        channels_last: "the channels come last within each patch. All of the first channel's values are to come first, "
        "then the second's: permute to (N, rows, columns, C, size, size)",
        channels_first: "the patches of the first channel come first, then those of the second. A patch has all its "
        "channels: permute to (N, rows, columns, C, size, size)",
    }
    expect_equal(patches(images, 2), wanted, call="patches(images of shape (2, 3, 4, 6), 2)", hints=hints)


def _check_attention(attention: Callable[..., Any]) -> None:
    import math

    import torch

    # The keys differ so that the first query fits the first one three times as well: exp(2·ln 3 / √4) = 3.
    queries = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])
    keys = torch.tensor([[2 * math.log(3), 0, 0, 0], [0, 0, 0, 0]])
    values = torch.tensor([[4.0, 0], [0, 8]])
    wanted = torch.tensor([[3.0, 2], [2, 4]])
    products = queries @ keys.T
    scores = products / 2  # √4
    unscaled, by_d, by_width = ((products / divisor).softmax(dim=1) @ values for divisor in (1, 4, 2**0.5))
    hints = {
        unscaled: "the scores are not divided by √d, and d is 4 here: how many numbers a query has",
        by_d: "the scores are divided by d instead of its square root",
        by_width: "d is how many numbers a query has, 4 here. There are 2 queries, 2 keys, and values of 2 numbers",
        unscaled / 2: "the division by √d comes before the softmax, whose weights have the sum 1",
        scores.softmax(dim=0) @ values: "the softmax runs over the queries. Each query weighs all keys: its row of "
        "weights has the sum 1 (dim=1)",
        scores.softmax(dim=1): "these are the weights. Each query gets the mean of the values, weighed by its row",
        scores.exp() @ values: "the weights of a query do not have the sum 1: softmax divides by their sum",
        scores @ values: "the scores are not turned into weights: the softmax is missing",
    }
    call = "attention(queries, keys, values) with scores [[ln 3, 0], [0, 0]] and values [[4, 0], [0, 8]]"
    expect_equal(attention(queries, keys, values), wanted, call=call, hints=hints)
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(*shape, generator=generator) for shape in ((3, 8), (5, 8), (5, 2)))
    wanted = torch.nn.functional.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
    call = "attention of 3 queries of 8 numbers to 5 keys, with values of 2 numbers,"
    expect_equal(attention(queries, keys, values), wanted, call=call)


EXERCISES = (
    Exercise(
        name="lenet_parameters",
        task="Count the parameters of LeNet-5 as it is built today: C1 with 6 kernels of 5x5, C3 with 16 kernels of "
        "5x5 that see all 6 maps, C5 from 16 maps of 5x5 to 120 units, F6 to 84, and an output for each class; all "
        "with biases. The averages between them have none. For grey images and ten classes that is 61,706.",
        stub="def lenet_parameters(in_channels: int, num_classes: int) -> int:",
        check=_check_lenet_parameters,
    ),
    Exercise(
        name="patches",
        task="Cut images (N, C, H, W) into patches of size x size pixels that do not overlap, and lay each patch out "
        "as one vector: (N, H/size · W/size, C·size·size). The patches come row by row from the top left; within each "
        "come first all values of the first channel, row by row, then those of the next. Height and width are "
        "multiples of size. For torch.arange(16.0).reshape(1, 1, 4, 4) and size 2 the first patch is [0, 1, 4, 5].",
        stub="def patches(images: Tensor, size: int) -> Tensor:",
        check=_check_patches,
    ),
    Exercise(
        name="attention",
        task="From queries (T, d), keys (S, d) and values (S, e) compute what each query gets, (T, e): the mean of the "
        "values, weighed by the softmax, over the keys, of its scores. The score of a query and a key is query · key / "
        "√d. Use no ready-made attention of PyTorch.",
        stub="def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:",
        check=_check_attention,
    ),
)
