"""Exercises of the chapter on optimizers and learning rates."""

import math
from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_largest_stable_rate(answer: Callable[..., Any]) -> None:
    for curvatures in ([5.0], [3.0, 100.0, 0.5], [8.0, 0.5, 2.0]):
        steepest, mean = max(curvatures), sum(curvatures) / len(curvatures)
        expect_equal(
            answer(list(curvatures)),
            2 / steepest,
            call=f"largest_stable_rate({curvatures})",
            hints={
                1 / steepest: "that rate arrives in a single step; up to twice as much it jumps across, but still "
                "gets nearer",
                2 / min(curvatures): "the flattest direction: the steepest one diverges first",
                2 / mean: "the mean curvature: one direction that diverges is enough",
                2 / sum(curvatures): "the sum of the curvatures: each direction has its own factor, 1 - rate * "
                "curvature",
                2 // steepest: "`//` cuts off what is behind the point: divide with `/`",
                steepest / 2: "upside down: the steeper, the smaller the rate",
                2 / curvatures[0]: "the first curvature: take the largest one",
            },
        )


def _check_momentum_step(answer: Callable[..., Any]) -> None:
    import torch

    weight, grad, velocity = torch.tensor([1.0, -2.0]), torch.tensor([4.0, 2.0]), torch.tensor([10.0, -10.0])
    lr, momentum = 0.5, 0.75
    given = [value.clone() for value in (weight, grad, velocity)]
    got = answer(*given, lr=lr, momentum=momentum)
    call = "momentum_step([1, -2], [4, 2], [10, -10], lr=0.5, momentum=0.75)"
    _unchanged(given, (weight, grad, velocity), call)
    new_weight, new_velocity = _parts(got, 2, call, "(weight, velocity)")
    after = momentum * velocity + grad
    wanted = weight - lr * after
    expect_equal(
        new_velocity,
        after,
        call=f"{call}[1]",
        hints={
            momentum * velocity + (1 - momentum) * grad: "the gradient is added whole, not with the weight 1 - "
            "momentum",
            momentum * velocity + lr * grad: "the learning rate multiplies the velocity when the weight moves, not "
            "here",
            velocity + momentum * grad: "the momentum multiplies the old velocity, not the gradient",
            velocity + grad: "the old velocity is multiplied by the momentum first",
            momentum * velocity - grad: "the sign: the velocity sums up gradients, and is subtracted from the weight",
            momentum * velocity - lr * grad: "the velocity sums up gradients, without sign and learning rate",
            velocity: "the velocity did not change",
            wanted: "that is the weight: answer the weight first, then the velocity",
        },
    )
    expect_equal(
        new_weight,
        wanted,
        call=f"{call}[0]",
        hints={
            weight + lr * after: "it moved uphill: subtract",
            weight - after: "the velocity was not multiplied by lr",
            weight - lr * velocity: "the old velocity was used: take the new one",
            weight - lr * grad: "it moved by the gradient alone: take the new velocity",
            weight - lr * (grad + momentum * after): "that is Nesterov's form: here the weight moves by the velocity "
            "itself",
        },
    )


