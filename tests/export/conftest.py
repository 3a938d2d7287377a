"""One run, exported once to each format."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from convscope.export import FORMATS, Exported, FormatName, export_run
from convscope.runs import Run


@dataclass(frozen=True)
class Finished:
    """An export that went well."""

    exported: Exported
    folder: Path
    """Where nothing else is."""
    left: dict[str, int]
    """What was left to do of each step, when last told."""


@pytest.fixture(scope="session")
def run(make_run: Callable[..., Run]) -> Run:
    """An untrained LeNet-5 that was tested."""
    return make_run("lenet5", name="shirts", tested=True)


@pytest.fixture(scope="session")
def finished(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[FormatName], Finished]:
    """The run in a format, with a softmax."""

    @cache
    def finish(to: FormatName) -> Finished:
        folder, left = tmp_path_factory.mktemp("exported"), dict[str, int]()

        def progress(name: str, done: int, total: int) -> None:
            left[name] = total - done

        path = folder / f"a.b{FORMATS[to].suffixes[0]}"
        return Finished(export_run(run, to, path, softmax=True, progress=progress), folder, left)

    return finish
