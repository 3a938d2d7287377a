"""One measurement in a process of its own: `python benchmarks/measure.py WHAT`, answered as JSON.

A fresh process each time, because peak memory belongs to a process, and because caches that one measurement warmed
must not serve the next.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import textbook
from convscope.config import Config
from convscope.data import Augmentation, Batches, Preprocessing, load_splits, load_train_test
from convscope.experiment import train
from convscope.experiment.session import Session
from convscope.kernels import build
from convscope.kernels.acceleration import accelerate
from convscope.training.averaging import NoAverage
from convscope.training.environment import environment
from convscope.training.loop import train_epoch
from convscope.training.loss import CrossEntropy
from convscope.training.state import TrainState
from convscope.training.stopping import EarlyStopping

BATCH_SIZE = 128
LR = 1e-3


def textbook_epoch(data: str, seed: int, same_module: bool) -> dict[str, float]:
    """One epoch of the textbook loop."""
    result = textbook.run(data, seed=seed, batch_size=BATCH_SIZE, lr=LR, same_module=same_module)
    return {
        "images": result.images,
        "images_per_second": result.images / result.seconds,
        "val_accuracy": result.val_accuracy,
        "peak_mib": peak_mib(),
    }


def convscope_epoch(data: str, seed: int, precision: str, *, kernels: bool = True) -> dict[str, float]:
    """One epoch as `convscope train` runs it; its memory includes validation, test, pictures and files."""
    config = Config(
        data=data,
        model="tinyvgg_bn",
        epochs=1,
        batch_size=BATCH_SIZE,
        optimizer="adam",
        lr=LR,
        schedule="constant",
        seed=seed,
        device="cpu",
        precision=precision,  # type: ignore[arg-type]
        kernels=kernels,
    )
    with tempfile.TemporaryDirectory() as directory:
        (row,) = train(config, runs_dir=Path(directory)).history()
    return {
        "images_per_second": row["images_per_second"],
        "val_accuracy": row["val_accuracy"],
        "peak_mib": peak_mib(),
    }


def step_speed(session: Session, *, steps: int, warm_up: int = 1) -> float:
    """Images per second of the loop that `convscope train` runs, over some steps after others that warm up."""
    model, optimizer, schedule, runtime = session.model, session.optimizer, session.schedule, session.runtime
    if session.config.kernels:
        accelerate(model)
    state = TrainState(model, optimizer, schedule, runtime, NoAverage(model), EarlyStopping())
    training = train_epoch(state, session.train, CrossEntropy())
    for _ in range(warm_up):
        next(training)
    started = time.perf_counter()
    for _ in range(steps):
        next(training)
    return steps * session.config.batch_size / (time.perf_counter() - started)


def loading_times(data: str, seed: int) -> dict[str, float]:
    """Microseconds that an image takes on its way to the network, in batches, by what is done to it there."""
    build.load()  # as a training does
    train_set = load_splits(data).train
    kinds = {
        "no augmentation": None,
        "flip, shift": Augmentation(flip=True, shift=2),
        "flip, shift, rotation, cutout": Augmentation(flip=True, shift=2, rotation=10.0, cutout=8),
    }
    times = {}
    for name, augmentation in kinds.items():
        batches = Batches(
            train_set,
            Preprocessing.for_training(train_set),
            batch_size=BATCH_SIZE,
            shuffle_seed=seed,
            augmentation=augmentation,
        )
        next(batches.epoch(1))  # the first batch warms caches
        started = time.perf_counter()
        for _ in batches.epoch(2):
            pass
        times[name] = (time.perf_counter() - started) / batches.samples * 1e6
    return times


def load_time(data: str, seed: int) -> dict[str, float]:
    """Seconds from a name to tensors, when the files lie in the data directory."""
    started = time.perf_counter()
    load_train_test(data)
    return {"seconds": time.perf_counter() - started}


def peak_mib() -> float:
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere


MEASUREMENTS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "textbook": lambda data, seed: textbook_epoch(data, seed, same_module=False),
    "textbook-same-module": lambda data, seed: textbook_epoch(data, seed, same_module=True),
    "float32": lambda data, seed: convscope_epoch(data, seed, "float32"),
    "float32-without-kernels": lambda data, seed: convscope_epoch(data, seed, "float32", kernels=False),
    "default": lambda data, seed: convscope_epoch(data, seed, "auto"),
    "default-without-kernels": lambda data, seed: convscope_epoch(data, seed, "auto", kernels=False),
    "loading": loading_times,
    "load": load_time,
    "environment": lambda data, seed: environment(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=MEASUREMENTS)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(MEASUREMENTS[options.what](options.data, options.seed)))


if __name__ == "__main__":
    main()
