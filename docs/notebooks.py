"""The chapters of the book as notebooks to play with: `make notebooks`, or `python docs/notebooks.py FOLDER`."""

import os
import re
import sys
from pathlib import Path

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

DOCS = Path(__file__).parent
BOOK = DOCS / "book"
sys.path.insert(0, str(DOCS / "extensions"))

NOTE = (
    "*This notebook was made from [a chapter]({page}) of Convscope's book. Names such as `accuracy` within a sentence "
    "are variables that the code computes. What is changed here is lost when the notebooks are made anew: save a copy.*"
)


def main(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted(BOOK.glob("*.md")):
        jupytext.write(notebook(page, folder), folder / f"{page.stem}.ipynb")
    print(f"the notebooks are in {folder}; to open them:")
    print(f"{sys.executable} -m pip install jupyterlab; {sys.executable} -m jupyterlab {folder}")


def notebook(page: Path, folder: Path) -> NotebookNode:
    """A chapter as it is to be in a folder: Jupyter knows nothing of what MyST adds to Markdown."""
    made = read(page)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = _plain(cell.source, page, folder)
        elif "hide-input" in cell.metadata.get("tags", ()):
            cell.metadata["jupyter"] = {"source_hidden": True}
    made.cells.insert(0, new_markdown_cell(NOTE.format(page=os.path.relpath(page, folder))))
    return made


def read(page: Path) -> NotebookNode:
    """The cells of a chapter as they are written."""
    return jupytext.read(page, fmt="md:myst")


def _plain(text: str, page: Path, folder: Path) -> str:
    """Markdown without MyST's roles and directives, whose links hold in that folder."""
    from source_line import find

    def link(match: re.Match[str]) -> str:
        target, _, anchor = match[1].partition("#")
        if "://" in target or not target:
            return match[0]
        linked = (page.parent / target).resolve()
        if linked.parent == BOOK.resolve():
            return f"]({linked.stem}.ipynb{'#' * bool(anchor)}{anchor})"
        return f"]({os.path.relpath(linked, folder.resolve())})"

    def source(match: re.Match[str]) -> str:
        file, number, _ = find(match[1])
        return f"[`{file.name}`, line {number}]({os.path.relpath(file, folder.resolve())})"

    text = re.sub(r"\]\(([^)\s]+)\)", link, text)
    text = re.sub(r"\{source\}`([^`]+)`", source, text)
    return re.sub(r"\{eval\}(`[^`]+`)", r"\1", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
