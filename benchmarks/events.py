"""What writing TensorBoard's events adds to a training.

    python benchmarks/events.py            writes results/events.csv beside this file
    python benchmarks/events.py --quick    one epoch of the smaller network; only prints

Counted is the processor's time, which other processes hardly lengthen: what the recorder takes in each epoch, as a
share of the rest, validation included. The small FashionMNIST has 71 steps an epoch; the more steps, the less it adds.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convscope.config import Config
from convscope.experiment import Plan, train
from convscope.experiment.session import Session
from convscope.tensorboard import Recorder, record_results
from convscope.training.environment import environment
from convscope.training.state import BatchRecord, EpochRecord
from figures import HERE, Figure, describe, print_figures, write_figures

RESULTS = HERE / "results" / "events.csv"
MODELS = ("tinyvgg_bn", "resnet18_small")


class TimedRecorder(Recorder):
    """Takes the time it takes itself."""

    def on_start(self, plan: Plan, session: Session) -> None:
        self.at_start, self.shares = 0.0, list[float]()
        self._own = 0.0
        with self._timed():
            super().on_start(plan, session)
        self.at_start, self._own = self._own, 0.0
        self._epoch_began = time.process_time()

    def on_batch(self, record: BatchRecord) -> None:
        with self._timed():
            super().on_batch(record)

    def on_epoch(self, record: EpochRecord) -> None:
        with self._timed():
            super().on_epoch(record)
        self.shares.append(self._own / (time.process_time() - self._epoch_began - self._own))
        self._own, self._epoch_began = 0.0, time.process_time()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.process_time()
        yield
        self._own += time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one epoch of the smaller network, nothing written")
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    options = parser.parse_args()
    models, epochs = (MODELS[:1], 1) if options.quick else (MODELS, 3)
    figures = [figure for model in models for figure in measure(model, epochs=epochs, threads=options.threads)]
    print_figures(figures)
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()))
        print(f"written: {RESULTS}")


def measure(model: str, *, epochs: int, threads: int | None) -> Iterator[Figure]:
    """Share of an epoch, and seconds and bytes of the whole."""
    recorder = TimedRecorder()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(data="fashion-mnist-mini", model=model, epochs=epochs, threads=threads, device="cpu")
        run = train(config, runs_dir=Path(folder), observers=[recorder])
        began = time.process_time()
        record_results(run)
        at_end = time.process_time() - began
        size = sum(path.stat().st_size for path in run.events.iterdir())
    shares = [100 * share for share in recorder.shares]
    yield Figure.over(shares, f"added to an epoch, {model}", "convscope", "%", "at most 2")
    yield Figure.over([recorder.at_start], f"at the beginning, {model}", "convscope", "s")
    yield Figure.over([at_end], f"at the end, {model}", "convscope", "s")
    yield Figure.over([size / 2**20], f"events of {epochs} epochs, {model}", "convscope", "MiB")


if __name__ == "__main__":
    main()
