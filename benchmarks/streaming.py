"""Training on photos that do not fit into the memory: how long each step waits for its pixels.

    python benchmarks/streaming.py cats-vs-dogs       at 256 pixels; writes results/streaming.csv
    python benchmarks/streaming.py FOLDER --networks tinyvgg_bn --epochs 1 --dry-run

Run it where the memory is smaller than the pixels, in a control group for example. As root, with their version 1:

    mkdir /sys/fs/cgroup/memory/small
    echo 1600M > /sys/fs/cgroup/memory/small/memory.limit_in_bytes
    sh -c 'echo $$ > /sys/fs/cgroup/memory/small/cgroup.procs; exec python benchmarks/streaming.py cats-vs-dogs'

What counts as waiting is the time from asking for a batch's pixels to having them. It is given as a share of the whole
epoch, in which the batch is also prepared and trained on.
"""

import argparse
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from convscope.data import Batches, Preprocessing, load_splits
from convscope.models import build_model
from convscope.training.averaging import NoAverage
from convscope.training.environment import environment
from convscope.training.loop import train_epoch
from convscope.training.loss import CrossEntropy
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime
from convscope.training.schedules import build_schedule
from convscope.training.state import TrainState
from convscope.training.stopping import EarlyStopping
from figures import HERE, Figure, describe, print_figures, write_figures

RESULTS = HERE / "results" / "streaming.csv"
BATCH_SIZE = 32


class WatchedBatches(Batches):
    """Batches that know how long they were waited for."""

    waited = 0.0

    def _pixels(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        pixels = super()._pixels(batches)
        while True:
            asked = time.perf_counter()
            batch = next(pixels, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long training steps wait for streamed pixels.")
    parser.add_argument("data", help="a data set of photos: a name of the catalogue, or a folder")
    parser.add_argument("--networks", nargs="+", default=["simplenet", "tinyvgg_explainer"])
    parser.add_argument("--size", type=int, default=256, help="side of the network's input in pixels")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of each network")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()

    splits = load_splits(options.data, size=options.size)
    preprocessing = Preprocessing.for_training(splits.train, resize=splits.resize, statistics=splits.statistics)
    facts = describe(environment())
    pixels = splits.train.images.nbytes / 2**30
    print(f"{pixels:.2f} GiB of pixels, {facts['memory_gib']} GiB of memory")
    figures = []
    for network in options.networks:
        runtime = Runtime.choose()
        batches = WatchedBatches(
            splits.train,
            preprocessing,
            batch_size=BATCH_SIZE,
            device=runtime.device,
            shuffle_seed=0,
            streamed=True,
        )
        model = build_model(network, num_classes=len(splits.train.classes), in_channels=3, input_size=options.size)
        shares, speeds = train(runtime.prepare(model), batches, runtime, options.epochs)
        figures += [
            Figure.over(
                shares, f"{network} at {options.size} px, waiting for pixels", "streamed", "% of the time", "at most 5"
            ),
            Figure.over(speeds, f"{network} at {options.size} px, training", "streamed", "images/s"),
        ]
    print_figures(figures)
    if not options.dry_run:
        write_figures(RESULTS, figures, facts | {"data": options.data, "pixels_gib": round(pixels, 2)})
        print(f"written: {RESULTS}")


def train(
    model: torch.nn.Module, batches: WatchedBatches, runtime: Runtime, epochs: int
) -> tuple[list[float], list[float]]:
    """Of each epoch the share of time spent waiting, in percent, and the images a second."""
    optimizer = build_optimizer("adamw", model, lr=1e-3)
    schedule = build_schedule("constant", epochs=epochs, steps_per_epoch=len(batches))
    state = TrainState(model, optimizer, schedule, runtime, NoAverage(model), EarlyStopping())
    shares, speeds = [], []
    for epoch in range(1, 1 + epochs):
        state.epoch, state.step, state.images, state.seconds = epoch, 0, 0, 0.0
        batches.waited, started = 0.0, time.perf_counter()
        for _ in train_epoch(state, batches, CrossEntropy()):
            pass
        seconds = time.perf_counter() - started
        shares.append(100 * batches.waited / seconds)
        speeds.append(batches.samples / seconds)
    return shares, speeds


if __name__ == "__main__":
    main()
