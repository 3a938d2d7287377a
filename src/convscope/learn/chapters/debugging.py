"""Exercises of the chapter on debugging a training."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal
from convscope.learn.values import shown

if TYPE_CHECKING:
    from torch import Tensor, nn


def _check_gradient_norm(answer: Callable[..., Any]) -> None:
    import torch
    from torch import nn

    class Two(nn.Module):
        """Two parameters with gradients (3, 4) and (12), and perhaps one without."""

        def __init__(self, *, third: bool) -> None:
            super().__init__()
            self.first, self.second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.full((1,), 7.0))
            self.first.grad, self.second.grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
            if third:
                self.third = nn.Parameter(torch.ones(5))

    model = Two(third=False)
    got = answer(model)
    call = "gradient_norm of parameters with gradients (3, 4) and (12)"
    if model.first.grad is None or model.first.grad.tolist() != [3.0, 4.0]:
        raise Wrong(f"{call} changed the gradients: only look at them; clip_grad_norm_ shortens what it measures.")
    expect_equal(
        got,
        13.0,
        call=call,
        hints={
            17.0: "that is the sum of the parameters' norms: sum the squares, and take one root at the end",
            8.5: "that is the mean of the parameters' norms: sum the squares, and take one root at the end",
            169.0: "the root is missing",
            19.0: "that is the sum of the magnitudes: square them, sum, take the root",
            7.0: "that is the norm of the parameters themselves: look at `.grad`",
            12.0: "that is the last parameter alone, or the largest norm: all of them belong to it",
            (169 / 3) ** 0.5: "that divides by the number of values: it is the root of the sum of squares, not of "
            "their mean",
            (169 / 2) ** 0.5: "that divides by the number of parameters: it is the root of the sum of squares, not "
            "of their mean",
        },
    )
    try:
        got = answer(Two(third=True))
    except (AttributeError, TypeError) as error:
        raise Wrong(
            f"{call}, and one whose gradient is None, raised {type(error).__name__}: a parameter that took no part, or "
            "is frozen, has no gradient; leave it out."
        ) from error
    expect_equal(got, 13.0, call=f"{call}, and one whose gradient is None,")


def _check_batch_faults(answer: Callable[..., Any]) -> None:
    import torch

    images = torch.linspace(-0.8, 2.0, 4 * 28 * 28).view(4, 1, 28, 28)
    labels = torch.tensor([0, 9, 3, 3])
    hole = images.clone()
    hole[2, 0, 5, 5] = float("nan")
    for what, given, targets, wanted, hint in (
        ("a healthy batch", images, labels, [], "a healthy batch has no fault"),
        ("healthy colour images", images.expand(4, 3, 28, 28), labels, [], "three channels are as good as one"),
        (
            "images of shape (4, 28, 28, 1)",
            images.permute(0, 2, 3, 1),
            labels,
            ["shape"],
            "channels come second, (N, C, H, W), and there are 1 or 3 of them",
        ),
        ("images of shape (4, 28, 28)", images[:, 0], labels, ["shape"], "four axes are needed, (N, C, H, W)"),
        ("pixels from 0 to 255", 255 * images.abs() / 2, labels, ["scale"], "look at the largest magnitude"),
        (
            "pixels from -255 to 0",
            -255 * images.abs() / 2,
            labels,
            ["scale"],
            "the largest magnitude counts, not the largest value: take abs() first",
        ),
        ("one pixel that is nan", hole, labels, ["not finite"], "isfinite() is false for nan and inf"),
        ("four images and three labels", images, labels[:3], ["labels"], "each image needs a label"),
        ("the label 10 of 10 classes", images, torch.tensor([0, 10, 3, 3]), ["labels"], "labels go to num_classes - 1"),
        ("the label -1", images, torch.tensor([0, -1, 3, 3]), ["labels"], "labels begin with 0"),
        ("labels as float32", images, labels.float(), ["labels"], "cross_entropy takes labels as int64"),
        (
            "bytes, with one label too few",
            255 * images.abs() / 2,
            labels[:3],
            ["scale", "labels"],
            "a batch may have several faults: go on looking after the first",
        ),
    ):
        call = f"batch_faults({what}, num_classes=10)"
        try:
            got = answer(given.clone(), targets.clone(), num_classes=10)
        except (IndexError, RuntimeError, ValueError) as error:
            raise Wrong(f"{call} raised {type(error).__name__}, where a list was asked for: {hint}.") from error
        if isinstance(got, list) and got != wanted and all(isinstance(word, str) for word in got):
            if sorted(got) == sorted(wanted):
                hint = "the right words, but not in the order of the task"
            raise Wrong(f"{call} gave {shown(got)}, not {wanted}: {hint}.")
        expect_equal(got, wanted, call=call)


def _losses(
    model: "nn.Module", images: "Tensor", labels: "Tensor", *, steps: int, lr: float, zero_grad: bool = True
) -> list[float]:
    """What `learn_one_batch` should answer; without `zero_grad` what it does if that is forgotten."""
    import torch
    from torch.nn import functional as F

    losses = []
    for _ in range(steps):
        if zero_grad:
            model.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        torch.autograd.backward(loss)
        with torch.no_grad():  # without torch.optim, which takes a second to import
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=lr)
        losses.append(loss.item())
    return losses


def _check_learn_one_batch(answer: Callable[..., Any]) -> None:
    import copy

    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        drawn = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        images = torch.randn(6, 1, 2, 2)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    steps, lr = 6, 0.5
    right = _losses(copy.deepcopy(drawn), images, labels, steps=steps + 1, lr=lr)
    piled = _losses(copy.deepcopy(drawn), images, labels, steps=steps, lr=lr, zero_grad=False)
    model = copy.deepcopy(drawn)
    got = answer(model, images.clone(), labels.clone(), steps=steps, lr=lr)
    call = f"learn_one_batch(a small network, 6 images, their labels, steps={steps}, lr={lr})"
    if isinstance(got, list) and got and isinstance(got[0], torch.Tensor):
        raise Wrong(
            f"{call} gave tensors, and each keeps its whole backward pass in memory: `loss.item()` is the number."
        )
    hints = {
        tuple(piled): "the gradients of all steps piled up: call `optimizer.zero_grad()` in each step",
        tuple(right[1:]): "these are the losses after the steps; the first one is that of the network as it came",
        (right[0],) * steps: "the loss never changes: does `optimizer.step()` come after `loss.backward()`, and "
        "`zero_grad()` not between them?",
        tuple(right): "that is one loss too many: one before each step",
    }
    if isinstance(got, list | tuple) and len(got) == steps and all(type(loss) is float for loss in got):
        # What is left is told by the first loss alone.
        with_softmax = _losses(nn.Sequential(copy.deepcopy(drawn), nn.Softmax(dim=1)), images, labels, steps=1, lr=lr)
        for first, hint in (
            (len(labels) * right[0], "the sum over the images: the loss is their mean"),
            (
                with_softmax[0],
                "cross_entropy takes logits and has a softmax of its own: give it what the model answers",
            ),
            (
                right[0],
                "the first loss is right, and the steps are others: plain SGD subtracts lr times the gradient, "
                "without momentum or anything else",
            ),
        ):
            if abs(got[0] - first) < 1e-4:
                hints.setdefault(tuple(got), hint)
    expect_equal(got, right[:steps], call=call, hints=hints)
    if all(torch.equal(*pair) for pair in zip(model.parameters(), drawn.parameters(), strict=True)):
        raise Wrong(f"{call} left the model as it was: train the model itself, not a copy of it.")


EXERCISES = (
    Exercise(
        name="gradient_norm",
        task="The norm of the gradient of all parameters of a model together, a float: the root of the sum of the "
        "squares of all values in all `.grad`. Parameters whose `.grad` is None are left out, and the gradients stay "
        "as they are. With gradients (3, 4) and (12) it is 13.0.",
        stub="def gradient_norm(model: nn.Module) -> float:",
        check=_check_gradient_norm,
    ),
    Exercise(
        name="batch_faults",
        task="What is wrong with a batch, as a list of words in this order, empty for a healthy one. 'shape': the "
        "images are not (N, C, H, W) with 1 or 3 channels. 'not finite': a value is nan or infinite. 'scale': a "
        "finite value lies further from 0 than 20. 'labels': they are not int64, not one for each image, or not "
        "between 0 and num_classes - 1. Bytes as floats with one label too few give ['scale', 'labels'].",
        stub="def batch_faults(images: Tensor, labels: Tensor, *, num_classes: int) -> list[str]:",
        check=_check_batch_faults,
    ),
    Exercise(
        name="learn_one_batch",
        task="Can a model learn a batch by heart? Take `steps` steps of plain SGD at learning rate `lr`, always on the "
        "same images, float32 (N, C, H, W), and labels, int64 (N,), with cross-entropy. Answer the list of the losses, "
        "as floats, each measured before its step.",
        stub="def learn_one_batch(model: nn.Module, images: Tensor, labels: Tensor, *, steps: int, lr: float) "
        "-> list[float]:",
        check=_check_learn_one_batch,
    ),
)
