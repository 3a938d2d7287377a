"""The run directory: what a training leaves behind, and how it is found, read and listed. Nothing here needs torch.

runs/NAME/config.yaml                   the setting; `convscope train --config` with it repeats the run
         environment.json               versions, device, CPU, threads, start
         data.json                      classes, images of each split, how they are prepared
         history.csv                    a row an epoch
         alarms.json                    what the doctor raised alarm about while it was trained, unless left out
         metrics.json                   status and final figures, per class too
         predictions.npz                logits and labels of the test split
         examples.npz                   some of its images, small, for the report
         checkpoints/best.safetensors   the weights with the lowest validation loss
         checkpoints/last.pt            everything to resume from
         checkpoints/epoch-0001.safetensors   the weights after each epoch, and before the first, if asked for
         figures/*.png
         report.html
"""

import csv
import io
import json
import os
import socket
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.files import TEMPORARY, atomic_path, is_locked, locked, write_text
from convscope.recipes import load_config
from convscope.shapes import ALARM, DATA_FACTS, ENVIRONMENT, METRICS, REPORT, RESULTS, misfit, read_json

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

_MOST_PREDICTIONS = 1 << 32
"""Bytes that predictions.npz may unpack to: a million images of a thousand classes."""
_MOST_EXAMPLES = 1 << 26
"""Bytes that examples.npz may unpack to: three times what is ever written there."""

_BEGINNING = {"environment.json", "metrics.json"}
"""What is in a run directory before its config.yaml."""

_TRAINING, _METRICS = f"{TEMPORARY}training", f"{TEMPORARY}metrics"
"""Lock files: of the process that trains, and of one that writes metrics.json."""


class RunExists(UserError):
    """The name is taken."""


