"""A learner's file, run in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from convscope.learn import BrokenFile, Outcome, check, checking, find_chapter, read_work
from convscope.learn.channel import MOST_LETTERS, MOST_LINES

Run = Callable[..., list[Outcome]]

COUNTING = "linear_parameters"
"""An exercise that asks for a number."""
SEVERAL = "middle_square"
"""An exercise that asks for several."""


@pytest.fixture(autouse=True)
def without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch takes a second to come, and the exercises here do without."""
    (tmp_path / "path" / "torch").mkdir(parents=True)
    text = "def __getattr__(name):\n    return lambda *arguments: None\n"
    (tmp_path / "path" / "torch" / "__init__.py").write_text(text, encoding="utf-8")
    paths = [str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def printed() -> list[tuple[str | None, str]]:
    return []


@pytest.fixture
def run(tmp_path: Path, printed: list[tuple[str | None, str]]) -> Run:
    """Checks a file with this text; only the exercises that are begun."""

    def check_text(text: str, *, seconds: float = 5) -> list[Outcome]:
        path = tmp_path / "mine.py"
        path.write_text(text, encoding="utf-8")
        outcomes = check(read_work(path), seconds=seconds, on_print=lambda name, line: printed.append((name, line)))
        return [outcome for outcome in outcomes if outcome.state != "not begun"]

    return check_text


def function(*lines: str, name: str = COUNTING) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"def {name}(*arguments, **keywords):\n{body}\n"


def is_running(pid: str) -> bool:
    """Whether there is such a process; one that has ended may still have a number, but no name any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_right_wrong_and_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import math\n\n"
        "def linear_parameters(channels, height, width, *, num_classes):\n"
        "    return (channels * height * width + 1) * num_classes\n\n"
        "def constant_answer_loss(class_counts):\n"
        "    return math.log(len(class_counts))\n\n"
        "def stable_softmax(logits):\n"
        "    ...\n",
        encoding="utf-8",
    )
    outcomes = {outcome.task.exercise.name: outcome for outcome in check(read_work(path))}
    assert list(outcomes) == [exercise.name for exercise in find_chapter("classifier-and-loss").exercises]
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "linear_parameters": "right",
        "stable_softmax": "not begun",
        "mean_cross_entropy": "not begun",
        "constant_answer_loss": "wrong",
    }
    assert "give each class its share" in outcomes["constant_answer_loss"].message
    assert outcomes["mean_cross_entropy"].message == "The file has no function `mean_cross_entropy`."


@pytest.mark.parametrize(
    ("lines", "words", "line"),
    [
        (["return 1 / 0"], ") stops with ZeroDivisionError: division by zero", 2),
        (["", "return sum(['a'])"], "stops with TypeError: unsupported operand", 3),
        (["return missing"], "stops with NameError: name 'missing' is not defined", 2),
        (["assert False"], "stops with AssertionError", 2),
        (["import sys", "sys.exit('enough')"], "stops with exit", 3),
        (["raise MemoryError"], "stops with MemoryError: is there a list or a tensor that grows and grows?", 2),
        (["raise type('Odd', (Exception,), {'__str__': None})"], "stops with Odd", 2),
        (["raise KeyboardInterrupt"], "stops with KeyboardInterrupt", 2),
        (["return input()"], "stops with EOFError: EOF when reading a line: what a function needs, it is given", 2),
        (["return " + COUNTING + "(1)"], "RecursionError: maximum recursion depth exceeded", 2),
        (["raise ValueError('x' * 100_000)"], "x" * (MOST_LETTERS // 10), 2),
        (["raise ValueError('one\\ntwo')"], "ValueError: one\ntwo", 2),
        (["import helper", "return helper.help()"], "stops with OSError: no help", 3),
    ],
)
def test_errors_have_a_line(lines: list[str], words: str, line: int, run: Run, tmp_path: Path) -> None:
    """That of the learner's file, even where the error comes from elsewhere."""
    (tmp_path / "helper.py").write_text("def help():\n    raise OSError('no help')\n", encoding="utf-8")
    (outcome,) = run(function(*lines))
    assert outcome.state == "wrong"
    assert words in outcome.message
    assert len(outcome.message) < MOST_LETTERS // 10 + 200
    assert outcome.line == line


def test_an_answer_that_cannot_be_used(run: Run) -> None:
    """A check meets with an error that comes from the answer."""
    (outcome,) = run(
        "class Odd(list):\n    def __len__(self): raise OSError\n" + function("return Odd()", name=SEVERAL)
    )
    assert outcome.message == f"what {SEVERAL}(72, 48) gave could not be used: OSError"
    assert (outcome.line, outcome.code) == (2, "def __len__(self): raise OSError")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"def {COUNTING}(channels):\n    return 1\n", "5) is not possible, too many positional arguments: "),
        (f"{COUNTING} = lambda c, h, w: 1\n", "num_classes=5) is not possible, got an unexpected keyword argument"),
        (f"class {COUNTING}:\n    pass\n", "is not possible, too many positional arguments: "),
        (f"async def {COUNTING}(*arguments, **keywords):\n    return 1\n", "linear_parameters is `async`: "),
    ],
)
def test_another_head(text: str, words: str, run: Run) -> None:
    (outcome,) = run(text)
    assert words in outcome.message
    assert "the head has to stay as it was, `def linear_parameters(channels: int, " in outcome.message


