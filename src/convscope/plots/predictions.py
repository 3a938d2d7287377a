"""What a network gets right and wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from convscope.plots.style import INK, LOOK, MUTED, PALETTE, WRONG, cells_of, short_name, tick_size


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
    font = tick_size(num_classes)
    names = [short_name(name) for name in classes]
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
    figure, cells = cells_of(images, columns, height=1.75)
    truth, answers = np.asarray(labels), np.asarray(predictions)
    for index, axes in enumerate(cells):
        right = bool(truth[index] == answers[index])
        said = short_name(classes[answers[index]])
        if confidences is not None:
            said += f" ({np.asarray(confidences)[index]:.0%})"
        axes.set_title(said, fontsize=8, loc="center", pad=4, color=INK if right else WRONG)
        axes.set_xlabel(
            f"true: {short_name(classes[truth[index]])}",
            fontsize=8,
            color=MUTED if right else WRONG,
            # Red and grey differ for everyone, but weight and a thicker frame are seen even in print.
            fontweight="normal" if right else "bold",
        )
        axes.spines[:].set(color="#bdbdbd" if right else WRONG, linewidth=0.8 if right else 2.5)
    return figure


@style.context(["default", LOOK])
def reliability(bins: Sequence[Any]) -> Figure:
    """How often answers of each confidence are right (above), and how many there are (below).

    Takes bins with `low`, `high`, `images`, `confidence` and `accuracy`, such as those of
    `metrics.calibration_bins`. An honest network's bars end at the dashed line.
    """
    figure = Figure(figsize=(6, 5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [row for row in bins if row.images]
    lows, widths = [row.low for row in filled], [row.high - row.low for row in filled]
    bars = {"width": widths, "align": "edge", "edgecolor": PALETTE[0], "color": PALETTE[4]}
    above.bar(lows, [row.accuracy for row in filled], **bars)
    above.plot([0, 1], [0, 1], "--", color=INK)
    # Where the bar should end: at the mean confidence of the bin, which may lie anywhere in it.
    above.plot([row.confidence for row in filled], [row.confidence for row in filled], "o", color=INK, markersize=4)
    above.set(title="share that is right, by confidence", ylim=(0, 1))
    total = max(1, sum(row.images for row in bins))
    below.bar(lows, [row.images / total for row in filled], **bars)
    below.set(title="share of the images", xlabel="confidence", xlim=(0, 1))
    for axes in (above, below):
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.grid(True)
    below.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    return figure
