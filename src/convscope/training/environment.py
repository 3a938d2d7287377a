"""The machine and the software that a training runs on, written beside its results so that they can be judged."""

import importlib.metadata
import os
import platform
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from convscope.training.runtime import choose_device

LIBRARIES = (
    "torch",
    "numpy",
    "matplotlib",
    "jinja2",
    "pillow",
    "platformdirs",
    "pooch",
    "python-multipart",
    "pyyaml",
    "rich",
    "safetensors",
    "starlette",
    "tyro",
    "uvicorn",
)
"""What Convscope needs, under the names of pyproject.toml."""

EXTRAS = {
    "export": ("onnx", "onnxruntime", "onnxscript", "openvino"),
    "lightning": ("lightning",),
    "search": ("optuna",),
    "tensorboard": ("tensorboard",),
}
"""What single verbs need besides, by the extras of pyproject.toml."""

_FEATURES = {
    "avx2": "AVX2",
    "avx512_f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
    "neon": "NEON",
    "bf16": "BF16",
    "sve": "SVE",
    "sme": "SME",
}
"""PyTorch's names for the instructions that decide how fast a network runs on x86 and ARM, and the makers' names."""


def environment() -> dict[str, Any]:
    """Versions, device, CPU, threads and memory as JSON types; what cannot be found out is None.

    Keys: `versions` (name -> version), `system`, `device` (see `_devices`), `cpu` (see `_cpu`), `threads` (of
    PyTorch, within one operation), `memory_gib`.
    """
    return {
        "versions": {
            "convscope": version("convscope"),
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
            "torch": str(torch.__version__),  # with the build, such as +cu130
        },
        "system": platform.platform(),
        "device": _devices(),
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "memory_gib": memory_gib(),
    }


def version(library: str) -> str | None:
    """The installed version of a library, without importing it; None when it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    """`auto`: the device taken by default; `present`: all, in order of preference; `gpus`: names of CUDA's.

    `problem` says why CUDA is there but cannot be used: an old driver, a GPU in somebody else's hands.
    """
    gpus: list[str] = []
    problem = None
    # PyTorch tells of a driver that does not work by a warning, and of a GPU that does not start by an error.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        auto = choose_device("auto").type  # R-E6
        try:
            if auto == "cuda":
                gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        except RuntimeError as error:
            problem = str(error).splitlines()[0]
    if caught:
        problem = str(caught[0].message).splitlines()[0]
    present = {"cuda": auto == "cuda", "mps": torch.backends.mps.is_available(), "cpu": True}
    return {
        "auto": auto,
        "present": [name for name, there in present.items() if there],
        "gpus": gpus,
        "problem": problem,
    }


def _cpu() -> dict[str, Any]:
    """`model`, `architecture`, `features`; `cores` this process may run on; `quota` of them a container grants."""
    capabilities = torch.cpu.get_capabilities()
    return {
        "model": _cpu_model(),
        "architecture": platform.machine(),
        "features": [name for key, name in _FEATURES.items() if capabilities.get(key)],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "quota": _quota(),
    }


def _cpu_model() -> str | None:
    """The CPU's name as its maker gives it; where no system call tells it, as Python knows it."""
    for line in _read("/proc/cpuinfo").splitlines():  # Linux
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            name = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            name = ""
        if name.strip():
            return name.strip()
    return platform.processor() or None


def _quota() -> float | None:
    """Cores' worth of time that a Linux container may use, however many cores it sees."""
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() else None


def memory_gib() -> float | None:
    """Memory of the machine, or of the container where that is less."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    limits = [int(limit) for file in _limit_files() if (limit := _read(file).strip()).isdigit()]
    return round(min(total, *limits) / 2**30, 1) if limits else round(total / 2**30, 1)


def _limit_files() -> Iterator[str]:
    """Where Linux says how much memory the groups have that this process is in, each of which may have a limit."""
    yield "/sys/fs/cgroup/memory.max"  # a container sees its own group as the topmost
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            if not controllers:  # version 2 of control groups
                yield f"/sys/fs/cgroup{group}/memory.max"
            elif "memory" in controllers.split(","):
                yield f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes"


def _read(path: str) -> str:
    """The text of a file of the system, empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
