"""What each recipe gives: trains those named (all by default) and writes a line for each into results/recipes.csv.

    python benchmarks/recipes.py fashion-mnist-resnet18 --threads 1

A recipe whose finished run lies in the directory of runs already, from the same setting, is not trained again; lines of
other recipes stay as they are. One training each, so the 95% interval is that of the test images alone.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from convscope.cli.progress import Progress
from convscope.config import Config
from convscope.experiment import train
from convscope.recipes import load_recipe, recipe_names
from convscope.runs import Run
from figures import HERE, describe, read_lines, write_lines

RESULTS = HERE / "results" / "recipes.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="by default all that Convscope ships")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where the runs go, named as the recipes")
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    options = parser.parse_args()
    lines = {line["recipe"]: line for line in read_lines(RESULTS)}
    for name in options.recipes or recipe_names():
        config = replace(load_recipe(name), threads=options.threads)
        lines[name] = result(name, config, trained(name, config, options.runs_dir))
        write_lines(RESULTS, [lines[key] for key in sorted(lines)])
        print(f"written: {RESULTS}")


def trained(name: str, config: Config, runs_dir: Path) -> Run:
    """The finished run of a setting; trains it if there is none."""
    if (runs_dir / name).exists():
        run = Run.open(name, runs_dir)
        if run.status == "finished" and run.config() == config:
            return run
    with Progress() as progress:
        return train(config, runs_dir=runs_dir, name=name, observers=[progress])


def result(name: str, config: Config, run: Run) -> dict[str, Any]:
    """One line: accuracies in %, times in seconds, and the machine."""
    metrics = run.metrics()
    test = metrics["test"]
    return {
        "recipe": name,
        "model": config.model,
        "input_size": config.input_size or "",
        "parameters": metrics["parameters"],
        "epochs": metrics["epochs"],
        "images_per_second": round(metrics["train_images_per_second"], 1),
        "train_seconds": round(metrics["train_seconds"], 1),
        "val_accuracy": round(100 * metrics["val"]["top1"], 2),
        "test_accuracy": round(100 * test["top1"], 2),
        "test_low": round(100 * test["top1_low"], 2),
        "test_high": round(100 * test["top1_high"], 2),
        **describe(run.environment()),
        "date": run.environment()["started"][:10],
    }


if __name__ == "__main__":
    main()
