"""Exercises of the chapter on pooling."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal

if TYPE_CHECKING:
    from torch import Tensor

_EXAMPLE = [[1.0, 2, 2, 4], [5, 6, 8, 7], [9, 10, 12, 11], [13, 15, 14, 16]]


def _ask(answer: Callable[..., Any], maps: "Tensor", *rest: Any, call: str) -> Any:
    """What the learner's function makes of maps, which stay as they were."""
    given = maps.clone()
    got = answer(given, *rest)
    if not maps.equal(given):
        raise Wrong(f"{call} changed the numbers it was given: make a new tensor instead.")
    return got


def _check_max_pool(answer: Callable[..., Any]) -> None:
    import torch
    import torch.nn.functional as F

    maps = torch.tensor(_EXAMPLE)[None, None]
    call = "max_pool of the chapter's example (1, 1, 4, 4), size 2"
    got = _ask(answer, maps, 2, call=call)
    if isinstance(got, tuple) and len(got) == 2:
        raise Wrong(f"{call} gave two tensors, the largest values and their places: return the values alone.")
    if isinstance(got, torch.Tensor) and got.shape == (1, 1, 3, 3):
        raise Wrong(f"{call} gave shape (1, 1, 3, 3): squares do not overlap, each begins where the last one ended.")
    expect_equal(
        got,
        F.max_pool2d(maps, 2),
        call=call,
        hints={
            F.avg_pool2d(maps, 2): "these are the means of the squares, not their largest values",
            -F.max_pool2d(-maps, 2): "these are the smallest values of the squares",
            maps.view(1, 1, 2, 2, 2, 2).amax((4, 5)): "these are the largest of four neighbours in a row: reshape to "
            "(N, C, H // size, size, W // size, size), and take the largest along axes 3 and 5",
            F.max_pool2d(maps, 2).mT: "rows and columns have changed places",
            maps[:, :, ::2, ::2]: "these are the values at the squares' corners: look at all of each square",
        },
    )

    numbers = torch.randperm(2 * 7 * 9, generator=torch.Generator().manual_seed(0))
    maps = -1.0 - numbers.view(1, 2, 7, 9)
    pooled = F.max_pool2d(maps, 3)
    call = "max_pool of negative numbers (1, 2, 7, 9), size 3"
    got = _ask(answer, maps, 3, call=call)
    if isinstance(got, torch.Tensor):
        if got.shape == (1, 2, 3, 3):
            raise Wrong(f"{call} gave shape (1, 2, 3, 3): rows that do not fill a square are dropped, 7 rows give 2.")
        if got.shape in ((1, 2, 2, 2), (1, 2, 3, 2)):
            raise Wrong(f"{call} gave shape {tuple(got.shape)}: maps need not be square, 7 x 9 pixels give 2 x 3.")
    hints: dict[Any, str] = {
        torch.zeros(1, 2, 2, 3): "the largest of negative numbers is negative: do not begin with 0",
        pooled.amax(dim=1, keepdim=True).expand(1, 2, 2, 3): "channels are pooled by themselves, not together",
    }
    if isinstance(got, torch.Tensor) and got.shape == (1, 2, 3, 4):
        raise Wrong(f"{call} gave shape (1, 2, 3, 4): squares of size 3 begin every 3 pixels, not every 2.")
    expect_equal(got, pooled, call=call, hints=hints)


