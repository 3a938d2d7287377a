"""Training speed of one process and of two that share the same cores: what a second process is worth here.

    python benchmarks/processes.py            three rounds of each; writes results/processes.csv beside this file
    python benchmarks/processes.py --quick    one round of one epoch; only prints

Each training is the command as a user gives it, in processes of its own. Its speed is the median over its epochs but
the first, which warms up. The rounds are interleaved, so that a machine that slows down slows all of them, and ratios
are taken within a round first.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from convscope.runs import Run
from convscope.training.environment import environment
from figures import HERE, Figure, describe, print_figures, write_figures

WAYS = {
    "1 process, 1 thread": ("--threads", "1"),
    "1 process, 2 threads": ("--threads", "2"),
    "2 processes, 1 thread each": ("--devices", "2", "--threads", "1"),
}
NETWORKS = {
    "tinyvgg_bn": ("tinyvgg_bn",),
    "resnet18_small, width 0.25": ("resnet18_small", "--model-options", "width", "0.25"),
}
RESULTS = HERE / "results" / "processes.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one process against two on the same cores.")
    parser.add_argument("--quick", action="store_true", help="one round of one epoch, nothing written")
    options = parser.parse_args()
    rounds, epochs = (1, 1) if options.quick else (3, 2)
    speeds: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for network, words in NETWORKS.items():
            for way, flags in WAYS.items():
                speed = images_per_second([*words, *flags, "--epochs", str(epochs)])
                speeds.setdefault((network, way), []).append(speed)
                print(f"round {number + 1} of {rounds}, {network}, {way}: {speed:,.0f} images/s", flush=True)
    figures = []
    for (network, way), values in speeds.items():
        figures.append(Figure.over(values, f"training {network}", way, "images/s"))
        alone = speeds[network, next(iter(WAYS))]
        ratios = [value / one for value, one in zip(values, alone, strict=True)]
        figures.append(Figure.over(ratios, f"speed-up {network}", way, "times"))
    print_figures(figures)
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()) | {"rounds": rounds})
        print(f"written: {RESULTS}")


def images_per_second(words: list[str]) -> float:
    """Of a training on the set that Convscope ships, over all its processes together."""
    with tempfile.TemporaryDirectory() as folder:
        setting = [
            "fashion-mnist-mini",
            *words,
            "--device",
            "cpu",
            "--no-doctor",
            "--runs-dir",
            folder,
            "--name",
            "run",
        ]
        command = [sys.executable, "-m", "convscope", "train", *setting]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        speeds = [row["images_per_second"] for row in Run(Path(folder) / "run").history()]
    return statistics.median(speeds[1:] or speeds)


if __name__ == "__main__":
    main()
