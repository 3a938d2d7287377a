"""What augmentation takes of a training step of `tinyvgg_bn`, kind by kind and all together, on the CPU.

    python benchmarks/augmentation.py            batches of 128 at 32 and 128 pixels; writes results/augmentation.csv
    python benchmarks/augmentation.py --quick    at 32 pixels, three rounds; only prints

Timed is a batch of noise on its way from bytes to what the network takes, so "none" is the way without augmentation.
Each round takes a step and every kind once, and shares are taken within a round first.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from convscope.data import Augmentation, Preprocessing
from convscope.models import build_model
from convscope.training.environment import environment
from convscope.training.loop import add_gradients
from convscope.training.loss import CrossEntropy
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime
from figures import HERE, Figure, describe, print_figures, write_figures

RESULTS = HERE / "results" / "augmentation.csv"
BATCH_SIZE = 128
CLASSES = 10
KINDS = {
    "none": Augmentation(),
    "random crop": Augmentation(crop_scale=0.35),
    "jitter": Augmentation(jitter=0.4),
    "flip": Augmentation(flip=True),
    "shift": Augmentation(shift=4),
    "rotation": Augmentation(rotation=15.0),
    "cutout": Augmentation(cutout=8),
    "mixup": Augmentation(mixup=0.2),
    "cutmix": Augmentation(cutmix=1.0),
    "photos: random crop, flip, jitter, cutmix": Augmentation(crop_scale=0.35, flip=True, jitter=0.4, cutmix=1.0),
    "everything": Augmentation(
        crop_scale=0.35, jitter=0.4, flip=True, shift=4, rotation=15.0, cutout=8, mixup=0.2, cutmix=1.0
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure augmentation beside a training step.")
    parser.add_argument("--quick", action="store_true", help="small images, three rounds, nothing written")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default: 9, quick 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's threads")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 9)
    torch.set_num_threads(options.threads)
    figures: list[Figure] = []
    for size in (32,) if options.quick else (32, 128):
        rows = list(figures_at(size, rounds))
        print_figures(rows)
        figures += rows
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()) | {"batch_size": BATCH_SIZE, "rounds": rounds})
        print(f"written: {RESULTS}")


def figures_at(size: int, rounds: int) -> Iterator[Figure]:
    """Times of a batch by kind, and their shares of a step that loads its batch so."""
    images = torch.randint(0, 256, (BATCH_SIZE, 3, size, size), dtype=torch.uint8)
    labels = torch.arange(BATCH_SIZE) % CLASSES
    step = training_step(size, labels)
    steps: list[float] = []
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds + 1):
        steps.append(seconds(step))
        for kind, augmentation in KINDS.items():
            times[kind].append(seconds(partial(prepare, images, labels, augmentation)))
    del steps[0]  # the first round warms up
    where = f"{size} px"
    yield Figure.over([1000 * taken for taken in steps], f"{where}, step without loading", "tinyvgg_bn", "ms")
    for kind, (_, *values) in times.items():
        yield Figure.over([1000 * taken for taken in values], f"{where}, {kind}", "convscope", "ms a batch")
        shares = [100 * taken / (taken + rest) for taken, rest in zip(values, steps, strict=True)]
        target = "under 5" if kind == "everything" else ""
        yield Figure.over(shares, f"{where}, {kind}", "convscope", "% of a step", target)


def prepare(images: Tensor, labels: Tensor, augmentation: Augmentation) -> Tensor:
    """A batch's way as `Batches` has it: uint8 (N, 3, S, S) -> float32 (N, 3, S, S)."""
    generator = torch.Generator().manual_seed(0)
    size = images.shape[-1]
    preprocessing = Preprocessing(
        size=size, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3, border=0.5, decode_size=size, resize="crop"
    )
    pixels = augmentation.recolour(augmentation.crop(images, size, generator), generator)
    normalised = augmentation(preprocessing(pixels), generator, fill=preprocessing.black)
    mixed, _ = augmentation.mix(normalised, labels, CLASSES, generator)
    return mixed.contiguous(memory_format=torch.channels_last)


def training_step(size: int, labels: Tensor) -> Callable[[], None]:
    """A step on a batch that is ready."""
    runtime = Runtime.choose("cpu", "auto", torch.get_num_threads())
    model = runtime.prepare(
        build_model("tinyvgg_bn", num_classes=CLASSES, in_channels=3, input_size=size, seed=0)
    ).train()
    optimizer = build_optimizer("adamw", model, lr=1e-3)
    images = torch.randn(BATCH_SIZE, 3, size, size).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        add_gradients(model, images, labels, CrossEntropy(), runtime)
        runtime.step(optimizer, clip_norm=None)

    return step


def seconds(action: Callable[[], object]) -> float:
    """What the action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
