"""`convscope report` as a user meets it; what is on the page is tested with the page."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.config import Config
from convscope.files import write_text
from convscope.runs import Run, create_run

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
    create_run(Path("runs"), "stopped", Config(), {}).write_metrics({"status": "interrupted"})
    assert command("report", "latest").out == "runs/stopped/report.html\n"
    assert "convscope train --resume runs/stopped" in Path("runs/stopped/report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_pictures")
def test_slides_and_several_runs(command: Command, run_path: Path) -> None:
    assert command("report", "first", "--slides").out == "runs/first/report.html\nruns/first/slides.html\n"
    second = run_path.parent / "second"
    shutil.copytree(run_path, second)
    write_text(second / "config.yaml", replace(Run(second).config(), lr=0.1).to_yaml())
    done = command("report", "first", "second", "--slides")
    assert (done.status, done.err) == (0, "")
    page, slides = (Path(line) for line in done.out.splitlines())
    assert page.parent.parent == Path("runs/comparisons") and page.parent == slides.parent
    assert (page.name, slides.name) == ("comparison.html", "slides.html")
    # The same network twice is right on the same images.
    assert "The difference could be chance" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "there is nothing to report on"),
        (["first", "first"], "a comparison needs at least two different runs"),
        (["frist"], "there is no run 'frist': the runs in runs are: first."),
        (["photos"], "photos is not a run"),
        (["first"], "runs/first/history.csv is damaged"),
    ],
)
def test_mistakes(words: list[str], sentence: str, run_path: Path, place: Path, refused: Refused) -> None:
    (place / "photos").mkdir()
    (run_path / "history.csv").write_text("epoch\nx\n", encoding="utf-8")
    assert refused("report", *words).startswith(sentence)
