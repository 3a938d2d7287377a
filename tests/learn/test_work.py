"""A learner's file, read without running it, and the file to begin with."""

import errno
import os
from pathlib import Path

import pytest

from convscope.errors import ConvscopeError, UserError
from convscope.learn import BrokenFile, Exercise, find_chapter, read_work, write_stubs
from convscope.learn.stubs import head_text

CHAPTER = find_chapter("classifier-and-loss")
FIRST, SECOND, THIRD, FOURTH = (exercise.name for exercise in CHAPTER.exercises)


def begun(text: str, path: Path) -> dict[str, bool]:
    path.write_text(text, encoding="utf-8")
    return {task.exercise.name: task.begun for task in read_work(path).tasks}


@pytest.mark.parametrize(
    "body",
    ["...", "pass", '"""The task."""', '"""The task."""\n    ...', "raise NotImplementedError('later')", "...; ..."],
)
def test_not_begun(body: str, tmp_path: Path) -> None:
    assert not any(begun(f"def {FIRST}(x):\n    {body}\n", tmp_path / "mine.py").values())


@pytest.mark.parametrize(
    "text",
    [
        "def {}(x):\n    return 1\n",
        "def {}(x):\n    y = x\n    ...\n",
        "def {}(x):\n    raise ValueError\n",
        "{} = len\n",
        "{}: object = len\n",
        "first, {} = len, len\n",
        "from math import sqrt as {}\n",
        "import math as {}\n",
        "class {}:\n    pass\n",
        "if True:\n    def {}(x):\n        return 1\n",
        "try:\n    {} = len\nfinally:\n    pass\n",
        "def {0}(x):\n    ...\n\n\ndef {0}(x):\n    return 1\n",
    ],
)
def test_begun(text: str, tmp_path: Path) -> None:
    assert begun(text.format(FIRST), tmp_path / "mine.py") == {FIRST: True, SECOND: False, THIRD: False, FOURTH: False}


def test_a_function_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def {FIRST}(): ...\n\ndef {SECOND}s(): ...\n", encoding="utf-8")
    remarks = {task.exercise.name: task.remark for task in read_work(path).tasks}
    assert remarks[FIRST] == ""
    assert remarks[SECOND] == f"The file has no function `{SECOND}`; is `{SECOND}s` in line 3 meant to be it?"
    assert remarks[THIRD] == f"The file has no function `{THIRD}`."


def test_exercises_of_two_chapters(tmp_path: Path) -> None:
    other = find_chapter("images-as-tensors")
    path = tmp_path / "mine.py"
    path.write_text(f"def {FIRST}(): ...\n\ndef {other.exercises[0].name}(): ...\n", encoding="utf-8")
    work = read_work(path)
    assert work.chapters == [other, CHAPTER]
    assert len(work.tasks) == len(other.exercises) + len(CHAPTER.exercises)
    assert [task.exercise.name for task in work.only(FOURTH).tasks] == [FOURTH]
    with pytest.raises(UserError, match=f"did you mean '{FOURTH}'"):
        work.only(f"{FOURTH}s")


def test_names_that_agree_by_chance(tmp_path: Path) -> None:
    """A helper has the name of another chapter's exercise."""
    other = find_chapter("images-as-tensors")
    path = tmp_path / "mine.py"
    write_stubs(CHAPTER, path)
    text = path.read_text(encoding="utf-8")
    functions = [f"\n\ndef {exercise.name}(x):\n    return x\n" for exercise in other.exercises]
    path.write_text(text + functions[0], encoding="utf-8")
    assert read_work(path).chapters == [CHAPTER]
    path.write_text(text + functions[0] + functions[1], encoding="utf-8")
    assert read_work(path).chapters == [other, CHAPTER]


