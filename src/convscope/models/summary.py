"""What a network is made of, layer by layer and branch by branch.

Nothing is computed to find out. The network is rebuilt on PyTorch's `meta` device, where tensors have shapes but no
values, and images without pixels are sent through it; so the largest network takes milliseconds and no memory. On their
way every layer, and every function called between layers, notes which tensors it read and which one it made: the rows
of the table are the network's graph.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from convscope.models.receptive_field import Field, Pair, after_layer, of_junction, pixel, whole
from convscope.models.tracing import IMAGE, JUNCTIONS, NETWORK, Step, Trace, is_made_of_others

__all__ = ["IMAGE", "NETWORK", "Field", "Layer", "Pair", "Summary", "copy_with", "summarise"]

_PIXEL_BY_PIXEL = {"relu", "leaky_relu", "silu", "gelu", "sigmoid", "tanh", "dropout", "local_response_norm"}
_AVERAGES = {"mean", "adaptive_avg_pool2d"}

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of a summary: a layer, or a junction where branches meet."""

    name: str
    """Where it is in the network, such as `block1.conv1`; of a junction the module in whose forward it happens. What
    comes about there once more ends in `:2`."""
    kind: str
    """The PyTorch class, such as `Conv2d`; of a junction `concatenation`, `sum` or `product`."""
    inputs: tuple[str, ...]
    """Names of the rows it reads; `image` for the images themselves."""
    output_shape: tuple[int, ...]
    """Of one image: (C, H, W) or (features,)."""
    parameters: int
    formula: str
    """The parameters as a sum of products, such as `3·3·32·64 + 64`; empty where there are none."""
    multiply_adds: int
    """For one image, of convolutions and fully connected layers; the rest is small beside them."""
    receptive_field: Field | None
    """None where it cannot be told: after a layer that `receptive_field` does not know."""
    share: float
    """Part of the network's parameters, 0 to 1."""
    training_only: bool = False
    """Whether the logits do without it, as they do without auxiliary classifiers."""

    @property
    def is_junction(self) -> bool:
        """Whether branches meet here."""
        return self.kind in JUNCTIONS


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The table of a network for images of one shape."""

    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    modules: dict[str, str]
    """Name and class of every module that is made of others."""
    total_parameters: int
    multiply_adds: int
    """Of the way to the logits, without what is for training only."""


def summarise(model: nn.Module, input_shape: tuple[int, int, int]) -> Summary:
    """Describe every layer of a network, in the order in which an image of `input_shape` (C, H, W) meets them."""
    network = copy_with(
        model, lambda tensor: tensor.detach().to("meta")
    ).train()  # auxiliary classifiers answer in training alone
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):  # changes no shape, and takes PyTorch longer than all else without values
            layer.forward = nn.Identity().forward  # type: ignore[method-assign]
    dtype = next((parameter.dtype for parameter in network.parameters()), None)
    # Two, for no norm can be trained on a single value.
    images = torch.empty((2, *input_shape), device="meta", dtype=dtype)
    total_parameters = sum(parameter.numel() for parameter in network.parameters())
    rows: dict[str, Layer] = {}

    def see(step: Step) -> None:
        rows[step.name] = _layer_of(step, rows, image=input_shape[1:], all_parameters=total_parameters)

    trace = Trace(network, see)
    with torch.no_grad(), trace:
        answer = network(images)
    logits = answer[0] if isinstance(answer, tuple) else answer
    needed = _ancestors(rows, trace.source(logits))
    layers = tuple(replace(row, training_only=row.name not in needed) for row in rows.values())
    return Summary(
        input_shape=input_shape,
        layers=layers,
        modules={name: type(module).__name__ for name, module in network.named_modules() if is_made_of_others(module)},
        total_parameters=total_parameters,
        multiply_adds=sum(layer.multiply_adds for layer in layers if not layer.training_only),
    )


def copy_with(model: Network, stand_in: Callable[[Tensor], Tensor]) -> Network:
    """A copy of the network with what `stand_in` gives for each parameter and buffer; tied weights stay tied."""
    # deepcopy takes from its memo what it finds there, so no weight is copied.
    memo: dict[int, Tensor] = {id(buffer): stand_in(buffer) for buffer in model.buffers()}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(stand_in(parameter), requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, memo)


def _layer_of(step: Step, rows: dict[str, Layer], *, image: Pair, all_parameters: int) -> Layer:
    """The row of a step, from those before it."""
    # Weights are counted where they are used first.
    weights = list(step.layer.parameters()) if step.layer is not None and ":" not in step.name else []
    parameters = sum(weight.numel() for weight in weights)
    return Layer(
        name=step.name,
        kind=step.kind,
        inputs=tuple(dict.fromkeys(name for name in step.sources if name is not None)),
        output_shape=tuple(step.output.shape[1:]),
        parameters=parameters,
        # PyTorch's weights are (out, in, height, width); backwards, that is how people write the product.
        formula=" + ".join("·".join(map(str, reversed(weight.shape))) for weight in weights),
        multiply_adds=_multiply_adds(step.layer, step.output),
        receptive_field=_field_of(step, rows, image),
        share=parameters / all_parameters if all_parameters else 0.0,
    )


def _field_of(step: Step, rows: dict[str, Layer], image: Pair) -> Field | None:
    fields = [_field_after(source, rows) for source in step.sources]
    shapes = [tuple(x.shape[1:]) for x in step.inputs]
    if step.layer is not None:
        return after_layer(step.layer, fields[0], maps=shapes[0], image=image) if len(fields) == 1 else None
    if step.kind in JUNCTIONS and len(fields) > 1:
        return of_junction(fields, inputs=shapes, output=tuple(step.output.shape[1:]), image=image)
    if step.kind in _AVERAGES and step.output[0, 0].numel() == 1:
        return whole(image)
    return fields[0] if step.kind in _PIXEL_BY_PIXEL else None


def _field_after(source: str | None, rows: dict[str, Layer]) -> Field | None:
    if source == IMAGE:
        return pixel()
    return rows[source].receptive_field if source is not None else None


def _multiply_adds(layer: nn.Module | None, output: Tensor) -> int:
    """Every value that comes out took one multiply-add for each weight of its channel or unit."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return layer.weight[0].numel() * output[0].numel()
    return 0


def _ancestors(rows: dict[str, Layer], name: str | None) -> set[str]:
    """A row and all it depends on."""
    found: set[str] = set()
    waiting = [] if name is None else [name]
    while waiting:
        name = waiting.pop()
        if name not in found and name != IMAGE:
            found.add(name)
            waiting += rows[name].inputs
    return found
