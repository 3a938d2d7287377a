"""Memory and time before a training.  R-C6"""

from dataclasses import replace
from pathlib import Path

import pytest

from convscope.config import Config
from convscope.doctor.training import cost
from convscope.doctor.training.cost import estimate_memory, estimate_time, find_too_large
from convscope.experiment.session import Session

SMALL = Config(model="tinyvgg", input_size=28, batch_size=256, device="cpu", precision="float32", threads=1, epochs=3)


@pytest.fixture(scope="module")
def session(fashion_slice: Path) -> Session:
    return Session.prepare(replace(SMALL, data=str(fashion_slice)))


def test_memory_that_suffices(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "memory_gib", lambda: 64.0)
    monkeypatch.setattr(cost, "process_memory", lambda: 100 * 2**20)  # not what earlier tests have taken
    memory = estimate_memory(session)
    assert 2**27 < memory["total"] < 2**31
    assert memory["available"] == 64 * 2**30
    assert memory["largest_batch"] > 2 * 256 and memory["largest_batch"].bit_count() == 1
    assert memory["micro_batch"] is None
    assert [*find_too_large(memory, 256)] == []


def test_a_batch_that_does_not_fit_goes_through_in_parts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "process_memory", lambda: 100 * 2**20)
    total = estimate_memory(session)["total"]
    monkeypatch.setattr(cost, "memory_gib", lambda: 0.9 * total / 2**30)
    memory = estimate_memory(session)
    assert memory["micro_batch"] in (2, 4, 8, 16, 32, 64, 128)
    assert memory["largest_batch"] < 256
    (finding,) = find_too_large(memory, 256)
    assert finding.kind == "too little memory"
    assert f"--micro-batch {memory['micro_batch']}:" in finding.remedy
    assert f"--batch-size {memory['largest_batch']}" in finding.remedy


def test_nothing_fits_or_nobody_knows(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "memory_gib", lambda: 0.01)
    memory = estimate_memory(session)
    assert (memory["micro_batch"], memory["largest_batch"]) == (None, 0)
    (finding,) = find_too_large(memory, 256)
    assert "--input-size" in finding.remedy
    monkeypatch.setattr(cost, "memory_gib", lambda: None)
    memory = estimate_memory(session)
    assert (memory["available"], memory["largest_batch"]) == (None, None)
    assert [*find_too_large(memory, 256)] == []


def test_time(session: Session) -> None:
    time = estimate_time(session, 0.5)
    assert time["steps"] == 3 * 3  # 540 images in batches of 256
    assert time["seconds"] == pytest.approx(3 * (540 + 60 / 3) * 0.5 / 256)
