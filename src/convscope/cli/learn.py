"""`convscope learn [CHAPTER]`, `learn start CHAPTER` and `learn check FILE`: the exercises of the book.

The first word chooses what to do, and each has flags of its own.
"""

import json
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import tyro

from convscope.cli.flags import read_flags
from convscope.cli.learn_report import Json, Text, width
from convscope.errors import UserError, on_one_line
from convscope.learn import CHAPTERS, BrokenFile, Chapter, Outcome, check, find_chapter, read_work, write_stubs
from convscope.learn.stubs import head_text, task_text

_DAY = 86_400


@dataclass(frozen=True)
class List:
    """List the chapters of the book and their exercises, or say what the exercises of a chapter ask for.

    An exercise is a function that you write in a file of your own, in three steps:

    1. `convscope learn start CHAPTER` writes a file with the head of each function, and below it what the function is
    to do.
    2. Open the file in an editor, and write your code in the place of each `...`.
    3. `convscope learn check FILE` runs the file and says of each function whether it is right, and if not, why. Mend
    it, and check again.

    The chapters themselves are in docs/book; `make docs` shows them. `start` and `check` have a --help of their own.

    $ convscope learn
    $ convscope learn convolution
    $ convscope learn start convolution
    $ convscope learn check convolution.py
    """

    chapter: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[CHAPTER|start|check]")] = None
    """Name or number of a chapter, or what to do."""
    json: bool = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class Start:
    """Write a file with the exercises of a chapter: the head of each function, and below it what the function is to do.

    Open the file in an editor and write your code in the place of each `...`. The heads have to stay as they are;
    whatever else you need, functions and imports, goes into the file too. In a notebook, let the first line of the
    cell with the functions be `%%writefile convolution.py`: running the cell writes the file.

    $ convscope learn start convolution
    $ convscope learn start 2 my_convolution.py
    """

    chapter: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="CHAPTER")] = None
    """Its name or number, of those that `convscope learn` lists."""
    file: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE.py]")] = None
    """Where to write; by default CHAPTER.py, with _ for each -. A file that exists stays as it is."""


@dataclass(frozen=True)
class Check:
    """Run your file and say of each exercise whether it is right, wrong and why, or not begun yet.

    Each function is called with several inputs, and its answers are compared with the right ones. It is right when all
    of them agree; if one does not, you are told which, and what mistake it looks like. What your code prints is shown
    with the function's name before it, so that `print` helps in the search. An error is shown with its line, and what
    does not come to an end is stopped. The exit status is 0 if all is right, else 1.

    The file is run as `python FILE` would run it, apart from what is below `if __name__ == "__main__":`, so check only
    files that you would run.

    $ convscope learn check convolution.py
    $ convscope learn check convolution.py --only output_size
    """

    file: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")] = None
    """Your file, as `convscope learn start` began it; it may have the exercises of several chapters."""
    only: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Check this exercise alone."""
    seconds: float = 10
    """Time for running the file, and for each exercise, in seconds; then it is stopped."""
    json: bool = False
    """Print JSON instead of text; what your code prints goes to standard error."""


def main(argv: list[str]) -> int:
    """List, start or check; 0, with check only if all is right."""
    command, rest = argv[:1], argv[1:]
    if command == ["start"]:
        _start(read_flags(Start, rest, verb="learn start"))
    elif command == ["check"]:
        return _check(read_flags(Check, rest, verb="learn check"))
    else:
        words = rest if command == ["list"] else argv
        _point_out(words[0] if words else "")
        _list(read_flags(List, words, verb="learn"))
    return 0


def _list(flags: List) -> None:
    chapters = CHAPTERS if flags.chapter is None else (find_chapter(flags.chapter),)
    if flags.json:
        print(json.dumps(list(map(_chapter_facts, chapters)), indent=1))
        return
    for line in _overview() if flags.chapter is None else _tasks(chapters[0]):
        print(line)


def _point_out(word: str) -> None:
    """Help those who left out `check` or mistyped `start`, before the other words are looked at.

    Raises:
        UserError: that is so.
    """
    if word.endswith(".py") or Path(word).is_file():
        raise UserError(
            f"{word} is a file and no chapter: run `convscope learn check {shlex.quote(word)}` to check it."
        )
    near = get_close_matches(word, ["start", "check"], n=1)
    if near:
        raise UserError(f"unknown chapter '{word}': run `convscope learn {near[0]}` if that is what was meant.")


def _chapter_facts(chapter: Chapter) -> dict[str, Any]:
    exercises = [{"name": one.name, "stub": one.stub, "task": task_text(one)} for one in chapter.exercises]
    return {"number": chapter.number, "name": chapter.name, "title": chapter.title, "exercises": exercises}


def _overview() -> Iterator[str]:
    """The chapters, and the names of their exercises."""
    room = max(len(chapter.name) for chapter in CHAPTERS)
    yield f"    {'chapter':<{room}}  exercises"
    for chapter in CHAPTERS:
        names = ", ".join(exercise.name for exercise in chapter.exercises)
        head = f"{chapter.number:>2}  {chapter.name:<{room}}  "
        yield textwrap.fill(names, width(), initial_indent=head, subsequent_indent=" " * len(head))
    yield ""
    yield "convscope learn CHAPTER               says what its exercises ask for"
    yield "convscope learn start CHAPTER [FILE]  writes a file to do them in"
    yield "convscope learn check FILE            says what is right in it, and why the rest is not"


def _tasks(chapter: Chapter) -> Iterator[str]:
    """What the exercises of a chapter ask for."""
    yield f"Chapter {chapter.number}: {chapter.title} (docs/book/{chapter.number:02}-{chapter.name}.md)"
    for exercise in chapter.exercises:
        yield f"\n{head_text(exercise, width())}"
        yield textwrap.indent(task_text(exercise, width() - 4), "    ")
    yield f"\n`convscope learn start {chapter.name}` writes a file to do them in."


def _start(flags: Start) -> None:
    if flags.chapter is None:
        raise UserError("no chapter is named: choose one of those that `convscope learn` lists.")
    chapter = find_chapter(flags.chapter)
    path = flags.file or Path(f"{chapter.name.replace('-', '_')}.py")
    write_stubs(chapter, path)
    names = ", ".join(exercise.name for exercise in chapter.exercises)
    print(f"wrote {on_one_line(str(path))}: chapter {chapter.number}, {chapter.title}")
    print(f"The functions to write: {names}.")
    print(f"Then: convscope learn check {shlex.quote(str(path))}")


def _check(flags: Check) -> int:
    if flags.file is None:
        raise UserError("no file is named: name yours, or let `convscope learn start CHAPTER` write one.")
    if not 0 < flags.seconds <= _DAY:
        raise UserError(f"--seconds is {flags.seconds:g}: it must be above 0 and at most {_DAY}, which is a day.")
    report: Json | Text = Json(flags.file) if flags.json else Text(flags.file)
    outcomes: list[Outcome] = []
    broken = None
    try:
        work = read_work(flags.file)
        if flags.only is not None:
            work = work.only(flags.only)
        report.begin(work)
        for outcome in check(work, seconds=flags.seconds, on_print=report.on_print):
            outcomes.append(outcome)
            report.on_outcome(outcome)
    except BrokenFile as error:
        broken = error
    report.end(outcomes, broken)
    return 0 if broken is None and all(outcome.state == "right" for outcome in outcomes) else 1
