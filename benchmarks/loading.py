"""Photos on their way to the network, from the second epoch on: the textbook's ImageFolder loop against Convscope.

    python benchmarks/loading.py cats-vs-dogs       a set of photos, by name or folder; writes results/loading.csv
    python benchmarks/loading.py FOLDER --epochs 1 --dry-run

No network is trained: what is timed is how long batches take to appear. The textbook opens, decodes, scales, crops and
normalises each photo in each epoch, as torchvision's ImageFolder with Resize, CenterCrop, ToTensor and Normalize does,
in a DataLoader with no or with two worker processes. Convscope has decoded all of them once, and that time is
given too. Streamed is the way for sets larger than the memory: see also streaming.py.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from convscope.catalog import DATA, data_entry
from convscope.data import Batches, Preprocessing, fetch, load_photos
from convscope.data.photos import Photos
from convscope.kernels import build
from convscope.training.environment import environment
from figures import HERE, Figure, describe, print_figures, write_figures
from textbook import normalise, to_tensor

RESULTS = HERE / "results" / "loading.csv"
BATCH_SIZE = 128


class ImageFolder(Dataset[tuple[Tensor, int]]):
    """Photos one at a time, each from its file."""

    def __init__(self, photos: Photos, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        files = [photos.decoded.files[row] for row in photos.parts["train"].tolist()]
        self.samples = [(photos.listing.root / file.path, file.label) for file in files]
        self.size, self.mean, self.std = size, mean, std

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.samples[index]
        with Image.open(path) as file:
            image = file.convert("RGB")
        scale = self.size / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        image = image.crop((left, top, left + self.size, top + self.size))
        return normalise(to_tensor(image), self.mean, self.std), label


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast batches of photos appear.")
    parser.add_argument("data", help="a data set of photos: a name of the catalogue, or a folder")
    parser.add_argument("--size", type=int, default=128, help="side of the network's input in pixels")
    parser.add_argument("--epochs", type=int, default=3, help="epochs measured after the first")
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    cache = Path(tempfile.mkdtemp(prefix="convscope-loading-"))
    try:
        figures = measure(options.data, options.size, options.epochs, cache)
    finally:
        shutil.rmtree(cache)
    print_figures(figures)
    if not options.dry_run:
        write_figures(RESULTS, figures, describe(environment()) | {"data": options.data, "size": options.size})
        print(f"written: {RESULTS}")


def measure(data: str, size: int, epochs: int, cache: Path) -> list[Figure]:
    """Seconds for decoding, starting and epochs, with an empty cache at the beginning."""
    folder = fetch(data_entry(data)) if data in DATA else Path(data)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        photos = load_photos(folder, size=size, data_dir=cache)
        splits = photos.splits(data)
        seconds.append(time.perf_counter() - started)
    preprocessing = Preprocessing.for_training(splits.train, resize="crop")
    build.load()  # as a training does

    dataset = ImageFolder(photos, size, preprocessing.mean, preprocessing.std)

    def textbook(workers: int) -> Iterable[Any]:
        return DataLoader(
            dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )

    def ours(*, streamed: bool) -> Batches:
        return Batches(splits.train, preprocessing, batch_size=BATCH_SIZE, shuffle_seed=0, streamed=streamed)

    slow = {"textbook, no worker": textbook(0), "textbook, 2 workers": textbook(2)}
    fast = {"convscope": ours(streamed=False), "convscope, streamed": ours(streamed=True)}
    epoch_seconds: dict[str, list[float]] = {name: [] for name in (*slow, *fast)}
    for epoch in range(1 + epochs):
        loaders = slow | {name: batches.epoch(epoch) for name, batches in fast.items()}
        for name, loader in loaders.items():
            started = time.perf_counter()
            count = sum(1 for _ in loader)
            assert count == -(-len(splits.train) // BATCH_SIZE)
            if epoch:
                epoch_seconds[name].append(time.perf_counter() - started)
            print(f"epoch {epoch + 1}, {name}: {time.perf_counter() - started:.2f} s", flush=True)
    what = f"{len(splits.train):,} training photos at {size} px"
    fastest = [min(seconds) for seconds in zip(*(epoch_seconds[name] for name in slow), strict=True)]
    return [
        Figure.over(seconds[:1], f"decode {len(photos.decoded.files):,} photos", "convscope", "s"),
        Figure.over(seconds[1:], "start with them decoded", "convscope", "s", "under 1"),
        *(Figure.over(values, f"batches of {what}", name, "s") for name, values in epoch_seconds.items()),
        *(
            Figure.over(
                [theirs / ours for theirs, ours in zip(fastest, epoch_seconds[name], strict=True)],
                "speed against the faster textbook",
                name,
                "times",
                "at least 5",
            )
            for name in fast
        ),
    ]


if __name__ == "__main__":
    main()
