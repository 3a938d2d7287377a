"""The most that this machine computes and moves in a second: what the speed of a training is measured against.

    python benchmarks/peak.py            ten seconds; writes results/peak.csv
    python benchmarks/peak.py --quick    a moment; only prints

peak.cpp, compiled for this CPU, multiplies and adds in registers, without memory, and adds arrays that fit the
second-level cache or are far larger than the last. Other scripts take the arithmetic of all threads from it, to say
what share of it a network's training reaches.
"""

import argparse
import copy
import json
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.training.environment import environment
from figures import HERE, Figure, describe, print_figures, write_figures

RESULTS = HERE / "results" / "peak.csv"
SOURCE = HERE / "peak.cpp"
COMPILER = "g++"
SECONDS = 0.3
"""Of each of the five goes at each kind of work."""
QUICK_SECONDS = 0.01
KINDS = {
    "float32": ("float32 multiply-adds", "GFLOP/s"),
    "bfloat16": ("bfloat16 multiply-adds", "GFLOP/s"),
    "second-level cache": ("bandwidth of the second-level cache", "GB/s"),
    "memory": ("bandwidth of the memory", "GB/s"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the machine's peak arithmetic and bandwidth.")
    parser.add_argument("--quick", action="store_true", help="for a moment, nothing written")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="as many as PyTorch's")
    parser.add_argument("--json", action="store_true", help="for another script: operations a second of each precision")
    options = parser.parse_args()
    if shutil.which(COMPILER) is None:
        if options.json:
            print(json.dumps({}))
            return
        parser.exit(1, f"there is no compiler {COMPILER} here\n")
    rates = measure_rates(options.threads, QUICK_SECONDS if options.quick else SECONDS)
    if options.json:
        print(json.dumps(peaks(rates)))
        return
    figures = [
        Figure.over([value / 1e9 for value in rate["rates"]], KINDS[rate["what"]][0], rate["with"], unit)
        for rate in rates
        for unit in [KINDS[rate["what"]][1]]
    ]
    print_figures(figures)
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()) | {"threads": options.threads})
        print(f"written: {RESULTS}")


def measure_rates(threads: int, seconds: float) -> list[dict[str, Any]]:
    """`what` was done `with` which instructions, and `rates`: operations or bytes a second in each go."""
    with tempfile.TemporaryDirectory(prefix="convscope-peak-") as folder:
        program = Path(folder, "peak")
        subprocess.run([COMPILER, *flags(), str(SOURCE), "-o", str(program)], check=True)
        command = [str(program), str(threads), str(seconds)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in answer.splitlines()]


def flags() -> list[str]:
    """For this CPU; compilers older than it do not know its tiles by themselves."""
    native = "-march=native" if platform.machine() == "x86_64" else "-mcpu=native"
    tiles = ["-mamx-tile", "-mamx-bf16"] if torch.cpu.get_capabilities().get("amx_bf16") else []
    return ["-std=c++20", "-O3", native, *tiles, "-ffp-contract=fast", "-pthread"]


def peaks(rates: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The most operations a second of each precision.

    Of bfloat16 not less than of float32, as which its numbers can be multiplied: some CPUs are slower at the
    instructions for them.
    """
    best = {"float32": 0.0, "bfloat16": 0.0}
    for rate in rates:
        if rate["what"] in best:
            best[rate["what"]] = max(best[rate["what"]], *rate["rates"])
    return best | {"bfloat16": max(best.values())}


def operations(model: nn.Module, channels: int, size: int) -> float:
    """What one image takes on its way through the network and back, in convolutions and products; a multiply-add is
    two.
    """
    network = copy.deepcopy(model).to("meta").train()
    images = torch.empty(2, channels, size, size, device="meta")  # two, for no norm can be trained on a single value
    with FlopCounterMode(display=False) as counter:
        answer = network(images)
        sum(logits.sum() for logits in (answer if isinstance(answer, tuple) else (answer,))).backward()
    total: int = counter.get_total_flops()
    return total / len(images)


def shares(
    speeds: Sequence[float], what: str, engine: str, precision: str, *, each: float, peak: Sequence[Mapping[str, float]]
) -> list[Figure]:
    """What share of the peak in their round images a second are that take `each` so many operations.

    There is no figure where the peak is not known.
    """
    if not all(peak):
        return []
    percents = [100 * speed * each / most[precision] for speed, most in zip(speeds, peak, strict=True)]
    return [Figure.over(percents, what, engine, f"% of the {precision} peak")]


if __name__ == "__main__":
    main()
