"""A training that was stopped, brought back to where it was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.experiment.session import Session
from convscope.runs import Run
from convscope.shapes import misfit
from convscope.training.checkpoint import load_state

CHECKPOINT = {
    **dict.fromkeys(("model", "optimizer", "schedule", "scaler", "averaging", "stopping", "random"), dict),
    "position": {"epoch": int, "step": int, "seconds": float, "images": int},
    "history": [dict],
    "header": {"train_images": int, "preprocessing": dict},
}
"""What checkpoints/last.pt holds; see `TrainState.state_dict` and `Session.header`."""


def load_stopped(
    run: Run, *, data_dir: Path | None, progress: Progress | None
) -> tuple[Session, dict[str, Any] | None]:
    """Everything as it was when the run stopped, and the state of its last checkpoint; None if it had none yet.

    Raises:
        UserError: the run is finished, its checkpoint is damaged, or its setting or data are others now.
    """
    if run.status == "finished":
        raise UserError(f"{run.path} is finished, there is nothing to resume: look at it with `convscope runs show`.")
    # Without one it was stopped before its first checkpoint.
    state = load_state(run.last_state) if run.last_state.exists() else None
    # Sums are taken in another order on another number of threads, and then differ in their last bits.
    threads = run.config().threads or run.environment().get("threads")
    config = replace(run.config(), threads=threads)
    if state is not None and (problem := misfit(state, CHECKPOINT)):
        raise UserError(
            f"{run.last_state} is not what a training saves there ({problem}): restore it from a copy, or train anew "
            f"with `convscope train --config`."
        )
    checkpoint = (state or {}).get("header")
    session = Session.prepare(config, data_dir=data_dir, progress=progress, checkpoint=checkpoint)
    if state is not None and _shapes(state["model"]) != _shapes(session.model.state_dict()):
        raise UserError(
            f"{run.last_state} holds another network than {run.path / 'config.yaml'} says: "
            f"undo the changes there, or train anew with `convscope train --config`."
        )
    if checkpoint is not None and checkpoint.get("train_images") != len(session.splits.train):
        raise UserError(
            f"{run.path} was trained on {checkpoint.get('train_images')} images of {config.data}, which has "
            f"{len(session.splits.train)} to train on now: bring back what it had, or train anew with "
            f"`convscope train --config`."
        )
    if state is not None:
        session.model.load_state_dict(state["model"])  # before features are computed with it
    return session, state


def _shapes(state: dict[str, Any]) -> dict[str, torch.Size | None]:
    return {name: value.shape if isinstance(value, Tensor) else None for name, value in state.items()}
