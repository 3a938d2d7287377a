"""Seconds of training to an accuracy, as the records on CIFAR-10 are taken; into results/time_to_accuracy.csv.

    python benchmarks/time_to_accuracy.py --target 94 --trainings 5 --recipe fashion-mnist-94
    python benchmarks/time_to_accuracy.py --target 94 --trainings 5 --recipe cifar10-best --device cuda --compile
    python benchmarks/time_to_accuracy.py --target 75 --data fashion-mnist-mini --model simplenet --epochs 3 --threads 1

All other flags are those of `convscope train`; `--recipe cifar10-best` without any.

What is counted: the training from its first step to its last, images and augmentation included. What is not: reading
the images and sending them to the device, building and compiling the network, cuDNN's trials, and evaluations. An epoch
goes before each training to have all that done, and is then forgotten. The accuracy is that on the test images, by the
last weights or their average, once, with no image looked at twice. A line gives mean and deviation over trainings with
different seeds. Where the validation images passed the target earlier, `val_seconds` says when.

Stopped, by Ctrl-C or worse, the same command begins again with the training in which it was stopped; those before are
kept in results/unfinished.json until all are done. They count for the same setting, machine and versions alone; whoever
changes the source in between deletes that file.

Settings are compared with `--choosing`, by their accuracy on the validation images: no test image is looked at, and
nothing is written.
"""

import argparse
import copy
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from torch import nn

from convscope.cli.settings import Settings, parse, setting
from convscope.config import Config
from convscope.data import Batches
from convscope.experiment.fitting import fit_session
from convscope.experiment.session import Session, images_at_once, must_stream
from convscope.files import write_text
from convscope.training.checkpoint import NoCheckpoints
from convscope.training.environment import environment
from convscope.training.evaluate import evaluate
from convscope.training.state import BatchRecord, EpochRecord
from figures import HERE, describe, read_lines, write_lines

RESULTS = HERE / "results" / "time_to_accuracy.csv"
UNFINISHED = HERE / "results" / "unfinished.json"

Part = Literal["validation", "test"]

# github.com/KellerJordan/cifar10-airbench: the head of airbench94_muon.py (400 W A100, torch 2.4.1, 200 trainings), and
# its README. Both train on all 50,000 images, where Convscope holds some out for validation; the first looks at six
# views of each test image, and counts the time that takes.
PUBLISHED = (
    "airbench94_muon.py on an A100: 94.01% in 2.59 s",
    "a standard ResNet-18 training on an A100: 96% in 7 min",
)


@dataclass(frozen=True)
class Training:
    """What one training came to; times in seconds, accuracies as shares."""

    seconds: float
    accuracy: float
    """On the test images, or on the validation images while a setting is being chosen."""
    val_seconds: float | None
    """Until the validation accuracy first passed the target, if it did."""
    parameters: int


class Last(NoCheckpoints):
    """Knows the weights that were evaluated last, which are an average where the setting asks for one."""

    model: nn.Module

    def save_snapshot(self, model: nn.Module, epoch: int) -> None:
        """The loop shows them after each epoch."""
        self.model = model


class Clock:
    """Adds up the time of training; a listener."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self.epochs: list[tuple[float, float]] = []
        """Seconds trained until the end of each epoch, and the validation accuracy then."""

    def on_batch(self, record: BatchRecord) -> None:
        """Looking at each step would make a GPU wait."""

    def on_epoch(self, record: EpochRecord) -> None:
        """The record's own seconds are those of validation too."""
        before = self.epochs[-1][0] if self.epochs else 0.0
        self.epochs.append((before + self._samples / record.images_per_second, record.val_accuracy))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, allow_abbrev=False)
    parser.add_argument("--target", type=float, default=94.0, help="accuracy in percent (default: %(default)s)")
    parser.add_argument("--trainings", type=int, default=3, help="how many, each with a seed (default: %(default)s)")
    parser.add_argument("--choosing", action="store_true", help="validation images instead of test, nothing written")
    options, flags = parser.parse_known_args()
    flags = flags or ["--recipe", "cifar10-best"]
    settings = parse(Settings, flags, verb="train")
    config = setting(settings)
    part: Part = "validation" if options.choosing else "test"
    measurement = Measurement(config, options.target)
    known = {} if options.choosing else measurement.read()
    trainings = []
    for seed in range(config.seed, config.seed + options.trainings):
        if seed not in known:
            known[seed] = train_once(replace(config, seed=seed), options.target / 100, settings.data_dir, part)
            if not options.choosing:
                measurement.keep(known)
        done = known[seed]
        trainings.append(done)
        print(f"seed {seed}: {done.accuracy:.2%} of the {part} images after {done.seconds:.2f} s", flush=True)
    line = result(" ".join(flags), config, trainings, options.target)
    print(f"{line['test_accuracy']}% (deviation {line['test_deviation']}) in {line['seconds']} s", end="; ")
    print(f"{line['reached']} of {len(trainings)} trainings reached {options.target:g}%")
    if options.choosing:
        return
    if config.data == "cifar10":
        print("published:", *PUBLISHED, sep="\n  ")
    write(line)
    UNFINISHED.unlink(missing_ok=True)


