"""Right solutions of the exercises on the training loop, and mistakes that must be recognised."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def training_steps(images: int, *, batch_size: int, epochs: int) -> int:
    return math.ceil(images / batch_size) * epochs


def batch_accuracy(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(dim=1) == labels).float().mean().item()


def mean_over_images(losses: list[float], sizes: list[int]) -> float:
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def training_step(model: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> float:
    loss = F.cross_entropy(model(images), labels)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad
    return loss.item()


def _share(right: Tensor) -> float:
    return right.float().mean().item()


def _step(
    model: nn.Module, images: Tensor, labels: Tensor, lr: float, *, forget: bool = True, **options: str
) -> Tensor:
    loss = F.cross_entropy(model(images), labels, **options)
    if forget:
        model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad
    return loss


def _new_parameters(model: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> float:
    loss = F.cross_entropy(model(images), labels)
    model.zero_grad()
    loss.backward()
    for name, parameter in list(model.named_parameters()):
        setattr(model, name, nn.Parameter(parameter - lr * parameter.grad))
    return loss.item()


def _loss_after(model: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> float:
    training_step(model, images, labels, lr=lr)
    return F.cross_entropy(model(images), labels).item()


def _only_weight(model: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> float:
    bias = model.bias.detach().clone()
    loss = training_step(model, images, labels, lr=lr)
    with torch.no_grad():
        model.bias.copy_(bias)
    return loss


MISTAKES = [
    ("training_steps", lambda images, *, batch_size, epochs: images // batch_size * epochs, "left"),
    ("training_steps", lambda images, *, batch_size, epochs: math.ceil(images * epochs / batch_size), "round up"),
    ("training_steps", lambda images, *, batch_size, epochs: images / batch_size * epochs, "float"),
    ("training_steps", lambda images, *, batch_size, epochs: math.ceil(images / batch_size), "one epoch"),
    ("training_steps", lambda images, *, batch_size, epochs: (images // batch_size + 1) * epochs, "left over"),
    ("training_steps", lambda images, *, batch_size, epochs: int(images / batch_size * epochs), "round up"),
    ("batch_accuracy", lambda logits, labels: (logits.argmax(dim=1) != labels).float().mean().item(), "wrong answers"),
    ("batch_accuracy", lambda logits, labels: _share(logits.argmax(dim=1, keepdim=True) == labels), "keepdim"),
    ("batch_accuracy", lambda logits, labels: (logits.argmax(dim=1) == labels).sum().item() // len(labels), "//"),
    ("batch_accuracy", lambda logits, labels: (logits.argmax(dim=0) == labels).float().mean().item(), "row"),
    ("batch_accuracy", lambda logits, labels: (logits.argmax(dim=1) == labels).sum().item(), "number of images"),
    ("batch_accuracy", lambda logits, labels: 100 * batch_accuracy(logits, labels), "percentage"),
    ("batch_accuracy", lambda logits, labels: (logits.argmax(dim=1) == labels).float().mean(), "item"),
    ("mean_over_images", lambda losses, sizes: sum(losses) / len(losses), "batches"),
    ("mean_over_images", lambda losses, sizes: sum(losses) / sum(sizes), "multiply"),
    ("mean_over_images", lambda losses, sizes: mean_over_images(losses, sizes) * sum(sizes), "divide"),
    ("mean_over_images", lambda losses, sizes: mean_over_images(losses, sizes) // 1, "//"),
    ("training_step", lambda model, x, y, *, lr: _step(nn.Sequential(model, nn.Softmax(1)), x, y, lr).item(), "logits"),
    ("training_step", lambda model, x, y, *, lr: _step(model, x, y, lr, forget=False).item(), "clear it"),
    ("training_step", lambda model, x, y, *, lr: _step(model, x, y, -lr).item(), "uphill"),
    ("training_step", lambda model, x, y, *, lr: _step(model, x, y, 1.0).item(), "multiplied"),
    ("training_step", lambda model, x, y, *, lr: _step(model, x, y, lr, reduction="sum").item(), "mean"),
    ("training_step", lambda model, x, y, *, lr: F.cross_entropy(model(x), y).item(), "did not move"),
    ("training_step", lambda model, x, y, *, lr: _step(model, x, y, lr), "item"),
    ("training_step", _new_parameters, "other tensors"),
    ("training_step", _only_weight, "all of model.parameters"),
    ("training_step", _loss_after, "after the step"),
]
