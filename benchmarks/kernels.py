"""Images per second of training with and without the compiled kernels, their share of the machine's peak, and memory.

    python benchmarks/kernels.py                       five networks; writes results/kernels.csv
    python benchmarks/kernels.py googlenet --dry-run   one of them, and only print
    python benchmarks/kernels.py --quick               batches of 4, one step, one round; only prints

A few steps are timed after others that warm up, in float32 and, where the CPU has it, in bfloat16. Each measurement is
a process of its own; the rounds are interleaved, and ratios and shares are taken within a round first. Images are those
of FashionMNIST; for `resnet18_small` those of CIFAR-10 if they are on this machine, else FashionMNIST's, enlarged to 32
pixels and in three channels that are alike: how long a step takes does not depend on what they show.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from convscope.catalog import data_entry
from convscope.config import Config
from convscope.data import Preprocessing, load_splits, locate
from convscope.experiment.session import Session
from convscope.kernels import build
from convscope.models import build_model
from convscope.training.environment import environment
from convscope.training.runtime import cpu_gains_by_bfloat16
from figures import HERE, Figure, describe, measure, print_figures, write_figures
from measure import peak_mib, step_speed
from peak import operations, shares

RESULTS = HERE / "results" / "kernels.csv"
WITHOUT = "-without-kernels"
WARM_UP = 6
"""The first step finds out which ways are faster, where that is not known yet; the others take memory from the system,
which later ones find there."""


class Network(NamedTuple):
    """The shape of its images, and how many steps take some seconds."""

    size: int
    steps: int
    channels: int = 1


NETWORKS = {
    "tinyvgg_bn": Network(28, steps=40),
    "resnet18_small": Network(32, steps=5, channels=3),
    "vgg11_bn": Network(64, steps=4),
    "googlenet": Network(64, steps=8),
    "densenet121_small": Network(28, steps=3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure training with and without the compiled kernels.")
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="tiny batches, one step, one round, nothing written")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--batch-size", type=int, default=None, help="images per step (default: 128, quick 4)")
    parser.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default: 3, quick 1)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's threads")
    parser.add_argument("--engine", help="measure this one alone, in this process, of one network")
    options = parser.parse_args()
    names = options.networks or list(NETWORKS)
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"unknown networks: {', '.join(unknown)}")
    batch_size = options.batch_size or (4 if options.quick else 128)
    data = {name: data_for(NETWORKS[name], mini=options.quick) for name in names}
    torch.set_num_threads(options.threads)
    if options.engine:
        name = names[0]
        print(json.dumps(speed(name, options.engine, data[name], batch_size=batch_size, quick=options.quick)))
        return

    if not build.load(print):
        parser.exit(1, f"compiled kernels are off: {build.obstacle()}\n")
    machine = describe(environment())
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    rounds = options.rounds or (1 if options.quick else 3)
    shared = ["--batch-size", batch_size, "--threads", options.threads, *(["--quick"] if options.quick else [])]
    results: dict[tuple[str, str], list[dict[str, float]]] = {
        (name, engine): [] for name in names for engine in engines()
    }
    peak = []
    for number in range(1, rounds + 1):
        peak.append(measure("peak.py", "--json", *shared[2:]))
        for (name, engine), taken in results.items():
            taken.append(measure("kernels.py", name, "--engine", engine, *shared))
            print(f"round {number} of {rounds}, {name}, {engine}: {taken[-1]['speed']:,.1f} images/s", flush=True)
    figures = [figure for name in names for figure in figures_of(name, data[name], results, peak)]
    print_figures(figures)
    if not (options.quick or options.dry_run):
        write_figures(RESULTS, figures, machine | {"batch_size": batch_size, "rounds": rounds})
        print(f"written: {RESULTS}")


def engines() -> Iterator[str]:
    """Each precision that the CPU has, without the kernels and with them."""
    for precision in ("float32", "bfloat16") if cpu_gains_by_bfloat16() else ("float32",):
        yield precision + WITHOUT
        yield precision


def data_for(network: Network, *, mini: bool) -> str:
    """The name of a data set."""
    if network.channels == 3 and locate(data_entry("cifar10")):
        return "cifar10"
    return "fashion-mnist-mini" if mini else "fashion-mnist"


def speed(name: str, engine: str, data: str, *, batch_size: int, quick: bool) -> dict[str, float]:
    """Images per second of one engine, in a process that has done nothing else, and its peak memory in MiB."""
    session = session_of(name, engine, data, batch_size=batch_size)
    steps, warm_up = (1, 1) if quick else (NETWORKS[name].steps, WARM_UP)
    return {"speed": step_speed(session, steps=steps, warm_up=warm_up), "peak_mib": peak_mib()}


def session_of(name: str, engine: str, data: str, *, batch_size: int) -> Session:
    """A training of one of the networks."""
    size, _, channels = NETWORKS[name]
    config = Config(
        data=data,
        model=name,
        batch_size=batch_size,
        device="cpu",
        precision=engine.removesuffix(WITHOUT),  # type: ignore[arg-type]
        kernels=not engine.endswith(WITHOUT),
    )
    preprocessing = Preprocessing.for_training(load_splits(data).train, size=size, channels=channels)
    return Session.prepare(config, checkpoint={"preprocessing": preprocessing.to_dict()})


def figures_of(
    name: str,
    data: str,
    results: Mapping[tuple[str, str], Sequence[Mapping[str, float]]],
    peak: Sequence[Mapping[str, float]],
) -> Iterator[Figure]:
    """Speeds of a network with their share of the peak, with the kernels how many times those without, and memory."""
    size, _, channels = NETWORKS[name]
    each = operations(build_model(name, in_channels=channels, input_size=size), channels, size)
    what = f"training {name}, {data} in {channels}x{size}x{size}"
    for engine in engines():
        taken = [result["speed"] for result in results[name, engine]]
        precision = engine.removesuffix(WITHOUT)
        yield Figure.over(taken, what, engine, "images/s")
        yield from shares(taken, what, engine, precision, each=each, peak=peak)
        if engine == precision:
            before = [result["speed"] for result in results[name, precision + WITHOUT]]
            ratios = [after / plain for after, plain in zip(taken, before, strict=True)]
            yield Figure.over(ratios, what, engine, "times as fast as without kernels", "at least 1")
        yield Figure.over([result["peak_mib"] for result in results[name, engine]], what, engine, "peak memory, MiB")


if __name__ == "__main__":
    main()
