"""The memory that training a network takes at its peak, found without training it.

Two steps are taken on PyTorch's fake tensors, which know their shapes, types and who shares memory with whom, but have
no values. Nothing is computed; what a step would allocate and free is laid out in a heap that behaves as the C
library's does in training.
"""

import resource
import sys
import weakref
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.models.layers import WithAuxiliary
from convscope.models.summary import copy_with

Precision = Literal["float32", "bfloat16", "float16"]
Optimizer = Literal["sgd", "adam", "adamw"]

_STATE = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimizer remembers of each weight: SGD's momentum, Adam's mean and mean square."""

_NOT_HERE_YET = 75 * 2**20
"""Bytes, measured: libraries that read data and draw figures (30 MiB), the machine code of the kernels that a step
runs (27 MiB), the figures (18 MiB)."""


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes that the tensors of a training on the CPU take at their peak."""

    batch_size: int
    micro_batch: int
    """Images that go through the network at a time."""
    weights: int
    """Parameters and the statistics of norms."""
    gradients: int
    optimizer_state: int
    activations: int
    """The rest of a step's peak: what autograd keeps of the images for the backward pass, gradients of activations,
    copies of weights in bfloat16, and the batch itself."""
    gaps: int
    """Memory that was freed and is kept, but in pieces that do not fit what is allocated next."""
    best_weights: int
    """The file of the best weights, which is read back when the training is over."""

    @property
    def total(self) -> int:
        """The sum."""
        kept = self.weights + self.gradients + self.optimizer_state
        return kept + self.activations + self.gaps + self.best_weights


def training_memory(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    batch_size: int,
    *,
    micro_batch: int | None = None,
    precision: Precision = "float32",
    optimizer: Optimizer = "adamw",
) -> TrainingMemory:
    """The memory of training with cross-entropy on batches of images of `input_shape` (C, H, W).

    `micro_batch` images go through the network at a time, all of them by default. The process itself (Python, PyTorch,
    the code of its kernels) and the data set come on top.
    """
    # Fake tensors bring a compiler's tools along, which takes most of a second: only for those who ask.
    from torch._subclasses.fake_tensor import FakeTensorMode

    size = min(micro_batch or batch_size, batch_size)
    with FakeTensorMode():
        network = copy_with(model, _fake).train()
        weights = [*network.parameters(), *network.buffers()]
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        state: list[Tensor] = []
        with _Allocations(besides=weights) as allocations:
            for _ in range(2):  # the second step finds the optimizer's state, and the heap as the first has left it
                # The names still hold the batch before while the next one is prepared.
                images, labels = _batch(batch_size, input_shape)
                for parameter in trained:
                    parameter.grad = None
                # A second part meets the gradients of the first; more parts add nothing.
                for part in range(0, min(2 * size, batch_size), size):
                    with torch.autocast("cpu", dtype=getattr(torch, precision), enabled=precision != "float32"):
                        output = network(images[part : part + size])
                    torch.autograd.backward(_loss(output, labels[part : part + size]))
                state = state or [torch.empty_like(p) for p in trained for _ in range(_STATE[optimizer])]
                allocations.end_step()
    gradients, all_weights = _nbytes(trained), _nbytes(weights)
    return TrainingMemory(
        batch_size=batch_size,
        micro_batch=size,
        weights=all_weights,
        gradients=gradients,
        optimizer_state=_nbytes(state),
        activations=allocations.peak - gradients - _nbytes(state),
        gaps=allocations.heap - allocations.peak,
        best_weights=all_weights,
    )


