"""A run directory begins: under a name of its own, by one process alone, whole or not at all."""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.files import TEMPORARY, write_text
from convscope.runs.run import NEWEST, Run, list_runs, started

_BEGINNING = {"environment.json", "metrics.json"}
"""What is in a run directory before its config.yaml."""


class RunExists(UserError):
    """The name is taken."""


def create_run(runs_dir: Path, name: str, config: Config, environment: dict[str, Any]) -> Run:
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
    _check_unused(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the run directory {path} ({error.strerror}): "
            f"choose a directory you may write to with --runs-dir."
        ) from error
    run = Run(path)
    try:
        with run.training():
            _check_unused(path)  # now that nobody else can begin
            _begin(run, config, environment)
    except ConvscopeError:
        with suppress(OSError):
            path.rmdir()  # if nothing is in it
        raise
    return run


def _check_unused(path: Path) -> None:
    """Raise RunExists when there is more in the directory than the beginning of a run."""
    try:
        names = {entry.name for entry in os.scandir(path)}
    except OSError:  # there is no such directory; making it tells of anything worse
        return
    if any(name not in _BEGINNING and not name.startswith(TEMPORARY) for name in names):
        raise RunExists(
            f"there is already a run at {path}: choose another --name, or continue it with --resume {path}."
        )


def _begin(run: Run, config: Config, environment: dict[str, Any]) -> None:
    try:
        run.write_json("environment.json", environment)
        run.write_metrics({"status": "running"})
        write_text(run.path / "config.yaml", config.to_yaml())  # last: a directory with it is a run
    except ConvscopeError:
        for name in _BEGINNING:
            with suppress(OSError):
                (run.path / name).unlink()
        raise


def start_time(runs_dir: Path) -> str:
    """Now, as ISO 8601 in UTC; or just after the newest run began, where the clock has been put back since then.

    So `latest` is the run that was begun last, whatever the clock says.
    """
    now = datetime.now(UTC)
    with suppress(IndexError, ValueError, TypeError, OverflowError):  # no run, or its time is damaged
        now = max(now, datetime.fromisoformat(started(list_runs(runs_dir)[-1])) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")
