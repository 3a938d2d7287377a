"""Train a setting into a run directory, and go on with a training that was stopped."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import torch

from convscope import plots
from convscope.config import Config
from convscope.data import Skipped, class_counts
from convscope.downloads import Progress
from convscope.errors import ConvscopeError
from convscope.experiment.fitting import fit_session
from convscope.experiment.results import data_facts, evaluate_split
from convscope.experiment.session import Session
from convscope.experiment.stopped import load_stopped
from convscope.runs import Run, RunExists, create_run, start_time
from convscope.training.checkpoint import DiskCheckpoints
from convscope.training.environment import environment
from convscope.training.loop import Diverged, Interrupted, Listener
from convscope.training.processes import ALONE, Alone
from convscope.training.state import BatchRecord, EpochRecord


@dataclass(frozen=True)
class Plan:
    """What is about to be trained."""

    run: Run
    config: Config
    parameters: int
    class_counts: tuple[int, ...]
    """Training images of each class."""
    val_images: int
    skipped: tuple[Skipped, ...]
    """Files of the data set that cannot be used."""
    device: str
    precision: str
    threads: int
    resumed: bool
    """Whether a stopped training goes on."""
    first_epoch: int
    """1, or the epoch in which it goes on."""
    drawn: tuple[str, ...] = ()
    """Layers that start anew although the setting names weights of a run or a file: those do not fit them."""
    resting: tuple[str, ...] = ()
    """Stages that do not learn at first, from the image on."""
    resting_parameters: int = 0
    """How many parameters these have."""
    processes: int = 1
    """That train together, each with `threads` threads."""
    no_kernels: str | None = None
    """Why the compiled kernels are not to be had, where the setting wants them."""

    @property
    def train_images(self) -> int:
        """Images to train on."""
        return sum(self.class_counts)


class Observer(Listener, Protocol):
    """A listener that is also told of the beginning."""

    def on_start(self, plan: Plan, session: Session) -> None:
        """Before the first step; what `session` holds is to be looked at, and not to be kept."""


def train(
    config: Config,
    *,
    runs_dir: Path = Path("runs"),
    name: str | None = None,
    data_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    interrupted: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
    processes: Alone = ALONE,
) -> Run:
    """Train what `config` says into a new run directory, then evaluate its best weights on the test split, once.

    `interrupted` is asked after each step; `progress` is told of downloads. Of several `processes` this is the main
    one, and the others `assist`.

    Raises:
        UserError: the setting cannot be trained, or there is a run of that name; nothing was written.
        Interrupted: `interrupted` said so; `resume` goes on.
        Diverged: the loss is no longer a number; the best weights so far are kept.
        Lost: another process is gone; `resume` goes on.
    """
    with processes.together():
        session = Session.prepare(config, data_dir=data_dir, progress=progress, processes=processes)
        facts = environment() | {
            "started": start_time(runs_dir),
            "processes": processes.count,
            "kernels": session.kernels,
        }
        run = _new_run(config, runs_dir, facts) if name is None else create_run(runs_dir, name, config, facts)
        with run.training():
            return _train(run, session, None, observers, interrupted, progress)


def resume(
    run: Run,
    *,
    data_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    interrupted: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
    processes: Alone = ALONE,
) -> Run:
    """Go on with a stopped training from its last checkpoint, to the same weights as if it had not been stopped.

    There may be more processes than before, or fewer; the weights are then the same but for rounding and dropout.

    Raises:
        UserError: the run is finished or being trained, or its checkpoint is damaged; and whatever `train` raises.
    """
    with processes.together(), run.training():
        session, state = load_stopped(run, data_dir=data_dir, progress=progress, processes=processes)
        return _train(run, session, state, observers, interrupted, progress)


def _train(
    run: Run,
    session: Session,
    state: dict[str, Any] | None,
    observers: Sequence[Observer],
    interrupted: Callable[[], bool],
    progress: Progress | None,
) -> Run:
    config = session.config
    history = _HistoryWriter(run, state["history"] if state else [])
    plan = Plan(
        run=run,
        config=config,
        parameters=session.parameters,
        class_counts=tuple(class_counts(session.splits.train)),
        val_images=session.val.samples,
        skipped=session.splits.skipped,
        device=str(session.runtime.device),
        precision=session.runtime.precision,
        threads=torch.get_num_threads(),
        processes=session.runtime.processes.count,
        resumed=state is not None,
        first_epoch=len(history.rows) + 1,
        drawn=session.drawn,
        resting=tuple(session.freezing.stages),
        resting_parameters=sum(
            parameter.numel() for stage in session.freezing.stages.values() for parameter in stage.parameters()
        ),
        no_kernels=session.no_kernels,
    )
    run.write_metrics({"status": "running"})
    run.write_json("data.json", data_facts(session.splits, session.preprocessing))
    for observer in observers:
        observer.on_start(plan, session)
    checkpoints = DiskCheckpoints(
        run.best_weights.parent,
        header=session.header(),
        every_minutes=config.checkpoint_every,
        snapshots=config.snapshots,
    )
    try:
        seconds = fit_session(session, state, checkpoints, (history, *observers), interrupted, progress)
        _finish(run, session, history.rows, seconds)
    except BaseException as error:
        statuses = {Interrupted: "interrupted", KeyboardInterrupt: "interrupted", Diverged: "diverged"}
        with suppress(ConvscopeError):  # a disk too full for a checkpoint may be too full for this word
            run.write_metrics({"status": statuses.get(type(error), "failed")})
        raise
    return run


def _finish(run: Run, session: Session, rows: list[dict[str, Any]], seconds: float) -> None:
    """Evaluate the best weights, which the model now has, and write down everything about the run.

    `seconds` are those of computing features before the first epoch.
    """
    plots.save_figure(plots.curves({session.config.model: rows}), run.figures / "curves.png")
    run.write_metrics(
        {
            "status": "finished",
            "model": session.config.model,
            "data": session.config.data,
            "parameters": session.parameters,
            "epochs": len(rows),
            "best_epoch": min(rows, key=lambda row: row["val_loss"])["epoch"],
            "train_seconds": seconds + sum(row["seconds"] for row in rows),
            "train_images_per_second": sum(row["images_per_second"] for row in rows) / len(rows),
            # The one reading of the test split.  R-F5
            **{
                split: evaluate_split(
                    run,
                    split,
                    session.splits,
                    session.model,
                    session.preprocessing,
                    session.runtime,
                    draw=split == "test",  # drawing takes seconds, and these are the pictures people look at
                )
                for split in ("val", "test")
            },
        }
    )


class _HistoryWriter:
    """Keeps history.csv; at a resume it drops epochs of which the checkpoint knows nothing."""

    def __init__(self, run: Run, rows: list[dict[str, Any]]) -> None:
        self._run, self.rows = run, list(rows)
        run.write_history(self.rows)

    def on_batch(self, record: BatchRecord) -> None:
        """Steps are not recorded."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Add a row."""
        self.rows.append(asdict(record))
        self._run.write_history(self.rows)


def _new_run(config: Config, runs_dir: Path, facts: dict[str, Any]) -> Run:
    """A run named after model, data and time, and a number where two trainings start within one second."""
    name = f"{config.model}-{Path(config.data).name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while True:
        with suppress(RunExists):
            return create_run(runs_dir, name if number == 1 else f"{name}-{number}", config, facts)
        number += 1
