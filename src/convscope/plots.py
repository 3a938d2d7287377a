"""The pictures: how training went, what a data set holds, what a network gets right and wrong.

Every function returns a `matplotlib.figure.Figure`, which a notebook shows and `save_figure` writes. Pyplot,
with its windows and its global list of open figures, is not used.

Shapes: N images, C channels (1 or 3), H, W pixels, K classes. Arrays are numpy or whatever numpy can read.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

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

# The panels of `curves`: title, the column drawn dashed, the column drawn solid.
PANELS = (
    ("loss", "train_loss", "val_loss"),
    ("accuracy", "train_accuracy", "val_accuracy"),
    ("learning rate", None, "lr"),
)


@style.context(["default", LOOK])
def curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Loss, accuracy and learning rate of one run or several, in three panels side by side.

    Each history holds one mapping an epoch with `epoch`, `train_loss`, `val_loss`, `train_accuracy`,
    `val_accuracy` and `lr`. A run keeps one colour: dashed on the training split, solid on the validation
    split, ringed at the epoch of its lowest validation loss.
    """
    if not any(histories.values()):
        raise UserError("there are no epochs to draw: train for at least one first.")
    names = [*histories, "training", "validation", "lowest validation loss"]
    # Inches: a legend entry is a line of 0.7 and 0.085 a letter, in a figure 12 wide.
    legend_columns = int(np.clip(12 / (0.7 + 0.085 * max(map(len, names))), 1, 6))
    figure = Figure(figsize=(12, 3.6 + 0.25 * math.ceil(len(names) / legend_columns)))
    panels = figure.subplots(1, len(PANELS))
    handles = [Line2D([], [], color=colour, linewidth=2) for colour in _colours(len(histories))]
    for history, handle in zip(histories.values(), handles, strict=True):
        _draw_run(panels, history, handle.get_color())
    epochs = [row["epoch"] for history in histories.values() for row in history]
    margin = max(0.5, 0.05 * (max(epochs) - min(epochs)))
    for (title, _, _), axes in zip(PANELS, panels, strict=True):
        axes.set(title=title, xlabel="epoch", xlim=(min(epochs) - margin, max(epochs) + margin))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(True)
    panels[1].yaxis.set_major_formatter(PercentFormatter(xmax=1))
    _scale_rates(panels[2], [row["lr"] for history in histories.values() for row in history])
    handles += [
        Line2D([], [], color=MUTED, linestyle="--"),
        Line2D([], [], color=MUTED),
        Line2D([], [], color=MUTED, marker="o", fillstyle="none", linestyle="none", markersize=9),
    ]
    figure.legend(handles, names, loc="outside lower center", ncols=legend_columns)
    return figure


def _draw_run(panels: Sequence[Axes], history: Sequence[Mapping[str, Any]], colour: Any) -> None:
    epochs = [row["epoch"] for row in history]
    losses = np.array([row["val_loss"] for row in history], dtype=float)
    # A diverged run ends in NaN, which is never the lowest.
    best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else None
    for axes, (_, dashed, solid) in zip(panels, PANELS, strict=True):
        for column, line in ((dashed, "--"), (solid, "-")):
            if column is not None:
                # Dots show that there is one value an epoch, and keep a run of a single epoch visible.
                axes.plot(epochs, [row[column] for row in history], line, color=colour, marker=".", markersize=4)
        if best is not None and dashed is not None:
            axes.plot(epochs[best], history[best][solid], "o", color=colour, fillstyle="none", markersize=9)


def _scale_rates(axes: Axes, rates: Sequence[float]) -> None:
    if min(rates) > 0 and max(rates) / min(rates) >= 10:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    # "0.001" rather than a power of ten with a raised exponent, which is formula text.
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


@style.context(["default", LOOK])
def confusion_matrix(counts: ArrayLike, classes: Sequence[str]) -> Figure:
    """Counts (K, K), rows true and columns predicted; a cell's colour is its share of the row.

    Up to 25 classes the counts are written into the cells.
    """
    cells = np.asarray(counts)
    total, num_classes = max(1, int(cells.sum())), len(classes)
    shares = cells / np.maximum(1, cells.sum(axis=1, keepdims=True))
    side = float(np.clip(3 + 0.48 * num_classes, 4.5, 14))
    figure = Figure(figsize=(side + 1, side))
    axes = figure.subplots()
    # A square-root scale: errors are a few per cent, which a linear one would leave as good as white.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    bar = figure.colorbar(image, ax=axes, shrink=0.7, format="{x:.0%}", label="share of the true class")
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.outline.set_visible(False)
    font = _tick_size(num_classes)
    names = [_short(name) for name in classes]
    axes.set_xticks(range(num_classes), names, fontsize=font)
    axes.set_yticks(range(num_classes), names, fontsize=font)
    axes.tick_params(length=0)
    # Inches: a letter is about 0.09 wide, and about 2.5 of the figure are not cells.
    if 0.09 * max(map(len, names)) > (side - 2.5) / num_classes:
        for text in axes.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="true")
    right = int(np.trace(cells))
    axes.set_title(f"{right:,} of {int(cells.sum()):,} right ({right / total:.1%})")
    if num_classes <= 25:
        _write_counts(axes, cells, shares)
    return figure


