"""The way of images through a network: each layer and each function between layers, under the name of its row.

Nothing about a network has to be declared for it. Hooks tell when images enter and leave a layer, PyTorch's modes when
a function is called between layers, and tensors by their identity who reads what another has made. So the same names
serve tables without values (`summary.py`), recorded activations, and changes on the way (`convscope.interpret`).
"""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

IMAGE = "image"
"""What the first layer reads."""

NETWORK = "network"
"""Name of a junction in the forward pass of the network itself."""

JUNCTIONS = ("concatenation", "sum", "product")
"""What the results of functions of several tensors are called."""

_KINDS = {
    **dict.fromkeys(("cat", "concat", "concatenate"), "concatenation"),
    **dict.fromkeys(("add", "iadd", "radd"), "sum"),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply"), "product"),
}
"""The functions that make them, by their names without underscores."""

_NO_LAYERS = {
    *_KINDS,  # of one tensor with a number
    *("sub", "isub", "rsub", "div", "truediv", "itruediv"),
    *("flatten", "view", "reshape", "unsqueeze", "squeeze", "getitem", "expand", "expand_as", "view_as"),
    *("contiguous", "clone", "detach", "to", "float", "bfloat16", "type_as"),
}
"""Functions of one tensor that get no row: they scale values or arrange them anew."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens in one row, with the tensors themselves."""

    name: str
    """Where it is in the network, such as `block1.conv1`; of a function the module in whose forward it is called. What
    comes about there once more ends in `:2`."""
    kind: str
    """The PyTorch class, such as `Conv2d`; of a junction one of `JUNCTIONS`; else a function's name, such as `relu`."""
    layer: nn.Module | None
    """None for a function."""
    inputs: tuple[Tensor, ...]
    sources: tuple[str | None, ...]
    """The row that made each of the inputs; None for a tensor that does not come from the images."""
    output: Tensor
    """(N, C, H, W) or (N, features). A layer after it that works in place will write into it."""


class Trace(TorchFunctionMode):
    """While it is entered, `see` is called with every step of the network, in the order in which they are taken.

    What `see` gives back goes on through the network in place of the step's output; None lets that go on itself. On
    leaving, also by an exception, the network is as it was: no hook stays. The hooks are seen by every thread that
    uses the network meanwhile, so only one may.
    """

    def __init__(self, network: nn.Module, see: Callable[[Step], Tensor | None]) -> None:
        super().__init__()
        self._network = network
        self._see = see
        self._hooks = ExitStack()
        # Whose row a tensor is. A layer that works in place, or `a += b`, takes over the tensor that it changes. The
        # references are weak, so that values live no longer than without all this.
        self._sources: MutableMapping[Tensor, str] = WeakTensorKeyDictionary()
        self._times: dict[str, int] = {}
        self._modules_under_way: list[str] = []
        self._in_layer = False

    def source(self, tensor: Tensor) -> str | None:
        """Name of the row that has made a tensor; `image` for the images; None for a tensor from elsewhere."""
        return self._sources.get(tensor)

    def __enter__(self) -> Self:
        with ExitStack() as hooks:  # undone at once if interrupted here
            first = self._network.register_forward_pre_hook(lambda _, arguments: self._begin(arguments))
            hooks.callback(first.remove)
            for name, module in self._network.named_modules():
                for hook in self._hook(name, module):
                    hooks.callback(hook.remove)
            self._hooks = hooks.pop_all()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def _hook(self, name: str, module: nn.Module) -> Iterator[Any]:
        if is_made_of_others(module):
            yield module.register_forward_pre_hook(lambda *_: self._modules_under_way.append(name))
            yield module.register_forward_hook(lambda *_: self._leave_module())
        else:
            yield module.register_forward_pre_hook(lambda *_: self._enter_layer())
            yield module.register_forward_hook(lambda layer, inputs, y: self._leave_layer(name, layer, inputs, y))

    def _begin(self, arguments: tuple[Any, ...]) -> None:
        """Images enter the network: all names are free again."""
        self._sources.clear()
        self._times.clear()
        self._modules_under_way.clear()
        self._in_layer = False
        self._sources.update(dict.fromkeys(_tensors(arguments), IMAGE))

    def _leave_module(self) -> None:
        self._modules_under_way.pop()

    def _enter_layer(self) -> None:
        self._in_layer = True

    def _leave_layer(self, name: str, layer: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        inputs = tuple(_tensors(arguments))
        if any(output is x for x in inputs) and not getattr(layer, "inplace", False):
            output = output.view_as(output)  # one that does nothing still makes a tensor of its own
        result = self._step(name, type(layer).__name__, layer, inputs, output)
        self._in_layer = False
        return result

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not self._in_layer and self._modules_under_way:
            inputs = tuple(x for x in _tensors((*args, *(kwargs or {}).values())) if x in self._sources)
            if inputs:
                return self._function(func.__name__.strip("_"), inputs, result)
        return result

    def _function(self, function: str, inputs: tuple[Tensor, ...], result: Tensor) -> Tensor:
        name = self._modules_under_way[-1] or NETWORK
        if function in _KINDS and len(inputs) > 1:
            stacked = result.shape[0] != inputs[0].shape[0]  # images below images, no channels: nothing to see
            return result if stacked else self._step(name, _KINDS[function], None, inputs, result)
        if function in _NO_LAYERS and len(inputs) == 1 and not _crops(function, inputs[0], result):
            self._sources[result] = self._sources[inputs[0]]
            return result
        return self._step(name, function, None, inputs, result)

    def _step(
        self, name: str, kind: str, layer: nn.Module | None, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor:
        times = self._times[name] = self._times.get(name, 0) + 1
        name = name if times == 1 else f"{name}:{times}"
        sources = tuple(self.source(x) for x in inputs)
        replaced = self._see(Step(name=name, kind=kind, layer=layer, inputs=inputs, sources=sources, output=output))
        output = output if replaced is None else replaced
        self._sources[output] = name
        return output


def is_made_of_others(module: nn.Module) -> bool:
    """Whether a module has others inside, so that the rows are theirs."""
    return next(module.children(), None) is not None


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among arguments, those in lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _crops(function: str, tensor: Tensor, result: Tensor) -> bool:
    """Whether indexing took a part of the height or the width, so that places are no longer what they were."""
    fewer = result.numel() < tensor.numel()
    return function == "getitem" and fewer and result.shape[-2:] != tensor.shape[-2:]
