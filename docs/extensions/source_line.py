"""The role {source}`convscope.models.vgg.VGG.forward`: the line where that is defined, linked to the source.

Sphinx's viewcode makes the pages that it leads to, of what the reference documents.
"""

import inspect
import pkgutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole


def find(name: str) -> tuple[Path, int, str]:
    """The file of a module, class, function or method, its line, and where viewcode shows it; else a `ValueError`."""
    try:
        found = inspect.unwrap(pkgutil.resolve_name(name))
        file = Path(inspect.getsourcefile(found) or "")
        _, number = inspect.getsourcelines(found)
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"no source of {name}: {error}") from error
    if inspect.ismodule(found):
        return file, 1, _page(found.__name__)
    return file, number, f"{_page(found.__module__)}#{found.__qualname__}"


def _page(module: str) -> str:
    return f"_modules/{module.replace('.', '/')}.html"


class Source(SphinxRole):
    """Names the file and the line."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The link; a name that is not there is an error of the page."""
        try:
            file, number, page = find(self.text)
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [nodes.literal(text=self.text)], [message]
        self.env.note_dependency(file)  # the line may move
        text = nodes.literal(text=f"{file.name}, line {number}")
        return [nodes.reference("", "", text, internal=True, refuri="../" * self.env.docname.count("/") + page)], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the role known to Sphinx."""
    app.add_role("source", Source())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
