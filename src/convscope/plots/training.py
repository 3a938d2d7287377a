"""How trainings went."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from convscope.errors import UserError
from convscope.plots.style import LOOK, MUTED, colours

# The panels of `curves`: title, the column drawn dashed, the column drawn solid.
PANELS = (
    ("loss", "train_loss", "val_loss"),
    ("accuracy", "train_accuracy", "val_accuracy"),
    ("learning rate", None, "lr"),
    ("norm of the gradient", None, "grad_norm"),
)


@style.context(["default", LOOK])
def curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Loss, accuracy, learning rate and norm of the gradient of one run or several, in four panels.

    Each history holds one mapping an epoch with `epoch`, `train_loss`, `val_loss`, `train_accuracy`,
    `val_accuracy`, `lr` and `grad_norm`. A run keeps one colour: dashed on the training split, solid on the validation
    split, ringed at the epoch of its lowest validation loss.
    """
    if not any(histories.values()):
        raise UserError("there are no epochs to draw: train for at least one first.")
    names = [*histories, "training", "validation", "lowest validation loss"]
    # Inches: a legend entry is a line of 0.7 and 0.085 a letter, in a figure 10 wide.
    legend_columns = int(np.clip(10 / (0.7 + 0.085 * max(map(len, names))), 1, 6))
    figure = Figure(figsize=(10, 5.6 + 0.25 * math.ceil(len(names) / legend_columns)))
    panels = list(figure.subplots(2, 2, sharex=True).flat)
    handles = [Line2D([], [], color=colour, linewidth=2) for colour in colours(len(histories))]
    for history, handle in zip(histories.values(), handles, strict=True):
        _draw_run(panels, history, handle.get_color())
    epochs = [row["epoch"] for history in histories.values() for row in history]
    margin = max(0.5, 0.05 * (max(epochs) - min(epochs)))
    for (title, _, _), axes in zip(PANELS, panels, strict=True):
        axes.set(title=title, xlim=(min(epochs) - margin, max(epochs) + margin))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(True)
    for axes in panels[2:]:
        axes.set_xlabel("epoch")
    panels[1].yaxis.set_major_formatter(PercentFormatter(xmax=1))
    for column, axes in (("lr", panels[2]), ("grad_norm", panels[3])):
        _scale(axes, [row[column] for history in histories.values() for row in history])
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


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic where the values span a decade, else from 0 on."""
    if min(values) > 0 and max(values) / min(values) >= 10:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    # "0.001" rather than a power of ten with a raised exponent, which is formula text.
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
