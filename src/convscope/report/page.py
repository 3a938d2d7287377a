"""What all pages share: how a template is filled in and written.

A page loads nothing (its pictures are embedded, it has no scripts), so it can be mailed, printed, and read years
later.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from convscope import plots
from convscope.files import write_text
from convscope.numbers import compact, counted, duration, number, percent, short, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Fill in a template of this folder, write it to `path` and return that.

    Raises:
        ConvscopeError: the page cannot be written.
    """
    write_text(path, _environment().get_template(template).render(content))
    return path


def drawing(figure: "Figure") -> Markup:
    """A figure as a part of a page, in its colours; Matplotlib has escaped all texts in it."""
    return Markup(plots.svg(figure))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        # Class names, run names and settings come from files that anyone may have written.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "whole": whole,
        "compact": compact,
        "counted": counted,
        "short": short,
        "duration": duration,
    }
    return environment
