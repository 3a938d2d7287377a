"""Right solutions of the exercises on the fully connected layer and the loss, and mistakes that must be recognised."""

import math

import torch
from torch.nn import functional as F


def linear_parameters(channels: int, height: int, width: int, *, num_classes: int) -> int:
    return (channels * height * width + 1) * num_classes


def stable_softmax(logits: torch.Tensor) -> torch.Tensor:
    exponentials = (logits - logits.amax(dim=1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=1, keepdim=True)


def mean_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    shifted = logits - logits.amax(dim=1, keepdim=True)
    chosen = shifted[torch.arange(len(labels)), labels]
    return (shifted.exp().sum(dim=1).log() - chosen).mean()


def constant_answer_loss(class_counts: list[int]) -> float:
    shares = [count / sum(class_counts) for count in class_counts if count]
    return -sum(share * math.log(share) for share in shares)


def _in_place(logits: torch.Tensor) -> torch.Tensor:
    logits -= logits.amax(dim=1, keepdim=True)
    return logits.softmax(dim=1)


def _overflowing(logits: torch.Tensor) -> torch.Tensor:
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


def _largest_of_all(logits: torch.Tensor) -> torch.Tensor:
    return _overflowing(logits - logits.max())


def _by_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return -logits.softmax(dim=1)[torch.arange(len(labels)), labels].log().mean()


def _without_skipping(class_counts: list[int]) -> float:
    shares = [count / sum(class_counts) for count in class_counts]
    return -sum(share * math.log(share) for share in shares)


def _shares_times_logarithms(shares: torch.Tensor) -> float:
    return -(shares * shares.log()).sum().item()


MISTAKES = [
    ("linear_parameters", lambda c, h, w, *, num_classes: c * h * w * num_classes, "bias"),
    ("linear_parameters", lambda c, h, w, *, num_classes: c * h * w * num_classes + 1, "each class"),
    ("linear_parameters", lambda c, h, w, *, num_classes: (c + 1) * num_classes, "pixel"),
    ("linear_parameters", lambda c, h, w, *, num_classes: (c * h * h + 1) * num_classes, "square"),
    ("linear_parameters", lambda c, h, w, *, num_classes: (c + h + w + 1) * num_classes, "multiplied"),
    ("linear_parameters", lambda c, h, w, *, num_classes: c * h * w + 1, "single class"),
    ("stable_softmax", lambda logits: logits.softmax(dim=0), "columns"),
    ("stable_softmax", lambda logits: logits.sigmoid(), "no row sums"),
    ("stable_softmax", lambda logits: logits / logits.sum(dim=1, keepdim=True), "exponentials are missing"),
    ("stable_softmax", lambda logits: _overflowing(logits.clamp(max=80)), "cut off"),
    ("stable_softmax", lambda logits: _overflowing(logits - logits.mean(dim=1, keepdim=True)), "not its mean"),
    ("stable_softmax", lambda logits: logits.exp() / logits.exp().sum(), "batch"),
    ("stable_softmax", lambda logits: logits.log_softmax(dim=1), "logarithms"),
    ("stable_softmax", _in_place, "changed"),
    ("stable_softmax", _overflowing, "1000"),
    ("stable_softmax", _largest_of_all, "row"),
    ("mean_cross_entropy", lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"), "mean"),
    ("mean_cross_entropy", lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"), "mean"),
    ("mean_cross_entropy", lambda logits, labels: F.cross_entropy(logits.softmax(dim=1), labels), "two"),
    ("mean_cross_entropy", lambda logits, labels: -F.cross_entropy(logits, labels), "sign"),
    ("mean_cross_entropy", lambda logits, labels: F.nll_loss(logits, labels), "softmax"),
    ("mean_cross_entropy", lambda logits, labels: F.nll_loss(logits.softmax(dim=1), labels), "logarithm"),
    ("mean_cross_entropy", lambda logits, labels: F.cross_entropy(logits, labels) / math.log(2), "base"),
    ("mean_cross_entropy", lambda logits, labels: -logits.log_softmax(dim=1)[:, labels].mean(), "pair row"),
    ("mean_cross_entropy", lambda logits, labels: F.nll_loss(logits.log_softmax(dim=0), labels), "dim=1"),
    ("mean_cross_entropy", lambda logits, labels: mean_cross_entropy(logits, labels).item(), "tensor"),
    ("mean_cross_entropy", _by_probability, "infinite"),
    ("mean_cross_entropy", lambda logits, labels: F.nll_loss((logits.softmax(dim=1) + 1e-9).log(), labels), "limits"),
    ("constant_answer_loss", lambda counts: math.log(len(counts)), "share"),
    ("constant_answer_loss", lambda counts: -math.log(max(counts) / sum(counts)), "frequent"),
    ("constant_answer_loss", lambda counts: constant_answer_loss(counts) / math.log(2), "base"),
    ("constant_answer_loss", _without_skipping, "without images"),
    ("constant_answer_loss", lambda counts: _shares_times_logarithms(torch.tensor(counts) / sum(counts)), "0 times"),
]
