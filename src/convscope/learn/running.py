"""The process in which a learner's file is run: `python -P -m convscope.learn.running FILE SECONDS NAME...`.

What is in the file comes on the standard input. On the standard output is a line of JSON for each thing that happens;
`checking.py` reads them.
"""

import functools
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from convscope.errors import is_out_of_memory
from convscope.learn.channel import MOST_LETTERS, Channel, Prints
from convscope.learn.chapters import find_exercise
from convscope.learn.checking import too_slow
from convscope.learn.exercise import Exercise, Wrong
from convscope.learn.values import shown

_BELOW_MAIN = 'What is not to be run here belongs below `if __name__ == "__main__":`.'


class Learner:
    """A learner's file, run, and its functions as they are asked."""

    def __init__(self, path: Path, seconds: float, channel: Channel) -> None:
        """Nothing is run yet."""
        self.path = path
        self._seconds = seconds
        self._channel = channel
        self._call = ""
        self._inside = False

    def load(self, text: str) -> ModuleType:
        """Run the file, in which there is `text`, but not what is below `if __name__ == "__main__"`."""
        module = ModuleType(self.path.stem)
        module.__file__ = str(self.path)
        sys.modules.setdefault(module.__name__, module)
        sys.path.insert(0, str(self.path.parent))
        sys.argv = [str(self.path)]
        with self._limited("failed", "the file", _BELOW_MAIN):
            exec(compile(text, str(self.path), "exec", dont_inherit=True), module.__dict__)
        return module

    def verdict(self, exercise: Exercise, module: ModuleType) -> dict[str, Any]:
        """What is to be said of a function."""
        if not hasattr(module, exercise.name):
            message = f"there is no {exercise.name} once the file has been run: is it below an `if`, or deleted again?"
            return {"state": "wrong", "message": message}
        function = getattr(module, exercise.name)
        if not callable(function):
            return {"state": "wrong", "message": f"{exercise.name} is {shown(function)}, and not a function."}
        if inspect.iscoroutinefunction(function):
            return {"state": "wrong", "message": f"{exercise.name} is `async`: {_head(exercise)}"}
        self._call, self._inside = exercise.name, False
        try:
            with self._limited("verdict"):
                exercise.check(self._watched(function, exercise))
        except Wrong as error:
            return {"state": "wrong", "message": str(error)}
        except BaseException as error:
            fault = self.fault(error)
            stopped = f"{self._call} stops with" if self._inside else f"what {self._call} gave could not be used:"
            return {"state": "wrong"} | fault | {"message": f"{stopped} {fault['message']}"}
        return {"state": "right"}

    def fault(self, error: BaseException) -> dict[str, Any]:
        """What an error is, and the line of the file that it comes from, if it comes from there."""
        name, text, hint = type(error).__name__, "", ""
        with suppress(Exception):  # a class of the learner's may not know how to say it
            text = str(error)[: MOST_LETTERS // 10].strip()
            hint = ": is there a list or a tensor that grows and grows?" if is_out_of_memory(error) else ""
        if isinstance(error, EOFError):
            hint = ": what a function needs, it is given as arguments"
        elif isinstance(error, SystemExit):
            name, text = "exit", ""
        message = f"{name}: {text}{hint}" if text else f"{name}{hint}"
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)
        ]
        return {"message": message, "line": lines[-1] if lines else None}

    def _watched(self, function: Callable[..., Any], exercise: Exercise) -> Callable[..., Any]:
        """The same function; what it is asked last is remembered, and whether it has answered."""
        try:
            signature = inspect.signature(function)
        except ValueError:  # one that is not written in Python
            signature = None

        @functools.wraps(function, updated=())
        def watched(*arguments: Any, **keywords: Any) -> Any:
            words = [*map(shown, arguments), *(f"{key}={shown(value)}" for key, value in keywords.items())]
            self._call = f"{exercise.name}({', '.join(words)})"
            try:
                if signature is not None:
                    signature.bind(*arguments, **keywords)
            except TypeError as error:
                raise Wrong(f"{self._call} is not possible, {error}: {_head(exercise)}") from error
            self._inside = True
            answer = function(*arguments, **keywords)
            self._inside = False
            return answer

        return watched

    @contextmanager
    def _limited(self, event: str, subject: str = "", hint: str = "") -> Iterator[None]:
        """End this process, with an event, when what is done here has not ended in time."""
        learner = threading.get_ident()

        def give_up() -> None:
            try:
                line = self._line(sys._current_frames().get(learner))
                if isinstance(sys.stdout, Prints):
                    sys.stdout.end()
                message = f"{too_slow(subject or self._call, self._seconds)} {hint}".rstrip()
                self._channel.say(event, state="wrong", message=message, line=line)
            finally:  # whether anybody listens or not
                os._exit(0)

        timer = threading.Timer(self._seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _line(self, frame: FrameType | None) -> int | None:
        """The line of the file at which the code in `frame` is."""
        while frame is not None and frame.f_code.co_filename != str(self.path):
            frame = frame.f_back
        return None if frame is None else frame.f_lineno


def _head(exercise: Exercise) -> str:
    return f"the head has to stay as it was, `{' '.join(exercise.stub.split())}`."


def _limit_memory() -> None:
    """Take half of the machine's memory at most: a list that grows without end is no reason to end other programs."""
    with suppress(ImportError, AttributeError, OSError, ValueError):  # Windows has no such limit
        import resource

        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        resource.setrlimit(resource.RLIMIT_DATA, (half, half))


def _begin_afresh() -> None:
    """Undo what a learner's code has set for all of torch: checks expect it as it is at first."""
    import torch

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


def main(argv: list[str]) -> None:
    """Run the file, then check one function after the other."""
    path, seconds, *names = argv
    channel = Channel()
    prints = sys.stdout = Prints(channel)
    text = sys.stdin.buffer.read().decode()
    learner = Learner(Path(path), float(seconds), channel)
    _limit_memory()
    try:
        import torch  # before the clock runs

        torch.set_num_threads(1)
        channel.say("ready")
        module = learner.load(text)
    except BaseException as error:
        prints.end()
        fault = learner.fault(error)
        hint = f". {_BELOW_MAIN}" if isinstance(error, SystemExit | EOFError) else ""
        channel.say("failed", message=fault["message"] + hint, line=fault["line"])
        return
    prints.end()
    for name in names:
        channel.say("begin")
        prints.begin()
        _begin_afresh()
        verdict = learner.verdict(find_exercise(name), module)
        prints.end()
        channel.say("verdict", **verdict)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
        status = 0
    except Exception:  # nobody listens any more, or the learner's code has changed Python itself
        status = 1
    with suppress(Exception):
        sys.stderr.flush()
    os._exit(status)  # whatever threads the learner's code may have left