class Measurement:
    """The trainings of one setting that are done, kept for a later call on the same machine."""

    def __init__(self, config: Config, target: float) -> None:
        self._key = {"setting": config.to_yaml(), "target": target, **describe(environment()), "date": None}

    def read(self) -> dict[int, Training]:
        """Of each seed; none where another measurement was the last."""
        if not UNFINISHED.exists():
            return {}
        kept = json.loads(UNFINISHED.read_text(encoding="utf-8"))
        if kept["key"] != self._key:
            return {}
        return {int(seed): Training(**values) for seed, values in kept["trainings"].items()}

    def keep(self, trainings: dict[int, Training]) -> None:
        """In place of what was kept before."""
        values = {seed: asdict(training) for seed, training in trainings.items()}
        write_text(UNFINISHED, json.dumps({"key": self._key, "trainings": values}, indent=1))


def train_once(config: Config, target: float, data_dir: Path | None = None, part: Part = "test") -> Training:
    """Train, after an epoch that is forgotten, and evaluate on the images of one part."""
    session = Session.prepare(config, data_dir=data_dir)
    first = copy.deepcopy((session.model.state_dict(), session.schedule.state_dict()))
    fit_session(replace(session, config=replace(config, epochs=1)), None, NoCheckpoints())
    session.model.load_state_dict(first[0])
    session.schedule.load_state_dict(first[1])
    session.optimizer.state.clear()

    last, clock = Last(), Clock(session.train.samples)
    fit_session(session, None, last, [clock])
    image_set = session.splits.test if part == "test" else session.splits.val
    batches = Batches(
        image_set,
        session.preprocessing,
        batch_size=images_at_once(config),
        device=session.runtime.device,
        streamed=must_stream(image_set, session.runtime.device),
    )
    _, accuracy = evaluate(last.model, batches, session.runtime)
    passed = next((seconds for seconds, val_accuracy in clock.epochs if val_accuracy >= target), None)
    return Training(clock.epochs[-1][0], accuracy, passed, session.parameters)


def result(flags: str, config: Config, trainings: Sequence[Training], target: float) -> dict[str, Any]:
    """The line of one setting: accuracies in %, times in seconds, and the machine."""
    facts = environment()
    accuracies = [100 * training.accuracy for training in trainings]
    seconds = [training.seconds for training in trainings]
    val_seconds = [training.val_seconds for training in trainings if training.val_seconds is not None]
    device = facts["device"]["auto"] if config.device == "auto" else config.device
    gpus = facts["device"]["gpus"]
    return {
        "setting": flags,
        "target": target,
        "trainings": len(trainings),
        "reached": sum(accuracy >= target for accuracy in accuracies),
        "seconds": round(fmean(seconds), 2),
        "seconds_deviation": round(deviation(seconds), 2),
        "val_seconds": round(fmean(val_seconds), 2) if len(val_seconds) == len(trainings) else "",
        "test_accuracy": round(fmean(accuracies), 2),
        "test_deviation": round(deviation(accuracies), 2),
        "parameters": trainings[0].parameters,
        "device": gpus[int(device.partition(":")[2] or 0)] if device.startswith("cuda") else device,
        **describe(facts),
    }


def deviation(values: Sequence[float]) -> float:
    """From the mean, as of a sample; not known of a single value."""
    return stdev(values) if len(values) > 1 else math.nan


def write(line: dict[str, Any]) -> None:
    """Put a line into the table, in place of the one of the same setting on the same device."""
    same = ("setting", "device")
    others = [old for old in read_lines(RESULTS) if any(old[key] != line[key] for key in same)]
    write_lines(RESULTS, [*others, line])
    print(f"written: {RESULTS}")


if __name__ == "__main__":
    main()
