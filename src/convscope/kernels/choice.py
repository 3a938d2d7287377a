"""Which of several ways to compute the same is the fastest on this machine: measured once, then known."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch

from convscope.errors import ConvscopeError
from convscope.files import TEMPORARY, locked, write_text
from convscope.kernels.build import KERNELS

_ROUNDS = 5
_ENOUGH = 0.5
"""Seconds after which no further round begins: long runs are even enough."""
_known: dict[tuple[Path, str], str] = {}


def faster(key: str, ways: Mapping[str, Callable[[], object]]) -> str:
    """The name of the fastest of `ways`, which are run where that was never measured on this machine.

    `key` tells what is computed, on which sizes. The machine is the library's folder, which stands for sources,
    compiler, PyTorch and CPU, and the number of threads.
    """
    file = kept_in()
    name = _known.get((file, key)) or _read(file).get(key)
    if name is None or name not in ways:
        name = _agree(file, key, _measure(ways), ways)
    _known[file, key] = name
    return name


def kept_in() -> Path:
    """The file of what was found for as many threads as PyTorch has now; without it everything is measured anew."""
    return KERNELS.folder / f"fastest-{torch.get_num_threads()}-threads.json"


def found() -> Mapping[str, int]:
    """Of each way, for how many keys it was found to be the fastest."""
    return Counter(_read(kept_in()).values())


def _measure(ways: Mapping[str, Callable[[], object]]) -> str:
    """The way with the fastest run of all, after one to warm up; in turns, so that a disturbance meets them all."""
    seconds = dict.fromkeys(ways, float("inf"))
    for way in ways.values():
        way()
    begun = time.perf_counter()
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
        if time.perf_counter() - begun > _ENOUGH:
            break
    return min(seconds, key=lambda name: seconds[name])


def _read(file: Path) -> dict[str, str]:
    """Key -> name as far as the file can be understood."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {key: name for key, name in items if isinstance(name, str)}


def _agree(file: Path, key: str, name: str, ways: Mapping[str, Callable[[], object]]) -> str:
    """Write down what was found, or take what another process has found meanwhile; where nothing can be written, this
    process knows it all the same.
    """
    with suppress(OSError, ConvscopeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_name(f"{TEMPORARY}{file.name}.lock"), on_wait=lambda: None):
            known = _read(file)
            if known.get(key) in ways:
                return known[key]
            write_text(file, json.dumps(known | {key: name}, indent=1))
    return name
