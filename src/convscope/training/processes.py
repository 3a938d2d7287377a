"""One process, or several that train one network together: the loop does not know which.

Every process has a copy of the network and takes its share of each batch. The gradients are averaged over all before
the step (PyTorch's DistributedDataParallel: Li et al., arXiv 2006.15704), so all take the same step and stay copies.
The batch is the one of the setting, whatever the number of processes: that number changes the time and nothing else,
but for what `docs/processes.md` lists.

`ALONE` is the neutral form; in `group.py` is the one of several processes.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from convscope.data.sharing import ALL
from convscope.errors import ConvscopeError


class Lost(ConvscopeError):
    """Another process is gone."""


class Ended(Exception):
    """The work is over in all processes, and the main one says why."""


class Alone:
    """One process, which does everything itself."""

    count = 1
    is_main = True
    share = ALL

    def device(self, name: str) -> str:
        """The device that stands for the word of a setting."""
        return name

    def threads(self, wanted: int | None) -> int | None:
        """CPU threads for this process; None for as many as PyTorch takes."""
        return wanted

    def seed(self, seed: int) -> int:
        """The seed for what each process draws by itself, as dropout does."""
        return seed

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model such that a backward pass leaves the mean gradient of all processes."""
        return model

    def accumulate(self, network: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Forward and backward pass of one part of a batch; gradients are exchanged after the last one."""
        return nullcontext()

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """What all processes have (N_i, ...), one after the other: (N, ...)."""
        return tensor

    def spread(self, model: nn.Module) -> None:
        """Give the model of each process the weights and statistics of the main process's."""

    def tell(self, document: dict[str, Any]) -> dict[str, Any]:
        """What the main process says, tensors and plain values, to all."""
        return document

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """What the main process wants; asked after each step."""
        return wishes

    def one_first(self) -> AbstractContextManager[object]:
        """On each machine one process goes through the block, and then the others."""
        return nullcontext()

    def all_well(self) -> AbstractContextManager[object]:
        """The block counts only if it succeeds in all processes; otherwise the main one raises the error."""
        return nullcontext()

    def together(self) -> AbstractContextManager[object]:
        """Raises Lost where the block fails because another process is gone."""
        return nullcontext()


ALONE = Alone()
