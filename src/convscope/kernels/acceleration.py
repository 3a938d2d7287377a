"""Letting calls of a network take the way of fused groups; everything else about the network stays as it is.

It keeps its class, its layers and the keys of its weights; copies of it, and what is saved of it, know nothing of this.
While somebody listens at a layer by a hook, or a compiler or an export looks on, calls take the plain way, so that
all of them see the network itself; who only looks, and must not change a bit, says so by `observing`.

The way through a network is found out once for each combination of modes, training or evaluation, of those modules
that are made of others. A network that goes another way from call to call, by chance or by what it sees, is not
for this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import _has_any_global_hook

from convscope.kernels import build
from convscope.kernels.rewriting import Untraceable, rewrite

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def accelerate(model: nn.Module) -> bool:
    """Let calls of `model` run groups of layers as one from now on, and answer whether there are any.

    Where there are none, or the compiled kernels are not to be had, the network stays as it is; `why_not` says why.
    """
    if is_accelerated(model):
        return True
    if model._compiled_call_impl is not None or why_not(model) is not None:
        return False
    model._compiled_call_impl = _Accelerated(model)
    return True


def deaccelerate(model: nn.Module) -> None:
    """Let calls of `model` run layer after layer again."""
    if is_accelerated(model):
        model._compiled_call_impl = None


def is_accelerated(model: nn.Module) -> bool:
    """Whether calls of `model` run groups of layers as one."""
    return isinstance(model._compiled_call_impl, _Accelerated)


@contextmanager
def observing(model: nn.Module) -> Iterator[None]:
    """Within it hooks that look at the layers of `model` are called, and its calls answer the same bits as without.

    The network is run layer after layer for those who look, and leaves no trace; then as ever. Where it has norms of
    another kind than PyTorch's, which may talk to other processes, these would wait for the run that is one too many:
    there it is run layer after layer alone.
    """
    way = model._compiled_call_impl
    if not isinstance(way, _Accelerated):
        yield
        return
    if any(isinstance(module, _BatchNorm) and type(module) not in _NORMS for module in model.modules()):
        model._compiled_call_impl = None
    else:
        way.observed = True
    try:
        yield
    finally:
        way.observed = False
        model._compiled_call_impl = way


def why_not(model: nn.Module) -> str | None:
    """What is in the way of accelerating `model` in its present mode; None if it can be done."""
    if not build.load():
        return build.obstacle() or "the compiled kernels could not be loaded"
    try:
        _, groups = rewrite(model)
    except Untraceable as error:
        return f"the network's forward pass cannot be written down as a program ({error})"
    return None if groups else "no layers follow one another that could run as one"


class _Accelerated:
    """What is called in place of a network."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.observed = False
        """Whether hooks look only, so that they need not see the very run that counts."""
        self._look_at_layers()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if self._changed():
            self._look_at_layers()
        plain = len(arguments) != 1 or bool(keywords) or not isinstance(arguments[0], Tensor)
        if not plain and self._watched():
            if self.observed and not _traced():
                self._show(arguments[0])
            else:
                plain = True
        if not plain:
            mode = (*(module.training for module in self._parents),)
            if mode not in self._programs:
                self._programs[mode] = self._write_program()
            program = self._programs[mode]
            if program is not None:
                return program(arguments[0])
        return self._model._call_impl(*arguments, **keywords)  # type: ignore[no-untyped-call]

    def _look_at_layers(self) -> None:
        """Note what the programs are to be written for; there are none yet."""
        modules = self._modules = [*self._model.modules()]
        self._kinds = [*map(type, modules)]
        self._parents = [module for module in modules if module._modules]
        # These are the modules' own dictionaries, so whatever becomes of a module is seen in them.
        self._children = [(module._modules, (*module._modules.values(),)) for module in self._parents]
        self._hooks = [
            *chain.from_iterable(
                (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks)
                for module in modules
            )
        ]
        self._programs: dict[tuple[bool, ...], Callable[[Tensor], Any] | None] = {}

    def _changed(self) -> bool:
        """Whether layers have been replaced, or become others, such as norms that share their statistics."""
        replaced = any(children != (*places.values(),) for places, children in self._children)
        return replaced or self._kinds != [*map(type, self._modules)]

    def _write_program(self) -> Callable[[Tensor], Any] | None:
        """For the present mode; None where it cannot be written down."""
        try:
            program, _ = rewrite(self._model)
        except Untraceable:
            return None
        return program.forward

    def _watched(self) -> bool:
        """Whether somebody wants to see each layer called, or each operation of PyTorch's own."""
        return _traced() or any(self._hooks) or bool(_has_any_global_hook())  # type: ignore[no-untyped-call]

    def _show(self, images: Tensor) -> None:
        """Run layer after layer for those who look, and leave statistics and random numbers as they were."""
        kept = [(buffer, buffer.clone()) for buffer in self._model.buffers()]
        with torch.random.fork_rng(devices=()):
            self._model._call_impl(images)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


def _traced() -> bool:
    """Whether PyTorch is writing down what is called."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
