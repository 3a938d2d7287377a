"""Peak memory of short trainings as the system counts it, beside what `convscope explain` says before.

    python benchmarks/memory.py            the list below; writes results/memory.csv
    python benchmarks/memory.py --quick    its small networks; only prints

Each training is a process of its own: the whole of `convscope train`, checkpoints, test and pictures included, on three
batches of noise. So the estimate is taken without its share for a data set.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from convscope.config import Config
from convscope.data import write_idx
from convscope.experiment import train
from convscope.training.environment import environment
from figures import HERE, Figure, describe, measure, print_figures, write_figures
from measure import peak_mib

RESULTS = HERE / "results" / "memory.csv"
STEPS = 3
HELD_OUT = 32  # images to validate, and to test


@dataclass(frozen=True)
class Case:
    """One training, in the words of the command line."""

    model: str
    input_size: int
    batch_size: int
    optimizer: str = "adamw"
    precision: str = "auto"
    micro_batch: int | None = None

    def __str__(self) -> str:
        parts = f", {self.micro_batch} at a time" if self.micro_batch else ""
        return (
            f"{self.model} at {self.input_size} px, batch {self.batch_size}{parts}, {self.optimizer}, {self.precision}"
        )


SMALL = (
    Case("linear", 28, 128),
    Case("lenet5", 28, 128),
    Case("tinyvgg", 28, 128),
    Case("tinyvgg_bn", 28, 128),
    Case("tinyvgg_bn", 28, 128, precision="float32"),
    Case("tinyvgg_bn", 28, 1024),
    Case("tinyvgg_bn", 28, 1024, micro_batch=128),
    Case("resnet18_small", 28, 128),
    Case("resnet18_small", 28, 128, precision="float32"),
    Case("se_resnet18_small", 28, 64),
    Case("googlenet", 64, 64),
    Case("googlenet_bn", 64, 64),
    Case("densenet121_small", 28, 64),
)
LARGE = (
    Case("alexnet", 224, 64, optimizer="sgd"),
    Case("vgg11", 64, 32, optimizer="sgd"),
    Case("vgg11", 64, 32),
    Case("vgg11", 224, 16, optimizer="sgd"),
    Case("vgg11", 224, 32, optimizer="sgd"),
    Case("vgg11", 224, 128, optimizer="sgd", micro_batch=16),
    Case("vgg11_bn", 64, 128, optimizer="sgd"),
    Case("resnet50", 224, 16, optimizer="sgd"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the peak memory of trainings beside its estimate.")
    parser.add_argument("--quick", action="store_true", help="small networks, nothing written")
    parser.add_argument("--train", metavar="JSON", help="train this one case and print its peak")
    options = parser.parse_args()
    if options.train:
        print(json.dumps(peak_of(Case(**json.loads(options.train)))))
        return
    figures: list[Figure] = []
    for case in SMALL if options.quick else SMALL + LARGE:
        measured = measure(Path(__file__).name, "--train", json.dumps(asdict(case)))["peak_mib"]
        estimated = estimate(case)
        values = {
            "measured": (measured, "MiB", ""),
            "explain": (estimated, "MiB", ""),
            "difference": (100 * (estimated / measured - 1), "%", "within 15"),
        }
        rows = [Figure(str(case), name, unit, v, v, v, target) for name, (v, unit, target) in values.items()]
        print_figures(rows)
        figures += rows
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()))
        print(f"written: {RESULTS}")


def estimate(case: Case) -> float:
    """MiB that `convscope explain` tells, but for the data set."""
    flags = {"in_channels": 1, "num_classes": 10} | {k: v for k, v in asdict(case).items() if k != "model" and v}
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [str(Path(sys.executable).parent / "convscope"), "explain", case.model, *words, "--json"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    memory: dict[str, Any] = json.loads(answer)["training_memory"]
    return float(memory["total"] - memory["data_set"]) / 2**20


def peak_of(case: Case) -> dict[str, float]:
    """Train a few steps and tell the most memory that this process has held."""
    images = STEPS * case.batch_size + HELD_OUT
    with tempfile.TemporaryDirectory() as directory:
        for split, count in (("train", images), ("t10k", HELD_OUT)):
            noise = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8)
            write_idx(Path(directory) / f"{split}-images-idx3-ubyte", noise)
            write_idx(Path(directory) / f"{split}-labels-idx1-ubyte", torch.arange(count, dtype=torch.uint8) % 10)
        settings: dict[str, Any] = asdict(case)
        config = Config(data=directory, epochs=1, lr=1e-4, val_share=HELD_OUT / images, device="cpu", **settings)
        train(config, runs_dir=Path(directory) / "runs")
    return {"peak_mib": peak_mib()}


if __name__ == "__main__":
    main()
