"""What happens in each layer of a network on its way from the image to the logits, and back."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, optim

from convscope.training.loop import add_gradients
from convscope.training.lr_finder import Trial

WEIGHTED = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid)
ENDS = {nn.Tanh: (-1.0, 1.0), nn.Sigmoid: (0.0, 1.0)}
"""Between which values an activation squashes what it gets."""
LEVEL = 0.01
"""So near to an end, as a share of the way between the ends, an activation is level: hardly any gradient passes."""


@dataclass(frozen=True, kw_only=True)
class LayerHealth:
    """One layer in a step of training; None where it has no such thing.

    Units are the channels of maps, and else single values.
    """

    name: str
    """Where it is in the network, such as `block1.conv1`."""
    kind: str
    """The PyTorch class, such as `Conv2d`."""
    mean: float
    """Of its outputs."""
    std: float
    """Of its outputs."""
    varies: float
    """How much an output differs from image to image: its standard deviation over the images, as a share of the root
    mean square of the outputs; 0 for a layer that answers all images alike."""
    dead: float | None = None
    """Share of a ReLU's units that are 0 for every image."""
    saturated: float | None = None
    """Share of the outputs of a tanh or sigmoid where it is level."""
    weights: int | None = None
    """How many numbers the weight has."""
    weight_norm: float | None = None
    grad_norm: float | None = None
    """Of the weight; 0 where no gradient reaches it."""
    update: float | None = None
    """How far the optimizer's first step moves the weight, as a share of the weight's norm."""
    decay: float | None = None
    """Pull of weight decay on the weight, as a share of the pull of the loss: of the gradient, or, where decay is
    decoupled, of a step that Adam has brought to about 1 for each number. None without decay, or without gradient."""
    learns: bool | None = None
    """Whether its parameters are meant to learn: they ask for gradients, and the optimizer has them."""

    @property
    def relative_gradient(self) -> float | None:
        """The gradient as a share of the weight; None without weight, or where that is 0."""
        return self.grad_norm / self.weight_norm if self.weight_norm and self.grad_norm is not None else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def examine_layers(trial: Trial, batches: Sequence[tuple[Tensor, Tensor]], *, lr: float) -> tuple[LayerHealth, ...]:
    """Every layer in the order of the forward pass, while `trial` takes one step at `lr` on all `batches` together.

    Dropout is off: what it drops is not dead.
    """
    model, optimizer = trial.model, trial.optimizer
    trial.freezing.train(model, epoch=1)
    without_dropout(model)
    outputs: dict[str, _Outputs] = {}
    optimizer.zero_grad()
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, WEIGHTED + ACTIVATIONS):
                hooks.callback(module.register_forward_hook(partial(_look, outputs, name)).remove)
        for images, labels in batches:
            add_gradients(model, images, labels, trial.criterion, trial.runtime, micro_batch=trial.micro_batch)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= len(batches)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trial.set_rate(lr)
    trial.runtime.step(optimizer)
    modules = dict(model.named_modules())
    return tuple(
        LayerHealth(
            name=name,
            kind=next(kind.__name__ for kind in type(modules[name]).__mro__ if kind in WEIGHTED + ACTIVATIONS),
            **seen.sum_up(),
            **_weigh(modules[name], before.get(f"{name}.weight"), optimizer),
        )
        for name, seen in outputs.items()
    )


def without_dropout(model: nn.Module) -> None:
    """Let every dropout of a network pass everything on, in training too."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


class _Outputs:
    """Sums over the outputs of a layer, so that none of them is kept."""

    def __init__(self) -> None:
        self.count = 0
        self.sums = torch.zeros(4, dtype=torch.float64)
        self.alive: Tensor | None = None

    def add(self, layer: nn.Module, values: Tensor) -> None:
        """Take note of outputs (N, units) or (N, units, H, W)."""
        values = values.detach().float()
        low, high = next((ends for kind, ends in ENDS.items() if isinstance(layer, kind)), (-torch.inf, torch.inf))
        level = LEVEL * (high - low) if high < torch.inf else 0.0
        among_images = values.var(dim=0, correction=0).mean() * values.numel()
        at_ends = ((values <= low + level) | (values >= high - level)).sum()
        self.sums += torch.stack([values.sum(), values.square().sum(), among_images, at_ends]).cpu().double()
        self.count += values.numel()
        if isinstance(layer, nn.ReLU):
            alive = (values != 0).transpose(0, 1).flatten(start_dim=1).any(dim=1)  # (units,)
            self.alive = alive if self.alive is None else self.alive | alive
        self.squashes = high < torch.inf

    def sum_up(self) -> dict[str, Any]:
        """The fields of a LayerHealth that are about outputs."""
        mean, square, among_images, at_ends = (self.sums / self.count).tolist()
        return {
            "mean": mean,
            "std": max(0.0, square - mean**2) ** 0.5,
            "varies": (among_images / square) ** 0.5 if square else 0.0,
            "dead": None if self.alive is None else 1 - float(self.alive.float().mean()),
            "saturated": at_ends if self.squashes else None,
        }


def _look(outputs: dict[str, _Outputs], name: str, layer: nn.Module, inputs: object, values: Tensor) -> None:
    outputs.setdefault(name, _Outputs()).add(layer, values)


def _weigh(layer: nn.Module, before: Tensor | None, optimizer: optim.Optimizer) -> dict[str, Any]:
    """The fields of a LayerHealth that are about the weight, which was `before` and has taken a step since."""
    if before is None:
        return {}
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    weight = layer.get_parameter("weight")
    group = groups.get(id(weight), {"weight_decay": 0.0})
    size = float(before.norm())
    pull = 0.0 if weight.grad is None else float(weight.grad.norm())
    moved = float((weight.detach() - before).norm())
    against = before.numel() ** 0.5 if isinstance(optimizer, optim.AdamW) else pull
    return {
        "weights": before.numel(),
        "weight_norm": size,
        "grad_norm": pull,
        "update": moved / size if size else None,
        "decay": group["weight_decay"] * size / against if group["weight_decay"] and pull else None,
        "learns": all(parameter.requires_grad and id(parameter) in groups for parameter in layer.parameters()),
    }