def test_functions_that_are_not_written_in_python(run: Run) -> None:
    (outcome,) = run(f"{COUNTING} = max\n")
    assert "num_classes=5) stops with TypeError: " in outcome.message


def test_no_function(run: Run) -> None:
    (outcome,) = run(f"{COUNTING} = 3\n")
    assert outcome.message == "linear_parameters is 3, and not a function."


def test_a_name_that_is_gone_again(run: Run) -> None:
    (outcome,) = run(f"{function('return 1')}del {COUNTING}\n")
    assert outcome.message.startswith("there is no linear_parameters once the file has been run: ")


def test_loops_without_end_cost_the_others_nothing(run: Run, printed: list[tuple[str | None, str]]) -> None:
    text = (
        "print('begins')\n"
        + function("while True:", "    pass")
        + function("import os", "os._exit(3)", name="stop_after")
        + function("import os", "os.kill(os.getpid(), 9)", name="constant_answer_loss")
        + "def training_steps(images, *, batch_size, epochs):\n"
        "    return -(-images // batch_size) * epochs\n"
    )
    outcomes = {outcome.task.exercise.name: outcome for outcome in run(text, seconds=0.8)}
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        COUNTING: "wrong",
        "constant_answer_loss": "wrong",
        "training_steps": "right",
        "stop_after": "wrong",
    }
    assert ") had not ended after 0.8 s: is there a loop" in outcomes[COUNTING].message
    assert outcomes[COUNTING].line in (3, 4)
    assert outcomes["stop_after"].message == "stop_after ended the process, with status 3."
    assert outcomes["constant_answer_loss"].message.startswith("constant_answer_loss was ended by SIGKILL, as it")
    assert printed == [(None, "begins")]


def test_a_loop_that_lets_nothing_else_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "GRACE", 0.2)
    (outcome,) = run(function("import ctypes", "ctypes.PyDLL(None).sleep(60)"), seconds=0.1)
    assert outcome.message.startswith("linear_parameters had not ended after 0.1 s: ")


def test_errors_of_the_file(run: Run) -> None:
    stub = function("return 1")
    for text, words, line in (
        ("1 / 0\n", "ZeroDivisionError: division by zero", 1),
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'", 1),
        ("x = 1\nwhile True:\n    x = 1\n", "the file had not ended after 0.2 s.* belongs below `if", None),
        ("import os\nos._exit(0)\n", "the file ended the process, with status 0.", None),
        ("raise SystemExit\n", "exit. What is not to be run here belongs below `if", 1),
        ("name = input()\n", "EOFError: .* belongs below `if", 1),
    ):
        with pytest.raises(BrokenFile, match=words) as info:
            run(text + stub, seconds=0.2 if "while" in text else 5)
        assert line is None or (info.value.line, info.value.code) == (line, text.split("\n")[line - 1])


