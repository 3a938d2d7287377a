"""How the pictures look, and how they are written."""

import io
import math
import re
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from convscope.errors import UserError
from convscope.files import atomic_path

INK, MUTED, PALE, WRONG = "#222222", "#767676", "#e4e4e4", "#c1121f"

# Okabe and Ito's palette (2008), which stays distinct under every common colour blindness, without its yellow
# (hardly seen on white) and its black (taken by the text).
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

# Laid over Matplotlib's own defaults, so that a style chosen elsewhere (a dark notebook) cannot leave white
# text on our white paper. Names are printed as they are: a "$" in one does not begin a formula.
LOOK: dict[str, Any] = {
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": PALE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


@style.context(["default", LOOK])
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at 150 dots an inch; the same figure gives the same bytes."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # A class named in a script the font lacks is drawn as boxes: a pity, but no reason to bother anyone.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # The same bytes as from `savefig`, which goes through all of the figure once more to learn nothing from it.
        canvas, dpi = FigureCanvasAgg(figure), figure.dpi
        try:
            figure.dpi = 150
            # Matplotlib would sign the file with its version.
            canvas.print_png(temporary, metadata={"Software": None})  # type: ignore[no-untyped-call]
        finally:
            figure.dpi = dpi


_ON_PAGES = {INK: "var(--ink)", MUTED: "var(--soft)", PALE: "var(--line)"}


@style.context(["default", LOOK, {"svg.fonttype": "none", "svg.hashsalt": "convscope"}])
def svg(figure: Figure) -> str:
    """A figure as an `<svg>` element for our pages: no paper of its own, and text and lines in the page's colours.

    So it is as dark as the page is; letters stay letters. The same figure gives the same text.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]  # what is before it belongs to a file of its own
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # two figures on a page have groups of the same names
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # would hold for the whole page
    for colour, variable in _ON_PAGES.items():
        text = text.replace(colour, variable)
    return text


def cells_of(images: ArrayLike, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of images in rows of `columns`, and the axes of each, bare but for a thin frame."""
    pictures = np.asarray(images)
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3) or len(pictures) == 0:
        raise UserError(
            f"images of shape {pictures.shape} cannot be drawn: give (N, C, H, W), at least one image, "
            "of 1 or 3 channels."
        )
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    figure = Figure(figsize=(1.35 * columns, height * rows))
    cells = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, picture in zip(cells, pictures, strict=False):
        # Matplotlib wants channels last: (C, H, W) -> (H, W, C), and grey images as (H, W).
        pixels = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        brightest = 255 if pictures.dtype == np.uint8 else 1
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=brightest, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="#bdbdbd")
    for axes in cells[len(pictures) :]:
        axes.remove()
    return figure, cells[: len(pictures)]


def colours(count: int) -> list[Any]:
    """As many distinct colours as asked for; beyond the palette, from a scale that shows their order."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count)))


def tick_size(num_classes: int) -> float:
    """Points for class names along an axis: 9 for a few, 5 for a hundred."""
    return float(np.clip(10.4 - 0.054 * num_classes, 5, 9))


def short_name(name: str) -> str:
    """A class name on one line of at most 18 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 18 else line[:17] + "…"
