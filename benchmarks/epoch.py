"""One training epoch of `tinyvgg_bn`: the textbook loop against Convscope, with memory, start-up and loading times.

    python benchmarks/epoch.py            full FashionMNIST; writes results/epoch.csv beside this file
    python benchmarks/epoch.py --quick    the mini set, one round; only prints

The rounds are interleaved (each measures every engine once), so that a machine that slows down slows all of them;
figures are medians over the rounds, and ratios are taken within a round first. The share of the machine's peak is that
of the arithmetic which the engine takes, see peak.py.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convscope.models import build_model
from convscope.training.runtime import cpu_gains_by_bfloat16
from figures import HERE, Figure, describe, measure, print_figures, write_figures
from peak import operations, shares

ENGINES = ("textbook", "float32-without-kernels", "float32", "default-without-kernels", "default")
TARGETS = {
    "float32": "at least 1.8",
    "default": "at least 10 where the CPU has AMX, else 6 where it has bfloat16",
}
"""How many times as fast as the textbook's."""
RESULTS = HERE / "results" / "epoch.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an epoch of tinyvgg_bn against the textbook loop.")
    parser.add_argument("--quick", action="store_true", help="the mini set, one round, nothing written")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default: 3, quick 1)")
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    options = parser.parse_args()
    data = "fashion-mnist-mini" if options.quick else "fashion-mnist"
    rounds = options.rounds or (1 if options.quick else 3)

    threads = [] if options.threads is None else ["--threads", options.threads]

    def take(what: str, seed: int = 0) -> dict[str, Any]:
        return measure("measure.py", what, "--data", data, "--seed", seed, *threads)

    machine = describe(take("environment"))
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    take("load")  # fetches the data set, where need be, and warms the file cache
    for engine in ("float32", "default"):  # builds the kernels and finds out which are faster, where need be
        measure("measure.py", engine, "--data", "fashion-mnist-mini", *threads)
    epochs: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    peak = []
    for seed in range(rounds):
        peak.append(measure("peak.py", "--json", *threads, *(["--quick"] if options.quick else [])))
        for engine in ENGINES:
            epochs[engine].append(take(engine, seed))
            speed = epochs[engine][-1]["images_per_second"]
            print(f"round {seed + 1} of {rounds}, {engine}: {speed:,.0f} images/s", flush=True)
    figures = [
        *epoch_figures(epochs),
        *peak_figures(epochs, peak),
        *loading_figures([take("loading", seed) for seed in range(rounds)], epochs["default"]),
        Figure.over([take("load")["seconds"] for _ in range(5)], f"load {data}", "convscope", "s", "under 0.3"),
        *start_up_figures(),
    ]
    print_figures(figures)
    if not options.quick:
        write_figures(RESULTS, figures, machine | {"rounds": rounds})
        print(f"written: {RESULTS}")


def epoch_figures(epochs: dict[str, list[dict[str, float]]]) -> Iterator[Figure]:
    """Time, memory and accuracy of each engine, and how it compares with the textbook's in the same round."""
    textbook = epochs["textbook"]
    textbook_accuracy = 100 * statistics.median(result["val_accuracy"] for result in textbook)
    for engine, results in epochs.items():
        images = textbook[0]["images"]
        yield Figure.over([images / result["images_per_second"] for result in results], "epoch", engine, "s")
        accuracies = [100 * result["val_accuracy"] for result in results]
        yield Figure.over(accuracies, "validation accuracy after the epoch", engine, "%")
        peaks = [result["peak_mib"] for result in results]
        yield Figure.over(peaks, "peak memory", engine, "MiB", "under 700" if engine == "default" else "")
        if engine == "textbook":
            continue
        pairs = list(zip(results, textbook, strict=True))
        ratios = [mine["images_per_second"] / base["images_per_second"] for mine, base in pairs]
        yield Figure.over(ratios, "speed against the textbook", engine, "times", TARGETS.get(engine, ""))
        # One epoch at a constant rate ends anywhere in a range of points, whatever the loop: the medians are compared,
        # and the least and most of single rounds show how far to trust that.
        differences = [100 * (mine["val_accuracy"] - base["val_accuracy"]) for mine, base in pairs]
        median = statistics.median(accuracies) - textbook_accuracy
        least, most = min(differences), max(differences)
        yield Figure("accuracy against the textbook", engine, "points", median, least, most, "within 0.5")


def peak_figures(epochs: dict[str, list[dict[str, float]]], peak: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    """What share of the machine's peak arithmetic each engine reached while it trained."""
    each = operations(build_model("tinyvgg_bn"), channels=1, size=28)
    for engine, results in epochs.items():
        precision = "bfloat16" if engine.startswith("default") and cpu_gains_by_bfloat16() else "float32"
        speeds = [result["images_per_second"] for result in results]
        yield from shares(speeds, "share of the peak", engine, precision, each=each, peak=peak)


def loading_figures(times: Sequence[dict[str, float]], epochs: Sequence[dict[str, float]]) -> Iterator[Figure]:
    """What an image's way to the network, augmentation included, takes of a training step."""
    # The epoch was trained without augmentation, so its step holds the plain way, and another takes its place.
    step = 1e6 / statistics.median(result["images_per_second"] for result in epochs)  # µs an image
    for kind in times[0]:
        shares = [100 * t[kind] / (step - t["no augmentation"] + t[kind]) for t in times]
        yield Figure.over([t[kind] for t in times], f"loading, {kind}", "convscope", "µs an image")
        yield Figure.over(shares, f"loading, {kind}", "convscope", "% of a step", "under 5")


def start_up_figures() -> Iterator[Figure]:
    """Whole processes of the installed command, after one that warms the file cache."""
    for arguments in (["--help"], ["models"]):
        times = []
        for _ in range(8):
            started = time.perf_counter()
            command = [str(Path(sys.executable).parent / "convscope"), *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - started)
        yield Figure.over(times[1:], f"convscope {arguments[0]}", "convscope", "s", "under 0.3")


if __name__ == "__main__":
    main()
