"""Compiling a network: PyTorch turns it into one program, which runs instead of operation after operation.

The compiled program reads a tensor once where separate operations each read and write it, and on a GPU its launches are
recorded as a CUDA graph: small networks otherwise keep a GPU waiting for Python. The network stays what it is. It keeps
its class and the keys of its weights, copies of it are not compiled, and only calling it takes the other way; hooks on
its layers are then not called.

Compiling takes up to minutes at the first batch, once more at the first batch of another size, such as the last one of
an epoch, and once more for evaluation. What it computes is the same but for rounding; dropout draws other numbers.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import nn

from convscope.errors import UserError
from convscope.kernels.acceleration import is_accelerated, observing


def obstacle(device: torch.device) -> str | None:
    """What PyTorch lacks on this machine to compile for a device, with the remedy; None where it lacks nothing."""
    if device.type not in ("cpu", "cuda"):
        return f"PyTorch compiles for cuda and cpu, not for {device.type}"
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            return (
                "Triton is not installed, which PyTorch's CUDA builds bring along: install it with `pip install triton`"
            )
        # What Triton calls to build the launchers of its kernels.
        compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    else:
        # The default of torch._inductor.config.cpp.cxx.
        usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
        compilers = [os.environ.get("CXX", usual)]
    if not any(map(shutil.which, compilers)):
        variable = "CC" if device.type == "cuda" else "CXX"
        return (
            f"there is no compiler {' or '.join(compilers)} here: install one, or name yours in the variable {variable}"
        )
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's header files are missing: install them, for example with `apt-get install python3-dev`"
    return None


def check_compiler(device: torch.device) -> None:
    """Raise a UserError where PyTorch cannot compile for `device` on this machine."""
    problem = obstacle(device)
    if problem is not None:
        raise UserError(f"the network cannot be compiled: {problem}; train without compile otherwise.")


def compile_network(model: nn.Module, device: torch.device, *, in_parts: bool) -> None:
    """Let calls of `model` take the compiled way from now on; the first of each kind compiles.

    On a GPU the program is a CUDA graph, which writes its results to the same places at each run. `in_parts` says that
    the gradients of several runs are added up, as with micro-batches; a graph would then overwrite what is to be added
    to (github.com/pytorch/pytorch/issues/169545), so that the program is launched kernel by kernel instead.
    """
    if model._compiled_call_impl is not None:
        return
    # To PyTorch all networks are versions of one function, `Classifier.forward`, and it compiles no more than eight.
    torch.compiler.reset()
    model.compile(mode="reduce-overhead" if device.type == "cuda" and not in_parts else "default")


def uncompiled(model: nn.Module) -> AbstractContextManager[None]:
    """Within it `model` runs operation after operation and calls its hooks.

    An accelerated one does so besides running as ever, so that its results keep their bits.
    """
    if is_accelerated(model):
        return observing(model)
    # Asking for it loads the compiler, which takes seconds.
    return nullcontext() if model._compiled_call_impl is None else _nothing_compiled()


@contextmanager
def _nothing_compiled() -> Iterator[None]:
    with torch.compiler.set_stance("force_eager"):
        yield