def test_prints(run: Run, printed: list[tuple[str | None, str]]) -> None:
    run(
        "import os, sys\n"
        "print('at the top', end='')\n"
        "if __name__ == '__main__':\n    print('never')\n"
        + function("print('one', 2)", "sys.stdout.write('half')", "os.write(1, b'no event')", "return 3")
    )
    assert printed == [(None, "at the top"), (COUNTING, "one 2"), (COUNTING, "half")]


@pytest.mark.parametrize("statement", ["print(1)", "print('x' * 10**6, end='')"])
def test_prints_without_end(statement: str, run: Run, printed: list[tuple[str | None, str]]) -> None:
    run(function("while True:", f"    {statement}"), seconds=0.1)
    assert len(printed) <= MOST_LINES + 1
    assert sum(len(line) for _, line in printed) <= 2 * MOST_LETTERS + 100


def test_names_of_files_take_nothing_s_place(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file `random.py` or `json.py` beside the learner's own, or in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("json.py", "random.py", "typing.py"):
        (tmp_path / name).write_text("1 / 0\n", encoding="utf-8")
    (outcome,) = run(function("return 1.5"))
    assert "gave a float, 1.5" in outcome.message


def test_threads_that_never_end(run: Run) -> None:
    body = ["import threading", "threading.Thread(target=threading.Event().wait).start()", "return 0"]
    (outcome,) = run(function(*body))
    assert outcome.state == "wrong"


@pytest.mark.parametrize("end", ["return 0", "os._exit(3)"])
def test_processes_that_never_end(end: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the learner's code has started holds what it was given, and is ended too."""
    monkeypatch.setattr(checking, "GRACE", 0.2)
    pid = tmp_path / "pid"
    body = [
        "import os, pathlib, time",
        "child = os.fork()",
        "if not child: time.sleep(60)",
        f"pathlib.Path({str(pid)!r}).write_text(str(child))",
        end,
    ]
    (outcome,) = run(function(*body), seconds=0.5)
    assert outcome.state == "wrong"
    wait_until(lambda: not is_running(pid.read_text()))


def test_a_file_that_is_changed_while_it_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(function("return 1 / 0"), encoding="utf-8")
    work = read_work(path)
    path.unlink()
    (outcome,) = check(work.only(COUNTING))
    assert (outcome.line, outcome.code) == (2, "return 1 / 0")


def test_noise_between_the_events(run: Run) -> None:
    """Other processes of the learner's may print into the middle of a line."""
    body = [
        "import os",
        "for number in range(3, 20):",
        "    try: os.write(number, b'{]\\n')",
        "    except OSError: pass",
    ]
    (outcome,) = run(function(*body, "return 1"))
    assert "gave 1, not" in outcome.message


def test_nothing_is_run_where_nothing_is_begun(run: Run) -> None:
    assert run("1 / 0\n" + function("...")) == []


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, 60), (signal.SIGKILL, 0.5)])
def test_stopping_ends_the_learners_process(number: signal.Signals, seconds: float, tmp_path: Path) -> None:
    """Ctrl-C at once; where the command is killed, its process ends by itself in time."""
    path = tmp_path / "mine.py"
    pid = tmp_path / "pid"
    lines = [
        "import os, pathlib",
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))",
        "while True:",
        "    pass",
    ]
    path.write_text(function(*lines), encoding="utf-8")
    command = [sys.executable, "-m", "convscope", "learn", "check", str(path), "--seconds", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: pid.is_file() and pid.read_text() != "")
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    if number == signal.SIGINT:
        assert (process.returncode, errors) == (130, "convscope: stopped.\n")
    wait_until(lambda: not is_running(pid.read_text()))
