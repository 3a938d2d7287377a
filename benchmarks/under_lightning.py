"""The same trainings by Convscope's own loop and under Lightning's Trainer; into results/under_lightning.csv.

    python benchmarks/under_lightning.py --threads 1

Both take turns, seed by seed. Time is that of training and validating all epochs; the accuracy, that of the best
weights on the test images.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning import Trainer

from convscope.config import Config
from convscope.data import Batches
from convscope.experiment.fitting import fit_session
from convscope.experiment.session import Session
from convscope.lightning import ClassifierModule
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.environment import environment
from convscope.training.evaluate import evaluate
from figures import HERE, Figure, describe, print_figures, write_figures

RESULTS = HERE / "results" / "under_lightning.csv"
PRECISIONS: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
"""Lightning's names for them."""


def by_convscope(config: Config) -> tuple[float, float]:
    """Seconds, and accuracy on the test images."""
    session = Session.prepare(config)
    started = time.perf_counter()
    fit_session(session, None, MemoryCheckpoints())
    return time.perf_counter() - started, test_accuracy(session)


def by_lightning(config: Config) -> tuple[float, float]:
    """The same under Lightning's Trainer."""
    module = ClassifierModule(config)
    trainer = Trainer(
        max_epochs=config.epochs,
        precision=PRECISIONS[module.session.runtime.precision],
        accelerator="cpu" if module.session.runtime.device.type == "cpu" else "gpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    started = time.perf_counter()
    trainer.fit(module)
    return time.perf_counter() - started, test_accuracy(module.session)


ENGINES: dict[str, Callable[[Config], tuple[float, float]]] = {"convscope": by_convscope, "lightning": by_lightning}


def test_accuracy(session: Session) -> float:
    """Of the weights that the network has now, by Convscope's own evaluation."""
    runtime = session.runtime
    test = Batches(session.splits.test, session.preprocessing, batch_size=128, device=runtime.device)
    return evaluate(session.model.to(runtime.device), test, runtime)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default="fashion-mnist-mini")
    parser.add_argument("--model", default="tinyvgg_bn")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightning")  # of what Lightning is outdated in, for torch 2.13
    results: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for seed in range(options.seeds):
        config = Config(
            data=options.data, model=options.model, epochs=options.epochs, seed=seed, threads=options.threads
        )
        for engine, train in ENGINES.items():
            results[engine].append(train(config))
            seconds, accuracy = results[engine][-1]
            print(f"seed {seed}, {engine}: {accuracy:.2%} after {seconds:.1f} s", flush=True)
    figures = []
    what = f"{options.model} on {options.data}, {options.epochs} epochs"
    for engine, trainings in results.items():
        figures.append(Figure.over([seconds for seconds, _ in trainings], what, engine, "s"))
        figures.append(Figure.over([100 * accuracy for _, accuracy in trainings], what, engine, "% of the test images"))
    pairs = list(zip(results["convscope"], results["lightning"], strict=True))
    figures.append(
        Figure.over([theirs[0] / ours[0] for ours, theirs in pairs], "time under Lightning", "both", "times")
    )
    points = [100 * (theirs[1] - ours[1]) for ours, theirs in pairs]
    figures.append(Figure.over(points, "accuracy under Lightning", "both", "points more"))
    print_figures(figures)
    write_figures(RESULTS, figures, describe(environment()) | {"seeds": options.seeds})
    print(f"written: {RESULTS}")


if __name__ == "__main__":
    main()
