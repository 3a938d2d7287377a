"""The chapters of the book: their code runs, and computes what their sentences show."""

import re
import socket
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import notebooks
import pytest
import torch
from nbclient import NotebookClient

from convscope.catalog import DATA
from convscope.learn import CHAPTERS

PAGES = sorted(notebooks.BOOK.glob("*.md"))
WITH_CODE = [page for page in sorted(notebooks.DOCS.rglob("*.md")) if "{code-cell}" in page.read_text(encoding="utf-8")]

HEAD = """---
file_format: mystnb
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
# """

# With a point or a comma in it, or a percent sign after it.
NUMBER = r"(?<![\w.,])\d[\d,]*\.\d+|(?<![\w.,])\d{1,3}(?:,\d{3})+(?![,.]?\d)|(?<![\w.,])\d+(?=\\?%)"

# How many images the data sets have, the usual intervals, Adam's and SGD's usual settings.
SIZES = {float(size) for entry in DATA.values() for size in (entry.train_images, entry.test_images) if size}
KNOWN = SIZES | {70_000.0, 54_000.0, 0.95, 0.99, 0.9, 0.999}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty folder, without a network; what a page does to PyTorch and Matplotlib is undone."""

    def refuse(*address: object) -> None:
        raise AssertionError(f"the page wants to be connected with {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    with matplotlib.rc_context(), torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)
    plt.close("all")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_code_runs_and_computes_what_the_text_shows(page: Path) -> None:
    """From top to bottom in one namespace; a sentence shows what was computed above it."""
    names: dict[str, object] = {"__name__": "__main__"}
    code = ""
    for number, cell in enumerate(notebooks.read(page).cells):
        if cell.cell_type == "code":
            code = cell.source
            exec(compile(code, f"{page.name}, cell {number}", "exec"), names)
        else:
            for name in re.findall(r"\{eval\}`([^`]*)`", cell.source):
                assert name in names, f"{name} is shown, but not computed above"
                assert not code.rstrip().endswith(";"), f"the ; of the cell before it hides {name} too"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_chapter_has_all_its_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    chapter = next(chapter for chapter in CHAPTERS if page.stem == f"{chapter.number:02}-{chapter.name}")
    assert text.startswith(HEAD)
    assert "remove-cell" not in text, "what is removed is not run before the {eval} after it: say remove-input"
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", prose, flags=re.MULTILINE)) == 1
    exercises = prose.partition("\n## Exercises\n")[2]
    assert exercises
    assert 2 <= len(chapter.exercises) <= 4
    for exercise in chapter.exercises:
        assert f"`{exercise.name}`" in exercises


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_numbers_of_the_text_are_computed_or_cited(page: Path) -> None:
    """A fraction, share or large number of a sentence stands in a cell too, which asserts it; or its paragraph, or one
    before it in the section, links to where it is published; or it is one of those that are known.
    """
    text = page.read_text(encoding="utf-8")
    cells = "".join(re.findall(r"^```\{code-cell\}.*?^```$", text, re.MULTILINE | re.DOTALL)).replace("_", "")
    computed = {float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", cells)} | KNOWN
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    loose = [
        (section.partition("\n")[0], number)
        for section in re.split(r"^#+ ", prose, flags=re.MULTILINE)
        for paragraph in takewhile(lambda part: "](http" not in part, re.split(r"\n\s*\n", section))
        for number in re.findall(NUMBER, paragraph)
        if not {float(number.replace(",", "")), round(float(number.replace(",", "")) / 100, 8)} & computed
    ]
    assert loose == []


def test_every_chapter_is_there_and_in_the_order_of_the_book() -> None:
    assert [page.stem for page in PAGES] == [f"{chapter.number:02}-{chapter.name}" for chapter in CHAPTERS]
    index = (notebooks.DOCS / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^book/(.*)$", index, flags=re.MULTILINE) == [page.stem for page in PAGES]


def test_notebooks_have_nothing_that_jupyter_would_not_understand(tmp_path: Path) -> None:
    notebooks.main(tmp_path / "made")
    for page in PAGES:
        made = notebooks.jupytext.read(tmp_path / "made" / f"{page.stem}.ipynb")
        assert [cell.source for cell in made.cells if cell.cell_type == "code"] == [
            cell.source for cell in notebooks.read(page).cells if cell.cell_type == "code"
        ]
        text = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
        assert not re.search(r"\{[\w-]+\}`|^[`:]{3,}\{", text, flags=re.MULTILINE)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            assert "://" in target or (tmp_path / "made" / target).exists(), target


def test_a_notebook_runs_in_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    made = notebooks.notebook(notebooks.BOOK / "03-pooling.md", tmp_path)
    NotebookClient(made, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(output.get("data", {}).get("image/png") for cell in made.cells for output in cell.get("outputs", ()))
