"""Right solutions of the exercises on debugging, and mistakes that must be recognised."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


def gradient_norm(model: nn.Module) -> float:
    squares = [parameter.grad.square().sum() for parameter in model.parameters() if parameter.grad is not None]
    return float(torch.stack(squares).sum().sqrt())


def batch_faults(images: torch.Tensor, labels: torch.Tensor, *, num_classes: int) -> list[str]:
    faults = []
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        faults.append("shape")
    finite = images[images.isfinite()]
    if len(finite) < images.numel():
        faults.append("not finite")
    if len(finite) and finite.abs().max() > 20:
        faults.append("scale")
    if (
        labels.dtype != torch.int64
        or labels.shape != images.shape[:1]
        or labels.min() < 0
        or labels.max() >= num_classes
    ):
        faults.append("labels")
    return faults


def learn_one_batch(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float
) -> list[float]:
    losses = []
    for _ in range(steps):
        model.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= lr * parameter.grad
        losses.append(loss.item())
    return losses


def _sum_of_norms(model: nn.Module) -> float:
    return sum(float(parameter.grad.norm()) for parameter in model.parameters())


def _of_the_weights(model: nn.Module) -> float:
    return float(torch.stack([parameter.detach().square().sum() for parameter in model.parameters()]).sum().sqrt())


def _clipping(model: nn.Module) -> float:
    return float(nn.utils.clip_grad_norm_(model.parameters(), 1.0))


def _without_skipping(model: nn.Module) -> float:
    return float(torch.stack([parameter.grad.square().sum() for parameter in model.parameters()]).sum().sqrt())


def _first_fault(images: torch.Tensor, labels: torch.Tensor, *, num_classes: int) -> list[str]:
    return batch_faults(images, labels, num_classes=num_classes)[:1]


def _largest_value(images: torch.Tensor, labels: torch.Tensor, *, num_classes: int) -> list[str]:
    faults = [fault for fault in batch_faults(images, labels, num_classes=num_classes) if fault != "scale"]
    return [*faults, "scale"] if images.max() > 20 else faults


def _one_channel(images: torch.Tensor, labels: torch.Tensor, *, num_classes: int) -> list[str]:
    faults = batch_faults(images, labels, num_classes=num_classes)
    return ["shape", *faults] if images.ndim == 4 and images.shape[1] == 3 else faults


def _any_labels(images: torch.Tensor, labels: torch.Tensor, *, num_classes: int) -> list[str]:
    faults = batch_faults(images, labels, num_classes=num_classes)
    return faults if labels.max() > num_classes else [fault for fault in faults if fault != "labels" or len(labels) < 4]


def _piling_up(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _as_tensors(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float
) -> list[torch.Tensor]:
    return [torch.tensor(loss) for loss in learn_one_batch(model, images, labels, steps=steps, lr=lr)]


def _after_the_steps(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float
) -> list[float]:
    return learn_one_batch(model, images, labels, steps=steps + 1, lr=lr)[1:]


def _without_step(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float
) -> list[float]:
    return [F.cross_entropy(model(images), labels).item() for _ in range(steps)]


def _on_a_copy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float) -> list[float]:
    return learn_one_batch(copy.deepcopy(model), images, labels, steps=steps, lr=lr)


def _otherwise(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, steps: int, lr: float, kind: str
) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9 if kind == "momentum" else 0)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(images).softmax(dim=1) if kind == "softmax" else model(images)
        loss = F.cross_entropy(logits, labels, reduction="sum" if kind == "sum" else "mean")
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


MISTAKES = [
    ("gradient_norm", _sum_of_norms, "sum of the parameters' norms"),
    ("gradient_norm", lambda model: gradient_norm(model) ** 2, "root"),
    ("gradient_norm", _of_the_weights, ".grad"),
    ("gradient_norm", _clipping, "changed"),
    ("gradient_norm", _without_skipping, "None"),
    ("gradient_norm", lambda model: torch.tensor(gradient_norm(model)), "item"),
    ("batch_faults", _first_fault, "several"),
    ("batch_faults", _largest_value, "magnitude"),
    ("batch_faults", _one_channel, "three channels"),
    ("batch_faults", _any_labels, "num_classes - 1"),
    ("batch_faults", lambda *args, **kwargs: batch_faults(*args, **kwargs)[::-1], "order"),
    ("learn_one_batch", lambda *args, **kwargs: _otherwise(*args, **kwargs, kind="momentum"), "momentum"),
    ("learn_one_batch", lambda *args, **kwargs: _otherwise(*args, **kwargs, kind="softmax"), "logits"),
    ("learn_one_batch", lambda *args, **kwargs: _otherwise(*args, **kwargs, kind="sum"), "mean"),
    ("learn_one_batch", _piling_up, "zero_grad"),
    ("learn_one_batch", _as_tensors, "item"),
    ("learn_one_batch", _after_the_steps, "after the steps"),
    ("learn_one_batch", _without_step, "never changes"),
    ("learn_one_batch", _on_a_copy, "copy"),
]