@pytest.mark.parametrize(
    ("data", "error", "words", "line"),
    [
        (f"def {FIRST}(x:\n    pass\n".encode(), BrokenFile, "SyntaxError: ", 1),
        (f"def {FIRST}(x):\nreturn 1\n".encode(), BrokenFile, "IndentationError: ", 2),
        (b"def other():\n    pass\n", UserError, "there is no exercise in ", None),
        (b"", UserError, "there is no exercise in ", None),
        (b"\x89PNG\x00\xff\xfe", UserError, "is no text in UTF-8", None),
        (b"x = 1\x00\n", UserError, "is no text in UTF-8", None),
        (b"# coding: klingon\n", UserError, "is no text in UTF-8", None),
        ("x = 1\n".encode("utf-16"), UserError, "let your editor save it in UTF-8", None),
        ("x = 1\n\n\n# café\n".encode("latin-1"), UserError, "let your editor save it in UTF-8", None),
        (b"x = " + b"-" * 100_000 + b"1", BrokenFile, "nested", None),
    ],
)
def test_files_that_are_none(data: bytes, error: type[Exception], words: str, line: int | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(data)
    with pytest.raises(error, match=words) as info:
        read_work(path)
    if line is not None:
        assert isinstance(info.value, BrokenFile) and info.value.line == line
        assert info.value.code == data.decode().split("\n")[line - 1]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`convscope learn start CHAPTER FILE` writes one"):
        read_work(tmp_path / "mine.py")
    with pytest.raises(UserError, match="`convscope learn start training-loop FILE` writes one"):
        read_work(tmp_path / "training_loop.py")
    (tmp_path / "training_loop.py").touch()
    with pytest.raises(UserError, match=r"did you mean .*/training_loop\.py\?"):
        read_work(tmp_path / "training-loop")
    with pytest.raises(UserError, match="is a directory"):
        read_work(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(UserError, match=r"pipe\.py is no file"):
        read_work(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    with pytest.raises(UserError, match=r"cannot read .*loop\.py \(Too many"):
        read_work(tmp_path / "loop.py")


def test_a_notebook(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"write `%%writefile mine\.py` as the first line of the cell"):
        read_work(tmp_path / "mine.ipynb")


def test_a_warning_is_left_to_the_running(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def {FIRST}(x):\n    return x is 1\n", encoding="utf-8")
    assert read_work(path).tasks[0].begun


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_encodings_and_ends_of_lines(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    head = "# coding: latin-1" if encoding == "latin-1" else ""
    path.write_bytes(f"{head}\r\nname = 'é'\r\ndef {FIRST}(): return 'é'\r\n".encode(encoding))
    work = read_work(path)
    assert [task.begun for task in work.tasks] == [True, False, False, False]
    assert work.code(2) == "name = 'é'"
    assert work.code(99) == work.code(None) == ""


def test_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "mine.py"
    write_stubs(CHAPTER, path)
    path.write_text("my work", encoding="utf-8")
    with pytest.raises(UserError, match="exists already and stays as it is"):
        write_stubs(CHAPTER, path)
    assert path.read_text(encoding="utf-8") == "my work"
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    with pytest.raises(UserError, match="exists already"):
        write_stubs(CHAPTER, tmp_path / "gone.py")
    with pytest.raises(UserError, match=r"is a directory: name a file in it, .*/classifier_and_loss\.py for example"):
        write_stubs(CHAPTER, tmp_path)
    with pytest.raises(UserError, match=r"take one that ends in \.py, mine\.py for example"):
        write_stubs(CHAPTER, tmp_path / "mine.ipynb")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConvscopeError, match=r"cannot write .*mine\.py: No space left"):
        write_stubs(CHAPTER, tmp_path / "mine.py")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ['a"""b.py', "a\\b.py", "a b.py", "ä.py", "a\nb.py", "a'b.py"])
def test_names_of_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names itself in its docstring, which has to stay one."""
    monkeypatch.chdir(tmp_path)
    write_stubs(CHAPTER, Path(name))
    assert read_work(Path(name)).chapters == [CHAPTER]


@pytest.mark.parametrize(
    ("stub", "head"),
    [
        ("def f(x: int) -> int:", "def f(x: int) -> int:"),
        ("def f(\n    x: int,\n) -> int:", "def f(x: int) -> int:"),
        ("def f(some: int, others: int) -> int:", "def f(\n    some: int, others: int\n) -> int:"),
        (
            "def f(some: Callable[[int, str], int], *, others: int = 1) -> int:",
            "def f(\n    some: Callable[[int, str], int],\n    *,\n    others: int = 1,\n) -> int:",
        ),
    ],
)
def test_heads_are_broken_where_they_are_long(stub: str, head: str) -> None:
    exercise = Exercise(name="f", task="", stub=stub, check=lambda function: None)
    assert head_text(exercise, 30) == head
