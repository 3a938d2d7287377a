"""What a network is made of, layer by layer and branch by branch.

Nothing is computed to find out. The network is rebuilt on PyTorch's `meta` device, where tensors have shapes but no
values, and images without pixels are sent through it; so the largest network takes milliseconds and no memory. On their
way every layer, and every function called between layers, notes which tensors it read and which one it made: the rows
of the table are the network's graph.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from convscope.models.receptive_field import Field, Pair, after_layer, of_junction, pixel, whole

__all__ = ["IMAGE", "NETWORK", "Field", "Layer", "Pair", "Summary", "copy_with", "summarise"]

IMAGE = "image"
"""What the first layer reads."""

NETWORK = "network"
"""Name of a junction in the forward pass of the network itself."""

_JUNCTIONS = {
    **dict.fromkeys(("cat", "concat", "concatenate"), "concatenation"),
    **dict.fromkeys(("add", "iadd", "radd"), "sum"),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply"), "product"),
}
"""Functions of several tensors, by their names without underscores, and what their results are called."""

_NO_LAYERS = {
    *_JUNCTIONS,  # of one tensor with a number
    *("sub", "isub", "rsub", "div", "truediv", "itruediv"),
    *("flatten", "view", "reshape", "unsqueeze", "squeeze", "getitem", "expand", "expand_as", "view_as"),
    *("contiguous", "clone", "detach", "to", "float", "bfloat16", "type_as"),
}
"""Functions of one tensor that get no row: they scale values or arrange them anew."""

_PIXEL_BY_PIXEL = {"relu", "leaky_relu", "silu", "gelu", "sigmoid", "tanh", "dropout", "local_response_norm"}
_AVERAGES = {"mean", "adaptive_avg_pool2d"}


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
        return self.kind in _JUNCTIONS.values()


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
    dtype = next((parameter.dtype for parameter in network.parameters()), None)
    # Two, for no norm can be trained on a single value.
    images = torch.empty((2, *input_shape), device="meta", dtype=dtype)
    trace = _Trace(network, images)
    with torch.no_grad(), trace:
        answer = network(images)
    logits = answer[0] if isinstance(answer, tuple) else answer
    needed = _ancestors(trace.rows, trace.sources.get(logits))
    layers = tuple(replace(row, training_only=row.name not in needed) for row in trace.rows.values())
    return Summary(
        input_shape=input_shape,
        layers=layers,
        modules={name: type(module).__name__ for name, module in network.named_modules() if _is_made_of_others(module)},
        total_parameters=trace.total_parameters,
        multiply_adds=sum(layer.multiply_adds for layer in layers if not layer.training_only),
    )


def copy_with(model: nn.Module, stand_in: Callable[[Tensor], Tensor]) -> nn.Module:
    """A copy of the network with what `stand_in` gives for each parameter and buffer; tied weights stay tied."""
    # deepcopy takes from its memo what it finds there, so no weight is copied.
    memo: dict[int, Tensor] = {id(buffer): stand_in(buffer) for buffer in model.buffers()}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(stand_in(parameter), requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, memo)


class _Trace(TorchFunctionMode):
    """Writes a row for every layer by hooks on it, and for every function called outside of a layer."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.rows: dict[str, Layer] = {}
        self.total_parameters = sum(parameter.numel() for parameter in network.parameters())
        self.image: Pair = (images.shape[2], images.shape[3])
        # A tensor is told from others by its identity, so that a layer working in place, or `a += b`, takes over the
        # tensor that it changes. All are kept, for Python may give a discarded one's identity to the next.
        self.sources: dict[Tensor, str] = {images: IMAGE}
        self.modules_under_way: list[str] = []
        self.in_layer = False
        for name, module in network.named_modules():
            if _is_made_of_others(module):
                module.register_forward_pre_hook(lambda *_, name=name: self.modules_under_way.append(name))
                module.register_forward_hook(lambda *_: self._leave_module())
            else:
                module.register_forward_pre_hook(lambda *_: self._enter_layer())
                module.register_forward_hook(lambda layer, x, y, name=name: self._leave_layer(name, layer, x, y))

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not self.in_layer:
            tensors = [x for x in _tensors((*args, *(kwargs or {}).values())) if x in self.sources]
            if tensors:
                self._function(func.__name__, tensors, result)
        return result

    def _leave_module(self) -> None:
        self.modules_under_way.pop()

    def _enter_layer(self) -> None:
        self.in_layer = True

    def _leave_layer(self, name: str, layer: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        tensors = list(_tensors(arguments))
        if any(output is x for x in tensors) and not getattr(layer, "inplace", False):
            output = output.view_as(output)  # one that does nothing still makes a tensor of its own
        field = self._field(tensors[0])
        self._row(
            name,
            type(layer).__name__,
            tensors,
            output,
            after_layer(layer, field, maps=tuple(tensors[0].shape[1:]), image=self.image)
            if len(tensors) == 1
            else None,
            layer,
        )
        self.in_layer = False
        return output

    def _function(self, function: str, tensors: list[Tensor], result: Tensor) -> None:
        name = self.modules_under_way[-1] or NETWORK
        function = function.strip("_")
        field = self._field(tensors[0])
        if function in _JUNCTIONS and len(tensors) > 1:
            shapes = [tuple(x.shape[1:]) for x in tensors]
            fields = [self._field(x) for x in tensors]
            field = of_junction(fields, inputs=shapes, output=tuple(result.shape[1:]), image=self.image)
            if result.shape[0] == tensors[0].shape[0]:
                self._row(name, _JUNCTIONS[function], tensors, result, field)
        elif function in _NO_LAYERS and len(tensors) == 1 and not _crops(function, tensors[0], result, field):
            self.sources[result] = self.sources[tensors[0]]
        else:
            if function in _AVERAGES and result[0, 0].numel() == 1:
                field = whole(self.image)
            elif function not in _PIXEL_BY_PIXEL:
                field = None
            self._row(name, function, tensors, result, field)

    def _field(self, tensor: Tensor) -> Field | None:
        source = self.sources.get(tensor)
        if source == IMAGE:
            return pixel()
        return self.rows[source].receptive_field if source is not None else None

    def _row(
        self,
        name: str,
        kind: str,
        inputs: Iterable[Tensor],
        output: Tensor,
        field: Field | None,
        layer: nn.Module | None = None,
    ) -> None:
        # Weights are counted where they are used first.
        weights = list(layer.parameters()) if layer is not None and name not in self.rows else []
        parameters = sum(weight.numel() for weight in weights)
        times = sum(row.partition(":")[0] == name for row in self.rows) + 1
        name = name if times == 1 else f"{name}:{times}"
        self.rows[name] = Layer(
            name=name,
            kind=kind,
            inputs=tuple(dict.fromkeys(self.sources[x] for x in inputs if x in self.sources)),
            output_shape=tuple(output.shape[1:]),
            parameters=parameters,
            # PyTorch's weights are (out, in, height, width); backwards, that is how people write the product.
            formula=" + ".join("·".join(map(str, reversed(weight.shape))) for weight in weights),
            multiply_adds=_multiply_adds(layer, output),
            receptive_field=field,
            share=parameters / self.total_parameters if self.total_parameters else 0.0,
        )
        self.sources[output] = name


def _is_made_of_others(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among arguments, those in lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _crops(function: str, tensor: Tensor, result: Tensor, field: Field | None) -> bool:
    """Whether indexing took a part of the height or the width, so that places are no longer what they were."""
    somewhere = field is None or not field.one_for_all
    return function == "getitem" and somewhere and result.shape[-2:] != tensor.shape[-2:]


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
