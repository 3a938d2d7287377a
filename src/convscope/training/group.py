"""Several processes that were started together, on one machine or on many."""

import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from convscope.data.batches import derive_seed
from convscope.data.sharing import Share
from convscope.errors import ConvscopeError, UserError
from convscope.training.meeting import Place
from convscope.training.processes import ALONE, Alone, Ended, Lost

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others within a step. What takes longer has stopped for good."""
MUCH_PATIENCE = timedelta(days=7)
"""How long they wait for one that fetches a data set."""
STEPS_UNHEARD = 50
"""On GPUs, steps between two looks at what the main process wants: each look makes the host wait for the device."""


class Group(Alone):
    """One of several processes, each of which calls the same methods in the same order."""

    def __init__(self, place: Place) -> None:
        self.count, self.is_main = place.count, place.index == 0
        self.share = Share(place.index, place.count)
        self._place = place
        self._asked = 0
        # Tensors on the CPU travel by gloo, those on GPUs by NCCL.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(
            backend, init_method=place.meeting, rank=place.index, world_size=place.count, timeout=PATIENCE
        )
        self.patient = dist.new_group(backend="gloo", timeout=MUCH_PATIENCE)
        machine = torch.tensor([place.machine])
        self._here = int((self.gather(machine) == machine).sum())

    def device(self, name: str) -> str:
        """A GPU for each process of a machine, or the CPU for all.

        Raises:
            UserError: the device cannot be shared.
        """
        if name in ("auto", "cuda") and torch.cuda.is_available():
            torch.cuda.set_device(self._place.local_index % torch.cuda.device_count())
            return f"cuda:{self._place.local_index}"
        if name not in ("auto", "cpu", "cuda"):
            raise UserError(f"device is {name}, but {self.count} processes need one each: say cuda, cpu or auto.")
        return "cpu" if name == "auto" else name

    def threads(self, wanted: int | None) -> int | None:
        """The cores of a machine, shared out over its processes, unless somebody has decided otherwise."""
        if wanted is not None or "OMP_NUM_THREADS" in os.environ:
            return wanted
        return self._place.cores or max(1, torch.get_num_threads() // self._here)

    def seed(self, seed: int) -> int:
        """That of the setting in the main process, others in the others: each drops out different units."""
        return seed if self.is_main else derive_seed(seed, self.share.index)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Made anew each epoch, because parameters that rest in one may learn in the next."""
        # BatchNorm's statistics are not sent at each step: training does not read them, see `spread`.
        return DistributedDataParallel(model, forward_sync_buffers=False)

    def accumulate(self, network: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Parts before the last only add to this process's own gradient."""
        if last or not isinstance(network, DistributedDataParallel):
            return nullcontext()
        no_sync: AbstractContextManager[object] = network.no_sync()
        return no_sync

    def add(self, tensor: Tensor) -> Tensor:
        """By one message, the same bits everywhere."""
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def gather(self, tensor: Tensor) -> Tensor:
        """In the order of the processes; what is short is filled up for the way, and cut again."""
        lengths = torch.zeros(self.count, dtype=torch.int64, device=tensor.device)
        lengths[self.share.index] = len(tensor)
        dist.all_reduce(lengths)
        full = tensor.new_zeros(int(lengths.max()), *tensor.shape[1:])
        full[: len(tensor)] = tensor
        rows = [torch.empty_like(full) for _ in range(self.count)]
        dist.all_gather(rows, full)
        return torch.cat([row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)])

    @torch.no_grad()
    def spread(self, model: nn.Module) -> None:
        """Weights are the same already; BatchNorm's running statistics are those of each process's images."""
        for value in model.state_dict().values():
            message = value.contiguous()  # gloo sends no tensor in channels-last order
            dist.broadcast(message, src=0)
            value.copy_(message)

    def tell(self, document: dict[str, Any]) -> dict[str, Any]:
        """As a file that cannot hold code."""
        file = io.BytesIO()
        torch.save(document if self.is_main else {}, file)
        message = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
        length = torch.tensor([len(message)])
        dist.broadcast(length, src=0)
        message = message if self.is_main else torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(message, src=0)
        told: dict[str, Any] = torch.load(io.BytesIO(message.numpy().tobytes()), weights_only=True)
        return told

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """After each step on the CPU; on GPUs only now and then, and no meanwhile."""
        self._asked += 1
        if dist.get_backend() != "gloo" and self._asked % STEPS_UNHEARD:
            return (False,) * len(wishes)
        message = torch.tensor(wishes, dtype=torch.uint8)
        dist.broadcast(message, src=0)
        return tuple(bool(wish) for wish in message.tolist())

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """So that a data set is fetched and decoded once, and read from its cache by the others."""
        if self._place.local_index:
            dist.barrier(self.patient)
        try:
            yield
        finally:
            if not self._place.local_index:
                dist.barrier(self.patient)

    @contextmanager
    def all_well(self) -> Iterator[None]:
        """Errors of the user's and of the surroundings; one that nobody expected ends the process, and so all."""
        error = None
        try:
            yield
        except ConvscopeError as raised:
            error = raised
        texts = self._texts("" if error is None else str(error))
        if error is not None and self.is_main:
            raise error
        for index, text in enumerate(texts):
            if text:
                raise ConvscopeError(f"process {index} of {self.count}: {text}") if self.is_main else Ended

    def _texts(self, text: str) -> list[str]:
        """The texts of all processes."""
        content = torch.frombuffer(bytearray(text.encode() + b"\0"), dtype=torch.uint8)
        return bytes(self.gather(content).tolist()).decode().split("\0")[:-1]

    @contextmanager
    def together(self) -> Iterator[None]:
        """A process that is killed closes its connections, and whoever waits for it gets an error at once."""
        try:
            yield
        except RuntimeError as error:
            # NCCL has an exception of its own, gloo only words.
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            raise Lost(
                f"one of the {self.count} processes that trained together ended before its time, so all did: look "
                f"at what it said, and whether the system ended it for want of memory."
            ) from error


@contextmanager
def join(place: Place | None) -> Iterator[Alone]:
    """The processes that this one belongs to, until the block is over.

    Raises:
        ConvscopeError: the others are not to be found.
    """
    if place is None:
        yield ALONE
        return
    try:
        group = Group(place)
    except (dist.DistError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ConvscopeError(
            f"process {place.index} of {place.count} does not find the others at {place.meeting} ({reason}): start all "
            f"of them at the same time, where each machine can reach the first."
        ) from error
    try:
        yield group
        with suppress(RuntimeError):  # some may have gone before, and said why
            dist.barrier(group.patient)  # whoever leaves early takes the others' connections along
    finally:
        dist.destroy_process_group()
