"""`convscope search` as a user meets it, and what is left of it when it is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from convscope.cli import search as verb
from convscope.recipes import load_config
from convscope.runs import list_runs
from convscope.search.records import Tried
from convscope.search.study import Study

Command = Callable[..., Any]
Refused = Callable[..., str]
Begun = Callable[..., "subprocess.Popen[str]"]
SMALL = ("--input-size", 8, "--device", "cpu", "--threads", 1)
VARY = ("--vary", "lr=1e-4..1e-1:log", "--vary", "batch_size=32,64")


def statuses(path: Path) -> list[str]:
    return [trial.outcome.status for trial in Study.open(path).tried()]


def values(path: Path) -> list[tuple[Any, ...]]:
    return [tuple(trial.values.values()) for trial in Study.open(path).tried()]


@pytest.mark.usefixtures("no_pictures")
def test_a_search_from_begin_to_end(process: Command, command: Command, fashion_slice: Path, place: Path) -> None:
    # R-A12
    done = process("search", fashion_slice, "linear", "--epochs", 2, "--trials", 5, "--name", "first", *SMALL)
    assert (done.status, done.err) == (0, "")
    head, columns, *rows = done.out.splitlines()
    assert head.startswith(f"linear on {fashion_slice}: 5 trials of tpe, 2 epochs each, varying lr, weight_decay, ")
    assert re.split(r" {2,}", columns.strip())[:4] == ["done", "trial", "outcome", "val acc"]
    assert [row.split()[0] for row in rows[:5]] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert rows[0].endswith("the base")
    study = Study.open(place / "searches" / "first")
    assert len(study.tried()) == 5
    assert {path.name for path in study.path.iterdir()} == {
        "base.yaml",
        "best.yaml",
        "figures",
        "search.yaml",
        "space.yaml",
        "study.db",
        "trials.csv",
    }
    assert done.out.splitlines()[-1] == "train it: convscope train --config searches/first/best.yaml"
    best = re.search(r"^best: trial \d+, validation accuracy (\S+), loss (\S+); ", done.out, flags=re.MULTILINE)
    assert best is not None
    again = command("train", "--config", "searches/first/best.yaml", "--name", "again")
    assert f"validation  accuracy {best[1]} " in again.out  # the very figure that was promised


@pytest.mark.usefixtures("no_pictures")
def test_the_same_command_goes_on(command: Command, fashion_slice: Path, place: Path) -> None:
    words = ("search", fashion_slice, "linear", "--epochs", 1, *SMALL, *VARY, "--name", "first", "--trials")
    assert command(*words, 2).status == 0
    before = values(place / "searches" / "first")
    done = command(*words, 4)
    assert "going on: 2 trials on record" in done.out
    assert values(place / "searches" / "first")[:2] == before
    assert command("search", "--resume", "first", "--trials", 5).status == 0
    assert len(values(place / "searches" / "first")) == 5
    done = command("search", "--resume", "searches/first", "--trials", 5)
    assert done.status == 0 and "\n5 trials (" in done.out  # nothing was left to do


@pytest.mark.usefixtures("no_pictures")
def test_a_grid_ends_by_itself(command: Command, fashion_slice: Path, place: Path) -> None:
    words = ("--method", "grid", "--vary", "lr=0.001,0.01", "--vary", "batch_size=64,128")
    assert command("search", fashion_slice, "linear", "--epochs", 1, *SMALL, *words, "--name", "grid").status == 0
    assert sorted(values(place / "searches" / "grid")) == [(0.001, 64), (0.001, 128), (0.01, 64), (0.01, 128)]


@pytest.mark.usefixtures("no_pictures")
def test_the_space_in_a_file_and_more_by_flags(command: Command, fashion_slice: Path, place: Path) -> None:
    (place / "space.yaml").write_text("lr: [0.01, 0.02]\nshift: {low: 0, high: 2}\n", encoding="utf-8")
    words = ("--space", "space.yaml", "--vary", "lr=0.5,0.6", "--trials", 2, "--name", "first", "--epochs", 1)
    assert command("search", fashion_slice, "linear", *SMALL, *words).status == 0
    for trial in Study.open(place / "searches" / "first").tried():
        assert trial.setting.lr in (0.5, 0.6) and 0 <= trial.setting.shift <= 2


@pytest.mark.usefixtures("no_pictures")
def test_a_program_may_read_it(command: Command, fashion_slice: Path, place: Path) -> None:
    words = ("--epochs", 1, *SMALL, *VARY, "--name", "first", "--trials", 3, "--json")
    done = command("search", fashion_slice, "linear", *words)
    facts = json.loads(done.out)
    assert "done   trial" in done.err
    trials = Study.open(place / "searches" / "first").tried()
    assert [row["trial"] for row in facts["trials"]] == [trial.number for trial in trials] == [0, 1, 2]
    assert [row["values"] for row in facts["trials"]] == [dict(trial.values) for trial in trials]
    best = max(trials, key=lambda trial: trial.outcome.val_accuracy or 0)
    assert facts["best"] == best.number
    assert load_config(Path(facts["recipe"])) == best.setting
    assert json.loads(command("search", "--show", "first", "--json").out) == facts
    assert command("search", "--show", "first").out.startswith("3 trials (3 finished); ")
    (listed,) = json.loads(command("search", "--list-searches", "--json").out)
    assert listed == {
        "name": "first",
        "data": str(fashion_slice),
        "model": "linear",
        "trials": 3,
        "best": best.outcome.val_accuracy,
    }


@pytest.mark.usefixtures("no_pictures")
def test_the_list(command: Command, fashion_slice: Path, place: Path) -> None:
    assert command("search", "--list-searches").out.startswith("there are no searches in searches yet: begin with")
    words = ("--epochs", 1, *SMALL, *VARY, "--trials", 1, "--name")
    for name in ("first", "second"):
        assert command("search", fashion_slice, "linear", *words, name).status == 0
    (place / "searches" / "second" / "study.db").write_bytes(b"nonsense")
    lines = command("search", "--list-searches").out.splitlines()
    assert [re.split(r" {2,}", line.strip())[0] for line in lines] == ["search", "first", "second"]
    assert " damaged" in lines[2]


@pytest.mark.usefixtures("no_pictures")
def test_best_and_base_with_other_seeds(
    command: Command, fashion_slice: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-F5: the search itself reads no test split; the comparison after it does, once a run.
    words = ("--epochs", 1, *SMALL, "--vary", "lr=0.0001..0.0002", "--trials", 2, "--name", "first", "--lr", 0.5)
    assert command("search", fashion_slice, "linear", *words).status == 0
    done = command("search", "--resume", "first", "--confirm", 2)
    assert done.status == 0, done.err
    runs = list_runs(place / "runs")
    assert sorted((run.config().lr > 0.1, run.config().seed) for run in runs) == [
        (False, 1),
        (False, 2),
        (True, 1),
        (True, 2),
    ]
    assert "linear (lr 0.5)" in done.out and "test accuracy" in done.out


@pytest.mark.usefixtures("no_pictures")
def test_where_the_base_is_best_there_is_nothing_to_confirm(command: Command, fashion_slice: Path, place: Path) -> None:
    words = ("--epochs", 1, *SMALL, *VARY, "--batch-size", 64, "--trials", 1, "--confirm", 2)
    done = command("search", fashion_slice, "linear", *words)
    assert done.out.splitlines()[-1] == "the base is the best itself: there is nothing to confirm"
    assert not (place / "runs").exists()


# Killed, stopped, and several at once


@pytest.fixture
def begun(place: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Begins a search as a process of its own, in a group of its own, of which nothing is left in the end."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "convscope.cli.main", "search", *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=place, text=True, stdout=pipe, stderr=pipe, start_new_session=True)
        processes.append(process)
        return process

    yield run
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(path: Path, enough: Callable[[list[Tried]], bool]) -> list[Tried]:
    """The trials, once there are enough."""
    study = None
    for _ in range(1200):
        if study is None and (path / "search.yaml").exists():
            study = Study.open(path)
        if study is not None and enough(trials := study.tried()):
            return trials
        time.sleep(0.1)
    raise AssertionError("the search did not come that far")


LONG = ("--epochs", 20, "--pruner", "none", *SMALL, *VARY, "--name", "first")


@pytest.mark.usefixtures("no_pictures")
def test_a_killed_search_goes_on_without_losing_a_finished_trial(
    begun: Begun, command: Command, fashion_slice: Path, place: Path
) -> None:
    # R-A12
    path = place / "searches" / "first"
    killed = begun(fashion_slice, "linear", *LONG, "--trials", 50, "--processes", 2)
    # Both are at work, and two trials are finished.
    wait_for(path, lambda trials: len(list(path.glob(".convscope-worker-*"))) == 2 and len(trials) >= 4)
    killed.kill()
    killed.communicate(timeout=60)  # which ends when the other process has done so, and let go of the output
    before = Study.open(path).tried()
    done = [trial for trial in before if trial.outcome.status == "finished"]
    assert len(done) >= 2 and done == before  # nobody is at work any more
    assert command("search", "--resume", "first", "--trials", len(done) + 1).status == 0
    after = Study.open(path).tried()
    assert [trial for trial in after if trial in done] == done
    assert [trial.outcome.status for trial in after] == ["finished"] * (len(done) + 1)


def test_a_stopped_search_gives_its_trials_back(begun: Begun, fashion_slice: Path, place: Path) -> None:
    path = place / "searches" / "first"
    stopped = begun(fashion_slice, "linear", *LONG, "--trials", 50, "--processes", 2)
    wait_for(path, lambda trials: len(trials) >= 3)
    os.killpg(stopped.pid, signal.SIGINT)  # as Ctrl-C does
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, err
    assert err.count("stopping after this batch") == 1
    assert err.endswith("stopped; go on with: convscope search --resume searches/first\n")
    assert set(statuses(path)) == {"finished"} and len(statuses(path)) < 50
    assert not list(path.glob(".convscope-worker*"))
    assert (path / "best.yaml").exists() and "best: trial " in out


@pytest.mark.usefixtures("no_pictures")
def test_processes_are_born_deaf_to_ctrl_c(
    command: Command, fashion_slice: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They import for seconds, in which it would end them with pages of words; the first process tells them to stop.
    heard = []
    monkeypatch.setattr(SpawnProcess, "start", lambda process: heard.append(signal.getsignal(signal.SIGINT)))
    monkeypatch.setattr(SpawnProcess, "is_alive", lambda process: False)
    monkeypatch.setattr(SpawnProcess, "join", lambda process: heard.append(signal.getsignal(signal.SIGINT)))
    words = ("--epochs", 1, *SMALL, *VARY, "--trials", 1, "--processes", 2, "--json")
    assert command("search", fashion_slice, "linear", *words).status == 0
    assert heard[0] == signal.SIG_IGN != heard[1]


@pytest.mark.usefixtures("no_pictures")
def test_several_processes_share_a_search(begun: Begun, command: Command, fashion_slice: Path, place: Path) -> None:
    # R-A12. Two of one command, and a second command that joins them.
    words = (fashion_slice, "linear", "--epochs", 10, *SMALL, *VARY, "--name", "first", "--trials", 8)
    first = begun(*words, "--processes", 2)
    wait_for(place / "searches" / "first", lambda trials: len(trials) >= 1)
    second = command("search", *words)
    assert second.status == 0, second.err
    out, err = first.communicate(timeout=120)
    assert (first.returncode, err) == (0, "")
    trials = Study.open(place / "searches" / "first").tried()
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.outcome.status for trial in trials} <= {"finished", "pruned"}
    assert len({tuple(trial.values.values()) for trial in trials}) == 8
    rows = [line.split()[1] for line in (out + second.out).splitlines() if re.match(r"\s+\d+/8 ", line)]
    assert sorted(map(int, rows)) == list(range(8))  # each was told of once


# Mistakes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fashion-mnst"], "unknown data set 'fashion-mnst'"),
        (["SLICE", "linaer"], "unknown model 'linaer': did you mean 'linear'?"),
        (["SLICE", "linear", "--vary", "lrr=1,2"], "unknown field to vary 'lrr': did you mean 'lr'?"),
        (["SLICE", "linear", "--vary", "model_options.hidden=1,2"], "unknown option 'hidden'"),
        (["SLICE", "linear", "--vary", "model=linear,lennet5"], "unknown model 'lennet5': did you mean 'lenet5'?"),
        (["SLICE", "linear", "--space", "none.yaml"], "cannot read the setting none.yaml"),
        (["SLICE", "linear", "--method", "grid"], "a grid cannot hold all numbers from 0.0002 to 0.02"),
        (["SLICE", "linear", "--trials", "0"], "trials is 0: it must be at least 1."),
        (["SLICE", "linear", "--processes", "0"], "processes is 0: it must be at least 1."),
        (["SLICE", "linear", "--timeout", "nan"], "timeout is nan: it must be greater than 0."),
        (["SLICE", "linear", "--trials", "1000000"], "trials is 1000000: it must be at least 1 and at most 100000."),
        (["SLICE", "linear", "--name", "../up"], "'../up' cannot name a search"),
        (["SLICE", "lenet5", "--input-size", "4"], "images of 4 pixels are too small"),
        (["SLICE", "linear", "--resume", "first"], "--resume and --show take a search as it was begun"),
        (["--resume", "first", "--vary", "lr=1,2"], "--resume and --show take a search as it was begun"),
        (["--show", "first", "--method", "random"], "--resume and --show take a search as it was begun"),
        (["--show", "first", "--confirm", "2"], "--show trains nothing: leave out --trials, --processes, --timeout"),
        (["--show", "first", "--resume", "first"], "--show trains nothing: leave out"),
        (["--resume", "first", "--confirm", "2", "--json"], "--confirm prints tables: leave out --json"),
        (["--resume", "first"], "searches/first is not a search: name a folder that `convscope search` wrote."),
        (["--trails", "3"], "unknown flag '--trails': did you mean --trials?"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    words: list[str], sentence: str, fashion_slice: Path, refused: Refused
) -> None:
    assert refused("search", *[fashion_slice if word == "SLICE" else word for word in words]).startswith(sentence)


def test_without_optuna_there_is_a_remedy(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert refused("search") == (
        'a search needs Optuna, which is not installed: get it with `pip install "convscope[search]"`.'
    )


@pytest.mark.usefixtures("no_pictures")
def test_data_that_are_gone_are_told_once(command: Command, fashion_slice: Path, place: Path) -> None:
    # And not put on record as the fault of every trial to come.
    shutil.copytree(fashion_slice, place / "slice")
    words = ("--epochs", 1, *SMALL, *VARY, "--name", "first", "--trials", 1)
    assert command("search", "slice", "linear", *words).status == 0
    (place / "slice").rename(place / "elsewhere")
    done = command("search", "--resume", "first", "--trials", 3)
    assert done.status == 2 and done.sentence.startswith("unknown data set 'slice'")
    assert statuses(place / "searches" / "first") == ["finished"]


@pytest.mark.usefixtures("no_pictures")
def test_without_a_finished_trial_there_is_nothing_to_confirm(command: Command, fashion_slice: Path) -> None:
    done = command("search", fashion_slice, "linear", *SMALL, *VARY, "--timeout", 1e-9, "--confirm", 2)
    assert done.status == 1
    assert done.sentence.startswith("no trial came to its end, so there is nothing to confirm")


@pytest.mark.usefixtures("no_pictures")
def test_where_no_trial_ends_well(command: Command, fashion_slice: Path) -> None:
    words = ("--vary", "lr=1e37,1e38", "--optimizer", "sgd", "--precision", "float32", "--schedule", "constant")
    done = command("search", fashion_slice, "linear", "--epochs", 1, *SMALL, *words, "--trials", 2, "--name", "first")
    assert done.status == 1
    assert "2 trials (2 diverged)" in done.out
    assert done.sentence.startswith("no trial came to its end (the loss became ")
    shown = command("search", "--show", "first", "--json")
    assert (shown.status, shown.sentence, json.loads(shown.out)["best"]) == (1, done.sentence, None)


def test_help_teaches_and_needs_no_torch(process: Command, place: Path) -> None:
    code = (
        "import sys; from convscope.cli.main import main\n"
        "try: main(['search', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "$ convscope search fashion-mnist-mini tinyvgg_bn --epochs 5 --trials 25" in done.stdout
    assert "--vary" in done.stdout and "--resume" in done.stdout and verb.__doc__ is not None
