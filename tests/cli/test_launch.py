"""Several processes as a user starts them: by --devices, by torchrun, by srun."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.cli.launch import launch
from convscope.errors import ConvscopeError
from convscope.runs import Run

Command = Callable[..., Any]
PYTHON = sys.executable
# Small steps: the difference between two ways to round would else grow from step to step.
SETTING = ("--optimizer", "sgd", "--lr", 0.01, "--device", "cpu", "--precision", "float32")
NETWORK = ("tinyvgg_bn", "--dropout", 0, "--model-options", "hidden", 8, "--sync-batch-norm", "--input-size", 16)


def run_of(name: str) -> Run:
    return Run(Path("runs") / name)


def assert_same_run(one: Run, other: Run) -> None:
    """To rounding."""
    for row, expected in zip(one.history(), other.history(), strict=True):
        for key in ("train_loss", "val_loss", "lr", "grad_norm"):
            assert row[key] == pytest.approx(expected[key], rel=1e-2), key
        for key in ("train_accuracy", "val_accuracy"):  # an image or two may fall to the other side
            assert row[key] == pytest.approx(expected[key], abs=0.02), key
    predictions, expected_predictions = one.predictions(), other.predictions()
    np.testing.assert_allclose(predictions["logits"], expected_predictions["logits"], rtol=2e-2, atol=1e-2)
    np.testing.assert_array_equal(predictions["labels"], expected_predictions["labels"])
    assert one.metrics()["test"]["loss"] == pytest.approx(other.metrics()["test"]["loss"], rel=1e-3)


@pytest.mark.usefixtures("no_pictures")
def test_two_processes_under_torchrun_leave_the_run_of_one(command: Command, place: Path, fashion_slice: Path) -> None:
    # With everything on: the doctor looks on, labels are mixed, the average is evaluated. The last batch has a single
    # image, so that the second process has none.
    setting = (*SETTING, "--batch-size", 77, "--epochs", 2, "--flip", "--mixup", 0.3, "--ema", 0.9, "--clip-norm", 5)
    words = (*NETWORK, *setting)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "convscope", "train", *map(str, (fashion_slice, *words)), "--name", "two"]
    done = subprocess.run([*torchrun, *train], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("cpu, float32, 2 processes of 1 thread; into runs/two") == 1
    assert done.stdout.count("look inside:") == 1
    assert command("train", fashion_slice, *words, "--name", "one", "--threads", 1).status == 0
    one, two = run_of("one"), run_of("two")
    assert_same_run(two, one)
    assert two.environment()["processes"] == 2 and one.environment()["processes"] == 1
    assert [run.name for run in map(Run, Path("runs").iterdir())].count("two") == 1
    assert {file.name for file in one.path.rglob("*")} <= {file.name for file in two.path.rglob("*")}
    assert not [file for file in two.path.rglob("*") if ".part" in file.name]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for the processes in Linux's /proc")
@pytest.mark.usefixtures("no_pictures")
def test_a_killed_process_ends_the_job_and_one_goes_on(command: Command, place: Path, fashion_slice: Path) -> None:
    # R-F6
    words = list(map(str, (fashion_slice, *NETWORK, *SETTING, "--epochs", 6, "--name", "killed")))
    started = subprocess.Popen(
        [sys.executable, "-m", "convscope", "train", *words, "--devices", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        history = place / "runs" / "killed" / "history.csv"
        deadline = time.monotonic() + 100
        while not (history.exists() and len(Run(history.parent).history())) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(_child(started.pid, rank=1), signal.SIGKILL)
        _, error = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 1
    assert error.startswith("convscope: one of the 2 processes that trained together ended before its time")
    assert error.count("\n") == 1 and error.endswith("go on with: convscope train --resume runs/killed\n")
    assert run_of("killed").status == "failed"

    # One process goes on, and comes to where one process alone would have come.
    assert command("train", "--resume", "killed").status == 0
    assert command("train", *words[:-1], "whole", "--threads", 1).status == 0
    assert_same_run(run_of("killed"), run_of("whole"))


@pytest.fixture
def launch_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Starts processes as --devices does, each of which does what a line of shell says."""

    def run(line: str, **keywords: Any) -> int:
        shell = tmp_path / "shell"
        shell.write_text(f"#!/bin/sh\n{line}\n")
        shell.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(shell))
        return launch([], **({"devices": 2, "nodes": 1, "node_rank": 0, "meet": None} | keywords))

    return run


@pytest.mark.parametrize(("first", "second", "status"), [(0, 0, 0), (2, 1, 2), (130, 1, 130), (0, 3, 1)])
def test_the_status_is_that_of_the_main_process(
    first: int, second: int, status: int, launch_shell: Callable[..., int]
) -> None:
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    assert launch_shell(f'trap "" TERM; [ $RANK = 0 ] && {{ sleep 0.2; exit {first}; }}; exit {second}') == status
    assert signal.getsignal(signal.SIGINT) is on_ctrl_c


def test_a_killed_main_process_and_another_machine_are_spoken_for(
    launch_shell: Callable[..., int], place: Path
) -> None:
    with pytest.raises(ConvscopeError, match=r"the main process was ended by SIGKILL.*train --resume"):
        launch_shell("[ $RANK = 0 ] && kill -9 $$; exit 1")
    # The second machine says that it is the first one who knows more.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meet = f"127.0.0.1:{probe.getsockname()[1]}"
    words = "from convscope.cli.launch import launch; import sys; sys.executable = 'there'"
    words += f"; sys.exit(launch([], devices=1, nodes=2, node_rank=0, meet='{meet}'))"
    (place / "there").write_text("#!/bin/sh\nfor _ in $(seq 600); do [ -e begun ] && exit 3; sleep 0.1; done\n")
    (place / "there").chmod(0o700)
    environment = os.environ | {"PATH": f"{place}:{os.environ['PATH']}"}
    with (
        subprocess.Popen([PYTHON, "-c", words], env=environment) as first,
        pytest.raises(ConvscopeError, match=r"check what the command on the first machine says"),
    ):
        launch_shell("touch begun; exit 1", devices=1, nodes=2, node_rank=1, meet=meet)
    assert first.returncode == 3


def test_srun_starts_the_same_command_and_an_error_is_said_once(place: Path) -> None:
    slurm = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "127.0.0.1"}
    slurm["SLURM_JOB_ID"] = str(os.getpid())
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", "convscope", "train", "nothing-of-this-name", "linear"],
            env=os.environ | slurm | {"SLURM_PROCID": number, "SLURM_LOCALID": number},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in ("0", "1")
    ]
    main, other = (task.communicate(timeout=120)[1] for task in tasks)
    assert main.startswith("convscope: unknown data set 'nothing-of-this-name'") and main.count("\n") == 1
    assert other == ""
    assert [task.returncode for task in tasks] == [2, 1]
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--devices", 0), "give at least 1 of the first two"),
        (("--nodes", 2, "--node-rank", 2, "--meet", "a:1"), "a node-rank from 0 to one less than the nodes"),
        (("--nodes", 2), "2 machines must know where to meet: give --meet HOST:PORT"),
    ],
)
def test_impossible_numbers_are_refused(words: tuple[object, ...], reason: str, refused: Callable[..., str]) -> None:
    assert reason in refused("train", "fashion-mnist-mini", "linear", *words)


def _child(parent: int, *, rank: int) -> int:
    """The process of this rank that a launcher has started."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                its_parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            if its_parent == parent and f"RANK={rank}".encode() in variables:
                return int(folder.name)
    raise AssertionError(f"no process {rank}")
