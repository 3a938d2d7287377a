"""Every file operation of a training fails in turn, and each is the last of a killed process.  R-F6.

An ordinary run of the tests tries one or two operations of each sort, early and late ones; with CONVSCOPE_EXHAUSTIVE in
the environment it tries every one.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Training = Any  # of conftest.py

ROOM = {"open to write", "write", "fsync", "os.mkdir", "torch.save"}
"""Operations that a full disk refuses."""


def chosen(operations: list[str], *, shares: tuple[float, ...]) -> list[int]:
    """The numbers of the operations to try, of each sort those that come after such a share of it."""
    if "CONVSCOPE_EXHAUSTIVE" in os.environ:
        return list(range(len(operations)))
    places = {sort: [n for n, operation in enumerate(operations) if operation == sort] for sort in operations}
    return sorted({found[int(share * len(found))] for found in places.values() for share in shares})


def assert_ended_well(training: Training, done: Any, kind: str) -> None:
    """By its death, or by a sentence; or the operation was of no consequence."""
    if kind == "kill":
        assert done.status == -signal.SIGKILL
    elif done.status != 0:
        assert done.sentence
        if kind == "full":
            assert "No space left on device" in done.sentence or "could not be written whole" in done.sentence
            assert not any(".convscope-" in name for name in training.files())


@pytest.mark.parametrize("kind", ["error", "full", "kill"])
def test_whatever_operation_fails_the_run_goes_on_to_the_same_bits(
    kind: str,
    whole: Training,
    training: Callable[[Path], Training],
    make_faults: Callable[..., Any],
    fashion_slice: Path,
    tmp_path: Path,
) -> None:
    counting = make_faults(tmp_path / "counted", fashion_slice)
    assert training(tmp_path / "counted").start(counting).status == 0
    tried, errors = Counter[str](), []
    for number in chosen(counting.seen, shares=(0.25, 0.8) if kind == "kill" else (0.6,)):
        operation = counting.seen[number]
        if kind == "full" and operation not in ROOM:
            continue  # the disk is then found to be full by the next that needs room
        disturbed = training(tmp_path / f"{number}")
        done = disturbed.start(make_faults(disturbed.folder, fashion_slice, kind=kind, number=number))
        try:
            assert_ended_well(disturbed, done, kind)
            disturbed.assert_kept_what_was_promised(done.out)
            disturbed.assert_ends_like(whole)
        except Exception as error:
            error.add_note(f"{kind} at operation {number} of {len(counting.seen)}, {operation}: {done}")
            errors.append(error)
        tried[operation] += 1
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {tried.total()} {kind}s did harm", errors)
    assert len(tried) == (len(ROOM) if kind == "full" else 11)
    print(f"{kind}: tried {tried.total()} of {len(counting.seen)} operations, {dict(tried)}")
