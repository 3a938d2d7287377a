"""What a data set holds."""

from collections.abc import Sequence

import numpy as np
from matplotlib import style
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from convscope.numbers import counted
from convscope.plots.style import LOOK, MUTED, PALETTE, cells_of, short_name, tick_size


@style.context(["default", LOOK])
def sample_strip(images: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> Figure:
    """Images uint8 (N, C, H, W) in rows of ten, each over the name of its class; labels (N,)."""
    figure, cells = cells_of(images, columns=10, height=1.5)
    for axes, label in zip(cells, np.asarray(labels), strict=True):
        axes.set_xlabel(short_name(classes[label]), fontsize=8)
    return figure


@style.context(["default", LOOK])
def mean_images(means: ArrayLike, classes: Sequence[str]) -> Figure:
    """The mean image of each class, (K, C, H, W) in [0, 1]: what a class looks like on average."""
    figure, cells = cells_of(means, columns=min(10, len(classes)), height=1.5)
    for axes, name in zip(cells, classes, strict=True):
        axes.set_xlabel(short_name(name), fontsize=8)
    return figure


@style.context(["default", LOOK])
def class_distribution(counts: ArrayLike, classes: Sequence[str]) -> Figure:
    """Images of each class, counts (K,), as bars, the first class on top."""
    values, num_classes = np.asarray(counts), len(classes)
    font = tick_size(num_classes)
    figure = Figure(figsize=(7, float(np.clip(0.8 + 0.3 * num_classes, 2.5, 14))))
    axes = figure.subplots()
    bars = axes.barh(range(num_classes), values, color=PALETTE[0], height=0.75)
    axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=3, fontsize=font, color=MUTED)
    axes.set_yticks(range(num_classes), [short_name(name) for name in classes], fontsize=font)
    axes.set(ylim=(num_classes - 0.5, -0.5), xlabel="images", title=f"{int(values.sum()):,} images")
    # Room for the numbers at the ends of the bars.
    axes.margins(x=0.12)
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)
    return figure


@style.context(["default", LOOK])
def image_sizes(widths: ArrayLike, heights: ArrayLike, size: int) -> Figure:
    """Widths and heights of photos in pixels, both (N,), as a density, and the square they are brought to.

    Photos left of the square's edge or below it are enlarged.
    """
    width, height = np.asarray(widths), np.asarray(heights)
    figure = Figure(figsize=(6, 5.2))
    axes = figure.subplots()
    longest = 1.05 * max(width.max(), height.max(), size)
    # Photos tend to have a few sizes exactly, which single dots would hide on top of each other.
    picture = axes.hexbin(
        *(width, height),
        gridsize=40,
        extent=(0, longest, 0, longest),
        mincnt=1,
        norm=LogNorm(1, max(10, len(width))),
        cmap="Blues",
        edgecolors=MUTED,
        linewidths=0.3,
    )
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, label="photos", format="{x:,.0f}")
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    axes.plot([0, size, size], [size, size, 0], color=PALETTE[1], label=f"{size} x {size}, as decoded")
    axes.set(xlabel="width in pixels", ylabel="height in pixels", xlim=(0, longest), ylim=(0, longest), aspect="equal")
    sizes = len(set(zip(width.tolist(), height.tolist(), strict=True)))
    axes.set_title(f"{counted(len(width), 'photo')}, {counted(sizes, 'size')}")
    figure.legend(loc="outside lower center")
    axes.grid(True)
    return figure
