"""Many small pictures in rows on one sheet, in one pair of axes, as a pair for each would take seconds to draw."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from convscope.plots.style import INK, MUTED, PALETTE, WRONG

_GAP = 0.06
"""Between tiles, as a share of their side."""
_LINE = 0.135
"""Inches that a line below a tile takes."""
_LETTER, _TITLE_LETTER = 0.075, 0.09
"""Inches that a letter of a row's name takes, and one of the title."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture with a caption below it."""

    picture: NDArray[Any]
    """Colours (h, w, 3) in [0, 1]."""
    caption: str = ""
    wrong: bool = False
    """Whether the caption is about a mistake."""
    box: tuple[int, int, int, int] | None = None
    """A part to be framed, in pixels: x0, y0, x1, y1."""


def picture_of(image: ArrayLike) -> NDArray[Any]:
    """The colours (H, W, 3) in [0, 1] of an image (1 or 3, H, W): bytes, or floats in [0, 1]."""
    pixels = np.asarray(image)
    scaled = pixels / 255 if pixels.dtype == np.uint8 else pixels
    return np.broadcast_to(scaled.transpose(1, 2, 0), (*pixels.shape[1:], 3))


def draw_sheet(
    rows: Sequence[Sequence[Tile]],
    *,
    names: Sequence[str] | None = None,
    title: str = "",
    side: float = 0.95,
    spare: float = 0.0,
) -> Figure:
    """Tiles in rows, each fitted into a square of `side` inches; `names` of the rows stand at their left.

    At the right so many inches are spared for something else.
    """
    letters = max(8, round(side * 13))  # that fit below a tile
    captions = [[textwrap.wrap(tile.caption, letters)[:3] for tile in row] for row in rows]
    heights = [1 + _GAP + _LINE / side * max(map(len, row), default=0) for row in captions]
    tops = np.cumsum([0.0, *heights])
    across = max(map(len, rows)) * (1 + _GAP)
    left = 0.1 + _LETTER * max((len(line) for name in names or () for line in name.split("\n")), default=0)
    above = 0.35 if title else 0.1
    width = max(left + side * across + spare, left + _TITLE_LETTER * len(title))
    height = above + side * tops[-1]
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")  # all sizes are known
    axes = figure.add_axes((left / width, 0, side * across / width, 1 - above / height))
    for row, texts, top in zip(rows, captions, tops, strict=False):
        for column, (tile, lines) in enumerate(zip(row, texts, strict=True)):
            _draw(axes, tile, lines, left=column * (1 + _GAP), top=top)
    axes.set(xlim=(-0.02, across), ylim=(tops[-1], -0.02), xticks=[])
    axes.set_yticks(tops[:-1] + 0.5 if names else [], names or [], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    return figure


def _draw(axes: Any, tile: Tile, lines: Sequence[str], *, left: float, top: float) -> None:
    """A tile in the square of side 1 whose upper left corner is given."""
    height, width = tile.picture.shape[:2]
    scale = 1 / max(height, width)
    x0, y0 = left + (1 - width * scale) / 2, top + (1 - height * scale) / 2
    # Matplotlib counts rows downwards in pictures, and so does this sheet.
    axes.imshow(
        np.clip(tile.picture, 0, 1),
        extent=(x0, x0 + width * scale, y0 + height * scale, y0),
        interpolation="nearest",
        aspect="auto",
    )
    axes.add_patch(Rectangle((x0, y0), width * scale, height * scale, fill=False, edgecolor="#bdbdbd", linewidth=0.5))
    if tile.box is not None:
        left_edge, upper, right_edge, lower = (edge * scale for edge in tile.box)
        place = (x0 + left_edge, y0 + upper)
        axes.add_patch(
            Rectangle(place, right_edge - left_edge, lower - upper, fill=False, edgecolor=PALETTE[1], linewidth=1.5)
        )
    if lines:
        axes.text(
            *(left + 0.5, top + 1.02, "\n".join(lines)),
            ha="center",
            va="top",
            fontsize=7,
            color=WRONG if tile.wrong else (INK if len(lines) > 1 else MUTED),
            fontweight="bold" if tile.wrong else "normal",
            linespacing=1.15,
        )
