"""What networks come to on each data set: trains them and writes a line for each pair into results/networks.csv.

    python benchmarks/networks.py cifar10 --runs-dir runs/networks

The trainings are those of the commands `convscope compare DATA NETWORK...` in docs/results.md. A finished run of the
same setting in the directory of runs is not trained again; lines of other data sets stay as they are.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from convscope.config import Config
from convscope.runs import Run
from figures import HERE, describe, read_lines, write_lines
from recipes import trained

RESULTS = HERE / "results" / "networks.csv"
SMALL = ("linear", "lenet5", "simplenet", "tinyvgg_explainer", "tinyvgg", "tinyvgg_bn")
LARGE = (
    *("alexnet", "googlenet", "googlenet_bn", "resnet18", "resnet34", "resnet50"),
    *("densenet121", "se_resnet18", "se_resnet50"),
)


class Task(NamedTuple):
    """What is trained on a data set."""

    setting: Config
    models: tuple[str, ...]
    seeds: int = 3


TASKS = (
    Task(Config(data="mnist", epochs=5), ("linear", "lenet5", "tinyvgg", "tinyvgg_bn")),
    Task(Config(data="fashion-mnist", epochs=5), SMALL),
    Task(Config(data="cifar10", epochs=10), SMALL),
    Task(
        Config(data="cats-vs-dogs", epochs=10, input_size=64, flip=True),
        ("linear", "lenet5", "simplenet", "tinyvgg_explainer", "tinyvgg_bn"),
    ),
    Task(Config(data="fashion-mnist-mini", epochs=2, input_size=64, flip=True, lr=5e-4), LARGE, seeds=1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    data_sets = [task.setting.data for task in TASKS]
    parser.add_argument("data", nargs="*", metavar="DATA", help=f"by default all: {', '.join(data_sets)}")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where the runs go: DATA-NETWORK-SEED")
    options = parser.parse_args()
    for task in TASKS:
        data = task.setting.data
        for model in task.models if data in (options.data or data_sets) else ():
            configs = [replace(task.setting, model=model, seed=seed, threads=1) for seed in range(task.seeds)]
            runs = [trained(f"{data}-{model}-{config.seed}", config, options.runs_dir) for config in configs]
            others = [line for line in read_lines(RESULTS) if (line["data"], line["model"]) != (data, model)]
            write_lines(RESULTS, sorted([*others, result(runs)], key=_place))
            print(f"written: {RESULTS}")


def _place(line: dict[str, Any]) -> int:
    """Where a line stands: in the order of the tasks."""
    order = [(task.setting.data, model) for task in TASKS for model in task.models]
    return order.index((line["data"], line["model"]))


def result(runs: Sequence[Run]) -> dict[str, Any]:
    """One line: means over the seeds, accuracies in % with their standard deviation, seconds, and the machine."""
    config, environment = runs[0].config(), runs[0].environment()
    metrics = [run.metrics() for run in runs]
    accuracies: dict[str, Any] = {}
    for part in ("val", "test"):
        shares = [100 * values[part]["top1"] for values in metrics]
        accuracies[f"{part}_accuracy"] = round(statistics.mean(shares), 2)
        accuracies[f"{part}_deviation"] = round(statistics.stdev(shares), 2) if len(shares) > 1 else ""
    return {
        "data": config.data,
        "model": config.model,
        "input_size": config.input_size or "",
        "parameters": metrics[0]["parameters"],
        "epochs": config.epochs,
        "seeds": len(runs),
        "images_per_second": round(statistics.mean(values["train_images_per_second"] for values in metrics)),
        "train_seconds": round(statistics.mean(values["train_seconds"] for values in metrics), 1),
        **accuracies,
        **describe(environment),
        "date": environment["started"][:10],
    }


if __name__ == "__main__":
    main()