def _check_adam_step(answer: Callable[..., Any]) -> None:
    import torch

    weight, grad = torch.tensor([1.0, -2.0]), torch.tensor([10.0, -0.001])
    zero, lr = torch.zeros(2), 0.5
    given = [value.clone() for value in (weight, grad, zero, zero)]
    got = answer(*given, step=1, lr=lr)
    call = "adam_step([1, -2], [10, -0.001], [0, 0], [0, 0], step=1, lr=0.5)"
    _unchanged(given, (weight, grad, zero, zero), call)
    new_weight, new_mean, new_square = _parts(got, 3, call, "(weight, mean, square)")
    mean, square = 0.1 * grad, 0.001 * grad**2
    eps = 1e-8
    corrected = {
        "mean": {grad: "that is the corrected mean: keep it as it is, and correct only what moves the weight"},
        "square": {grad**2: "that is the corrected square: keep it as it is, and correct only what moves the weight"},
    }
    expect_equal(
        new_mean,
        mean,
        call=f"{call}[1]",
        hints={
            **corrected["mean"],
            0.9 * grad: "the past has the weight 0.9, the gradient 0.1",
            0.001 * grad: _SWAPPED,
            square: "that is the square: answer the weight, then the mean, then the square",
        },
    )
    expect_equal(
        new_square,
        square,
        call=f"{call}[2]",
        hints={
            **corrected["square"],
            0.999 * grad**2: "the past has the weight 0.999, the squared gradient 0.001",
            0.1 * grad**2: _SWAPPED,
            0.001 * grad: "the average is of the squared gradient",
            mean**2: "the squared gradient has the weight 0.001, and is squared by itself, not as an average",
        },
    )
    expect_equal(
        new_weight,
        weight - lr * grad / (grad.abs() + eps),
        call=f"{call}[0]",
        hints={
            weight - lr * mean / (square.sqrt() + eps): "both averages begin at 0, and neither was corrected: divide "
            "the mean by 1 - 0.9 ** step, the square by 1 - 0.999 ** step",
            weight - lr * mean / (grad.abs() + eps): "the mean was not corrected: divide it by 1 - 0.9 ** step",
            weight - lr * grad / (square.sqrt() + eps): "the square was not corrected: divide it by 1 - 0.999 ** step",
            weight - lr * grad / (grad**2 + eps): "the root of the square is missing",
            weight - lr * grad / (grad**2 + eps).sqrt(): "1e-8 is added to the root, not under it",
            weight + lr * grad / (grad.abs() + eps): "it moved uphill: subtract",
            weight - lr * (mean / (1 - 0.9**2)) / ((square / (1 - 0.999**2)).sqrt() + eps): "`step` counts from 1 "
            "already: correct with 0.9 ** step, not step + 1",
            torch.full((2,), math.nan): "`step` counts from 1 already: with step - 1 the first correction divides by 0",
        },
    )

    generator = torch.Generator().manual_seed(0)
    start, mean, square = torch.tensor([1.0, -2.0, 0.5]), torch.zeros(3), torch.zeros(3)
    wanted, uncounted, ours = start, start, (start, mean, square)
    for step in range(1, 6):
        grad = torch.randn(3, generator=generator)
        call = f"adam_step at step {step} of five, with random gradients,"
        ours = _parts(answer(ours[0], grad.clone(), *ours[1:], step=step, lr=0.1), 3, call, "(weight, mean, square)")
        mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad**2
        wanted = wanted - 0.1 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + eps)
        uncounted = uncounted - 0.1 * (mean / 0.1) / ((square / 0.001).sqrt() + eps)
    expect_equal(
        ours[0],
        wanted,
        call="adam_step, five times in a row with random gradients,",
        hints={uncounted: "the correction is always that of the first step: it has 0.9 ** step and 0.999 ** step"},
    )


_SWAPPED = "the two numbers are swapped: 0.9 belongs to the mean, 0.999 to the square"


