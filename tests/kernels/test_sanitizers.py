"""check_kernels.cpp, compiled and run under the sanitizers that watch memory, arithmetic and threads, and without."""

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import convscope.kernels

SOURCES = Path(convscope.kernels.__file__).parent / "csrc"
FLAGS = ["-std=c++20", "-g1", "-fno-math-errno", "-fno-trapping-math"]
NATIVE = "-mcpu=native" if platform.machine() == "aarch64" else "-march=native"


@pytest.mark.parametrize(
    ("runtimes", "flags"),
    [
        # Optimised, what the second sanitizer asks at each step takes the compiler half a minute.
        (["asan", "ubsan"], ["-O0", NATIVE, "-fopenmp", "-fsanitize=address,undefined", "-fno-sanitize-recover"]),
        (["tsan"], ["-O0", NATIVE, "-DCONVSCOPE_STD_THREADS", "-fsanitize=thread"]),
        # For the oldest CPU of this kind, where vectors are short and there are no tiles.
        ([], ["-O0", "-fopenmp", *(["-march=x86-64"] if platform.machine() == "x86_64" else [])]),
    ],
    ids=["memory", "threads", "old CPU"],
)
def test_nothing_is_found(runtimes: list[str], flags: list[str], tmp_path: Path) -> None:
    if shutil.which("g++") is None or sys.platform != "linux":
        pytest.skip("there is no compiler g++ on Linux")
    for name in runtimes:
        file = f"lib{name}.so"
        place = subprocess.run(["g++", f"-print-file-name={file}"], capture_output=True, text=True, check=True).stdout
        if place.strip() == file:  # where there is none, the compiler gives back the name
            pytest.skip(f"the compiler has no {file}")
    # The tiles are always those in software: a sanitizer sees no memory that an instruction of AMX reads. A CPU that
    # cannot imitate them leaves the convolution out.
    tiles = ["-DCONVSCOPE_SOFTWARE_TILES"] if torch.cpu.get_capabilities().get("avx512_bf16") else []
    plain = [source for source in SOURCES.glob("*.cpp") if "<torch/" not in source.read_text(encoding="utf-8")]

    def compiled(source: Path) -> Path:
        target = tmp_path / f"{source.stem}.o"
        run(["g++", *FLAGS, *tiles, *flags, f"-I{SOURCES}", "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = list(pool.map(compiled, [Path(__file__).with_name("check_kernels.cpp"), *plain]))
    program = str(tmp_path / "check")
    run(["g++", *flags, *map(str, objects), "-o", program])
    run([program])


def run(command: list[str]) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if "unexpected memory mapping" in answer.stderr:
        pytest.skip("ThreadSanitizer does not know how this system lays out memory")
    assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout}{answer.stderr}"
