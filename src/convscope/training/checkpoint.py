"""Weights and the state to resume from, as files that cannot run code.

Weights are safetensors with a JSON header that says which network they belong to and how its images are prepared.
The state to resume from is one file of tensors and plain values, read by `torch.load(weights_only=True)`.
"""

import copy
import hashlib
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from convscope.errors import UserError
from convscope.files import atomic_path

FORMAT = 1
"""Version of both files; raised when an older Convscope could no longer read them."""

_DIGEST_BYTES = 32  # of a SHA-256


def save_weights(path: Path, state: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write a model's state dict and its header (plain JSON types) to `path`, atomically."""
    # safetensors refuses channels-last tensors, hence contiguous().
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    header = {"format": FORMAT, **header}
    header.pop("sha256", None)  # of weights that were read before, and changed since
    header["sha256"] = _digest(tensors, header)
    with atomic_path(path) as temporary:
        # Not by save_file: it would make a temporary file of its own, which stays when the process is killed.
        temporary.write_bytes(safetensors.torch.save(tensors, metadata={"convscope": json.dumps(header)}))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote: the state dict, on the CPU, and the header with the `sha256` of both.

    Raises:
        UserError: not such a file, damaged, changed since it was written, or from another version.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise UserError(f"there are no weights at {path}: train the run first, or name another.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as weights ({error}): it is damaged or no safetensors file; "
            f"train the run again or restore the file from a copy."
        ) from error
    try:
        header = json.loads(metadata["convscope"])
        version, digest = header["format"], header.pop("sha256")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} holds tensors but no Convscope header: it was not written by Convscope, or was changed; "
            f"use a run's checkpoints/best.safetensors."
        ) from error
    _check_format(path, version)
    if digest != _digest(tensors, header):
        raise UserError(
            f"the weights in {path}, or their header, are not the ones that were saved: the file was changed; "
            f"train the run again or restore the file from a copy."
        )
    return tensors, header | {"sha256": digest}


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write everything that decides the next step (tensors, numbers, texts, lists, dicts) to `path`, atomically."""
    with atomic_path(path) as temporary:
        try:
            torch.save({"format": FORMAT, **state}, temporary)
        except RuntimeError as error:  # PyTorch's own, when the disk is full
            free = shutil.disk_usage(path.parent).free
            raise OSError(f"it could not be written whole, with {free / 2**20:,.0f} MiB free on its disk") from error
        # PyTorch's archive has no checksum that its reader would check; what follows the archive it ignores.
        with temporary.open("rb+") as file:
            file.write(hashlib.file_digest(file, "sha256").digest())


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU. Raises UserError where there is no such state or it is damaged."""
    remedy = "start the training anew with `convscope train --config` and the run's config.yaml."
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"there is nothing to resume at {path}: start the training anew.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    archive, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if digest != hashlib.sha256(archive).digest():
        raise UserError(f"{path} is not the state that was saved: the file was changed or damaged; {remedy}")
    try:
        state = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    except Exception as error:  # what is no such state makes the reader stumble in a dozen ways
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be read as a state to resume from ({reason}): {remedy}") from error
    if not isinstance(state, dict) or "format" not in state:
        raise UserError(f"{path} is not a state to resume from: use the last.pt of a run's checkpoints.")
    _check_format(path, state.pop("format"))
    return state


class MemoryCheckpoints:
    """Keeps the best weights in memory and nothing else: for trainings in a notebook or a search."""

    def __init__(self) -> None:
        self._best: dict[str, Tensor] = {}

    def save_best(self, model: nn.Module) -> None:
        """Keep a copy of the weights."""
        self._best = copy.deepcopy(model.state_dict())

    def load_best(self, model: nn.Module) -> None:
        """Give `model` the weights kept."""
        model.load_state_dict(self._best)

    def save_snapshot(self, model: nn.Module, epoch: int) -> None:
        """Memory is for the best weights alone."""

    def save_last(self, state: dict[str, Any]) -> None:
        """A training in memory cannot be resumed."""

    def due(self) -> bool:
        """Never."""
        return False


class NoCheckpoints(MemoryCheckpoints):
    """Keeps nothing: for a process that is given the best weights by another, which keeps them."""

    def save_best(self, model: nn.Module) -> None:
        """Not here."""

    def load_best(self, model: nn.Module) -> None:
        """Not from here."""


class DiskCheckpoints:
    """Keeps `best.safetensors`, `last.pt` and, with `snapshots`, `epoch-0001.safetensors` and so on in a directory."""

    def __init__(
        self, directory: Path, *, header: dict[str, Any], every_minutes: float | None = None, snapshots: bool = False
    ) -> None:
        """`header` goes into all files; between epochs the state is saved every so many minutes, or never."""
        self.best, self.last = directory / "best.safetensors", directory / "last.pt"
        self._header = header
        self._snapshots = snapshots
        self._period = None if every_minutes is None else 60 * every_minutes
        self._saved = time.monotonic()

    def save_best(self, model: nn.Module) -> None:
        """Write the weights with the header."""
        save_weights(self.best, model.state_dict(), self._header)

    def load_best(self, model: nn.Module) -> None:
        """Give `model` the weights written."""
        model.load_state_dict(load_weights(self.best)[0])

    def save_snapshot(self, model: nn.Module, epoch: int) -> None:
        """Write the weights with the header, if snapshots are kept."""
        if self._snapshots:
            save_weights(self.best.with_name(f"epoch-{epoch:04d}.safetensors"), model.state_dict(), self._header)

    def save_last(self, state: dict[str, Any]) -> None:
        """Write everything that decides the next step."""
        save_state(self.last, state | {"header": self._header})
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether the minutes are over."""
        return self._period is not None and time.monotonic() - self._saved >= self._period


def _check_format(path: Path, version: object) -> None:
    if version != FORMAT:
        raise UserError(
            f"{path} has format {version}, and this Convscope reads format {FORMAT}: "
            f"use the version of Convscope that wrote it (see environment.json beside it)."
        )


def _digest(tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        # bfloat16 has no NumPy type: look at the bytes whatever the type.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
