"""A training that was stopped, brought back to where it was."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convscope.config import Config
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.experiment.session import Session
from convscope.runs import Run
from convscope.shapes import misfit
from convscope.training.checkpoint import load_state
from convscope.training.processes import ALONE, Alone

CHECKPOINT = {
    **dict.fromkeys(("model", "optimizer", "schedule", "scaler", "averaging", "stopping", "random"), dict),
    "position": {"epoch": int, "step": int, "seconds": float, "images": int},
    "history": [dict],
    "header": {"train_images": int, "preprocessing": dict},
}
"""What checkpoints/last.pt holds; see `TrainState.state_dict` and `Session.header`."""


def load_stopped(
    run: Run | None, *, data_dir: Path | None, progress: Progress | None, processes: Alone = ALONE
) -> tuple[Session, dict[str, Any] | None]:
    """Everything as it was when the run stopped, and the state of its last checkpoint; None if it had none yet.

    Of several processes the main one alone reads `run`, the others need not even see its disk, and give None.

    Raises:
        UserError: the run is finished, its checkpoint is damaged, or its setting or data are others now.
    """
    with processes.all_well():
        read = {} if run is None else _read(run, processes.count)
    told = processes.tell(read)
    config, state, path = Config(**told["config"]), told["state"], Path(told["path"])
    checkpoint = (state or {}).get("header")
    session = Session.prepare(config, data_dir=data_dir, progress=progress, checkpoint=checkpoint, processes=processes)
    with processes.all_well():
        _check(session, state, path)
    if state is not None:
        session.model.load_state_dict(state["model"])  # before features are computed with it
    return session, state


def _read(run: Run, processes: int) -> dict[str, Any]:
    """What is in the run's directory: its path, its setting, and the state or None."""
    if run.status == "finished":
        raise UserError(f"{run.path} is finished, there is nothing to resume: look at it with `convscope runs show`.")
    # Without one it was stopped before its first checkpoint.
    state = load_state(run.last_state) if run.last_state.exists() else None
    config, environment = run.config(), run.environment()
    # Sums are taken in another order on another number of threads, and then differ in their last bits.
    if config.threads is None and environment.get("processes", 1) == processes:
        config = replace(config, threads=environment.get("threads"))
    if state is not None and (problem := misfit(state, CHECKPOINT)):
        raise UserError(
            f"{run.last_state} is not what a training saves there ({problem}): restore it from a copy, or train anew "
            f"with `convscope train --config`."
        )
    return {"path": str(run.path), "config": asdict(config), "state": state}


def _check(session: Session, state: dict[str, Any] | None, path: Path) -> None:
    """Refuse a state of another network or of other data."""
    if state is None:
        return
    if _shapes(state["model"]) != _shapes(session.model.state_dict()):
        raise UserError(
            f"{Run(path).last_state} holds another network than {path / 'config.yaml'} says: "
            f"undo the changes there, or train anew with `convscope train --config`."
        )
    images = state["header"]["train_images"]
    if images != len(session.splits.train):
        raise UserError(
            f"{path} was trained on {images} images of {session.config.data}, which has "
            f"{len(session.splits.train)} to train on now: bring back what it had, or train anew with "
            f"`convscope train --config`."
        )


def _shapes(state: dict[str, Any]) -> dict[str, torch.Size | None]:
    return {name: value.shape if isinstance(value, Tensor) else None for name, value in state.items()}
