"""`convscope learn`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.learn import CHAPTERS

Command = Callable[..., Any]

SOLUTIONS = Path(__file__).parents[1] / "learn" / "solutions" / "classifier_and_loss.py"
NAMES = ["linear_parameters", "stable_softmax", "mean_cross_entropy", "constant_answer_loss"]


@pytest.fixture
def without_torch(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch takes a second to come, and some exercises do without."""
    (place / "path").mkdir()
    (place / "path" / "torch.py").write_text(
        "def __getattr__(name):\n    return lambda *arguments: None\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(place / "path"))


def test_list(command: Command) -> None:
    done = command("learn")
    assert done.status == 0
    words = done.out.replace(",", " ").split()
    for chapter in CHAPTERS:
        assert chapter.name in words
        assert {exercise.name for exercise in chapter.exercises} <= set(words)
    assert done.out == command("learn", "list").out
    assert max(map(len, done.out.splitlines())) <= 100


def test_list_as_json(command: Command) -> None:
    chapters = json.loads(command("learn", "--json").out)
    assert [chapter["name"] for chapter in chapters] == [chapter.name for chapter in CHAPTERS]
    (chapter,) = json.loads(command("learn", "5", "--json").out)
    assert [exercise["name"] for exercise in chapter["exercises"]] == NAMES
    assert set(chapter["exercises"][0]) == {"name", "stub", "task"}


def test_tasks_of_a_chapter(command: Command) -> None:
    done = command("learn", "classifier-and-loss")
    lines = done.out.splitlines()
    page = "docs/book/05-classifier-and-loss.md"
    assert lines[:2] == [f"Chapter 5: The fully connected layer and the loss ({page})", ""]
    assert lines[2].startswith("def linear_parameters(channels: int, ")
    assert "    How many parameters, weights and biases, has a fully connected layer" in done.out
    assert done.out.endswith("\n`convscope learn start classifier-and-loss` writes a file to do them in.\n")


def test_from_start_to_all_right(place: Path, process: Command) -> None:  # R-D6
    """What a learner does, in processes of their own."""
    done = process("learn", "start", "classifier-and-loss")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "wrote classifier_and_loss.py: chapter 5, The fully connected layer and the loss",
        f"The functions to write: {', '.join(NAMES)}.",
        "Then: convscope learn check classifier_and_loss.py",
    ]
    path = place / "classifier_and_loss.py"
    done = process("learn", "check", path.name)
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0] == "classifier_and_loss.py: chapter 5, The fully connected layer and the loss"
    assert lines[2:] == [*(f"not begun  {name}" for name in NAMES), "", "0 of 4 exercises right, 4 not begun"]

    # What is set for all of torch is undone before each check, which relies on float32, the CPU and gradients.
    settings = (
        "torch.set_default_dtype(torch.float64)\ntorch.set_default_device('meta')\ntorch.set_grad_enabled(False)\n"
    )
    text = SOLUTIONS.read_text(encoding="utf-8") + f"\nprint('done')\n{settings}"
    path.write_text(text, encoding="utf-8")
    done = process("learn", "check", path.name)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[2] == "classifier_and_loss.py | done"
    assert lines[3:] == [*(f"right      {name}" for name in NAMES), "", "4 of 4 exercises right"]


def test_wrong_answers_and_errors(place: Path, without_torch: None, command: Command) -> None:
    (place / "mine.py").write_text(
        "def linear_parameters(channels, height, width, *, num_classes):\n"
        "    print('\\033[2J', channels)\n"
        "    return channels * height * width * num_classes\n\n"
        "def constant_answer_loss(class_counts):\n"
        "    return class_counts[7]\n",
        encoding="utf-8",
    )
    done = command("learn", "check", "mine.py")
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()[2:]
    assert lines[0].startswith("linear_parameters | \\x1b[2J ")
    assert lines[1] == "wrong      linear_parameters"
    second = lines.index("not begun  stable_softmax")
    explained = " ".join(line.strip() for line in lines[2:second])
    assert re.fullmatch(r"linear_parameters\(.*\) gave \d+, not \d+: the biases are missing.*", explained)
    assert all(line.startswith(" " * 11) for line in lines[2:second])
    assert lines[second:] == [
        "not begun  stable_softmax",
        "           The file has no function `stable_softmax`.",
        "not begun  mean_cross_entropy",
        "           The file has no function `mean_cross_entropy`.",
        "wrong      constant_answer_loss",
        "           constant_answer_loss([100, 100, 100, 100]) stops with IndexError: list index out of range",
        "           mine.py:6: return class_counts[7]",
        "",
        "0 of 4 exercises right, 2 wrong, 2 not begun",
    ]
    done = command("learn", "check", "mine.py", "--only", "constant_answer_loss", "--json")
    assert done.status == 1
    assert json.loads(done.out) == {
        "file": "mine.py",
        "error": None,
        "exercises": [
            {
                "chapter": "classifier-and-loss",
                "name": "constant_answer_loss",
                "state": "wrong",
                "message": "constant_answer_loss([100, 100, 100, 100]) stops with IndexError: list index out of range",
                "line": 6,
            }
        ],
    }


