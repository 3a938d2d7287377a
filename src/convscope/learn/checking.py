"""Checks a learner's file in a process of its own, so that nothing in it can stop or spoil the one that asks."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, islice
from threading import Timer
from typing import Any, Literal, Self

from convscope.learn.work import BrokenFile, Task, Work

TIME_TO_START = 120
"""Seconds until Python and torch are certainly there, even from a slow disk."""
GRACE = 2
"""Seconds after which a process that should have ended itself is killed."""

State = Literal["right", "wrong", "not begun"]


@dataclass(frozen=True)
class Outcome:
    """What came of an exercise."""

    task: Task
    state: State
    message: str = ""
    """Why it is not right."""
    line: int | None = None
    """Where in the file it stopped, if it did."""
    code: str = ""
    """What is in this line."""


def too_slow(what: str, seconds: float) -> str:
    """The sentence about what had to be stopped."""
    return (
        f"{what} had not ended after {seconds:g} s: is there a loop without end? "
        f"If it is only slow, --seconds gives it more."
    )


def check(
    work: Work, *, seconds: float = 10, on_print: Callable[[str | None, str], None] = lambda name, line: None
) -> Iterator[Outcome]:
    """Run the file and check its exercises, in their order.

    Args:
        work: The file, as `read_work` read it.
        seconds: After which the file, or a function, is stopped.
        on_print: Called with each line that is printed, and the exercise that does it; None for the file itself.

    Raises:
        BrokenFile: running the file fails.
    """
    begun = [task for task in work.tasks if task.begun]
    with closing(_checked(work, begun, seconds, on_print)) as checked:
        # The file is run before anything is said: if that fails, there is nothing else to say.
        outcomes = chain(list(islice(checked, 1)), checked)
        for task in work.tasks:
            yield next(outcomes) if task.begun else Outcome(task, "not begun", task.remark)


def _checked(
    work: Work, tasks: list[Task], seconds: float, on_print: Callable[[str | None, str], None]
) -> Generator[Outcome, None, None]:
    """Check what has been begun. A function that ends the process costs the others nothing: there is another."""
    waiting = list(tasks)
    while waiting:
        current: str | None = None
        settled = False
        with _Process(work, [task.exercise.name for task in waiting], seconds) as process:
            for event in process.events():
                match event.pop("event"):
                    case "print":
                        # A process that takes the place of another runs the file again, which is nothing new.
                        if current is not None or len(waiting) == len(tasks):
                            on_print(current, event["text"])
                    case "failed":
                        raise BrokenFile(event["message"], event["line"], work.code(event["line"]))
                    case "begin":
                        current = waiting[0].exercise.name
                    case "verdict":
                        yield Outcome(waiting.pop(0), code=work.code(event.get("line")), **event)
                        current, settled = None, True
                        if not waiting:
                            return
            if current is not None:
                yield Outcome(waiting.pop(0), "wrong", process.end(current))
            elif not settled:
                raise BrokenFile(process.end("the file"))


class _Process:
    """The process that runs a learner's file."""

    def __init__(self, work: Work, names: list[str], seconds: float) -> None:
        # -P: a file of the learner's beside this one, random.py perhaps, does not take the place of Python's own.
        command = [sys.executable, "-P", "-m", "convscope.learn.running", str(work.path.resolve()), str(seconds)]
        self._process = subprocess.Popen(
            [*command, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._text = work.text
        self._seconds = seconds
        self._late = False
        self._timer: Timer | None = None
        self._allow(TIME_TO_START)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._allow(None)
        self._kill()
        self._process.__exit__(None, None, None)

    def events(self) -> Iterator[dict[str, Any]]:
        """What it says until it ends."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError), self._process.stdin as file:
            file.write(self._text.encode())
        for line in self._process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # cut short by the end, or by another process that prints too
                continue
            if event["event"] in ("ready", "begin"):
                # It ends by itself in time, unless what it does never lets its other thread run.
                self._allow(self._seconds + GRACE)
            yield event
        self._process.wait()

    def end(self, what: str) -> str:
        """How it ended before `what` was done."""
        status = self._process.returncode
        if self._late:
            return too_slow(what, self._seconds)
        if status < 0:
            name = signal.Signals(-status).name
            hint = ", as it happens when the memory does not suffice" if name == "SIGKILL" else ""
            return f"{what} was ended by {name}{hint}."
        return f"{what} ended the process, with status {status}."

    def _allow(self, seconds: float | None) -> None:
        """Let it run so long from now on; None for as long as it will."""
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None:
            self._timer = Timer(seconds, self._give_up)
            self._timer.daemon = True
            self._timer.start()

    def _give_up(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        """End it, and the processes that it has started."""
        if sys.platform == "win32":
            self._process.kill()
        else:
            with suppress(ProcessLookupError, PermissionError):  # it has ended
                os.killpg(self._process.pid, signal.SIGKILL)
