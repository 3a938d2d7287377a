"""Exercises of the chapter on activations."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal

if TYPE_CHECKING:
    from torch import Tensor


def _check_leaky_relu(answer: Callable[..., Any]) -> None:
    import torch

    x = torch.tensor([[-3.0, -0.5, 0.0], [0.5, 2.0, -1.0]])
    call = "leaky_relu([[-3, -0.5, 0], [0.5, 2, -1]], 0.1)"
    given = x.clone()
    got = answer(given, 0.1)
    if not torch.equal(given, x):
        raise Wrong(f"{call} changed the numbers it was given: make a new tensor instead.")
    expect_equal(
        got,
        torch.where(x > 0, x, 0.1 * x),
        call=call,
        hints={
            x.relu(): "that is the ReLU: below 0 the leaky one gives slope times x",
            0.1 * x: "above 0 it gives x itself",
            torch.where(x > 0, x, -0.1 * x): "below 0 it stays negative: slope times x, not minus slope times x",
            torch.where(x > 0, x, torch.full_like(x, 0.1)): "below 0 it gives slope times x, not the slope",
            torch.where(x > 0, x, torch.full_like(x, -0.1)): "below 0 it gives slope times x, not minus the slope",
            torch.where(x > 0, 0.1 * x, x): "the two sides have changed places: x above 0, slope times x below",
            torch.where(x > 0, x, x - 0.1): "below 0 it gives slope times x, not x less the slope",
            torch.where(x > 0, x, x / 0.1): "the slope is what x is multiplied by, not divided by",
            x.abs(): "that is the absolute value: below 0 it gives slope times x",
            torch.where(x > 0, x, 0.01 * x): "the slope is given: here it is 0.1, not 0.01",
        },
    )
    expect_equal(
        answer(x.clone(), 2.0),
        torch.where(x > 0, x, 2 * x),
        call="leaky_relu([[-3, -0.5, 0], [0.5, 2, -1]], 2.0)",
        hints={
            torch.maximum(x, 2 * x): "the larger of x and slope times x is right for slopes up to 1 only; ask whether "
            "x is above 0",
        },
    )


def _check_gelu(answer: Callable[..., Any]) -> None:
    import torch
    import torch.nn.functional as F

    x = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    share = 0.5 * (1 + torch.erf(x / 2**0.5))
    call = "gelu([-3, -1, -0.5, 0, 0.5, 1, 3])"
    given = x.clone()
    got = answer(given)
    if not torch.equal(given, x):
        raise Wrong(f"{call} changed the numbers it was given: make a new tensor instead.")
    expect_equal(
        got,
        x * share,
        call=call,
        hints={
            F.gelu(x, approximate="tanh"): "that is the approximation by tanh, a little off; torch.erf is exact",
            x * torch.sigmoid(1.702 * x): "that is the approximation x · sigmoid(1.702 x); torch.erf is exact",
            F.silu(x): "that is the SiLU, x · sigmoid(x)",
            share: "that is Φ(x), the share; multiply x by it",
            x * 0.5 * (1 + torch.erf(x)): "the root of 2 is missing: Φ(x) = (1 + erf(x / √2)) / 2",
            x * 0.5 * (1 + torch.erf(x * 2**0.5)): "x is divided by the root of 2: Φ(x) = (1 + erf(x / √2)) / 2",
            x * 0.5 * (1 + torch.erf(x / 2)): "it is the root of 2 that x is divided by: 2**0.5",
            x * 0.5 * (1 + torch.erf(x / 4)): "`x / 2**1/2` divides x by 2 twice: the root of 2 is 2**0.5",
            x + torch.erf(x / 2**0.5) / 2: "brackets: x multiplies the sum, x * (1 + erf(x / √2)) / 2",
            x.relu(): "that is the ReLU",
            x * (1 + torch.erf(x / 2**0.5)): "the half is missing: Φ(x) = (1 + erf(x / √2)) / 2",
            x * torch.erf(x / 2**0.5): "erf runs from −1 to 1, and Φ from 0 to 1: Φ(x) = (1 + erf(x / √2)) / 2",
            x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5: "that is x times the density of the normal "
            "distribution; Φ is the share that lies below x",
        },
    )


def _merged(answer: Callable[..., Any], layers: tuple["Tensor", ...], call: str) -> tuple[Any, Any]:
    """The weight and the bias that the learner's function makes of two layers, which stay as they were."""
    given = [tensor.clone() for tensor in layers]
    got = answer(*given)
    if not all(before.equal(after) for before, after in zip(layers, given, strict=True)):
        raise Wrong(f"{call} changed what it was given: make new tensors instead.")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong(f"{call} is to give two tensors, weight and bias: `return weight, bias`.")
    weight, bias = got
    return weight, bias


