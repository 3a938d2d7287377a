"""How fast finished networks answer: every engine, and `convscope predict` beside the bare engine.

    python benchmarks/inference.py                        three networks as they are drawn; writes results/inference.csv
    python benchmarks/inference.py tinyvgg_bn --dry-run   one of them, and only print
    python benchmarks/inference.py --run runs/first --images photos/ --dry-run

For a network as it is drawn, speed is what it is after a training, but the agreement of engines says nothing: for that
give a run. What `predict` reaches is measured on files of 28 pixels, which cost more to decode than small networks to
answer, and on the same images in one .npy file; or on the images given. Its start-up (Python, PyTorch, weights, engine)
is given apart, as the command itself counts it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from convscope.bench import Inference, bench_inference
from convscope.data import ImageSet, load_train_test
from convscope.engines.choice import REFERENCE
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.environment import environment
from figures import HERE, Figure, describe, print_figures, write_figures
from untrained import DATA, make_run

RESULTS = HERE / "results" / "inference.csv"
IMAGES = 10_000
SECONDS = 5
"""What `predict` is given work for, where an engine is too slow for so many images."""
TARGET = 0.8
"""Share of the bare engine's throughput that `predict` is meant to reach."""


class Network(NamedTuple):
    """One of the catalogue, as it is drawn."""

    channels: int
    size: int
    batch_sizes: tuple[int, ...]


NETWORKS = {
    "tinyvgg_bn": Network(1, 28, (1, 32, 256)),
    "resnet18_small": Network(3, 32, (1, 32, 256)),
    "vgg11": Network(3, 224, (1, 32)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast finished networks answer.")
    parser.add_argument("networks", nargs="*", help=f"as they are drawn, of {', '.join(NETWORKS)}; by default all")
    parser.add_argument("--run", type=Path, help="a run instead of them")
    parser.add_argument("--images", type=Path, help="what `predict` is measured on instead of small images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(NETWORKS):
        parser.error(f"unknown networks: {', '.join(unknown)}")
    if options.threads:
        torch.set_num_threads(options.threads)

    folder = Path(tempfile.mkdtemp(prefix="convscope-inference-"))
    figures: list[Figure] = []
    try:
        given = {"the images given": options.images} if options.images else small_images(folder)
        if options.run:
            copy = shutil.copytree(options.run, folder / options.run.name)
            figures += measure(Run(copy), (1, 32, 256), given, options.rounds)
        for name in [] if options.run else options.networks or NETWORKS:
            channels, size, batch_sizes = NETWORKS[name]
            run = make_run(folder, name, channels=channels, size=size)
            figures += measure(run, batch_sizes, given, options.rounds)
    finally:
        shutil.rmtree(folder)
    if not options.dry_run:
        write_figures(RESULTS, figures, describe(environment()))
        print(f"written: {RESULTS}")


def small_images(folder: Path) -> dict[str, Path]:
    """The same images as files and as one file."""
    train, _ = load_train_test(DATA)
    pixels = pixels_of(train)
    files = folder / "files"
    files.mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(files / f"{number:05}.png")
    np.save(folder / "images.npy", pixels)
    return {"PNG files of 28 pixels": files, "one .npy file": folder / "images.npy"}


def pixels_of(image_set: ImageSet) -> Any:
    """uint8 (N, H, W)."""
    return image_set.take(torch.arange(min(IMAGES, len(image_set))))[:, 0].numpy()


def measure(run: Run, batch_sizes: tuple[int, ...], given: dict[str, Path], rounds: int) -> list[Figure]:
    """The figures of one network, printed at once."""
    print(f"\n{run.name}", flush=True)
    inference = bench_inference(run, batch_sizes=batch_sizes, rounds=rounds, device="cpu")
    figures = [figure for row in engine_figures(run.name, inference) for figure in row]
    print_figures(figures)
    speeds = {row.name: row.speeds[-1].images_per_second for row in inference.engines if row.suffices}
    for engine in dict.fromkeys((REFERENCE, max(speeds, key=lambda name: speeds[name]))):
        for what, place in given.items():
            images = limited(place, round(speeds[engine] * SECONDS), run.path.parent)
            more = predict_figures(run, engine, what, images, rounds)
            print_figures(more)
            figures += more
    return figures


def engine_figures(network: str, inference: Inference) -> list[list[Figure]]:
    """Of each engine: what it takes to start, its speeds, and how well it agrees."""
    return [
        [
            *(
                Figure.over([1e3 * speed.seconds], f"{network}, one image", row.name, "ms")
                if speed.batch_size == 1
                else Figure.over(
                    [speed.images_per_second], f"{network}, batches of {speed.batch_size}", row.name, "images/s"
                )
                for speed in row.speeds
            ),
            *(
                Figure.over([speed.ratio], f"{network}, batches of {speed.batch_size}", row.name, f"times {REFERENCE}")
                for speed in row.speeds
            ),
            Figure.over([100 * row.top1_agreement], f"{network}, same class", row.name, "%"),
            Figure.over([row.largest_difference], f"{network}, largest difference", row.name, "of probabilities"),
            Figure.over([row.convert_seconds], f"{network}, converted for the first time", row.name, "s"),
            Figure.over([row.load_seconds], f"{network}, loaded", row.name, "s"),
        ]
        for row in inference.engines
    ]


def predict_figures(run: Run, engine: str, what: str, images: list[str], rounds: int) -> list[Figure]:
    """What the command reaches, in processes of its own, which take turns with the bare engine in this one."""
    predictor = Predictor.from_run(run, "cpu")
    predictor.use_engine(engine, run=run)
    bare, answers = [], []
    for _ in range(rounds):
        bare.append(bare_speed(predictor))
        answers.append(predict(run, engine, images))
    speeds = [answer["images_per_second"] for answer in answers]
    shares = [speed / most for speed, most in zip(speeds, bare, strict=True)]
    many = f"{run.name}, {len(answers[0]['predictions']):,} images, {what}"
    return [
        Figure.over(bare, f"{many}: the bare engine", engine, "images/s"),
        Figure.over(speeds, f"{many}: predict", engine, "images/s"),
        Figure.over(shares, f"{many}: predict's share", engine, "of the bare engine", f"{TARGET}"),
        Figure.over([answer["start_seconds"] for answer in answers], f"{many}: start", engine, "s"),
    ]


def bare_speed(predictor: Predictor) -> float:
    """Images per second of the engine alone, in batches as `predict` gives it."""
    known = predictor.preprocessing
    shape = (predictor.at_once, known.channels, known.decode_size, known.decode_size)
    batch = torch.randint(0, 256, shape, dtype=torch.uint8)
    predictor.engine(batch)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 1:
        predictor.engine(batch)
        count += len(batch)
    return count / (time.perf_counter() - started)


def limited(place: Path, count: int, folder: Path) -> list[str]:
    """All images, or as many as take a few seconds; an array of these is written into `folder`."""
    if place.suffix == ".npy":
        pixels = np.load(place, mmap_mode="r")
        if count >= len(pixels):
            return [str(place)]
        np.save(folder / f"{count}.npy", pixels[:count])
        return [str(folder / f"{count}.npy")]
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return [str(place)] if count >= len(files) else [str(path) for path in files[:count]]


def predict(run: Run, engine: str, images: list[str]) -> dict[str, Any]:
    """What `convscope predict --json` says."""
    command = [sys.executable, "-m", "convscope.cli.main", "predict", str(run.path), *images]
    command += ["--engine", engine, "--device", "cpu", "--json"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(answer)
    return result


if __name__ == "__main__":
    main()
