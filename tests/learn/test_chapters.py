"""Every exercise of the book: it can be begun, a right solution passes, and typical mistakes are told what they are."""

import ast
import inspect
import math
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from convscope.errors import UserError
from convscope.learn import CHAPTERS, Chapter, Exercise, Wrong, find_chapter, read_work, write_stubs
from convscope.learn import chapters as chapters_module

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "book"

Solutions = Callable[[Chapter], ModuleType]

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
each_exercise = pytest.mark.parametrize(
    ("chapter", "exercise"),
    [
        pytest.param(chapter, exercise, id=f"{chapter.name}-{exercise.name}")
        for chapter in CHAPTERS
        for exercise in chapter.exercises
    ],
)


def test_there_is_a_chapter_for_every_page_and_a_page_for_every_chapter() -> None:
    pages = sorted(path.stem for path in BOOK.glob("*.md"))
    assert pages == [f"{chapter.number:02}-{chapter.name}" for chapter in CHAPTERS]
    modules = {path.stem for path in Path(chapters_module.__path__[0]).glob("*.py")} - {"__init__"}
    assert modules == {chapter.name.replace("-", "_") for chapter in CHAPTERS}
    solved = {path.stem for path in (Path(__file__).parent / "solutions").glob("*.py")}
    assert solved == modules


def test_names_are_given_once() -> None:
    """A file that has one function of a chapter is about that chapter."""
    counts = Counter(exercise.name for chapter in CHAPTERS for exercise in chapter.exercises)
    assert [name for name, count in counts.items() if count > 1] == []


@each_chapter
def test_the_page_names_its_exercises(chapter: Chapter) -> None:
    page = (BOOK / f"{chapter.number:02}-{chapter.name}.md").read_text(encoding="utf-8")
    assert f"\n# {chapter.title}\n" in page
    assert 2 <= len(chapter.exercises) <= 4
    for exercise in chapter.exercises:
        assert exercise.name in page, exercise.name
    assert "convscope learn check" in " ".join(page.split())


@each_exercise
def test_the_stub_is_a_head_with_annotations(chapter: Chapter, exercise: Exercise) -> None:
    (head,) = ast.parse(f"{exercise.stub} ...").body
    assert isinstance(head, ast.FunctionDef) and head.name == exercise.name
    arguments = [*head.args.posonlyargs, *head.args.args, *head.args.kwonlyargs]
    assert head.returns is not None and all(argument.annotation is not None for argument in arguments)
    task = inspect.cleandoc(exercise.task)
    assert '"""' not in task and task.isprintable() is ("\n" not in task)
    # Sentences, as far as a program can tell: not counting the points within numbers and names.
    assert task.rstrip(")").endswith((".", "?")) or "\n" in task
    assert len(re.findall(r"[.?:]\)?(?=\s|$)", task)) >= 2, task


@each_chapter
def test_the_file_to_begin_with(chapter: Chapter, tmp_path: Path) -> None:
    """It runs, and nothing in it is begun."""
    path = tmp_path / "begun.py"
    write_stubs(chapter, path)
    text = path.read_text(encoding="utf-8")
    assert all(len(line) <= 120 for line in text.splitlines())
    names: dict[str, Any] = {}
    exec(compile(text, str(path), "exec", dont_inherit=True), names)
    for exercise in chapter.exercises:
        written = " ".join((inspect.getdoc(names[exercise.name]) or "").split())
        assert written == " ".join(exercise.task.split())
    work = read_work(path)
    assert work.chapters == [chapter]
    assert [task.exercise for task in work.tasks] == list(chapter.exercises)
    assert not any(task.begun for task in work.tasks)


@each_exercise
def test_a_right_solution_is_right(chapter: Chapter, exercise: Exercise, solutions: Solutions) -> None:
    function = getattr(solutions(chapter), exercise.name)
    torch.manual_seed(0)
    started = time.process_time()
    exercise.check(function)
    assert time.process_time() - started < 1


ANSWERS = (
    *(None, True, 0, -1.5, 1j, math.nan, math.inf, 10**400, "text", b"bytes", {"a": 1}, len),
    *((), (1, 2, 3, 4, 5), [0.5, [1.0]], ("a", 1), [None] * 3, list(range(1000)), [torch.zeros(2), torch.zeros(3)]),
    *(torch.tensor(0.5), torch.zeros(3, 5, 7), torch.zeros(0), torch.full((2, 2), math.nan), torch.ones(2).bool()),
    *(torch.ones(2, requires_grad=True), torch.zeros(2, device="meta"), torch.eye(3).to_sparse(), torch.tensor([1j])),
    *(np.zeros((2, 2)), np.float32(0.5), np.int64(3)),
)


@each_exercise
def test_another_answer_is_wrong(chapter: Chapter, exercise: Exercise) -> None:
    """Of whatever kind, and the check does not fail at it."""
    for answer in ANSWERS:
        with pytest.raises(Wrong) as info:
            exercise.check(lambda *arguments, answer=answer, **keywords: answer)
        assert exercise.name in str(info.value)
        assert str(info.value).endswith((".", "?"))


@each_chapter
def test_mistakes_are_told_what_they_are(chapter: Chapter, solutions: Solutions) -> None:
    module = solutions(chapter)
    exercises = {exercise.name: exercise for exercise in chapter.exercises}
    assert {name for name, _, _ in module.MISTAKES} == set(exercises)
    for number, (name, function, word) in enumerate(module.MISTAKES):
        torch.manual_seed(0)
        with pytest.raises(Wrong) as info:
            exercises[name].check(function)
        assert word.lower() in str(info.value).lower(), (number, name, word, str(info.value))
        assert str(info.value).endswith((".", "?")), (number, name, str(info.value))


def test_chapters_have_several_names() -> None:
    for name in ("convolution", "2", "02", "02-convolution", "02-convolution.md", "Convolution"):
        assert find_chapter(name).number == 2
    assert find_chapter("looking_inside").name == "looking-inside"
    with pytest.raises(UserError, match="did you mean 'convolution'"):
        find_chapter("convolutions")
    with pytest.raises(UserError, match="there is no chapter 99: choose one from 1 to 21"):
        find_chapter("99")


def test_listing_needs_neither_torch_nor_numpy() -> None:
    script = (
        "import sys; from convscope.cli.learn import main; main([]); main(['--json']); "
        "sys.exit(', '.join({'torch', 'numpy', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
