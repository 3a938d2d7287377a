"""The columns of `convscope runs`, and how they are printed in each format."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from convscope.cli.console import console, plain_table
from convscope.errors import on_one_line
from convscope.numbers import MISSING, duration, percent, whole
from convscope.runs.exports import to_csv, to_markdown
from convscope.runs.listing import Row

Format = Literal["table", "csv", "json", "markdown"]


@dataclass(frozen=True)
class Column:
    """One column: its title and text for people, and what programs get of it, by name."""

    title: str
    names: tuple[str, ...]
    text: Callable[[Row], str]
    right: bool = False
    """Whether it is aligned to the right, as numbers are."""


def run_columns(shown: Sequence[str]) -> list[Column]:
    """Of a list of runs, with more that are to be `shown`."""
    head = [_plain("name", title="run"), _DATA, _plain("model")]
    tail = [_EPOCHS, _accuracy("val"), _accuracy("test"), _TIME, _plain("status")]
    return [*head, *_more(shown, [*head, *tail]), *tail]


def group_columns(by: Sequence[str], shown: Sequence[str]) -> list[Column]:
    """Of a list of groups `by` some names, or by all of the setting but the seed."""
    head = [_DATA if name == "data" else _plain(name) for name in by] or [_plain("setting"), _DATA]
    count = Column("runs", ("runs", "names"), lambda row: str(row["runs"]), right=True)
    tail = [count, _EPOCHS, _accuracy("val", "val_std"), _accuracy("test", "test_std"), _TIME]
    return [*head, *_more(shown, [*head, *tail]), *tail]


def print_rows(rows: Sequence[Row], columns: Sequence[Column], style: Format) -> None:
    """The rows on standard output: numbers in full in csv and json, and as people read them in the others."""
    names = [name for column in columns for name in column.names]
    titles, right = [column.title for column in columns], [column.right for column in columns]
    if style == "json":
        print(json.dumps([{name: row.get(name) for name in names} for row in rows], indent=1))
    elif style == "csv":
        print(to_csv(names, [[row.get(name) for name in names] for row in rows]), end="")
    elif style == "markdown":
        print(to_markdown(titles, [[column.text(row) for column in columns] for row in rows], right=right), end="")
    else:
        table = plain_table()
        for column in columns:
            # Never cut off: names are there to be copied.
            table.add_column(
                on_one_line(column.title),
                justify="right" if column.right else "left",
                no_wrap=column.right,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(on_one_line(column.text(row)) for column in columns))
        console().print(table)


def _plain(name: str, *, title: str | None = None) -> Column:
    return Column(title or name, (name,), lambda row: _text(row.get(name)))


def _accuracy(split: str, *deviation: str) -> Column:
    """Of a split; in the row of a group the mean, with its standard deviation."""

    def text(row: Row) -> str:
        spreads = [row[name] for name in deviation if row[name] is not None]
        return " ± ".join(map(percent, (row[split], *spreads)))

    return Column(f"{split} acc", (split, *deviation), text, right=True)


def _more(shown: Sequence[str], present: Sequence[Column]) -> Iterator[Column]:
    names = {name for column in present for name in column.names}
    return (_plain(name) for name in shown if name not in names)


def _text(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_DATA = Column("data", ("data",), lambda row: PurePath(row["data"]).name if row["data"] else MISSING)
_EPOCHS = Column("epochs", ("epochs",), lambda row: whole(row["epochs"]), right=True)
_TIME = Column("time", ("seconds",), lambda row: duration(row["seconds"]), right=True)
