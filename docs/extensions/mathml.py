"""Formulas as MathML, which browsers draw by themselves: no script and no font to be fetched."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

_logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make it a renderer of formulas for Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(page: Any, node: nodes.math) -> None:
    page.body.append(_mathml(node))
    raise nodes.SkipNode


def _block(page: Any, node: nodes.math_block) -> None:
    page.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, as_block: bool = False) -> str:
    """Docutils' translation, with a little room between a function's name and what it is of: ln x, but ln(x)."""
    try:
        formula = tex2mathml(node.astext().strip(), as_block=as_block)
    except MathError as error:
        _logger.warning("formula: %s", error, location=node)
        return ""
    return re.sub(r"<mo>(&ApplyFunction;</mo>)(?!\s*<mo[^>]*>[(\[])", r'<mo rspace="0.17em">\1', formula)