def _check_cosine_rate(answer: Callable[..., Any]) -> None:
    for step, total, highest in ((3, 11, 0.2), (0, 11, 0.2), (10, 11, 0.2), (5, 11, 0.2), (3, 100, 1.0)):
        progress = step / (total - 1)
        wanted = highest * 0.5 * (1 + math.cos(math.pi * progress))
        expect_equal(
            answer(step, total=total, highest=highest),
            wanted,
            call=f"cosine_rate({step}, total={total}, highest={highest})",
            hints={
                highest - wanted: "it rises: it begins at the highest rate and ends at 0",
                highest * 0.5 * (1 + math.cos(math.pi * step / total)): "the last step is number total - 1: there the "
                "rate is 0",
                highest * (1 + math.cos(math.pi * progress)): "1 + cos runs from 2 to 0: halve it",
                highest * math.cos(math.pi * progress): "the cosine itself becomes negative: take half of 1 + cos",
                highest * math.cos(math.pi / 2 * progress): "half of a whole arch, from its top to its bottom: take "
                "half of 1 + cos",
                highest * 0.5 * (1 + math.cos(180 * progress)): "math.cos takes radians: half a turn is math.pi",
                highest
                * 0.5
                * (1 + math.cos(2 * math.pi * progress)): "a whole wave, down and up again: half a turn is math.pi",
                highest * 0.5 * (1 + math.cos(progress)): "math.cos takes radians: half a turn is math.pi",
                highest * 0.5 * (1 + math.cos(math.pi * step / total - 1)): "`/ total - 1` divides first: write "
                "`/ (total - 1)`",
                highest: "it does not fall: `//` cuts off what is behind the point, so divide with `/`",
                wanted / highest: "that is the factor: multiply it by the highest rate",
                highest * (1 - progress): "a straight line, but a cosine is asked for",
            },
        )


def _parts(got: Any, count: int, call: str, names: str) -> tuple[Any, ...]:
    if got is None:
        raise Wrong(f"{call} gave None: a function without `return` gives None; answer {names}.")
    if not isinstance(got, tuple | list):
        raise Wrong(f"{call} gave a single {type(got).__name__}: answer {count} tensors, {names}, in this order.")
    if len(got) != count:
        raise Wrong(f"{call} gave {len(got)} values: answer {count} tensors, {names}, in this order.")
    return tuple(got)


def _unchanged(given: Any, before: Any, call: str) -> None:
    import torch

    if not all(torch.equal(one, other) for one, other in zip(given, before, strict=True)):
        raise Wrong(f"{call} changed a tensor it was given: compute new ones, without in-place operations such as +=.")


EXERCISES = (
    Exercise(
        name="largest_stable_rate",
        task="Gradient descent on a loss that has in each direction one of the `curvatures`, all positive: each step "
        "multiplies the distance in a direction by 1 - rate * curvature. Answer the rate above which it diverges. "
        "For [5.0] it is 0.4.",
        stub="def largest_stable_rate(curvatures: list[float]) -> float:",
        check=_check_largest_stable_rate,
    ),
    Exercise(
        name="momentum_step",
        task="One step of SGD with momentum, as in the chapter: answer (new weight, new velocity), and leave the "
        "tensors given as they are; all have the same shape. For weight [0], grad [1], velocity [1], lr=1 and "
        "momentum=0.9 it is ([-1.9], [1.9]).",
        stub="def momentum_step(\n    weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float\n"
        ") -> tuple[Tensor, Tensor]:",
        check=_check_momentum_step,
    ),
    Exercise(
        name="adam_step",
        task="One step of Adam, as in the chapter, with 0.9, 0.999 and 1e-8: answer (new weight, new mean, new "
        "square), and leave the tensors given as they are. `mean` and `square` are the two averages before, "
        "uncorrected; `step` counts from 1. For weight [0], grad [3], mean [0], square [0], step=1 and lr=0.5 it is "
        "([-0.5], [0.3], [0.009]).",
        stub="def adam_step(\n"
        "    weight: Tensor, grad: Tensor, mean: Tensor, square: Tensor, *, step: int, lr: float\n"
        ") -> tuple[Tensor, Tensor, Tensor]:",
        check=_check_adam_step,
    ),
    Exercise(
        name="cosine_rate",
        task="The learning rate at `step`, from 0, of a training of `total` steps: it falls from `highest` at the "
        "first step to 0 at the last, number total - 1, along half a cosine wave. In the middle it is half of "
        "`highest`: cosine_rate(5, total=11, highest=0.2) is 0.1.",
        stub="def cosine_rate(step: int, *, total: int, highest: float) -> float:",
        check=_check_cosine_rate,
    ),
)
