"""Searches whose trials take moments, and some that train nothing at all."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from convscope.config import Config
from convscope.search.plan import SearchPlan
from convscope.search.reading import parse_dimension
from convscope.search.records import Outcome
from convscope.search.study import Study

Begin = Callable[..., Study]


@pytest.fixture(scope="session", autouse=True)
def _records_do_not_wait_for_the_disk() -> None:
    """SQLite would at each of thousands of transactions, which guards against a power failure alone."""
    event.listen(Engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))


@pytest.fixture
def begin(fashion_slice: Path, tmp_path: Path) -> Begin:
    """Begins a search of `linear` on the slice; `vary` has the words of the command line."""

    def run(*vary: str, folder: str = "search", base: dict[str, Any] | None = None, **options: Any) -> Study:
        setting = Config(
            **{
                "data": str(fashion_slice),
                "model": "linear",
                "input_size": 8,
                "epochs": 2,
                "threads": 1,
                "device": "cpu",
            }
            | (base or {})
        )
        space = dict(map(parse_dimension, vary or ("lr=1e-4..1e-1:log", "batch_size=32,64,128")))
        return Study.create(tmp_path / folder, SearchPlan(setting, space, **options))

    return run


@pytest.fixture
def untrained() -> Callable[[Study, int], None]:
    """Puts so many trials on record without training any: the nearer lr is to 0.01, by its factor, the better."""

    def run(study: Study, trials: int) -> None:
        with study.worker() as worker:
            while (claim := study.claim(worker, trials=trials)) is not None:
                accuracy = 1 - abs(math.log10(claim.setting.lr) + 2) / 4
                study.settle(claim.number, Outcome("finished", 1 - accuracy, accuracy, epochs=2, seconds=1.0))

    return run
