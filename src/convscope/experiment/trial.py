"""Try a setting: train it in memory and judge it by the validation split, as a search does again and again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.config import Config
from convscope.downloads import Progress
from convscope.experiment.fitting import fit_session
from convscope.experiment.session import Session
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.loop import Interrupted, Listener
from convscope.training.state import BatchRecord, EpochRecord

Hopeless = Callable[[Sequence[EpochRecord]], bool]
"""Whether a training with these epochs behind it is not worth another one."""


@dataclass(frozen=True)
class Trial:
    """What came of trying a setting."""

    history: tuple[EpochRecord, ...]
    pruned: bool
    """Whether it was given up before its last epoch."""


def try_setting(
    config: Config,
    *,
    data_dir: Path | None = None,
    hopeless: Hopeless = lambda history: False,
    listeners: Sequence[Listener] = (),
    interrupted: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Trial:
    """Train what `config` says, as `train` does, but write nothing and leave the test split alone.  R-F5

    `hopeless` is asked after each epoch, `interrupted` after each step. Data are read anew by each trial, so that
    nothing is left of one when the next begins.

    Raises:
        UserError: the setting cannot be trained.
        Interrupted: `interrupted` said so.
        Diverged: the loss is no longer a number.
    """
    session = Session.prepare(config, data_dir=data_dir, progress=progress)
    judge = _Judge(hopeless)
    try:
        fit_session(
            session,
            None,
            MemoryCheckpoints(),
            listeners=(judge, *listeners),
            interrupted=lambda: judge.hopeless or interrupted(),
            progress=progress,
        )
    except Interrupted:
        if not judge.hopeless:
            raise
        return Trial(tuple(judge.history), pruned=True)
    return Trial(tuple(judge.history), pruned=False)


class _Judge:
    """Keeps the epochs, and the verdict on them. It ends nothing itself: the loop asks before long."""

    def __init__(self, hopeless: Hopeless) -> None:
        self._hopeless = hopeless
        self.history: list[EpochRecord] = []
        self.hopeless = False

    def on_batch(self, record: BatchRecord) -> None:
        """A trial is judged by whole epochs."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Judge the trial again."""
        self.history.append(record)
        self.hopeless = self._hopeless(self.history)
