"""Images per second of training `vgg11` on FashionMNIST at 224 pixels: the textbook loop against Convscope.

    python benchmarks/vgg11.py            128.8 million parameters, batches of 128; writes results/vgg11.csv
    python benchmarks/vgg11.py --quick    a sixteenth of the width, batches of 4, one round; only prints

An epoch would take hours, so a few steps are timed after one that warms up. Each measurement is a process of its own;
the rounds are interleaved, and ratios are taken within a round first.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Subset

import textbook
from convscope.config import Config
from convscope.data import channel_statistics, load_splits
from convscope.experiment.session import Session
from convscope.training.environment import environment
from figures import HERE, Figure, describe, measure, print_figures, write_figures
from measure import peak_mib, step_speed

ENGINES = ("textbook", "float32", "default")
RESULTS = HERE / "results" / "vgg11.csv"
SIZE = 224
LR = 0.1


def network(width: float = 1.0) -> nn.Sequential:
    """`vgg11` as one writes it down first: convolution, ReLU, in the order of the paper's table, pools last."""
    layers: list[nn.Module] = []
    in_channels = 1
    for convs, channels in ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)):
        out_channels = round(channels * width)
        for _ in range(convs):
            layers += [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU()]
            in_channels = out_channels
        layers.append(nn.MaxPool2d(2))
    hidden = round(4096 * width)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        *(nn.Linear(in_channels * 7 * 7, hidden), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(hidden, 10),
    )


def textbook_speed(data: str, *, batch_size: int, steps: int, width: float) -> float:
    """Images per second of the textbook loop."""
    torch.manual_seed(0)
    train = load_splits(data).train
    dataset = textbook.FashionDataset(train, *channel_statistics(train), size=SIZE)
    model = network(width)
    optimizer = optim.SGD(model.parameters(), lr=LR)

    def take(first: int, last: int) -> None:
        images = Subset(dataset, range(first * batch_size, last * batch_size))
        loader = DataLoader(images, batch_size=batch_size, shuffle=True)
        textbook.train_epoch(model, loader, nn.CrossEntropyLoss(), optimizer)

    take(0, 1)
    started = time.perf_counter()
    take(1, 1 + steps)
    return steps * batch_size / (time.perf_counter() - started)


def convscope_speed(data: str, precision: str, *, batch_size: int, steps: int, width: float) -> float:
    """Images per second of the loop that `convscope train` runs."""
    config = Config(
        data=data,
        model="vgg11",
        model_options={"width": width},
        input_size=SIZE,
        batch_size=batch_size,
        optimizer="sgd",
        lr=LR,
        momentum=0.0,
        schedule="constant",
        device="cpu",
        precision=precision,  # type: ignore[arg-type]
    )
    return step_speed(Session.prepare(config), steps=steps)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure training of vgg11 at 224 pixels against the textbook loop.")
    parser.add_argument("--quick", action="store_true", help="a small network, one round, nothing written")
    parser.add_argument("--batch-size", type=int, default=None, help="images per step (default: 128, quick 4)")
    parser.add_argument("--steps", type=int, default=None, help="steps timed (default: 3, quick 1)")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default: 3, quick 1)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's threads")
    parser.add_argument("--engine", choices=ENGINES, help="measure this one alone, in this process")
    options = parser.parse_args()
    batch_size = options.batch_size or (4 if options.quick else 128)
    steps = options.steps or (1 if options.quick else 3)
    torch.set_num_threads(options.threads)
    if options.engine:
        print(json.dumps(measure_engine(options.engine, quick=options.quick, batch_size=batch_size, steps=steps)))
        return

    rounds = options.rounds or (1 if options.quick else 3)
    machine = describe(environment())
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    results: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    for number in range(1, rounds + 1):
        for engine in ENGINES:
            arguments = ["--engine", engine, "--batch-size", batch_size, "--steps", steps, "--threads", options.threads]
            quick = ["--quick"] if options.quick else []
            results[engine].append(measure(Path(__file__).name, *arguments, *quick))
            speed = results[engine][-1]["images_per_second"]
            print(f"round {number} of {rounds}, {engine}: {speed:,.1f} images/s", flush=True)
    figures = speed_figures(results)
    print_figures(figures)
    if not options.quick:
        write_figures(RESULTS, figures, machine | {"batch_size": batch_size, "steps": steps, "rounds": rounds})
        print(f"written: {RESULTS}")


def measure_engine(engine: str, *, quick: bool, batch_size: int, steps: int) -> dict[str, float]:
    """Speed and memory of one engine, in a process that has done nothing else."""
    data, width = ("fashion-mnist-mini", 1 / 16) if quick else ("fashion-mnist", 1.0)
    if engine == "textbook":
        speed = textbook_speed(data, batch_size=batch_size, steps=steps, width=width)
    else:
        precision = "auto" if engine == "default" else engine
        speed = convscope_speed(data, precision, batch_size=batch_size, steps=steps, width=width)
    return {"images_per_second": speed, "peak_mib": peak_mib()}


def speed_figures(results: dict[str, list[dict[str, float]]]) -> list[Figure]:
    """Speed and memory of each engine, and how it compares with the textbook's in the same round."""
    figures = []
    for engine, rounds in results.items():
        speeds = [result["images_per_second"] for result in rounds]
        figures.append(Figure.over(speeds, "training vgg11 at 224 pixels", engine, "images/s"))
        figures.append(Figure.over([result["peak_mib"] for result in rounds], "peak memory", engine, "MiB"))
        if engine != "textbook":
            base = [result["images_per_second"] for result in results["textbook"]]
            ratios = [mine / theirs for mine, theirs in zip(speeds, base, strict=True)]
            target = "at least 2.5 where the CPU has bfloat16" if engine == "default" else ""
            figures.append(Figure.over(ratios, "speed against the textbook", engine, "times", target))
    return figures


if __name__ == "__main__":
    main()
