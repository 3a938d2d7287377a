"""The terminal as the verbs write to it."""

import os
import shlex

from rich.console import Console
from rich.table import Table

from convscope.runs import Run

WIDTH = 200
"""Characters a line where nobody can say how many there are: in a pipe or a file."""


def console() -> Console:
    """A console that prints texts as they are, and does not fold tables that go into a file."""
    screen = Console(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal and "COLUMNS" not in os.environ:
        screen.width = WIDTH
    return screen


def plain_table(*columns: str) -> Table:
    """A table without lines; `columns` are the first ones, left-aligned."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def resume_command(run: Run) -> str:
    """The command that goes on with a run, and with all that is written down of it."""
    events = " --tensorboard" if run.events.is_dir() else ""
    return f"convscope train --resume {shlex.quote(str(run.path))}{events}"
