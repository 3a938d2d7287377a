"""What all processes of a training do alike; what the main one does besides is in `training.py`."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from convscope.config import Config
from convscope.downloads import Progress
from convscope.experiment.features import what_to_train
from convscope.experiment.results import answer
from convscope.experiment.session import Session, images_at_once
from convscope.experiment.stopped import load_stopped
from convscope.kernels.acceleration import accelerate
from convscope.training.averaging import build_averaging
from convscope.training.checkpoint import NoCheckpoints
from convscope.training.compiled import compile_network
from convscope.training.loop import Checkpoints, Diverged, Interrupted, Listener, fit
from convscope.training.processes import Alone, Ended, Lost
from convscope.training.stopping import EarlyStopping


def fit_session(
    session: Session,
    state: dict[str, Any] | None,
    checkpoints: Checkpoints,
    listeners: Sequence[Listener] = (),
    interrupted: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> float:
    """Train as the setting says; answers the seconds that computing features took."""
    config = session.config
    torch.manual_seed(session.runtime.processes.seed(config.seed))  # dropout draws from PyTorch's own generator
    started = time.perf_counter()
    model, train, val = what_to_train(session, interrupted=interrupted, progress=progress)
    seconds = time.perf_counter() - started
    averaging = build_averaging(model, decay=config.ema)
    if config.compile:
        compile_network(session.model, session.runtime.device, in_parts=config.micro_batch is not None)
    elif session.kernels:
        accelerate(session.model)
        accelerate(averaging.model)  # which is evaluated; without an average it is the same network
    fit(
        model,
        train,
        val,
        session.optimizer,
        schedule=session.schedule,
        runtime=session.runtime,
        epochs=config.epochs,
        checkpoints=checkpoints,
        label_smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        micro_batch=config.micro_batch,
        averaging=averaging,
        freezing=session.freezing,
        stopping=EarlyStopping(config.patience),
        resume_from=state,
        listeners=listeners,
        interrupted=interrupted,
    )
    return seconds


def assist(config: Config | None, processes: Alone, *, data_dir: Path | None = None) -> bool:
    """Take part in a training or, without a setting, a resume that the main process leads; write and say nothing.

    Answers whether it was finished; if not, the main process says why.
    """
    with suppress(Ended, Lost, Interrupted, Diverged), processes.together():
        state = None
        if config is None:
            session, state = load_stopped(None, data_dir=data_dir, progress=None, processes=processes)
        else:
            session = Session.prepare(config, data_dir=data_dir, processes=processes)
        fit_session(session, state, NoCheckpoints())
        for image_set in (session.splits.val, session.splits.test):  # which the main process evaluates
            size = images_at_once(session.config)
            answer(image_set, session.model, session.preprocessing, session.runtime, batch_size=size)
        return True
    return False
