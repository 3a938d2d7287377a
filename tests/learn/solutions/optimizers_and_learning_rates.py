"""Right solutions of the exercises on optimizers and learning rates, and mistakes that must be recognised."""

import math

from torch import Tensor


def largest_stable_rate(curvatures: list[float]) -> float:
    return 2 / max(curvatures)


def momentum_step(
    weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float
) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + grad
    return weight - lr * velocity, velocity


def adam_step(
    weight: Tensor, grad: Tensor, mean: Tensor, square: Tensor, *, step: int, lr: float
) -> tuple[Tensor, Tensor, Tensor]:
    mean = 0.9 * mean + 0.1 * grad
    square = 0.999 * square + 0.001 * grad**2
    corrected_mean, corrected_square = mean / (1 - 0.9**step), square / (1 - 0.999**step)
    return weight - lr * corrected_mean / (corrected_square.sqrt() + 1e-8), mean, square


def cosine_rate(step: int, *, total: int, highest: float) -> float:
    return highest * 0.5 * (1 + math.cos(math.pi * step / (total - 1)))


def _in_place(weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float) -> tuple[Tensor, Tensor]:
    velocity *= momentum
    velocity += grad
    return weight - lr * velocity, velocity


def _averaged(weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + (1 - momentum) * grad
    return weight - lr * velocity, velocity


def _scaled(weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + lr * grad
    return weight - velocity, velocity


def _nesterov(weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float) -> tuple[Tensor, Tensor]:
    velocity = momentum * velocity + grad
    return weight - lr * (grad + momentum * velocity), velocity


def _old(weight: Tensor, grad: Tensor, velocity: Tensor, *, lr: float, momentum: float) -> tuple[Tensor, Tensor]:
    return weight - lr * velocity, momentum * velocity + grad


def _adam(
    weight: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    correct: tuple[bool, bool] = (True, True),
    keep: bool = True,
    root: float = 0.5,
) -> tuple[Tensor, Tensor, Tensor]:
    mean = betas[0] * mean + (1 - betas[0]) * grad
    square = betas[1] * square + (1 - betas[1]) * grad**2
    corrected_mean = mean / (1 - betas[0] ** step) if correct[0] else mean
    corrected_square = square / (1 - betas[1] ** step) if correct[1] else square
    weight = weight - lr * corrected_mean / (corrected_square**root + 1e-8)
    return (weight, mean, square) if keep else (weight, corrected_mean, corrected_square)


MISTAKES = [
    ("largest_stable_rate", lambda curvatures: 1 / max(curvatures), "single step"),
    ("largest_stable_rate", lambda curvatures: 2 / min(curvatures), "steepest"),
    ("largest_stable_rate", lambda curvatures: 2 * len(curvatures) / sum(curvatures), "enough"),
    ("largest_stable_rate", lambda curvatures: 2 / sum(curvatures), "own factor"),
    ("largest_stable_rate", lambda curvatures: max(curvatures) / 2, "upside down"),
    ("largest_stable_rate", lambda curvatures: 2 // max(curvatures), "//"),
    ("momentum_step", _in_place, "changed"),
    ("momentum_step", lambda *tensors, **rates: None, "return"),
    ("momentum_step", _averaged, "whole"),
    ("momentum_step", _scaled, "learning rate"),
    ("momentum_step", _nesterov, "Nesterov"),
    ("momentum_step", _old, "old velocity"),
    ("momentum_step", lambda *tensors, **rates: momentum_step(*tensors, **rates)[::-1], "weight first"),
    ("momentum_step", lambda *tensors, **rates: momentum_step(*tensors, **rates)[0], "2 tensors"),
    ("adam_step", lambda *tensors, **rates: _adam(*tensors, **rates, correct=(False, False)), "neither"),
    ("adam_step", lambda *tensors, **rates: _adam(*tensors, **rates, correct=(False, True)), "mean was not"),
    ("adam_step", lambda *tensors, **rates: _adam(*tensors, **rates, correct=(True, False)), "square was not"),
    ("adam_step", lambda *tensors, **rates: _adam(*tensors, **rates, betas=(0.999, 0.9)), "swapped"),
    ("adam_step", lambda *tensors, **rates: _adam(*tensors, **rates, keep=False), "corrected mean"),
    ("adam_step", lambda *tensors, **rates: _adam(*tensors, **rates, root=1.0), "root"),
    ("adam_step", lambda *tensors, step, lr: adam_step(*tensors, step=1, lr=lr), "first step"),
    ("adam_step", lambda *tensors, step, lr: _adam(*tensors, step=step + 1, lr=lr), "already"),
    ("adam_step", lambda *tensors, step, lr: adam_step(*tensors, step=step - 1, lr=lr), "divides by 0"),
    ("adam_step", lambda *tensors, **rates: [adam_step(*tensors, **rates)[place] for place in (0, 2, 1)], "the mean"),
    ("cosine_rate", lambda step, *, total, highest: cosine_rate(2 * step, total=total, highest=highest), "whole wave"),
    ("cosine_rate", lambda step, *, total, highest: cosine_rate(step // (total - 1), total=2, highest=highest), "//"),
    ("cosine_rate", lambda step, *, total, highest: cosine_rate(step, total=total + 1, highest=highest), "last step"),
    ("cosine_rate", lambda step, *, total, highest: 2 * cosine_rate(step, total=total, highest=highest), "halve"),
    ("cosine_rate", lambda step, *, total, highest: cosine_rate(step, total=total, highest=1.0), "factor"),
    ("cosine_rate", lambda step, *, total, highest: highest * (1 - step / (total - 1)), "straight"),
    ("cosine_rate", lambda step, *, total, highest: highest - cosine_rate(step, total=total, highest=highest), "rises"),
]
