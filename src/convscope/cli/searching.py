"""The processes of a search: this one, and others beside it that work on the same record."""

import multiprocessing
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import torch

from convscope.cli.progress import Preparation, StopSignal
from convscope.cli.trials import TrialProgress
from convscope.errors import ConvscopeError
from convscope.search.study import Study
from convscope.search.worker import Terms, work
from convscope.training.loop import Interrupted


def search(
    study: Study,
    *,
    trials: int,
    processes: int = 1,
    minutes: float | None = None,
    data_dir: Path | None = None,
    to_stderr: bool = False,
) -> bool:
    """Try settings until so many are on record, or the time is over; False when Ctrl-C stopped it.

    What goes on is told on standard error if `to_stderr`.
    """
    deadline = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    threads = None if processes == 1 else max(1, torch.get_num_threads() // processes)
    terms = Terms(trials, deadline, threads, data_dir)
    context = multiprocessing.get_context("spawn")  # a fork would share the record's connection, and PyTorch's threads
    stopped = context.Event()
    others = [
        context.Process(target=_work_beside, args=(study.path, stopped, to_stderr, terms)) for _ in range(processes - 1)
    ]
    with (
        TrialProgress(study, trials=trials, alone=not others, to_stderr=to_stderr) as progress,
        StopSignal() as stop,
        Preparation() as preparation,
    ):
        progress.begin()
        # Ctrl-C reaches all processes; the first one tells the others, who begin by ignoring it.
        on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in others:
            process.start()
        signal.signal(signal.SIGINT, on_ctrl_c)
        try:
            work(study, terms, watcher=progress, interrupted=stop, progress=preparation)
            while any(process.is_alive() for process in others):
                if stop():
                    raise Interrupted
                time.sleep(0.1)
            work(study, terms, watcher=progress, interrupted=stop, progress=preparation)  # what a dead one left
        except Interrupted:
            return False
        finally:
            stopped.set()
            for process in others:
                process.join()
    return True


def _work_beside(path: Path, stopped: Event, to_stderr: bool, terms: Terms) -> None:
    """What another process does, until it is told to stop or the first one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # again, for Windows, where it is not inherited
    first = multiprocessing.parent_process()
    assert first is not None
    study = Study.open(path)
    with TrialProgress(study, trials=terms.trials, alone=False, to_stderr=to_stderr) as progress:
        try:
            work(study, terms, watcher=progress, interrupted=lambda: stopped.is_set() or not first.is_alive())
        except Interrupted:
            pass
        except ConvscopeError as error:
            progress.say(f"a process of the search ended: {error}")