def test_one_alone_that_is_right(place: Path, without_torch: None, command: Command) -> None:
    text = "def linear_parameters(channels, height, width, *, num_classes):\n"
    text += "    print(channels)\n    return (channels * height * width + 1) * num_classes\n"
    (place / "mine.py").write_text(text, encoding="utf-8")
    done = command("learn", "check", "mine.py", "--only", "linear_parameters", "--json")
    assert done.status == 0
    assert json.loads(done.out)["exercises"][0]["state"] == "right"
    assert done.err.startswith("linear_parameters | ")


def test_a_file_that_is_no_python(place: Path, command: Command) -> None:
    (place / "mine.py").write_text("def linear_parameters(x:\n    return x\n", encoding="utf-8")
    done = command("learn", "check", "mine.py")
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0] == "wrong      mine.py cannot be run"
    assert lines[1].startswith("           SyntaxError: ")
    assert lines[2] == "           mine.py:1: def linear_parameters(x:"
    done = command("learn", "check", "mine.py", "--json")
    assert done.status == 1
    answer = json.loads(done.out)
    assert answer["error"]["line"] == 1 and answer["exercises"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["start"], "no chapter is named: choose one of those that `convscope learn` lists."),
        (["start", "convolutions"], "unknown chapter 'convolutions': did you mean 'convolution'?"),
        (["start", "40"], "there is no chapter 40: choose one from 1 to 21, as `convscope learn` lists them."),
        (["start", "pooling", "there.py"], "there.py exists already and stays as it is, for there may be work in it: "),
        (["start", "pooling", "mine.ipynb"], "mine.ipynb is no name of a Python file: take one that ends in .py, mine"),
        (["check"], "no file is named: name yours, or let `convscope learn start CHAPTER` write one."),
        (["check", "none.py"], "there is no file none.py: `convscope learn start CHAPTER FILE` writes one, "),
        (["check", "pooling"], "there is no file pooling: `convscope learn start pooling FILE` writes one "),
        (["check", "there.py"], "there is no exercise in there.py: "),
        (
            ["check", "there.py", "--seconds", "0"],
            "--seconds is 0: it must be above 0 and at most 86400, which is a day.",
        ),
        (["check", "there.py", "--seconds", "nan"], "--seconds is nan: it must be above 0 and"),
        (["check", "there.py", "--seconds", "inf"], "--seconds is inf: it must be above 0 and"),
        (["check", "there.py", "--onyl", "x"], "unknown flag '--onyl': did you mean --only?"),
        (["chck", "there.py"], "unknown chapter 'chck': run `convscope learn check` if that is what was meant."),
        (["strat"], "unknown chapter 'strat': run `convscope learn start` if that is what was meant."),
        (["there.py"], "there.py is a file and no chapter: run `convscope learn check there.py` to check it."),
        (["polling"], "unknown chapter 'polling': did you mean 'pooling'?"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, place: Path, refused: Callable[..., str]) -> None:
    (place / "there.py").write_text("x = 1\n", encoding="utf-8")
    assert refused("learn", *arguments).startswith(sentence)


def test_help_teaches(command: Command) -> None:
    for words in ([], ["start"], ["check"]):
        done = command("learn", *words, "--help")
        assert done.status == 0
        assert "$ convscope learn" in done.out
    assert "check only files that you would run" in " ".join(done.out.split())