@dataclass(frozen=True)
class Run:
    """One run directory. Reading methods raise UserError when a file is missing or is not what it should be."""

    path: Path

    @classmethod
    def create(cls, runs_dir: Path, name: str, config: Config, environment: dict[str, Any]) -> "Run":
        """Make `runs_dir/name` with the setting in it.

        Raises:
            RunExists: there is something of that name; but a directory that a killed process began is taken over.
            UserError: it cannot be a name, or the directory cannot be made.
            ConvscopeError: the files cannot be written.
        """
        path = runs_dir / name
        if not name or Path(name).name != name or name.startswith(".") or name == NEWEST:
            raise UserError(
                f"'{name}' cannot name a run: choose a name without slashes that does not begin with a dot, "
                f"and not '{NEWEST}'."
            )
        run = cls(path)
        run._check_unused()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the run directory {path} ({error.strerror}): "
                f"choose a directory you may write to with --runs-dir."
            ) from error
        try:
            with run.training():
                run._check_unused()  # now that nobody else can begin
                run._begin(config, environment)
        except ConvscopeError:
            with suppress(OSError):
                path.rmdir()  # if nothing is in it
            raise
        return run

    def _check_unused(self) -> None:
        """Raise RunExists when there is more in the directory than the beginning of a run."""
        try:
            names = {entry.name for entry in os.scandir(self.path)}
        except OSError:  # there is no such directory; making it tells of anything worse
            return
        if any(name not in _BEGINNING and not name.startswith(TEMPORARY) for name in names):
            raise RunExists(
                f"there is already a run at {self.path}: choose another --name, "
                f"or continue it with --resume {self.path}."
            )

    def _begin(self, config: Config, environment: dict[str, Any]) -> None:
        try:
            self.write_json("environment.json", environment)
            self.write_metrics({"status": "running"})
            write_text(self.path / "config.yaml", config.to_yaml())  # last: a directory with it is a run
        except ConvscopeError:
            for name in ("environment.json", "metrics.json"):
                with suppress(OSError):
                    (self.path / name).unlink()
            raise

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

    def snapshots(self) -> dict[int, Path]:
        """The weights after each epoch for which they were kept; 0 for those it began with."""
        paths = sorted(self.last_state.parent.glob("epoch-*.safetensors"))
        return {int(path.stem[6:]): path for path in paths if path.stem[6:].isdecimal()}

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.path / "figures"

    def config(self) -> Config:
        """The setting the run was made with."""
        return load_config(self.path / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Versions, device, CPU and threads at the time of the run."""
        return self._read_known("environment.json", ENVIRONMENT)

    def data_facts(self) -> dict[str, Any] | None:
        """What is known of the data (see `experiment.results.data_facts`); None in a run from before that was kept."""
        if not (self.path / "data.json").exists():
            return None
        return self._read_known("data.json", DATA_FACTS, partial=False)

    def metrics(self) -> dict[str, Any]:
        """Status and, once finished, the final figures."""
        return self._read_known("metrics.json", METRICS)

    def results(self) -> dict[str, Any]:
        """All final figures of a finished run."""
        return self._read_known("metrics.json", RESULTS, partial=False)

    def reports(self) -> dict[str, dict[str, Any]]:
        """The reports on val and test, those that are there, of what `metrics.classification_report` gives."""
        metrics = self.metrics()
        return {split: metrics[split] for split in ("val", "test") if not misfit(metrics.get(split), REPORT)}

    @property
    def status(self) -> str:
        """finished, running, interrupted, diverged or failed; killed when its process is gone without a word."""
        metrics = self.metrics()
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

    def alarms(self) -> list[dict[str, Any]] | None:
        """What the doctor raised alarm about (see `doctor.watch.alarms.Alarm`); None when it did not look on."""
        if not (self.path / "alarms.json").exists():
            return None
        alarms = self._read_known("alarms.json", {"alarms": [ALARM]}, partial=False)["alarms"]
        return [{key: alarm[key] for key in ALARM} for alarm in alarms]

    def write_alarms(self, alarms: list[dict[str, Any]]) -> None:
        """Replace alarms.json."""
        self.write_json("alarms.json", {"alarms": alarms})

    def predictions(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """`logits` float32 (N, classes) and `labels` (N,) of the test split."""
        return self._read_arrays("predictions.npz", ("logits", "labels"), at_most=_MOST_PREDICTIONS)

    def write_predictions(self, **arrays: "np.ndarray[Any, Any]") -> None:
        """Replace predictions.npz."""
        self._write_arrays("predictions.npz", arrays)

    def examples(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """Small images of the test split, uint8 (K, C, H, W), and their `indices` in it (K,); `random`: of some."""
        return self._read_arrays("examples.npz", ("images", "indices", "random"), at_most=_MOST_EXAMPLES)

    def write_examples(self, **arrays: "np.ndarray[Any, Any]") -> None:
        """Replace examples.npz."""
        self._write_arrays("examples.npz", arrays)

    def _read_arrays(self, name: str, keys: tuple[str, ...], *, at_most: int) -> dict[str, "np.ndarray[Any, Any]"]:
        import numpy as np

        path = self.path / name
        try:
            with path.open("rb") as file:
                size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
                if size > at_most:
                    raise ValueError(f"it unpacks to {size:,} bytes")
                with np.load(file, allow_pickle=False) as arrays:
                    return {key: arrays[key] for key in keys}
        except FileNotFoundError as error:
            raise UserError(f"{self.path} has no {path.stem} yet: run `convscope evaluate {self.path}`.") from error
        except Exception as error:  # a damaged archive makes NumPy and zipfile stumble in a dozen ways
            raise UserError(f"{path} is damaged ({error}): run `convscope evaluate {self.path}`.") from error

    def _write_arrays(self, name: str, arrays: dict[str, "np.ndarray[Any, Any]"]) -> None:
        import numpy as np

        with atomic_path(self.path / name) as path:
            np.savez_compressed(path, allow_pickle=False, **arrays)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the directory's JSON files."""
        path = self.path / name
        try:
            value = read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} cannot be read ({error}): restore it from a copy, or train the run again."
            ) from error
        if not isinstance(value, dict):
            raise UserError(f"{path} does not hold what Convscope writes there: restore it from a copy.")
        return value

    def _read_known(self, name: str, shape: dict[str, Any], *, partial: bool = True) -> dict[str, Any]:
        """A JSON file of which some keys are known, none of these being None; `partial`: they need not be there."""
        value = self.read_json(name)
        problem = misfit(value, shape, partial=partial)
        if problem:
            raise UserError(f"{self.path / name} is damaged ({problem}): restore it from a copy.")
        return {key: item for key, item in value.items() if item is not None or key not in shape}

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


def start_time(runs_dir: Path) -> str:
    """Now, as ISO 8601 in UTC; or just after the newest run began, where the clock has been put back since then.

    So `latest` is the run that was begun last, whatever the clock says.
    """
    now = datetime.now(UTC)
    with suppress(IndexError, ValueError, TypeError, OverflowError):  # no run, or its time is damaged
        now = max(now, datetime.fromisoformat(_started(list_runs(runs_dir)[-1])) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")


def _started(run: Run) -> str:
    try:
        return str(run.environment().get("started", ""))
    except UserError:  # a damaged run is still listed
        return ""