def _check_global_average_pool(answer: Callable[..., Any]) -> None:
    import torch

    maps = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).float()
    wanted = maps.mean(dim=(2, 3))
    call = "global_average_pool of maps (2, 3, 4, 5)"
    got = _ask(answer, maps, call=call)
    if isinstance(got, torch.Tensor):
        for shape, hint in (
            ((2, 3, 1, 1), "the two axes of length 1 are to go too: (2, 3)"),
            ((3,), "the images are to stay apart: (2, 3)"),
            ((2,), "the channels are to stay apart: (2, 3)"),
            ((2, 5), "the channels, axis 1, are to stay, and the columns, axis 3, are to go: (2, 3)"),
            ((2, 4), "the channels, axis 1, are to stay, and the rows, axis 2, are to go: (2, 3)"),
            ((2, 3, 4), "average over the rows as well: (2, 3)"),
            ((2, 3, 5), "average over the columns as well: (2, 3)"),
            ((4, 5), "axes 0 and 1, images and channels, are to stay; axes 2 and 3 go: (2, 3)"),
        ):
            if got.shape == shape:
                raise Wrong(f"{call} gave shape {shape}: {hint}.")
    expect_equal(
        got,
        wanted,
        call=call,
        hints={
            maps.amax(dim=(2, 3)): "these are the largest values, not the means",
            maps.sum(dim=(2, 3)): "these are the sums: divide them by the number of pixels",
            maps.sum(dim=(2, 3)) / 16: "maps need not be square: there are height times width pixels",
            maps.sum(dim=(2, 3)) / 25: "maps need not be square: there are height times width pixels",
        },
    )


def _check_max_pool_gradient(answer: Callable[..., Any]) -> None:
    import torch
    import torch.nn.functional as F

    values = torch.tensor([[3.0, 1, 0, 2], [2, 0, 9, 5], [1, 4, 6, 1], [2, 3, 5, 4]])
    grad = torch.tensor([[1.0, -2.0], [0.5, 4.0]])
    leaf = values.clone().requires_grad_()
    torch.autograd.backward(F.max_pool2d(leaf[None], 2)[0], grad)
    wanted = leaf.grad
    assert wanted is not None
    spread = grad.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    winners = (wanted != 0).float()
    call = "max_pool_gradient of a map (4, 4) and a gradient (2, 2)"
    got = _ask(answer, values, grad.clone(), call=call)
    if isinstance(got, torch.Tensor) and got.shape == grad.shape:
        raise Wrong(f"{call} gave shape (2, 2): the gradient of the map has the shape of the map.")
    expect_equal(
        got,
        wanted,
        call=call,
        hints={
            spread / 4: "that is average pooling's, where all four share; of a maximum the winner gets everything",
            spread: "only the largest value of a square made a difference, so it alone gets the gradient",
            winners: "these are the winners: each gets the gradient of its square, and not 1",
            wanted * values: "the gradient goes through as it is, not times the value",
            (values == values.max()) * spread: "each square has its own winner, not only the largest value of the map",
            torch.where(wanted != 0, spread, values): "the others get 0: begin with zeros, not with the map",
            grad.repeat(2, 2): "`repeat` lays the whole gradient side by side; `repeat_interleave` repeats each number",
            grad.repeat(2, 2) * winners: "`repeat` lays the whole gradient side by side; `repeat_interleave` repeats "
            "each number",
            wanted.abs(): "gradients may be negative, and stay so",
            wanted.relu(): "gradients may be negative, and stay so",
        },
    )


EXERCISES = (
    Exercise(
        name="max_pool",
        task="""
            Max pooling of maps (N, C, H, W) with squares of `size` x `size` pixels that do not overlap: (N, C, H //
            size, W // size). Rows and columns that do not fill a square are dropped. Write it without PyTorch's own
            pooling. Of the chapter's example, with size 2, it makes [[[[6, 8], [15, 16]]]].
            """,
        stub="def max_pool(maps: Tensor, size: int) -> Tensor:",
        check=_check_max_pool,
    ),
    Exercise(
        name="global_average_pool",
        task="""
            The mean of each map, (N, C, H, W) -> (N, C). A map whose left half is 0 and whose right half is 1 becomes
            0.5.
            """,
        stub="def global_average_pool(maps: Tensor) -> Tensor:",
        check=_check_global_average_pool,
    ),
    Exercise(
        name="max_pool_gradient",
        task="""
            The gradient of a map (H, W), H and W even, that goes through max pooling with squares of 2 x 2, from the
            gradient of what comes out (H / 2, W / 2). In each square the largest value gets all of it, the others
            0. No square has two largest values. Of the map [[1, 2], [5, 6]] and the gradient [[3]] it is
            [[0, 0], [0, 3]].
            """,
        stub="def max_pool_gradient(values: Tensor, grad: Tensor) -> Tensor:",
        check=_check_max_pool_gradient,
    ),
)
