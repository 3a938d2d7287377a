"""The directive {help-text}: what `convscope ... --help` prints."""

import contextlib
import io
import os
import re
from typing import Any
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from convscope.cli.main import main


class HelpText(SphinxDirective):
    """The words after its name are those of the command line; prose becomes prose, the rest stays as it is."""

    optional_arguments = 9

    def run(self) -> list[nodes.Node]:
        """The text as the terminal shows it, without colours."""
        text, box, flags = help_text(self.arguments).partition("╭")
        pieces = [_piece(part) for part in re.split(r"\n\s*\n", text) if part.strip()]
        return pieces + [nodes.literal_block(text=box + flags, language="text")] * bool(box)


def help_text(words: list[str]) -> str:
    """What the command prints for `words --help` on a terminal as wide as a page; `ValueError` if that is an error."""
    printed, wrong = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    plain = {"COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb"}
    with (
        mock.patch.dict(os.environ, plain),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(wrong),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    if wrong.getvalue():
        raise ValueError(wrong.getvalue().strip())
    printed.seek(0)
    return printed.read().strip("\n")


def _piece(text: str) -> nodes.Element:
    """A paragraph of prose; what is a command or a list stays as it is."""
    if text.startswith("usage: "):
        return nodes.literal_block(text=text.removeprefix("usage: "), language="text")
    if text.startswith(("$ ", " ")) or "\n  " in text:
        return nodes.literal_block(text=text, language="console" if text.startswith("$ ") else "text")
    paragraph = nodes.paragraph()
    for number, part in enumerate(text.replace("\n", " ").split("`")):
        paragraph += nodes.literal(text=part) if number % 2 else nodes.Text(part)
    return paragraph


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known to Sphinx."""
    app.add_directive("help-text", HelpText)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
