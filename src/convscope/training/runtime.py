"""Where and in what arithmetic a network runs: the loop knows neither devices nor precisions."""

import ctypes
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn, optim

from convscope.errors import UserError
from convscope.training.processes import ALONE, Alone

Network = TypeVar("Network", bound=nn.Module)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`, or for `auto` the first present of cuda, mps, cpu.  R-E6.

    Raises:
        UserError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"there is no device '{name}' here: use auto, cpu, or what `convscope doctor environment` lists."
        ) from error
    return device


def cpu_gains_by_bfloat16() -> bool:
    """Whether this CPU computes faster in bfloat16 than in float32; emulated it would be far slower.

    AMX does. Intel's AVX512-BF16 without AMX does not: its products take twice as long as float32's, and a step of
    `tinyvgg_bn` took 301 ms instead of 223 on one core of a Xeon whose hypervisor hides AMX. AMD's does: on two
    cores of an EPYC (Zen 4) `tinyvgg_bn` and `resnet18_small` train 1.8 times as fast as in float32, 1.2 and 1.3 times
    with the compiled kernels, whose float32 spares products (benchmarks/results/kernels.csv).
    """
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("amx_bf16", False):
        return True
    return bool(capabilities.get("avx512_bf16", False)) and "Intel" not in capabilities.get("cpu_name", "")


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype called `name`, or for `auto` bfloat16 where the device is faster in it, else float32."""
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and cpu_gains_by_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def keep_freed_memory() -> None:
    """Let the C library keep what this process frees, up to a gibibyte a block, for the next allocation.

    Each training step allocates the same activations. By default glibc hands large blocks back at once, and the system
    clears their pages again at the next step. Elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
    mallopt(m_mmap_threshold, 2**30)
    mallopt(m_trim_threshold, 2**31 - 1)


class _InHalves(nn.Linear):
    """A linear layer for oneDNN on CPUs with AMX, which in bfloat16 ends the process (a division by zero) where the
    inputs of a batch are this many values and at least 49,152 for each image: photos of 128 pixels, 32 at a time. Found
    with PyTorch 2.13.0, by trying 181 sizes with 1 to 128 images each; no other failed.
    """

    FATAL = 3 * 2**19

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, in_features) -> (N, out_features)."""
        if inputs.numel() == self.FATAL:
            return torch.cat([super(_InHalves, self).forward(half) for half in inputs.chunk(2)])
        return super().forward(inputs)


@dataclass
class Runtime:
    """A device, the arithmetic on it, and the step of the optimizer under both."""

    device: torch.device = field(default_factory=choose_device)
    dtype: torch.dtype = torch.float32
    processes: Alone = ALONE

    def __post_init__(self) -> None:
        # float16 gradients underflow, so the loss is scaled up; disabled it passes everything through.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    @classmethod
    def choose(
        cls, device: str = "auto", precision: str = "auto", threads: int | None = None, processes: Alone = ALONE
    ) -> "Runtime":
        """The runtime for the words of a setting; sets the number of CPU threads of this process if given.

        On CUDA it lets this process take the fast ways: cuDNN tries its algorithms at the first batch of each size and
        takes the fastest, which may be another one at the next start, and products of float32 are computed in TF32.
        Results on a GPU are therefore reproducible but for rounding, not to the last bit.
        """
        threads = processes.threads(threads)
        if threads is not None:
            torch.set_num_threads(threads)
        chosen = choose_device(processes.device(device))
        if chosen.type == "cpu":
            keep_freed_memory()
        elif chosen.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        return cls(chosen, choose_precision(precision, chosen), processes)

    @property
    def check_every(self) -> int:
        """Steps between two looks at the loss; on a GPU each look makes the host wait for the device."""
        return 1 if self.device.type == "cpu" else 50

    @property
    def precision(self) -> str:
        """The name of the arithmetic: float32, bfloat16 or float16."""
        return str(self.dtype).removeprefix("torch.")

    def prepare(self, model: Network) -> Network:
        """Move `model` to the device, its weights in channels-last order, which convolutions read fastest."""
        if self.device.type == "cpu" and self.dtype == torch.bfloat16:
            for module in model.modules():
                if type(module) is nn.Linear:
                    module.__class__ = _InHalves
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which a forward pass computes in this runtime's arithmetic."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def backward(self, loss: Tensor, *, weight: float = 1.0) -> None:
        """Add the gradient of `loss`, 0-d, times `weight` to the parameters' gradients."""
        torch.autograd.backward(self.scaler.scale(loss), torch.full_like(loss, weight))

    def step(self, optimizer: optim.Optimizer, *, clip_norm: float | None = None) -> Tensor:
        """One step of the optimizer; answers the norm of the gradient before clipping, 0-d."""
        self.scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        return norm

    def random_state(self) -> dict[str, Tensor]:
        """State of the generators that dropout draws from, uint8 (B,) of each; of several processes (P, B)."""
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            state["mps"] = torch.mps.get_rng_state()
        if self.processes.count > 1:
            state = {name: self.processes.gather(value[None]) for name, value in state.items()}
        return state

    def restore_random_state(self, state: dict[str, Tensor]) -> None:
        """Give the generators the state they had; a process that is new since then keeps its own."""
        rows = {name: value.view(-1, value.shape[-1]) for name, value in state.items()}
        index = self.processes.share.index
        if index >= len(rows["cpu"]):
            return
        # Copies: PyTorch 2.13.0 reads a view of a row from the beginning of the whole.
        state = {name: value[index].clone() for name, value in rows.items()}
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
        elif self.device.type == "mps" and "mps" in state:
            torch.mps.set_rng_state(state["mps"])