def process_memory() -> int:
    """Bytes of a training process besides its tensors and its data set: those of this one, and what is not here yet.

    Meant for a process that has called `training_memory` and little else.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        here = pages * resource.getpagesize()
    except OSError:  # not on Linux: the most it has held so far is the best there is to know
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        here = peak if sys.platform == "darwin" else peak * 1024
    return here + _NOT_HERE_YET


class _Heap:
    """Where blocks come to lie when freed memory is kept for the next allocation, as training tells the C library to.

    A block takes the smallest hole with room for it and `slack` bytes more, or else the heap grows. Until the end of a
    step holes become one only within what was one block when the heap grew: between two such blocks the C library puts
    small things, such as autograd's notes, that live as long.
    """

    def __init__(self, *, slack: int) -> None:
        self.size = 0
        self._slack = slack
        self._holes: list[tuple[int, int]] = []  # (size, start), sorted
        self._ends: dict[int, int] = {}  # start -> end, of the same holes
        self._starts: dict[int, int] = {}  # end -> start
        self._walls: set[int] = set()

    def take(self, size: int) -> int:
        """The start of a new block."""
        index = bisect_left(self._holes, (size + self._slack, 0))
        if index == len(self._holes):
            start, self.size = self.size, self.size + size
            self._walls.add(start)
            return start
        room, start = self._holes[index]
        self._remove(start)
        if room > size:
            self._add(start + size, start + room)
        return start

    def give_back(self, start: int, size: int) -> None:
        """Free a block."""
        end = start + size
        if end in self._ends and end not in self._walls:
            end = self._remove(end)
        if start in self._starts and start not in self._walls:
            start = self._starts[start]
            self._remove(start)
        self._add(start, end)

    def end_step(self) -> None:
        """Make one hole of those that touch."""
        self._walls.clear()
        for start in sorted(self._ends):
            if start in self._ends:  # not yet a part of the hole before it
                self.give_back(start, self._remove(start) - start)

    def _add(self, start: int, end: int) -> None:
        self._ends[start], self._starts[end] = end, start
        insort(self._holes, (end - start, start))

    def _remove(self, start: int) -> int:
        end = self._ends.pop(start)
        del self._starts[end]
        self._holes.pop(bisect_left(self._holes, (end - start, start)))
        return end


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Puts the memory of every tensor that an operation makes into a heap, until nobody holds it any more."""

    def __init__(self, *, besides: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Aligned blocks need a little more room than they take, so a hole of just their size is refilled only if it
        # happens to lie well. Taking none or all of them to lie well, one gets bounds for the size of the heap.
        self.heaps = (_Heap(slack=0), _Heap(slack=1))
        self.now = self.peak = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in besides}
        self._freed: list[tuple[int, list[int], int]] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._give_back_freed()
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, Tensor):
                # Storages, not tensors: a view, or what works in place, has that of another.
                self._take(tensor.untyped_storage())
        return result

    def _take(self, storage: torch.UntypedStorage) -> None:
        identity, size = storage._cdata, storage.nbytes()
        if size and identity not in self._known:
            self._known.add(identity)
            starts = [heap.take(size) for heap in self.heaps]
            # Python may free things in the middle of anything, so they are only put down here.
            weakref.finalize(storage, self._freed.append, (identity, starts, size))
            self.now += size
            self.peak = max(self.peak, self.now)

    def _give_back_freed(self) -> None:
        while self._freed:
            identity, starts, size = self._freed.pop()
            self._known.remove(identity)
            self.now -= size
            for heap, start in zip(self.heaps, starts, strict=True):
                heap.give_back(start, size)

    def end_step(self) -> None:
        """What a step has used is free for the next."""
        self._give_back_freed()
        for heap in self.heaps:
            heap.end_step()

    @property
    def heap(self) -> int:
        """Size of the heap, half way between the bounds."""
        return sum(heap.size for heap in self.heaps) // 2


def _fake(tensor: Tensor) -> Tensor:
    """A tensor of this shape and type, in the order in which training keeps it."""
    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
    return fake.contiguous(memory_format=torch.channels_last) if fake.ndim == 4 else fake


def _batch(size: int, input_shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Images and labels; the whole batch is resized and normalised before it is split."""
    images = torch.empty((size, *input_shape)) * 1 + 0
    return images.contiguous(memory_format=torch.channels_last), torch.empty(size, dtype=torch.int64)


def _loss(output: Tensor | WithAuxiliary, labels: Tensor) -> Tensor:
    logits = [output.logits, *output.auxiliary] if isinstance(output, WithAuxiliary) else [output]
    return torch.stack([F.cross_entropy(each.float(), labels) for each in logits]).sum()


def _nbytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
