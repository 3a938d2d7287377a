"""What can be read off a network during one of its training steps, at the cost of a part of that step.

Reading changes nothing: hooks look at what passes and leave it alone, gradients are read where the step left them. Of
all that is looked at only a few numbers are kept.
"""

import math
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from convscope.models.layers import WithAuxiliary
from convscope.training.compiled import uncompiled

SAMPLES = 4096
"""Weights of a layer, at most, that are compared before and after the step: enough to say how far all of them moved."""
TINY = 1e-30
"""So that a share of weights that are all zero is a number."""


@dataclass(frozen=True)
class Weights:
    """The weights of one convolution or fully connected layer that learns."""

    layer: str
    norm: float
    """Euclidean, after the step."""
    gradient: float
    """Norm of the gradient, after clipping."""
    moved: float
    """How far the step moved them, as a share of `norm`."""
    usual: float
    """The norm that He et al.'s rule gives them at the start (arXiv 1502.01852, §2.2): their variance is 2 over the
    number of inputs, so that the sum of their squares is about twice the number of outputs."""


@dataclass(frozen=True)
class Passed:
    """What went into the network and came out of it; not known where only its head was trained."""

    pixel_mean: float = math.nan
    """Over the batch; likewise the deviation."""
    pixel_std: float = math.nan
    least: float = math.nan
    """The lowest number that the network answered."""
    odd_sum: float = math.nan
    """How far the sum of an image's answers is from 1, at most."""
    spread: float = math.nan
    """How answers differ from image to image: their deviation over the batch, averaged over the classes."""


@dataclass(frozen=True)
class Measures:
    """One step in numbers."""

    lr: float
    weights: tuple[Weights, ...]
    """In the order of the network, from the image on."""
    cut_off: tuple[str, ...]
    """Layers that are meant to learn, and of which some parameter got no gradient."""
    silent: dict[str, float]
    """Of each ReLU, by name, the share of its channels that were zero everywhere in all images of the batch."""
    passed: Passed

    @property
    def norm(self) -> float:
        """Of all weights together."""
        return math.hypot(*(weights.norm for weights in self.weights))

    @property
    def gradient(self) -> float:
        """Norm of the gradient of all weights together."""
        return math.hypot(*(weights.gradient for weights in self.weights))


class Probe:
    """Looks at one step of a network: made before it, read after it. Of what is evaluated meanwhile it sees nothing."""

    def __init__(self, model: nn.Module) -> None:
        self._before = {layer: _sample(weight) for layer, weight in _weights(model)}
        self._sums: dict[str, Tensor] = {}
        self._passed: dict[str, Tensor] = {}
        self._stack = ExitStack()
        self._stack.enter_context(uncompiled(model))  # which calls no hooks otherwise
        self._handles = [model.register_forward_hook(self._see)]
        for name, module in model.named_modules():
            if isinstance(module, nn.ReLU):
                self._handles.append(module.register_forward_hook(partial(self._hear, name)))

    @torch.no_grad()
    def read(self, model: nn.Module, *, lr: float, resting: Collection[nn.Module] = ()) -> Measures:
        """Stop looking, and say what there was to see; the parameters of `resting` are not meant to learn."""
        for handle in self._handles:
            handle.remove()
        self._stack.close()
        spared = {parameter for module in resting for parameter in module.parameters()}
        layers = {}
        tensors = {f"silent {name}": (total <= 0).float().mean() for name, total in self._sums.items()} | self._passed
        for layer, weight in _weights(model):
            if weight.grad is not None and weight not in spared:
                layers[layer] = weight
                before = self._before[layer]
                tensors[f"norm {layer}"] = weight.norm()
                tensors[f"gradient {layer}"] = weight.grad.norm()
                tensors[f"moved {layer}"] = (_sample(weight) - before).norm() / before.norm().clamp(min=TINY)
        # All at once: on a GPU each reading waits for the device.
        values = torch.stack([tensor.float() for tensor in tensors.values()]).tolist() if tensors else []
        numbers = dict(zip(tensors, values, strict=True))
        cut_off = [name for name, p in model.named_parameters() if p.grad is None and p not in spared]
        return Measures(
            lr=lr,
            weights=tuple(
                Weights(
                    layer=layer,
                    norm=numbers[f"norm {layer}"],
                    gradient=numbers[f"gradient {layer}"],
                    moved=numbers[f"moved {layer}"],
                    usual=(2 * len(weight)) ** 0.5,
                )
                for layer, weight in layers.items()
            ),
            cut_off=tuple(dict.fromkeys(name.rpartition(".")[0] for name in cut_off)),
            silent={name: numbers[f"silent {name}"] for name in self._sums},
            passed=Passed(**{name: numbers[name] for name in self._passed}),
        )

    def _hear(self, name: str, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        """Add up what a ReLU lets through, channel by channel: nothing there is below zero, so a sum of 0 is silence.

        A batch may come in several parts.
        """
        if not torch.is_grad_enabled():
            return
        sums = output.detach().sum(dim=[dim for dim in range(output.ndim) if dim != 1])
        self._sums[name] = sums + self._sums[name] if name in self._sums else sums

    def _see(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor | WithAuxiliary) -> None:
        """Measure a batch, the last part where it comes in several, and what is answered to it."""
        if not torch.is_grad_enabled():
            return
        (images,), logits = inputs, output.logits if isinstance(output, WithAuxiliary) else output
        answers = logits.detach().float()
        self._passed = {
            "pixel_mean": images.mean(),
            "pixel_std": images.std(correction=0),
            "least": answers.min(),
            "odd_sum": (answers.sum(dim=1) - 1).abs().max(),
            "spread": answers.std(dim=0, correction=0).mean(),
        }


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Weights of convolutions and fully connected layers, by layer; all other parameters have one dimension."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            yield name.removesuffix(".weight"), parameter


def _sample(weight: Tensor) -> Tensor:
    """Copies of values spread evenly over a tensor, in whatever order its memory has them: (SAMPLES,) at most."""
    count = weight.numel()
    step = -(-count // SAMPLES)
    return weight.detach().as_strided((-(-count // step),), (step,)).clone()
