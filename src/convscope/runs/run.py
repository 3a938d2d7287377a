"""One run directory: what is in it, by name."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.files import TEMPORARY, is_locked, locked
from convscope.recipes import load_config
from convscope.runs.contents import (
    FORMAT,
    read_arrays,
    read_document,
    read_history,
    read_known,
    write_arrays,
    write_document,
    write_history,
)
from convscope.shapes import ALARM, DATA_FACTS, ENVIRONMENT, METRICS, REPORT, RESULTS, misfit

if TYPE_CHECKING:
    import numpy as np

NEWEST = "latest"
"""Stands for the newest run wherever a run is named."""

_MOST_PREDICTIONS = 1 << 32
"""Bytes that predictions.npz may unpack to: a million images of a thousand classes."""
_MOST_EXAMPLES = 1 << 26
"""Bytes that examples.npz may unpack to: three times what is ever written there."""

_TRAINING, _METRICS = f"{TEMPORARY}training", f"{TEMPORARY}metrics"
"""Lock files: of the process that trains, and of one that writes metrics.json."""


@dataclass(frozen=True)
class Run:
    """One run directory. Reading methods raise UserError when a file is missing or is not what it should be."""

    path: Path

    @classmethod
    def open(cls, reference: str | Path, runs_dir: Path = Path("runs")) -> "Run":
        """The run with this path, this name in `runs_dir`, or the newest there for `latest`."""
        if str(reference) == NEWEST:
            runs = list_runs(runs_dir)
            if not runs:
                raise UserError(f"there is no run in {runs_dir} yet: train one with `convscope train`.")
            return runs[-1]
        for path in (Path(reference), runs_dir / reference):
            if (path / "config.yaml").is_file():
                run = cls(path)
                run._check_format()
                return run
        if Path(reference).is_dir():
            raise UserError(f"{reference} is not a run (it holds no config.yaml): name a folder that a training wrote.")
        names = [run.name for run in list_runs(runs_dir)]
        known = f"the runs in {runs_dir} are: {', '.join(names[-10:])}" if names else f"{runs_dir} holds no runs"
        raise UserError(f"there is no run '{reference}': {known}.")

    @property
    def name(self) -> str:
        """The directory's name; of a link its own, by which it is found again."""
        return Path(os.path.abspath(self.path)).name  # noqa: PTH100

    @property
    def best_weights(self) -> Path:
        """The weights with the lowest validation loss."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def last_state(self) -> Path:
        """Everything to resume from."""
        return self.path / "checkpoints" / "last.pt"

    def snapshots(self) -> dict[int, Path]:
        """The weights after each epoch for which they were kept; 0 for those it began with."""
        paths = sorted(self.last_state.parent.glob("epoch-*.safetensors"))
        return {int(path.stem[6:]): path for path in paths if path.stem[6:].isdecimal()}

    @property
    def events(self) -> Path:
        """The folder of TensorBoard's events."""
        return self.path / "tensorboard"

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.path / "figures"

    def config(self) -> Config:
        """The setting the run was made with."""
        return load_config(self.path / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Versions, device, CPU and threads at the time of the run."""
        return read_known(self.path / "environment.json", ENVIRONMENT)

    def data_facts(self) -> dict[str, Any] | None:
        """What is known of the data (see `experiment.results.data_facts`); None in a run from before that was kept."""
        if not (self.path / "data.json").exists():
            return None
        return read_known(self.path / "data.json", DATA_FACTS, partial=False)

    def metrics(self) -> dict[str, Any]:
        """Status and, once finished, the final figures."""
        return read_known(self.path / "metrics.json", METRICS)

    def results(self) -> dict[str, Any]:
        """All final figures of a finished run; a UserError where Convscope did not train it, and it lacks some."""
        if problem := misfit(metrics := self.metrics(), RESULTS):
            what = f"{self.path} lacks figures of a training by Convscope ({problem})"
            raise UserError(f"{what}: train it again with `convscope train --config`.")
        return metrics

    def reports(self) -> dict[str, dict[str, Any]]:
        """The reports on val and test, those that are there, of what `metrics.classification_report` gives."""
        metrics = self.metrics()
        return {split: metrics[split] for split in ("val", "test") if not misfit(metrics.get(split), REPORT)}

    @property
    def status(self) -> str:
        """finished, running, interrupted, diverged or failed; killed when its process is gone without a word."""
        return self.status_in(self.metrics())

    def status_in(self, metrics: dict[str, Any]) -> str:
        """The same, where metrics.json was just read."""
        status = str(metrics.get("status", "unknown"))
        here = metrics.get("host") == socket.gethostname()
        return "killed" if status == "running" and here and is_locked(self.path / _TRAINING) is False else status

    @contextmanager
    def training(self) -> Iterator[None]:
        """Keep other processes from training this run; a UserError when one does. No death is too sudden to end it."""

        def refuse() -> None:
            metrics: dict[str, Any] = {}
            with suppress(UserError):  # it is just beginning
                metrics = self.metrics()
            raise UserError(
                f"{self.path} is being trained by process {metrics.get('pid')} on {metrics.get('host')}: "
                f"stop that first, or wait for it."
            )

        with self._locked(_TRAINING, on_wait=refuse):
            yield

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Replace metrics.json."""
        with self._locked(_METRICS, on_wait=lambda: None):
            self._write_metrics(metrics)

    def add_metrics(self, metrics: dict[str, Any], *, status: object) -> bool:
        """Add to metrics.json, which other processes may change too; not if its status is no longer `status`."""
        with self._locked(_METRICS, on_wait=lambda: None):
            present = self.metrics()
            if present.get("status") == status:
                self._write_metrics(present | metrics)
        return present.get("status") == status

    def _write_metrics(self, metrics: dict[str, Any]) -> None:
        # Of the process that trains, not of one that evaluates meanwhile and writes back what it has read.
        process = {"host": socket.gethostname(), "pid": os.getpid()} if metrics.get("status") == "running" else {}
        self.write_json("metrics.json", process | metrics)

    @contextmanager
    def _locked(self, name: str, *, on_wait: Callable[[], None]) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path / name, on_wait=on_wait))
            except OSError as error:
                raise ConvscopeError(
                    f"cannot write to {self.path} ({error.strerror}): free some space or get the permission, "
                    f"then try again."
                ) from error
            yield

    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv, one an epoch; none before the first epoch is over."""
        return read_history(self.path / "history.csv")

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Replace history.csv, so that it never holds an epoch that the checkpoint does not know."""
        write_history(self.path / "history.csv", rows)

    def alarms(self) -> list[dict[str, Any]] | None:
        """What the doctor raised alarm about (see `doctor.watch.alarms.Alarm`); None when it did not look on."""
        if not (self.path / "alarms.json").exists():
            return None
        alarms = read_known(self.path / "alarms.json", {"alarms": [ALARM]}, partial=False)["alarms"]
        return [{key: alarm[key] for key in ALARM} for alarm in alarms]

    def write_alarms(self, alarms: list[dict[str, Any]]) -> None:
        """Replace alarms.json."""
        self.write_json("alarms.json", {"alarms": alarms})

    def predictions(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """`logits` float32 (N, classes) and `labels` (N,) of the test split."""
        return read_arrays(self.path / "predictions.npz", ("logits", "labels"), at_most=_MOST_PREDICTIONS)

    def write_predictions(self, **arrays: "np.ndarray[Any, Any]") -> None:
        """Replace predictions.npz."""
        write_arrays(self.path / "predictions.npz", arrays)

    def examples(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Small images of the test split, uint8 (K, C, H, W), and their `indices` in it (K,); `random`: of some."""
        return read_arrays(self.path / "examples.npz", ("images", "indices", "random"), at_most=_MOST_EXAMPLES)

    def write_examples(self, **arrays: "np.ndarray[Any, Any]") -> None:
        """Replace examples.npz."""
        write_arrays(self.path / "examples.npz", arrays)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the directory's JSON files."""
        return read_document(self.path / name)

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write one of the directory's JSON files."""
        write_document(self.path / name, value)

    def _check_format(self) -> None:
        version = self.metrics().get("format")
        if version != FORMAT:
            raise UserError(
                f"{self.path} has format {version}, and this Convscope reads format {FORMAT}: "
                f"use the version of Convscope that wrote it (environment.json names it)."
            )


def list_runs(runs_dir: Path) -> list[Run]:
    """All runs in a directory, the newest last."""
    if not runs_dir.is_dir():
        return []
    runs = [Run(path.parent) for path in runs_dir.glob("*/config.yaml")]
    return sorted(runs, key=lambda run: (started(run), run.name))


def started(run: Run) -> str:
    """When its training began, in ISO 8601; empty where that is not known."""
    try:
        return str(run.environment().get("started", ""))
    except UserError:  # a damaged run is still listed
        return ""
