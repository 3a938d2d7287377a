"""What a network answers before it has learnt anything."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convscope.doctor.findings import Finding
from convscope.doctor.guessing import guessing_loss
from convscope.doctor.training.depth import without_dropout
from convscope.training.lr_finder import Trial

FAR = 2.0
"""Times the loss of a network that thinks all classes equally likely, from which one is sure of wrong answers."""
ROUNDING = 0.02
"""How far the sum of ten probabilities in bfloat16 may be from 1."""
SAME = 1e-6
"""Deviation of the logits over the images, as a share of their size, below which all answers are the same."""
UNSTEADY = 0.01
"""Change of the logits in evaluation, as a share of their size, that rounding does not make."""


@torch.no_grad()
def describe_answers(
    trial: Trial, batches: Sequence[tuple[Tensor, Tensor]], class_counts: Sequence[int], label_smoothing: float
) -> dict[str, Any]:
    """`first_loss`, `even_loss` (of an answer that gives all classes the same chance: log(classes)), `guessing_loss`
    (of one that gives them their shares), `probabilities` (whether the logits are some), `differ` (deviation of the
    logits from image to image, as a share of their size) and `unsteady` (change of the logits in evaluation where it
    should make none, likewise), as JSON types.
    """
    model = trial.model
    trial.freezing.train(model, epoch=1)
    without_dropout(model)
    losses, answers = [], []
    for images, labels in batches:
        with trial.runtime.autocast():
            output = model(images)
        loss = trial.criterion(output, labels)
        losses.append(loss.main.item())
        answers.append(loss.logits.float())
    logits = torch.cat(answers)
    sums = logits.sum(dim=1)
    return {
        "first_loss": sum(losses) / len(losses),
        "even_loss": math.log(len(class_counts)),
        "guessing_loss": guessing_loss(class_counts, label_smoothing),
        "probabilities": bool(logits.min() >= 0 and (sums - 1).abs().max() < ROUNDING),
        "differ": float(logits.std(dim=0, correction=0).max() / _size(logits)),
        "unsteady": _unsteadiness(model, batches[0][0]),
    }


def _unsteadiness(model: nn.Module, images: Tensor) -> float:
    """How much the answers in evaluation depend on what else is in the batch, or on when they are asked for."""
    model.eval()
    half = images[: max(1, len(images) // 2)]
    alone, among_others, again = model(half), model(images)[: len(half)], model(half)
    changes = torch.stack([(among_others - alone).abs().max(), (again - alone).abs().max()])
    return float(changes.max() / _size(alone))


def _size(logits: Tensor) -> Tensor:
    """Root mean square, but never 0."""
    return logits.square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)


def find_wrong_answers(answers: dict[str, Any]) -> Iterator[Finding]:
    """What is wrong with answers that `describe_answers` has described."""
    if answers["probabilities"]:
        yield Finding(
            kind="softmax before the loss",
            severity="severe",
            what="what the network answers for an image is never negative and sums to 1: these are probabilities, not "
            "logits.",
            why="Cross-entropy applies the softmax itself. Of one softmax after another the loss cannot come near 0, "
            "and gradients nearly vanish.",
            remedy="Take the softmax out of the network: its last layer is a linear one.",
        )
    if answers["unsteady"] > UNSTEADY:
        yield Finding(
            kind="evaluation in training mode",
            severity="severe",
            what=f"in evaluation, an image's logits change by up to {answers['unsteady']:.0%} of their size with the "
            "other images of the batch, or from one time to the next.",
            why="Batch norms that take the statistics of the batch, or dropouts that go on, make validation and "
            "predictions a matter of chance.",
            remedy="Let the network's train(False), which eval() calls, reach all of its layers.",
        )
    first, even = answers["first_loss"], answers["even_loss"]
    if not first < FAR * even and not answers["probabilities"]:
        yield Finding(
            kind="first loss too high",
            severity="warning",
            what=f"the first loss is {first:.3g}, but {even:.3g} where all classes are given the same chance.",
            why="The network is sure of answers that it cannot know, and first unlearns them. Its last weights, or "
            "what reaches them, are too large.",
            remedy="Draw the last layer's weights smaller, such as from a normal distribution with deviation 0.01, or "
            "put a norm before it.",
        )
