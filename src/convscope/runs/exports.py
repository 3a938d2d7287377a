"""Tables for other programs; names in them may be anybody's, and must steer neither terminal nor spreadsheet."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from convscope.errors import on_one_line

_FORMULA = tuple("=+-@＝＋－＠")
"""What a cell begins with that spreadsheets compute, so that a file can run a program there: OWASP, CSV Injection."""
_MARKS = re.compile(r"([\\`*\[\]<|])")
"""What means something within a cell of Markdown."""


def to_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A line of names, and a line for each row; numbers in full, empty where there is no value.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (names, *rows):
        writer.writerow([_csv_cell(value) for value in row])
    return text.getvalue()


def to_markdown(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool]) -> str:
    """A table as GitHub shows it, its columns aligned to the `right` or not."""
    rules = ["---:" if aligned else "---" for aligned in right]
    cells = [[_MARKS.sub(r"\\\1", on_one_line(cell)) for cell in row] for row in (titles, *rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (cells[0], rules, *cells[1:]))


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    if not isinstance(value, str):
        return value
    text = on_one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
