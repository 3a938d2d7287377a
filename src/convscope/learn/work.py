"""A learner's file, read without running it: which exercises are in it, and which of them have been begun."""

import ast
import difflib
import re
import tokenize
import warnings
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from convscope.errors import UserError, unknown
from convscope.learn.chapters import CHAPTERS, Chapter, find_chapter
from convscope.learn.exercise import Exercise


class BrokenFile(Exception):
    """A learner's file cannot be run as it is; says why."""

    def __init__(self, message: str, line: int | None = None, code: str = "") -> None:
        """`line` is the one in the file, counted from 1, and `code` what is in it, if they are known."""
        super().__init__(message)
        self.line = line
        self.code = code


@dataclass(frozen=True)
class Task:
    """An exercise that a file is about."""

    chapter: Chapter
    exercise: Exercise
    begun: bool
    remark: str = ""
    """Why it is not begun, where that is not plain to see."""


@dataclass(frozen=True)
class Work:
    """A learner's file."""

    path: Path
    text: str
    """What is in it; if it is changed while it is checked, this holds."""
    tasks: tuple[Task, ...]

    def code(self, line: int | None) -> str:
        """What is in a line, counted from 1, without its indentation; nothing for None."""
        lines = self.text.split("\n")
        return lines[line - 1].strip() if line and line <= len(lines) else ""

    @property
    def chapters(self) -> list[Chapter]:
        """Those whose exercises it is about."""
        return [chapter for chapter in CHAPTERS if any(task.chapter is chapter for task in self.tasks)]

    def only(self, name: str) -> "Work":
        """The same with one exercise.

        Raises:
            UserError: it has none of this name.
        """
        tasks = tuple(task for task in self.tasks if task.exercise.name == name)
        if not tasks:
            raise unknown("exercise of this file", name, [task.exercise.name for task in self.tasks])
        return replace(self, tasks=tasks)


def read_work(path: Path) -> Work:
    """Read a learner's file.

    Raises:
        UserError: it is not there, is no text, or has no function that any exercise asks for.
        BrokenFile: it is not Python.
    """
    text = _read(path)
    module = _parse(text, path)
    found = dict(_top_level(module))
    chapters = _chapters(ast.get_docstring(module) or "", found)
    if not chapters:
        raise UserError(
            f"there is no exercise in {path}: let `convscope learn start CHAPTER FILE` write a file with the heads of "
            f"the functions; run `convscope learn` for the chapters."
        )
    tasks = (_task(chapter, exercise, found) for chapter in chapters for exercise in chapter.exercises)
    return Work(path, text, tuple(tasks))


def _chapters(docstring: str, found: Container[str]) -> list[Chapter]:
    """The chapters that a file is about.

    Its docstring says it, as `convscope learn start` wrote it; a function that has the name of an exercise by chance
    does not make the file one about another chapter, but two are no chance.
    """
    said = {int(number) for number in re.findall(r"\bchapter (\d+),", docstring)}
    return [
        chapter
        for chapter in CHAPTERS
        if chapter.number in said or sum(one.name in found for one in chapter.exercises) >= (2 if said else 1)
    ]


def _read(path: Path) -> str:
    if path.suffix == ".ipynb":
        raise UserError(
            f"{path} is a notebook: write `%%writefile {path.stem}.py` as the first line of the cell with the "
            f"functions, run it, and check {path.stem}.py."
        )
    try:
        if path.exists() and not path.is_file():  # a pipe for example, at which reading may wait without end
            raise UserError(f"{path} is {'a directory' if path.is_dir() else 'no file'}: name the file you work in.")
        with tokenize.open(path) as file:
            text = file.read()
        if "\0" in text:
            raise ValueError
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: {_instead(path)}") from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): name the file you work in.") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(
            f"{path} is no text in UTF-8: name the Python file you work in, and let your editor save it in UTF-8."
        ) from error
    return text


def _parse(text: str, path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # they come when the file is run
            return ast.parse(text, str(path))
    except SyntaxError as error:
        raise BrokenFile(f"{type(error).__name__}: {error.msg}", error.lineno, (error.text or "").strip()) from error
    except (RecursionError, MemoryError) as error:
        raise BrokenFile("an expression in it is nested too deeply for Python") from error


def _instead(path: Path) -> str:
    """What to do where there is no file."""
    file = path.with_name(f"{path.name.replace('-', '_')}.py")
    if file.is_file():
        return f"did you mean {file}?"
    try:
        chapter = find_chapter(path.stem)
    except UserError:
        return "`convscope learn start CHAPTER FILE` writes one, and `convscope learn` lists the chapters."
    return f"`convscope learn start {chapter.name} FILE` writes one with the exercises of this chapter."


def _top_level(module: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """The names that a file gives something to, and the statement that does, the last one last."""
    waiting: list[ast.stmt] = module.body[::-1]
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, statement) for alias in statement.names)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = (name for target in targets for name in ast.walk(target))
            yield from ((name.id, statement) for name in names if isinstance(name, ast.Name))
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            waiting += [inner for inner in ast.iter_child_nodes(statement) if isinstance(inner, ast.stmt)][::-1]


def _task(chapter: Chapter, exercise: Exercise, found: dict[str, ast.stmt]) -> Task:
    name = exercise.name
    if name in found:
        return Task(chapter, exercise, begun=not _is_stub(found[name]))
    known = {other.name for one in CHAPTERS for other in one.exercises}
    near = difflib.get_close_matches(name, [other for other in found if other not in known], n=1, cutoff=0.8)
    asked = f"; is `{near[0]}` in line {found[near[0]].lineno} meant to be it?" if near else ""
    return Task(chapter, exercise, begun=False, remark=f"The file has no function `{name}`{asked or '.'}")


def _is_stub(statement: ast.stmt) -> bool:
    """Whether a function does nothing: `...`, `pass` or `raise NotImplementedError`, after its docstring or without."""
    if not isinstance(statement, ast.FunctionDef):
        return False
    return all(
        isinstance(line, ast.Pass)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        or (isinstance(line, ast.Raise) and line.exc is not None and "NotImplementedError" in ast.unparse(line.exc))
        for line in statement.body
    )
