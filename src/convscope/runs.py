"""The run directory: what a training leaves behind, and how it is found, read and listed. Nothing here needs torch.

runs/NAME/config.yaml                   the setting; `convscope train --config` with it repeats the run
         environment.json               versions, device, CPU, threads, start
         history.csv                    a row an epoch
         metrics.json                   status and final figures, per class too
         predictions.npz                logits and labels of the test split
         checkpoints/best.safetensors   the weights with the lowest validation loss
         checkpoints/last.pt            everything to resume from
         figures/*.png
         report.html
"""

import csv
import io
import json
import os
import shutil
import socket
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.files import atomic_path, write_text
from convscope.recipes import load_config

if TYPE_CHECKING:
    import numpy as np

NEWEST = "latest"
"""Stands for the newest run wherever a run is named."""

FORMAT = 1
"""Version of the directory's files; raised when an older Convscope could no longer read them."""

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "lr",
    "grad_norm",
    "images_per_second",
    "seconds",
)
"""Of history.csv."""
INTEGER_COLUMNS = {"epoch"}


@dataclass(frozen=True)
class Run:
    """One run directory. Reading methods raise UserError when a file is missing or is not what it should be."""

    path: Path

    @classmethod
    def create(cls, runs_dir: Path, name: str, config: Config, environment: dict[str, Any]) -> "Run":
        """Make `runs_dir/name` with the setting in it; a UserError when it exists already or cannot be made."""
        path = runs_dir / name
        if not name or Path(name).name != name or name.startswith(".") or name == NEWEST:
            raise UserError(
                f"'{name}' cannot name a run: choose a name without slashes that does not begin with a dot, "
                f"and not '{NEWEST}'."
            )
        if path.exists():
            raise UserError(
                f"there is already a run at {path}: choose another --name, or continue it with --resume {path}."
            )
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except OSError as error:
            raise UserError(
                f"cannot make the run directory {path} ({error.strerror}): "
                f"choose a directory you may write to with --runs-dir."
            ) from error
        run = cls(path)
        try:
            run.write_json("environment.json", environment)
            run.write_metrics({"status": "running"})
            write_text(path / "config.yaml", config.to_yaml())  # last: a directory with it is a run
        except ConvscopeError:
            shutil.rmtree(path)
            raise
        return run

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
        """The directory's own name."""
        return self.path.resolve().name

    @property
    def best_weights(self) -> Path:
        """The weights with the lowest validation loss."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def last_state(self) -> Path:
        """Everything to resume from."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.path / "figures"

    def config(self) -> Config:
        """The setting the run was made with."""
        return load_config(self.path / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Versions, device, CPU and threads at the time of the run."""
        return self.read_json("environment.json")

    def metrics(self) -> dict[str, Any]:
        """Status and, once finished, the final figures."""
        return self.read_json("metrics.json")

    @property
    def status(self) -> str:
        """finished, running, interrupted, diverged or failed; killed when its process is gone without a word."""
        metrics = self.metrics()
        status = str(metrics.get("status", "unknown"))
        here = metrics.get("host") == socket.gethostname()
        return "killed" if status == "running" and here and self.process is None else status

    @property
    def process(self) -> int | None:
        """Number of the process that is training this run on this machine; None when there is none."""
        metrics = self.metrics()
        if metrics.get("status") != "running" or metrics.get("host") != socket.gethostname():
            return None
        booted = time.time() - time.monotonic()
        if (self.path / "metrics.json").stat().st_mtime < booted:
            return None  # the power was cut: its number may be another process's by now
        try:
            os.kill(int(metrics["pid"]), 0)
        except PermissionError:
            pass  # it is alive, and somebody else's
        except (ProcessLookupError, KeyError, ValueError, OverflowError):
            return None
        return int(metrics["pid"])

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Replace metrics.json."""
        # Of the process that trains, not of one that evaluates meanwhile and writes back what it has read.
        process = {"host": socket.gethostname(), "pid": os.getpid()} if metrics["status"] == "running" else {}
        self.write_json("metrics.json", process | metrics)

    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv, one an epoch; none before the first epoch is over."""
        path = self.path / "history.csv"
        if not path.exists():
            return []
        try:
            with path.open(encoding="utf-8", newline="") as file:
                table = csv.DictReader(file)
                if table.fieldnames is not None and set(table.fieldnames) != set(COLUMNS):
                    raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
                return [
                    {key: int(value) if key in INTEGER_COLUMNS else float(value) for key, value in row.items()}
                    for row in table
                ]
        except (ValueError, TypeError, OSError, csv.Error) as error:
            raise UserError(f"{path} is damaged ({error}): restore it from a copy, or resume the run.") from error

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Replace history.csv, so that it never holds an epoch that the checkpoint does not know."""
        text = io.StringIO()
        if rows:
            writer = csv.DictWriter(text, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        write_text(self.path / "history.csv", text.getvalue())

    def predictions(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """`logits` float32 (N, classes) and `labels` (N,) of the test split."""
        import numpy as np

        path = self.path / "predictions.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except FileNotFoundError as error:
            raise UserError(f"{self.path} has no predictions yet: run `convscope evaluate {self.path}`.") from error
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path} is damaged ({error}): run `convscope evaluate {self.path}`.") from error

    def write_predictions(self, **arrays: "np.ndarray[Any, Any]") -> None:
        """Replace predictions.npz."""
        import numpy as np

        with atomic_path(self.path / "predictions.npz") as path:
            np.savez_compressed(path, allow_pickle=False, **arrays)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the directory's JSON files."""
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{path} cannot be read ({error}): restore it from a copy, or train the run again."
            ) from error
        if not isinstance(value, dict):
            raise UserError(f"{path} does not hold what Convscope writes there: restore it from a copy.")
        return value

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write one of the directory's JSON files."""
        write_text(self.path / name, json.dumps({"format": FORMAT} | value, indent=1) + "\n")

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
    return sorted(runs, key=lambda run: (_started(run), run.name))


def _started(run: Run) -> str:
    try:
        return str(run.environment().get("started", ""))
    except UserError:  # a damaged run is still listed
        return ""
