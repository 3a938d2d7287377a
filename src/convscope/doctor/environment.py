"""Whether this machine is ready: what Convscope would choose on it and why, what is missing, how to get it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from convscope.catalog import DATA
from convscope.data.sources import locate
from convscope.downloads import data_directory
from convscope.kernels import build, choice
from convscope.training.compiled import obstacle
from convscope.training.environment import EXTRAS, environment, version
from convscope.training.runtime import choose_precision

_WITHOUT = {
    "export": "`convscope export` writes fewer formats and `predict` has fewer engines",
    "lightning": "convscope.lightning is closed",
    "search": "there is no `convscope search`",
    "tensorboard": "there is no --tensorboard",
}


def examine(data_dir: Path | None = None) -> dict[str, Any]:
    """The machine's facts (see `training.environment`) and what follows from them, as JSON types.

    Adds `extras` (versions of the libraries that single verbs need), `precision` (`auto` and `why`), `compile` (what
    stands in the way of compiling networks, or None), `kernels` (see there), `data` (`directory`, and `sets`: name ->
    folder or None) and `advice`: a sentence for each thing that is missing or in the way, with its remedy.
    """
    facts = environment()
    directory = data_directory(data_dir)
    places = {name: locate(entry, data_dir) for name, entry in DATA.items()}
    extras = {extra: {name: version(name) for name in names} for extra, names in EXTRAS.items()}
    return facts | {
        "extras": {name: found for versions in extras.values() for name, found in versions.items()},
        "precision": precision(facts["device"]["auto"]),
        "compile": obstacle(torch.device(facts["device"]["auto"])),
        "kernels": kernels(),
        "data": {
            "directory": str(directory),
            "sets": {name: str(place) if place else None for name, place in places.items()},
        },
        "advice": [
            *advice_on_libraries(facts["versions"]),
            *advice_on_extras(extras),
            *advice_on_devices(facts["device"]),
            *advice_on_threads(facts["threads"], facts["cpu"]),
            *advice_on_data(directory, [name for name, place in places.items() if place is None]),
        ],
    }


def precision(device: str) -> dict[str, str]:
    """The arithmetic that `--precision auto` takes on a device, and why."""
    chosen = choose_precision("auto", torch.device(device))
    if chosen == torch.bfloat16:
        why = f"this {'CPU' if device == 'cpu' else 'GPU'} is faster in it"
    elif device == "cpu":
        why = "this CPU multiplies no faster in bfloat16; those with AMX do"
    else:
        why = "this GPU has no bfloat16 instructions that PyTorch uses"
    return {"auto": str(chosen).removeprefix("torch."), "why": why}


def kernels() -> dict[str, Any]:
    """The compiled kernels: `obstacle` (or None), whether they are `built`, and use `amx` (None where not known).

    Once they are built, `layers` says for how many layers each way was found to be the fastest on this machine, a layer
    counting once for each size of its inputs, and `layers_file` in which file that is kept.
    """
    built = build.obstacle() is None and build.is_built() and build.load()
    return {
        "obstacle": build.obstacle(),
        "built": built,
        "amx": torch.ops.convscope.has_amx() if built else None,
        "layers": dict(choice.found()) if built else {},
        "layers_file": str(choice.kept_in()) if built else None,
    }


def advice_on_libraries(versions: dict[str, str | None]) -> Iterator[str]:
    """Libraries that are not installed."""
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        yield (
            f"{', '.join(missing)} cannot be found among the installed packages: "
            f"install Convscope anew with `pip install`, which brings what it needs."
        )


def advice_on_extras(extras: dict[str, dict[str, str | None]]) -> Iterator[str]:
    """Libraries that only some verbs need, and that are not installed."""
    for extra, versions in extras.items():
        missing = [name for name, found in versions.items() if found is None]
        if missing:
            yield (
                f"{', '.join(missing)} cannot be found, without which {_WITHOUT[extra]}: "
                f'get what it needs with `pip install "convscope[{extra}]"`.'
            )


def advice_on_devices(device: dict[str, Any]) -> Iterator[str]:
    """A GPU that is there and cannot be used."""
    if device["problem"] is not None:
        yield (
            f"PyTorch cannot use the NVIDIA GPU ({device['problem']}): "
            f"update its driver, or free it if another program holds it."
        )
    elif device["auto"] != "cuda" and torch.version.cuda is None and _has_nvidia_gpu():
        yield (
            "there is an NVIDIA GPU here, but the installed PyTorch is the build without CUDA: "
            "install PyTorch's CUDA build, as the README describes."
        )


def advice_on_threads(threads: int, cpu: dict[str, Any]) -> Iterator[str]:
    """More threads than the machine runs at once, or fewer than it could."""
    cores = cpu["cores"]
    if cpu["quota"] is not None and threads > max(1, cpu["quota"]):
        yield (
            f"PyTorch starts {threads} threads, but this container grants the time of {cpu['quota']:g} cores, "
            f"so they wait for each other: train with --threads {max(1, int(cpu['quota']))}."
        )
    # PyTorch itself takes one thread for each physical core: half of the logical ones on many machines.
    elif "OMP_NUM_THREADS" in os.environ and cores is not None and threads * 2 < cores:
        yield (
            f"OMP_NUM_THREADS keeps PyTorch to {threads} of {cores} cores: unset it, or train with --threads {cores}."
        )


def advice_on_data(directory: Path, missing: list[str]) -> Iterator[str]:
    """Data sets that are not here, and a directory that could not take them."""
    for name in missing:
        yield f"the data set {name} is not here: get it with `convscope data fetch {name}`."
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if missing and not (existing.is_dir() and os.access(existing, os.W_OK)):
        yield (
            f"data sets are kept in {directory}, which cannot be written: "
            f"name another directory with --data-dir or the variable CONVSCOPE_DATA."
        )


def _has_nvidia_gpu() -> bool:
    # The driver's own signs: Linux lists it under /proc, Windows and WSL have its tool on the path.
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
