"""One who tries settings: takes on a trial, trains it, puts on record what came of it, until all are done."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from convscope.downloads import Progress
from convscope.errors import UserError, is_out_of_memory
from convscope.experiment.trial import try_setting
from convscope.search.records import Outcome, Tried, kept
from convscope.search.study import Claim, Study
from convscope.training.loop import Diverged, Interrupted, Listener


class Watcher(Listener, Protocol):
    """A listener that is also told of trials."""

    def on_trial(self, number: int, epochs: int) -> None:
        """A trial begins, of at most so many epochs."""

    def on_outcome(self, tried: Tried) -> None:
        """A trial is over."""


@dataclass(frozen=True)
class Terms:
    """How long to work, and with what."""

    trials: int
    """On record, by whomever, when the search is over."""
    deadline: float = math.inf
    """No trial begins after it, in seconds of `time.monotonic()`, which all processes of a machine share."""
    threads: int | None = None
    """Of a training whose setting does not say."""
    data_dir: Path | None = None


def work(
    study: Study,
    terms: Terms,
    *,
    watcher: Watcher,
    interrupted: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> None:
    """Try settings until no more are asked for.

    Raises:
        Interrupted: `interrupted` said so; the trial under way was given back.
    """
    with study.worker() as worker:
        while time.monotonic() < terms.deadline:
            if interrupted():
                raise Interrupted
            claim = study.claim(worker, trials=terms.trials)
            if claim is None:
                return
            try:
                outcome = _outcome(claim, terms, watcher=watcher, interrupted=interrupted, progress=progress)
            except (Interrupted, KeyboardInterrupt):
                study.give_back(claim)
                raise
            study.settle(claim.number, outcome)
            watcher.on_outcome(Tried(claim.number, claim.values, study.plan.base, outcome))


def _outcome(
    claim: Claim,
    terms: Terms,
    *,
    watcher: Watcher,
    interrupted: Callable[[], bool],
    progress: Progress | None,
) -> Outcome:
    """Train a trial. What cannot be trained, or diverges, is an outcome too, and not the end of the search."""
    started = time.perf_counter()
    try:
        setting = claim.setting
        watcher.on_trial(claim.number, setting.epochs)
        trial = try_setting(
            replace(setting, threads=setting.threads or terms.threads),
            data_dir=terms.data_dir,
            hopeless=claim.hopeless,
            listeners=(watcher,),
            interrupted=interrupted,
            progress=progress,
        )
    except (UserError, Diverged, MemoryError, RuntimeError) as error:
        full = is_out_of_memory(error)
        if isinstance(error, RuntimeError) and not full:
            raise
        status = "diverged" if isinstance(error, Diverged) else "failed"
        reason = "the memory does not suffice" if full else str(error)
        return Outcome(status, seconds=time.perf_counter() - started, reason=reason)
    record = kept(trial.history)
    return Outcome(
        "pruned" if trial.pruned else "finished",
        val_loss=record.val_loss,
        val_accuracy=record.val_accuracy,
        epochs=len(trial.history),
        seconds=time.perf_counter() - started,
    )
