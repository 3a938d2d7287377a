"""This machine's C++ compiler: what it is called with, for which CPU, and what it says when it refuses.

It is called without `torch.utils.cpp_extension.load`, which needs ninja and Python's headers, and whose lock is a file
that outlives a killed process.
"""

import os
import platform
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import torch

from convscope.downloads import Progress

COMPILER = "g++"


def compile_library(sources: list[Path], library: Path, progress: Progress) -> None:
    """Compile each source, as many at once as there are cores, and link them.

    Raises:
        subprocess.CalledProcessError: with what the compiler said as `stderr`.
    """
    sizes = {source: source.stat().st_size for source in sources}
    done: list[int] = []

    def tell() -> None:
        progress("building kernels for this CPU, once", sum(done), sum(sizes.values()))

    def compile_one(source: Path) -> Path:
        target = library.with_name(f"{source.stem}.o")
        _run([COMPILER, *flags(), *_includes(), "-c", str(source), "-o", str(target)])
        done.append(sizes[source])
        tell()
        return target

    tell()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        # The longest first: those that read PyTorch's headers.
        ordered = sorted(sources, key=lambda source: b"<torch/" not in source.read_bytes())
        objects = list(pool.map(compile_one, ordered))
    # Without -fopenmp: what the kernels call of OpenMP is found in the runtime that PyTorch has loaded. Linking would
    # bring the system's one in beside it, and the threads of two runtimes fight for the cores.
    libraries = [f"-L{torch_folder() / 'lib'}", "-ltorch_cpu", "-lc10"]
    _run([COMPILER, "-shared", "-s", *map(str, objects), *libraries, "-o", str(library)])


def first_error(words: str) -> str:
    """The first error in a compiler's words."""
    for line in words.splitlines():
        place, found, reason = line.partition("error: ")
        if found:
            where = Path(place.partition(":")[0]).name
            return f"{COMPILER} cannot build them ({f'{where}: ' if where else ''}{reason})"
    return f"{COMPILER} cannot build them"


def version() -> str:
    """The compiler's own line about itself, empty where there is none."""
    try:
        return subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu() -> Iterator[str]:
    """What `native` is: the lines on the first core that name the model and the instructions."""
    yield platform.machine()
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(("model", "cpu family", "stepping", "flags", "CPU ", "Features")):
                yield line
            elif not line.strip():
                return


def flags() -> list[str]:
    """What it is told of each source, for the fastest program on this CPU."""
    if os.environ.get("CONVSCOPE_SOFTWARE_TILES") == "1":  # for tests of what is done with AMX where there is none
        amx = ["-DCONVSCOPE_SOFTWARE_TILES"]
    else:  # GCC knows AMX, but not every CPU that has it
        amx = ["-mamx-tile", "-mamx-bf16"] if torch.cpu.get_capabilities().get("amx_bf16", False) else []
    return [
        "-std=c++20",
        "-O3",
        "-march=native" if platform.machine() == "x86_64" else "-mcpu=native",
        *amx,
        "-fno-math-errno",
        "-fno-trapping-math",
        "-fopenmp",
        "-fPIC",
        "-fvisibility=hidden",
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
    ]


def torch_folder() -> Path:
    """Where PyTorch is, with its headers and libraries."""
    return Path(torch.__file__).parent


def _includes() -> list[str]:
    return [f"-I{torch_folder() / 'include'}", f"-I{torch_folder() / 'include/torch/csrc/api/include'}"]


def _run(command: list[str]) -> None:
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