def _check_merge_layers(answer: Callable[..., Any]) -> None:
    import torch

    weight1, bias1 = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, -1.0])
    weight2, bias2 = torch.tensor([[0.0, 1.0], [2.0, 5.0]]), torch.tensor([10.0, 20.0])
    call = "merge_layers of two layers from 2 to 2 numbers"
    weight, bias = _merged(answer, (weight1, bias1, weight2, bias2), call)
    expect_equal(
        weight,
        weight2 @ weight1,
        call=f"the weight of {call}",
        hints={
            weight1 @ weight2: "the second layer's matrix stands on the left, `weight2 @ weight1`: it is applied last",
            weight2 * weight1: "* multiplies number by number, @ multiplies matrices",
            weight1 + weight2: "the second layer multiplies what the first one gives; nothing is added",
            weight2 @ weight1.T: "nothing is to be transposed: `weight2 @ weight1`",
            weight2.T @ weight1: "nothing is to be transposed: `weight2 @ weight1`",
            (weight2 @ weight1).T: "that is transposed: PyTorch's weights are (out, in)",
            weight2 @ bias1 + bias2: "that is the bias: the weight comes first",
        },
    )
    expect_equal(
        bias,
        weight2 @ bias1 + bias2,
        call=f"the bias of {call}",
        hints={
            bias1 + bias2: "the first bias goes through the second layer too: `weight2 @ bias1 + bias2`",
            weight2 @ bias1: "the second layer's own bias is missing",
            bias2: "the first bias goes through the second layer too: `weight2 @ bias1 + bias2`",
            bias1 * bias2: "the first bias goes through the second layer: `weight2 @ bias1 + bias2`",
            weight1 @ bias1 + bias2: "the first bias goes through the second layer, so weight2 multiplies it",
            weight2 @ (bias1 + bias2): "the second bias is added last, weight2 does not multiply it",
            weight2.T @ bias1 + bias2: "the weights are (out, in), so `weight2 @ bias1` it is, not `bias1 @ weight2`",
            weight2 * bias1 + bias2: "* multiplies number by number, @ multiplies a matrix and a vector",
        },
    )
    weight1, bias1 = torch.arange(6.0).view(2, 3), torch.tensor([1.0, 2.0])
    weight2, bias2 = torch.arange(8.0).view(4, 2), torch.arange(4.0)
    call = "merge_layers of a layer from 3 to 2 and one from 2 to 4 numbers"
    weight, bias = _merged(answer, (weight1, bias1, weight2, bias2), call)
    expect_equal(weight, weight2 @ weight1, call=f"the weight of {call}")
    expect_equal(bias, weight2 @ bias1 + bias2, call=f"the bias of {call}")


def _check_dead_units(answer: Callable[..., Any]) -> None:
    import torch

    inputs = torch.tensor(
        [
            [-1.0, -2.0, 0.5, 0.0, -3.0, -1.0],
            [-0.5, 3.0, 1.0, -1.0, -2.0, 2.0],
            [-2.0, -4.0, 0.1, 0.0, -0.1, 0.5],
            [-1.0, -1.0, -0.2, -2.0, -1.0, -1.0],
        ]
    )
    call = "dead_units of the inputs of 6 units for 4 images"
    given = inputs.clone()
    got = answer(given)
    if not torch.equal(given, inputs):
        raise Wrong(f"{call} changed the inputs it was given: make a new tensor instead.")
    if isinstance(got, torch.Tensor):
        if got.shape == (6,) and got.dtype == torch.bool:
            raise Wrong(f"{call} gave truth values: the numbers of the dead units are asked for, [0, 3, 4].")
        raise Wrong(f"{call} gave a tensor: a list of ints is asked for, which `.tolist()` makes of it.")
    expect_equal(
        got,
        [0, 3, 4],
        call=call,
        hints={
            (0, 1, 2, 3, 4, 5): "a unit that answers to one image is not dead: the ReLU has to answer 0 to all",
            (0, 1, 3, 4): "one large value is enough to be alive: look at the largest input, not at the sum or mean",
            (0, 1, 3, 4, 5): "that is so for the first image: a dead unit answers 0 to all of them",
            (0, 4): "of an input of exactly 0 the ReLU makes 0 too: unit 3 is dead",
            (3,): "images are rows, units columns: that is the image that no unit answers to",
            (1, 2, 5): "these are the units that answer to an image; the dead ones are the others",
            (): "dead are the units whose inputs are 0 or less for every image",
            (1, 4, 5): "units are counted from 0",
            ((0,), (3,), (4,)): "`nonzero` gives a row for each; `.flatten()` before `.tolist()` makes one row of them",
        },
    )
    expect_equal(answer(torch.ones(4, 2)), [], call="dead_units of inputs that are all 1")


EXERCISES = (
    Exercise(
        name="leaky_relu",
        task="""
            The leaky ReLU of a tensor of any shape: x where x is above 0, slope · x elsewhere. Write it without
            PyTorch's own. leaky_relu([-2, 3], 0.1) is [-0.2, 3].
            """,
        stub="def leaky_relu(x: Tensor, slope: float) -> Tensor:",
        check=_check_leaky_relu,
    ),
    Exercise(
        name="gelu",
        task="""
            The GELU of a tensor of any shape, x · Φ(x), exactly: Φ(x), the share of the normal distribution that lies
            below x, is (1 + erf(x / √2)) / 2, and torch has erf. gelu([1]) is [0.8413].
            """,
        stub="def gelu(x: Tensor) -> Tensor:",
        check=_check_gelu,
    ),
    Exercise(
        name="merge_layers",
        task="""
            Weight and bias of the one fully connected layer that does what two do without an activation between
            them. As in PyTorch a layer is weight @ x + bias, with a weight (out, in) and a bias (out,). Of
            y = 2x + 1 and z = 3y − 4 it makes z = 6x − 1.
            """,
        stub=(
            "def merge_layers(\n"
            "    weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor\n"
            ") -> tuple[Tensor, Tensor]:"
        ),
        check=_check_merge_layers,
    ),
    Exercise(
        name="dead_units",
        task="""
            The numbers, from 0 and ascending, of the units whose ReLU answers 0 to every image. Given is what goes
            into the ReLU, a row for each image: (N, units). Of [[-1, 2], [-3, -1]] unit 0 is dead, so the answer is
            [0].
            """,
        stub="def dead_units(inputs: Tensor) -> list[int]:",
        check=_check_dead_units,
    ),
)
