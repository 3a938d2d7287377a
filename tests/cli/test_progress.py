"""What is seen of a training while it goes on, and how a wish to stop arrives."""

import io
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from rich.console import Console

from convscope.cli.progress import COLUMNS, Preparation, Progress, StopSignal
from convscope.config import Config
from convscope.data import Skipped
from convscope.experiment import Plan
from convscope.experiment.session import Session
from convscope.kernels import build
from convscope.runs import Run
from convscope.training.state import BatchRecord, EpochRecord

PLAN = Plan(
    run=Run(Path("runs/first")),
    config=Config(model="linear", data="fashion-mnist-mini", epochs=4, batch_size=100),
    parameters=7850,
    class_counts=(900,) * 10,
    val_images=1000,
    skipped=(),
    device="cpu",
    precision="bfloat16",
    threads=2,
    resumed=False,
    first_epoch=1,
)
SESSION = cast(Session, None)  # nothing of it is looked at


def batch(step: int) -> BatchRecord:
    return BatchRecord(
        epoch=1,
        step=step,
        steps=90,
        images_per_second=48_211.7,
        lr=0.002,
        loss=torch.tensor(0.4321),
        grad_norm=torch.tensor(1.0),
    )


def epoch(number: int, seconds: float = 30.0) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        train_loss=0.51234,
        train_accuracy=0.8123,
        val_loss=0.41234,
        val_accuracy=0.8512,
        lr=0.0015,
        grad_norm=1.0,
        images_per_second=48_211.7,
        seconds=seconds,
    )


def watched(*, log_every: int | None = None) -> str:
    """All that is printed of an epoch of 90 batches."""
    output = io.StringIO()
    console = Console(file=output, width=120, highlight=False, markup=False, soft_wrap=True)
    with Progress(console=console, log_every=log_every) as progress:
        progress.on_start(PLAN, SESSION)
        for step in range(1, 91):
            progress.on_batch(batch(step))
        progress.on_epoch(epoch(1))
        progress.on_epoch(epoch(2, seconds=50.0))
    return output.getvalue()


def test_a_row_an_epoch_under_the_head_of_the_table() -> None:
    # R-D4, R-D7
    lines = watched().splitlines()
    assert lines[2].split() == " ".join(COLUMNS).split()
    assert lines[3].split() == [
        "1/4",
        "0.5123",
        "81.23%",
        "0.4123",
        "85.12%",
        "1.50e-03",
        "48,212",
        "1",
        "min",
        "30",
        "s",
    ]
    # Two epochs took 80 s, so the two that are left take as long.
    assert lines[4].endswith("1 min 20 s")
    assert len(lines) == 5


def test_files_that_cannot_be_used_are_counted_with_their_reasons() -> None:
    output = io.StringIO()
    skipped = (Skipped("a.jpg", "is empty"), Skipped("b.txt", "is no image"), Skipped("c.jpg", "is empty"))
    with Progress(console=Console(file=output, width=300, soft_wrap=True)) as progress:
        progress.on_start(replace(PLAN, skipped=skipped), SESSION)
    line = output.getvalue().splitlines()[2]
    assert line.startswith(
        f"left out 3 files of {PLAN.config.data} that cannot be used: is empty (2), is no image (1); "
    )
    assert line.endswith("lists them")


@pytest.mark.parametrize("debug", [False, True])
def test_a_line_says_what_is_missed_without_kernels(debug: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "refusal", lambda: "a.cpp:1: error: [twenty] words")
    monkeypatch.setattr(sys, "argv", ["convscope", "train", *(["--debug"] if debug else [])])
    output = io.StringIO()
    with Progress(console=Console(file=output, width=300, soft_wrap=True)) as progress:
        progress.on_start(replace(PLAN, no_kernels="there is no g++ here; install it"), SESSION)
    lines = output.getvalue().splitlines()[2:-1]
    assert lines[0] == "without compiled kernels, which would be faster: there is no g++ here; install it"
    assert lines[1:] == (["a.cpp:1: error: [twenty] words"] if debug else [])


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert "\x1b" not in watched()


def test_a_bar_within_the_epoch_on_a_terminal() -> None:
    output = io.StringIO()
    with Progress(console=Console(file=output, force_terminal=True, width=120)) as progress:
        progress.on_start(PLAN, SESSION)
        progress.on_batch(batch(45))
        for _ in range(3000):  # it is drawn ten times a second, by a thread
            if "batches" in output.getvalue():
                break
            time.sleep(0.01)
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())
    assert "━" in words
    assert " 45/90 batches loss 0.432 48,212 images/s" in words


def test_a_line_every_n_batches() -> None:
    printed = watched(log_every=40)
    lines = [line for line in printed.splitlines() if "batch " in line]
    assert lines == [
        "epoch 1, batch 40/90: loss 0.4321, lr 0.002",
        "epoch 1, batch 80/90: loss 0.4321, lr 0.002",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_the_second_stops(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert before[0] is signal.default_int_handler  # or the second signal would end the tests
    with StopSignal() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert "stopping after this batch and saving" in capsys.readouterr().err
        if number == signal.SIGINT:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_download_is_seen_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Preparation() as preparation:
        preparation("fetching images.gz", 0, 2_000_000)
        preparation("fetching images.gz", 1_000_000, 2_000_000)
        preparation("a package", 0, 0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "fetching images.gz" in captured.err and "1.0/2.0 MB" in captured.err
    assert "0/? bytes" in captured.err  # nobody knows how many


def test_no_download_nothing_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with Preparation():
        pass
    assert capsys.readouterr() == ("", "")
