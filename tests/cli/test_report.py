"""`convscope report` as a user meets it; what is on the page is tested with the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.config import Config
from convscope.runs import Run

Command = Callable[..., Any]
Refused = Callable[..., str]


def test_the_page_is_written_and_named(command: Command, run_path: Path) -> None:
    page = run_path / "report.html"
    written = page.read_bytes()
    page.unlink()
    done = command("report", "first")
    assert (done.status, done.out, done.err) == (0, "runs/first/report.html\n", "")
    assert page.read_bytes() == written


def test_a_run_that_is_not_finished_has_a_report_too(command: Command, place: Path) -> None:
    Run.create(Path("runs"), "stopped", Config(), {}).write_metrics({"status": "interrupted"})
    assert command("report", "latest").out == "runs/stopped/report.html\n"
    assert "convscope train --resume runs/stopped" in Path("runs/stopped/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["frist"], "there is no run 'frist': the runs in runs are: first."),
        (["photos"], "photos is not a run"),
        (["first"], "runs/first/history.csv is damaged"),
    ],
)
def test_mistakes(words: list[str], sentence: str, run_path: Path, place: Path, refused: Refused) -> None:
    (place / "photos").mkdir()
    (run_path / "history.csv").write_text("epoch\nx\n", encoding="utf-8")
    assert refused("report", *words).startswith(sentence)
