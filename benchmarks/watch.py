"""What the doctor's watch adds to a training step.

    python benchmarks/watch.py            writes results/watch.csv beside this file
    python benchmarks/watch.py --quick    few steps of the smaller network; only prints

In one training the watch is made to look at every fourth step instead of every fiftieth. Steps that it looks at, its
looks included, are compared with those between them, of the same network on the same batch; so a machine that slows
down slows both. Counted is the processor's time, which other processes hardly lengthen. Starting the watch and what it
does at an alarm are not in the figures.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from convscope.config import Config
from convscope.doctor.watch.listener import EVERY, Watch
from convscope.experiment import Plan
from convscope.experiment.session import Session
from convscope.runs import Run
from convscope.training.averaging import NoAverage
from convscope.training.environment import environment
from convscope.training.loop import train_epoch
from convscope.training.loss import CrossEntropy
from convscope.training.state import BatchRecord, TrainState
from convscope.training.stopping import EarlyStopping
from figures import HERE, Figure, describe, print_figures, write_figures

OFTEN = 4
"""Steps between two looks while it is measured."""
RESULTS = HERE / "results" / "watch.csv"
CASES = [(model, precision) for model in ("tinyvgg_bn", "resnet18_small") for precision in ("float32", "bfloat16")]


class OneBatch:
    """The same batch again and again: no time goes into loading."""

    def __init__(self, images: Tensor, labels: Tensor, steps: int) -> None:
        self.images, self.labels, self.samples, self.steps = images, labels, steps * len(labels), steps

    def __len__(self) -> int:
        return self.steps

    def size(self, step: int) -> int:
        return len(self.labels)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        return repeat((self.images, self.labels), self.steps - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few steps of the smaller network, nothing written")
    parser.add_argument("--looks", type=int, default=None, help="looks of blocks (default: 10, quick 3)")
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    looks = options.looks or (5 if options.quick else 20)
    machine = describe(environment())
    figures = [figure for case in (CASES[:2] if options.quick else CASES) for figure in measure(*case, looks=looks)]
    print_figures(figures)
    if not options.quick:
        write_figures(RESULTS, figures, machine | {"looks": looks})
        print(f"written: {RESULTS}")


def measure(model: str, precision: str, *, looks: int) -> Iterator[Figure]:
    """A step without the watch, and what it adds."""
    config = Config(data="fashion-mnist-mini", model=model, precision=precision, device="cpu")  # type: ignore[arg-type]
    session = Session.prepare(config)
    images, labels = next(session.train.epoch(1))
    batches = OneBatch(images, labels, steps=OFTEN * (looks + 2))
    state = TrainState(
        session.model, session.optimizer, session.schedule, session.runtime, NoAverage(session.model), EarlyStopping()
    )
    with tempfile.TemporaryDirectory() as folder, patch("convscope.doctor.watch.listener.EVERY", OFTEN):
        plan = Plan(
            run=Run(Path(folder)),
            config=config,
            parameters=session.parameters,
            class_counts=(1,) * 10,
            val_images=0,
            skipped=(),
            device="cpu",
            precision=precision,
            threads=torch.get_num_threads(),
            resumed=False,
            first_epoch=1,
        )
        watch = Watch(print)
        watch.on_start(plan, session)
        alone, with_watch = _time_steps(train_epoch(state, batches, CrossEntropy()), watch)
    plain, looked = [
        [times[number] for number in range(2 * OFTEN, len(times)) if (number % OFTEN == 0) is at_look]
        for times, at_look in ((with_watch, False), (with_watch, True))
    ]
    bare = statistics.median(alone[number] for number in range(2 * OFTEN, len(alone)) if number % OFTEN)
    name = f"{model}, {precision}"
    yield Figure.over([1e3 * seconds for seconds in plain], f"step of 128 images, {name}", "convscope", "ms")
    added = [
        ((EVERY - 1) * (statistics.median(plain) - bare) + (seconds - bare)) / (EVERY * bare) for seconds in looked
    ]
    yield Figure.over([100 * share for share in added], f"added by the watch, {name}", "convscope", "%", "at most 2")


def _time_steps(steps: Iterator[BatchRecord], watch: Watch) -> tuple[list[float], list[float]]:
    """Seconds of the processor of each step, without and with what the watch does after it; the first has number 1."""
    alone, with_watch = [0.0], [0.0]
    started = time.process_time()
    for record in steps:
        stepped = time.process_time()
        watch.on_batch(record)
        ended = time.process_time()
        alone.append(stepped - started)
        with_watch.append(ended - started)
        started = ended
    return alone, with_watch


if __name__ == "__main__":
    main()