def _write_counts(axes: Axes, cells: NDArray[Any], shares: NDArray[Any]) -> None:
    for (row, column), count in np.ndenumerate(cells):
        # White on the dark half of the colours; zeros step back, so that the eye finds the errors.
        colour = "white" if shares[row, column] > 0.35 else (INK if count else "#b5b5b5")
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)


@style.context(["default", LOOK])
def prediction_grid(
    images: ArrayLike,
    labels: ArrayLike,
    predictions: ArrayLike,
    classes: Sequence[str],
    confidences: ArrayLike | None = None,
    columns: int = 8,
) -> Figure:
    """Images uint8 (N, C, H, W), each under what the network said and above what is true; wrong ones in red.

    labels and predictions are class numbers (N,); confidences (N,), when given, are the probabilities of the
    predicted classes.
    """
    figure, cells = _cells(images, columns, height=1.75)
    truth, answers = np.asarray(labels), np.asarray(predictions)
    for index, axes in enumerate(cells):
        right = bool(truth[index] == answers[index])
        said = _short(classes[answers[index]])
        if confidences is not None:
            said += f" ({np.asarray(confidences)[index]:.0%})"
        axes.set_title(said, fontsize=8, loc="center", pad=4, color=INK if right else WRONG)
        axes.set_xlabel(
            f"true: {_short(classes[truth[index]])}",
            fontsize=8,
            color=MUTED if right else WRONG,
            # Red and grey differ for everyone, but weight and a thicker frame are seen even in print.
            fontweight="normal" if right else "bold",
        )
        axes.spines[:].set(color="#bdbdbd" if right else WRONG, linewidth=0.8 if right else 2.5)
    return figure


@style.context(["default", LOOK])
def sample_strip(images: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> Figure:
    """Images uint8 (N, C, H, W) in rows of ten, each over the name of its class; labels (N,)."""
    figure, cells = _cells(images, columns=10, height=1.5)
    for axes, label in zip(cells, np.asarray(labels), strict=True):
        axes.set_xlabel(_short(classes[label]), fontsize=8)
    return figure


@style.context(["default", LOOK])
def mean_images(means: ArrayLike, classes: Sequence[str]) -> Figure:
    """The mean image of each class, (K, C, H, W) in [0, 1]: what a class looks like on average."""
    figure, cells = _cells(means, columns=min(10, len(classes)), height=1.5)
    for axes, name in zip(cells, classes, strict=True):
        axes.set_xlabel(_short(name), fontsize=8)
    return figure


@style.context(["default", LOOK])
def class_distribution(counts: ArrayLike, classes: Sequence[str]) -> Figure:
    """Images of each class, counts (K,), as bars, the first class on top."""
    values, num_classes = np.asarray(counts), len(classes)
    font = _tick_size(num_classes)
    figure = Figure(figsize=(7, float(np.clip(0.8 + 0.3 * num_classes, 2.5, 14))))
    axes = figure.subplots()
    bars = axes.barh(range(num_classes), values, color=PALETTE[0], height=0.75)
    axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=3, fontsize=font, color=MUTED)
    axes.set_yticks(range(num_classes), [_short(name) for name in classes], fontsize=font)
    axes.set(ylim=(num_classes - 0.5, -0.5), xlabel="images", title=f"{int(values.sum()):,} images")
    # Room for the numbers at the ends of the bars.
    axes.margins(x=0.12)
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)
    return figure


@style.context(["default", LOOK])
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG at 150 dots an inch; the same figure gives the same bytes."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # A class named in a script the font lacks is drawn as boxes: a pity, but no reason to bother anyone.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # Matplotlib would sign the file with its version.
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})


def _cells(images: ArrayLike, columns: int, height: float) -> tuple[Figure, list[Axes]]:
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


def _colours(count: int) -> list[Any]:
    """As many distinct colours as asked for; beyond the palette, from a scale that shows their order."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count)))


def _tick_size(num_classes: int) -> float:
    """Points for class names along an axis: 9 for a few, 5 for a hundred."""
    return float(np.clip(10.4 - 0.054 * num_classes, 5, 9))


def _short(name: str) -> str:
    """A class name on one line of at most 18 characters."""
    line = " ".join(name.split())
    return line if len(line) <= 18 else line[:17] + "…"
