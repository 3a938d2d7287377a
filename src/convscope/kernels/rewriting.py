"""Finding, in the program of a network, the layers that can run as a group.

torch.fx calls the network with stand-ins for tensors and writes down what happens to them: a list of nodes, each with
those that read it. Layers form a group where each is read by the next alone, so that nobody misses what lies between.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from convscope.kernels.convolving import may_gain_alone
from convscope.kernels.groups import Group, Sum, activation_of, as_pair
from convscope.kernels.layers import by_operator

SUMS: frozenset[object] = frozenset((operator.add, operator.iadd, torch.add, "add", "add_"))
RELUS: frozenset[object] = frozenset((F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"))
"""Functions, and names of a tensor's methods."""

IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow)

FRESH = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Linear)
"""Layers that make a tensor of their own."""


class Untraceable(Exception):
    """What a network does with tensors depends on their values, or on tensors that belong to no layer."""


class _Proxy(fx.Proxy):
    """A stand-in that knows `+=` and its like; PyTorch's own takes them for `+`, which leaves the tensor as it was."""


def _in_place(function: Any) -> Any:
    def method(self: _Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return method


for _function in IN_PLACE:
    setattr(_Proxy, f"__{_function.__name__}__", _in_place(_function))


class _Tracer(fx.Tracer):
    """Sees layers from outside, and what is made of them from inside."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Of our kind."""
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """PyTorch's own, such as attention, may be made of others."""
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> Any:
        """Refuse tensors, which PyTorch would make attributes of the network."""
        if isinstance(a, Tensor):
            raise Untraceable(_OWN_TENSOR)
        return super().create_arg(a)


_OWN_TENSOR = "it has tensors outside of its layers"


def trace(model: nn.Module) -> fx.Graph:
    """What `model` does in its present mode with images, its only argument.

    Raises:
        Untraceable: its forward pass cannot be written down.
    """
    if "forward" in vars(model):
        raise Untraceable("it is not its class's forward that is called")
    try:
        graph = _Tracer().trace(model)
    except Untraceable:
        raise
    except Exception as error:  # whatever a forward pass does with a stand-in
        raise Untraceable(next(iter(str(error).splitlines()), type(error).__name__)) from error
    if any(node.op == "get_attr" for node in graph.nodes):  # the program would keep them, though others may come
        raise Untraceable(_OWN_TENSOR)
    return graph


def rewrite(model: nn.Module) -> tuple[fx.GraphModule, list[Group]]:
    """A program that computes what `model` does in its present mode, with its layers, and the groups in it.

    Layers of no group that an operator of their own computes take that.

    Raises:
        Untraceable: its forward pass cannot be written down.
    """
    graph, modules = trace(model), dict(model.named_modules(remove_duplicate=False))
    names = {str(node.target) for node in _calls_of_layers(graph)}
    targets: dict[str, Any] = {name: by_operator(modules[name]) or modules[name] for name in names}
    groups = []
    for number, nodes in enumerate([*Finder(graph, modules, alone=may_gain_alone).chains()]):
        name = f"group{number}"
        while name in modules:
            name = f"_{name}"
        group = targets[name] = Group([*_layers(nodes, modules)])
        groups.append(group)
        _replace(graph, nodes, name)
    return fx.GraphModule(targets, graph), groups


def _calls_of_layers(graph: fx.Graph) -> Iterator[fx.Node]:
    return (node for node in graph.nodes if node.op == "call_module")


def _layers(nodes: list[fx.Node], modules: Mapping[str, nn.Module]) -> Iterator[nn.Module]:
    """The layers of a chain; functions are layers too."""
    for node in nodes:
        if node.op == "call_module":
            layer = modules[str(node.target)]
            if type(layer) is not nn.Identity:
                yield layer
        else:
            yield Sum() if node.target in SUMS else nn.ReLU()


def _replace(graph: fx.Graph, nodes: list[fx.Node], name: str) -> None:
    """Put one call in the place of the last node of a chain; whatever the sum adds has been computed by then."""
    others = [
        argument for before, node in pairwise(nodes) for argument in node.all_input_nodes if argument is not before
    ]
    with graph.inserting_before(nodes[-1]):
        call = graph.call_module(name, (nodes[0].all_input_nodes[0], *others))
    nodes[-1].replace_all_uses_with(call)
    for node in reversed(nodes):
        graph.erase_node(node)


class Finder:
    """Looks for chains in a graph."""

    def __init__(
        self, graph: fx.Graph, modules: Mapping[str, nn.Module], *, alone: Callable[[nn.Conv2d], bool]
    ) -> None:
        """`alone` tells whether a convolution may gain by itself, without a norm or a pool."""
        self._modules, self._alone = modules, alone
        self._nodes = [*graph.nodes]
        self._place = {node: place for place, node in enumerate(self._nodes)}
        self._calls = Counter(modules[str(node.target)] for node in _calls_of_layers(graph))
        self._taken: set[fx.Node] = set()

    def chains(self) -> Iterator[list[fx.Node]]:
        """The nodes of each group, in the order of the program."""
        for node in self._nodes:
            if node not in self._taken and self._kind(node) in ("convolution", "norm"):
                chain = self._chain(node)
                if self._is_worth_it(chain) and not self._crosses(chain):
                    self._taken.update(chain)
                    yield chain

    def _is_worth_it(self, chain: list[fx.Node]) -> bool:
        """Whether a chain may run faster as one."""
        layer = self._modules.get(str(chain[0].target))
        if {*map(self._kind, chain)} <= {"convolution", "activation", "nothing"} and isinstance(layer, nn.Conv2d):
            return self._alone(layer)
        return len(chain) > 1

    def _chain(self, first: fx.Node) -> list[fx.Node]:
        """The longest group that begins with a convolution or a norm; a single node if there is none."""
        nodes, kinds = [first], [self._kind(first)]
        best = 1
        while len(nodes[-1].users) == 1:
            user = next(iter(nodes[-1].users))
            kind = self._kind(user)
            if user in self._taken or kind is None:
                break
            if kind != "nothing":
                if not self._may_follow(kinds, kind, nodes[-1], user):
                    break
                kinds.append(kind)
            nodes.append(user)
            if kind not in ("sum", "nothing"):  # of which a group would gain nothing at its end
                best = len(nodes)
        return nodes[:best]

    def _may_follow(self, kinds: list[str | None], kind: str, value: fx.Node, user: fx.Node) -> bool:
        """Whether a node goes on with a group that has nodes of these kinds, the last of them `value`."""
        match kind:
            case "norm":
                return kinds == ["convolution"]
            case "sum":
                # Written in place, it must be our own value that it writes into.
                return kinds[-1] == "norm" and (user.args[0] is value or user.target not in (operator.iadd, "add_"))
            case "activation":
                return kind not in kinds and (kinds[-1] != "sum" or self._keeps_signs(user))
            case "pool":
                return kind not in kinds and "sum" not in kinds
        return False

    def _keeps_signs(self, node: fx.Node) -> bool:
        """Whether an activation's results tell which of its inputs were below zero: so its gradient can do without."""
        if node.op != "call_module":
            return True
        activation = activation_of(self._modules[str(node.target)])
        assert activation is not None
        return activation.activation == "relu" or (activation.activation == "leaky_relu" and activation.slope > 0)

    def _kind(self, node: fx.Node) -> str | None:
        """What a node is in a group; "nothing" for a layer that does nothing, None for what is in no group."""
        if node.op == "call_module":
            return self._kind_of_layer(node)
        if node.op in ("call_function", "call_method"):
            if node.target in SUMS and len(node.args) == 2 and not node.kwargs:
                return "sum" if len(node.all_input_nodes) == 2 else None
            if node.target in RELUS and len(node.all_input_nodes) == 1:
                return "activation"
        return None

    def _kind_of_layer(self, node: fx.Node) -> str | None:
        layer = self._modules[str(node.target)]
        if len(node.args) != 1 or node.kwargs or "forward" in vars(layer):
            return None
        if type(layer) is nn.Identity:
            return "nothing"
        if self._calls[layer] > 1:
            return None
        if type(layer) is nn.Conv2d:
            usual = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
            return "convolution" if usual else None
        if type(layer) is nn.BatchNorm2d:
            return "norm"
        if type(layer) is nn.MaxPool2d:
            return "pool" if _is_tiling(layer) else None
        return "activation" if activation_of(layer) is not None else None

    def _crosses(self, chain: list[fx.Node]) -> bool:
        """Whether something is written in place while the group is under way, which would then see it too early.

        The group runs where its last node was. What writes into a value that a layer has just made for it does no harm.
        """
        between = self._nodes[self._place[chain[0]] : self._place[chain[-1]]]
        return any(self._writes(node) and not self._is_own(node) for node in between if node not in chain)

    def _writes(self, node: fx.Node) -> bool:
        """Whether a node works in place, as far as its name says."""
        if node.op == "call_module":
            return bool(getattr(self._modules[str(node.target)], "inplace", False))
        if node.op not in ("call_function", "call_method"):
            return False
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        asked = any(value is True for value in (*node.args[1:], node.kwargs.get("inplace")))
        return asked or node.target in IN_PLACE or (name.endswith("_") and not name.endswith("__"))

    def _is_own(self, node: fx.Node) -> bool:
        """Whether what a node writes into was made for it alone."""
        written = node.args[0] if node.args else None
        if not isinstance(written, fx.Node) or len(written.users) > 1:
            return False
        if written.op == "call_module":
            return type(self._modules[str(written.target)]) in FRESH
        return written.op == "call_function" and written.target in (operator.add, torch.add)


def _is_tiling(pool: nn.MaxPool2d) -> bool:
    """Whether a pool takes each value once: windows side by side, none beyond the edge."""
    kernel, stride = as_pair(pool.kernel_size), as_pair(pool.stride)
    plain = as_pair(pool.padding) == (0, 0) and as_pair(pool.dilation) == (1, 1)
    return plain and kernel[0] == kernel[1] > 1 and kernel == stride and not (pool.ceil_mode or pool.return_indices)
