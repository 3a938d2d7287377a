"""How many images a second `convscope serve` answers, and how long one waits for it, against the network by itself.

    python benchmarks/serving.py             writes results/serving.csv beside this file (about two minutes)
    python benchmarks/serving.py --quick     one short round; only prints

The server is the command in a process of its own, the clients are another (see asking.py), and both share the machine.
Each client asks again as soon as it has its answer. Batches of up to 32 images are compared with images one by one, in
turns, and both with what the network does in batches of 32 when images need neither be sent nor decoded. The networks
are as they were drawn, for training changes no time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from PIL import Image

from convscope.data import load_splits
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.environment import environment
from convscope.training.runtime import cpu_gains_by_bfloat16
from figures import HERE, Figure, describe, measure, write_figures
from untrained import DATA, make_run

RESULTS = HERE / "results" / "serving.csv"
BATCHES = (32, 1)
LOADS = ((1, 1), (8, 1), (64, 1), (8, 32))
"""Clients, and images in each of their requests."""
CASES = {"tinyvgg_bn": (1, 28, None), "resnet18_small": (3, 32, (500, 375))}
"""Networks with their channels, input size, and the size of the photo that is sent; None: a 28-pixel image."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round, nothing written")
    parser.add_argument("--rounds", type=int, default=3, help="in which all take turns (default: 3)")
    parser.add_argument("--engine", default="pytorch-bfloat16" if cpu_gains_by_bfloat16() else "pytorch-float32")
    options = parser.parse_args()
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, 1.5)
    figures: list[Figure] = []
    for model in CASES:
        with tempfile.TemporaryDirectory() as directory:
            measured = measure_case(Path(directory), model, options.engine, rounds=rounds, seconds=seconds)
        print_table(measured)
        figures += measured
    if not options.quick:
        write_figures(RESULTS, figures, describe(environment()))
        print(f"written: {RESULTS}")


def measure_case(folder: Path, model: str, engine: str, *, rounds: int, seconds: float) -> list[Figure]:
    """One network with each size of batches, asked by ever more clients."""
    channels, size, photo = CASES[model]
    run = make_run(folder, model, channels=channels, size=size)
    image = write_image(folder, photo)
    predictor = Predictor.from_run(run, "cpu")
    predictor.use_engine(engine, run=run)
    bare: list[float] = []
    seen: dict[tuple[int, int, int], list[dict[str, float]]] = defaultdict(list)
    with ExitStack() as stack:
        addresses = {batch: stack.enter_context(serving(run, engine, batch)) for batch in BATCHES}
        for _ in range(rounds):
            bare.append(bare_speed(predictor, seconds))
            for clients, images in LOADS:
                for batch, address in addresses.items():
                    arguments = ("--image", image, "--images", images, "--clients", clients, "--seconds", seconds)
                    seen[batch, clients, images].append(measure("asking.py", address, *arguments))
    name = f"{model} on {engine}"
    figures = [Figure.over(bare, "bare network, batches of 32", name, "images/s")]
    for (batch, clients, images), results in seen.items():
        what = f"{clients} client{'s' if clients > 1 else ''}, {images} image{'s' if images > 1 else ''} a request"
        served = f"{name}, {'batches of up to 32' if batch > 1 else 'one by one'}"
        speeds = [result["images_per_second"] for result in results]
        figures.append(Figure.over(speeds, what, served, "images/s"))
        shares = [100 * speed / statistics.median(bare) for speed in speeds]
        figures.append(Figure.over(shares, what, served, "% of the bare network"))
        figures += [
            Figure.over([result[share] for result in results], f"{what}, {share}", served, "ms")
            for share in ("p50", "p95", "p99")
        ]
    return figures


def print_table(figures: Sequence[Figure]) -> None:
    """A line for each load, with the medians."""
    table: dict[tuple[str, str], list[str]] = defaultdict(list)
    for figure in figures:
        table[figure.engine, figure.what.partition(", p")[0]].append(f"{figure.median:8.4g} {figure.unit}")
    for (engine, what), values in table.items():
        print(f"{engine:<54} {what:<32} {'  '.join(values)}")


def write_image(folder: Path, photo: tuple[int, int] | None) -> Path:
    """A real test image, or one enlarged to a photo's size."""
    pixels = load_splits(DATA).test.take(torch.tensor([0]))[0, 0]
    image = Image.fromarray(pixels.numpy())
    if photo is None:
        path = folder / "image.png"
        image.save(path)
    else:
        path = folder / "photo.jpg"
        image.convert("RGB").resize(photo).save(path)
    return path


def bare_speed(predictor: Predictor, seconds: float) -> float:
    """Images a second of the network alone, while nobody asks the servers."""
    known = predictor.preprocessing
    squares = torch.randint(0, 256, (32, known.channels, known.decode_size, known.decode_size), dtype=torch.uint8)
    predictor.probabilities(squares)
    count, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        predictor.probabilities(squares)
        count += len(squares)
    return count / (time.perf_counter() - started)


@contextmanager
def serving(run: Run, engine: str, batch: int) -> Iterator[str]:
    """The command as a process that is ready; its address."""
    command = [sys.executable, "-m", "convscope.cli.main", "serve", str(run.path), "--port", "0"]
    with subprocess.Popen(
        [*command, "--engine", engine, "--max-batch", str(batch)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not any("answers" in line for line in process.stdout):
                raise SystemExit("the server did not start")
            yield address
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
