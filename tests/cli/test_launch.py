"""Several processes as a user starts them: by --devices, by torchrun, by srun."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.runs import Run

Command = Callable[..., Any]
# Small steps: the difference between two ways to round would else grow from step to step.
SETTING = ("--optimizer", "sgd", "--lr", 0.01, "--device", "cpu", "--precision", "float32")
NETWORK = ("tinyvgg_bn", "--dropout", 0, "--model-options", "hidden", 8, "--sync-batch-norm")


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
def test_two_processes_leave_the_run_of_one(process: Command, command: Command, fashion_slice: Path) -> None:
    # With everything on: the doctor looks on, labels are mixed, the average is evaluated. The last batch has a single
    # image, so that the second process has none.
    setting = (*SETTING, "--batch-size", 77, "--epochs", 2, "--flip", "--mixup", 0.3, "--ema", 0.9, "--clip-norm", 5)
    words = (*NETWORK, *setting)
    done = process("train", fashion_slice, *words, "--devices", 2, "--name", "two")
    assert (done.status, done.err) == (0, "")
    assert "cpu, float32, 2 processes of 1 thread; into runs/two" in done.out
    assert done.out.count("look inside:") == 1
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


@pytest.mark.usefixtures("no_pictures")
def test_torchrun_starts_the_same_command(place: Path, fashion_slice: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = map(str, ("train", fashion_slice, "linear", *SETTING, "--epochs", 1, "--name", "there"))
    done = subprocess.run([*torchrun, "-m", "convscope", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("into runs/there") == done.stdout.count("look inside:") == 1
    assert run_of("there").status == "finished"
    assert len(run_of("there").predictions()["labels"]) == 200


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
    assert [task.returncode for task in tasks] == [2, 0]
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
