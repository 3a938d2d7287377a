"""What `convscope learn check` says of a learner's file: to people as it comes, to programs in the end."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from convscope.errors import on_one_line
from convscope.learn import BrokenFile, Outcome, Work
from convscope.numbers import counted

_INDENT = " " * len("not begun  ")
_COLOURS = {"right": "green", "wrong": "red", "not begun": "yellow"}


def width() -> int:
    """Letters in a line: few enough for reading, and for the terminal."""
    return min(100, shutil.get_terminal_size((100, 24)).columns)


class Text:
    """Says it to people."""

    def __init__(self, path: Path) -> None:
        from convscope.cli.console import console

        self._path = path
        self._screen = console()

    def begin(self, work: Work) -> None:
        chapters = "; ".join(f"chapter {chapter.number}, {chapter.title}" for chapter in work.chapters)
        self._say(f"{self._path}: {chapters}")
        self._say("")

    def on_print(self, name: str | None, line: str) -> None:
        self._say(_labelled(name or self._path.name, line))

    def on_outcome(self, outcome: Outcome) -> None:
        self._say(outcome.task.exercise.name, state=outcome.state)
        self._explain(outcome.message, outcome.line, outcome.code)

    def end(self, outcomes: Sequence[Outcome], broken: BrokenFile | None) -> None:
        if broken is not None:
            self._say(f"{self._path} cannot be run", state="wrong")
            self._explain(str(broken), broken.line, broken.code)
            return
        counts = Counter(outcome.state for outcome in outcomes)
        others = [f"{counts[state]} {state}" for state in ("wrong", "not begun") if counts[state]]
        self._say("")
        self._say(", ".join([f"{counts['right']} of {counted(len(outcomes), 'exercise')} right", *others]))

    def _explain(self, message: str, line: int | None, code: str) -> None:
        """Why, and where, as editors and terminals take it to open the place."""
        place = [] if line is None else [f"{self._path}:{line}: {code}"]
        for text in (*textwrap.wrap(" ".join(message.split()), width() - len(_INDENT)), *place):
            self._say(f"{_INDENT}{text}")

    def _say(self, text: str, *, state: str | None = None) -> None:
        from rich.text import Text

        head = "" if state is None else f"{state:<{len(_INDENT)}}"
        self._screen.print(Text.assemble((head, _COLOURS.get(state or "", "")), on_one_line(text)), soft_wrap=True)


class Json:
    """Says it to programs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, work: Work) -> None:
        """There is nothing to say yet."""

    def on_print(self, name: str | None, line: str) -> None:
        print(_labelled(name or self._path.name, line), file=sys.stderr)

    def on_outcome(self, outcome: Outcome) -> None:
        """It is said in the end."""

    def end(self, outcomes: Sequence[Outcome], broken: BrokenFile | None) -> None:
        exercises = [
            {
                "chapter": outcome.task.chapter.name,
                "name": outcome.task.exercise.name,
                "state": outcome.state,
                "message": outcome.message,
                "line": outcome.line,
            }
            for outcome in outcomes
        ]
        error = None if broken is None else {"message": str(broken), "line": broken.line}
        print(json.dumps({"file": str(self._path), "error": error, "exercises": exercises}, indent=1))


def _labelled(name: str, line: str) -> str:
    """A line that was printed, and by what."""
    return f"{on_one_line(name)} | {on_one_line(line.expandtabs())}"
