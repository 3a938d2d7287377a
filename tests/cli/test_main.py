"""The command itself: help, verbs, flags, and errors as one sentence."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest

from convscope.cli.main import VERBS, main
from convscope.errors import ConvscopeError, UserError

Command = Callable[..., Any]


def test_usage_names_every_verb(process: Command) -> None:
    done = process("--help")
    assert done.status == 0
    assert done.err == ""
    for verb, summary in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(summary)}$", done.out, flags=re.MULTILINE)


@pytest.mark.parametrize("arguments", [(), ("-h",), ("help",)])
def test_usage_is_what_one_gets_who_does_not_know(arguments: tuple[str, ...], command: Command) -> None:
    assert command(*arguments) == command("--help")


def test_version(command: Command) -> None:
    assert command("--version").out == f"convscope {metadata.version('convscope')}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_explains_it(verb: str, command: Command) -> None:
    done = command(verb, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: convscope {verb} ")
    for entry in re.split(r"^│ (?=--)", done.out, flags=re.MULTILINE)[1:]:
        words = [word for word in re.sub(r"[│╰─╯]", "", entry).split() if not word.startswith("--")]
        assert len(words) > 5, entry


def test_help_does_not_wait_for_torch() -> None:
    """Importing it takes more than a second."""
    script = (
        f"import sys, contextlib, importlib\nfor verb in {list(VERBS)}:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        importlib.import_module(f'convscope.cli.{verb}').main(['--help'])\n"
        "sys.exit(', '.join({'torch', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(VERBS)


def test_an_unknown_verb(process: Command) -> None:
    done = process("trian")
    assert (done.status, done.out) == (2, "")
    assert done.sentence == "unknown verb 'trian': did you mean 'train'?"


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["train", "--epocs", "3"], "--epochs"),
        (["train", "--batch_sise=3"], "--batch-size"),
        (["train", "--no-flp"], "--no-flip"),
        (["compare", "fashion-mnist-mini", "linear", "--seed-s", "3"], "--seeds"),
        (["compare", "--dat", "x"], "--data-dir"),
        (["evaluate", "--splt", "val"], "--split"),
        (["predict", "latest", "a.png", "--invrt"], "--invert"),
        (["explain", "tinyvgg", "--optons", "hidden", "3"], "--options"),
        (["report", "latest", "--run-dir", "x"], "--runs-dir"),
        (["runs", "--srt", "val"], "--sort"),
        (["models", "--jsn"], "--json"),
        (["data", "list", "--datadir", "x"], "--data-dir"),
        (["doctor", "--jsn"], "--json"),
    ],
)
def test_an_unknown_flag_names_the_nearest(arguments: list[str], nearest: str, refused: Callable[..., str]) -> None:
    sentence = refused(*arguments)
    assert sentence.startswith("unknown flag '--")
    assert sentence.endswith(f": did you mean {nearest}?")


def test_an_unknown_flag_like_no_other(refused: Callable[..., str]) -> None:
    assert refused("train", "--qqq") == "unknown flag '--qqq': `convscope train --help` lists those there are."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--lr"], "--lr"),
        (["train", "--optimizer", "adm"], "'adm'"),
        (["train", "a", "b", "c"], "c"),
        (["train", "--model-options", "hidden"], "--model-options"),
        (["evaluate"], "RUN"),
        (["evaluate", "latest", "--split", "tset"], "'tset'"),
        (["runs", "lst"], "'lst'"),
        (["runs", "--sort", "size"], "'size'"),
    ],
)
def test_wrong_values_end_with_status_2(arguments: list[str], words: str, command: Command, place: Path) -> None:
    done = command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert list(place.iterdir()) == []


def verb_that_raises(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(import_module("convscope.cli.models"), "main", fail)


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (UserError("that is wrong: do this."), 2, "that is wrong: do this."),
        (ConvscopeError("that failed: do this."), 1, "that failed: do this."),
        (KeyboardInterrupt(), 130, "stopped."),
        (PermissionError(13, "Permission denied", "x.png"), 1, "x.png: Permission denied: "),
        (MemoryError(), 1, "the memory does not suffice: "),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            1,
            "the memory does not",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1, "the memory does not suffice"),
        (ZeroDivisionError("division by zero"), 1, "an error that Convscope did not expect (ZeroDivisionError: "),
    ],
)
def test_errors_become_one_sentence_and_a_status(
    error: BaseException, status: int, sentence: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb_that_raises(error, monkeypatch)
    done = command("models")
    assert done.status == status
    assert done.out == ""
    assert done.sentence.startswith(sentence)


def test_debug_shows_where_an_error_came_from(process: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    done = process("train", "--debug", "--epochs", "0")
    assert done.status == 1
    assert "Traceback" in done.err and "epochs is 0" in done.err
    verb_that_raises(ZeroDivisionError(), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main(["models", "--debug"])


@pytest.mark.parametrize("words", [["--help"], ["models", "--help"], ["models"]])
def test_a_reader_that_has_seen_enough(words: list[str]) -> None:
    """`convscope models | head -1` is no reason to complain."""
    command = [sys.executable, "-m", "convscope.cli.main", *words]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 1
