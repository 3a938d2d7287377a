"""What the doctor sees of a training before it begins."""

from collections.abc import Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from convscope.plots.style import LOOK, MUTED, PALETTE

_BLUE, _RED, _GREEN = PALETTE[:3]


@style.context(["default", LOOK])
def loss_over_rate(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    own: float,
    suggested: float | None = None,
    crawls_below: float | None = None,
    fails_above: float | None = None,
) -> Figure:
    """The loss of a range test at each learning rate, with bands where it crawls and fails, and the rates that count.

    `own` is the setting's rate.
    """
    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color=MUTED, markersize=4, label="each batch")
    axes.plot(rates, smoothed, color=_BLUE, linewidth=2, label="smoothed")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="loss while the learning rate rises")
    axes.set_xlim(min([*rates, own]) / 1.5, max([*rates, own]) * 1.5)
    # What breaks in the end goes up to any height, and would press the rest flat.
    axes.set_ylim(0, 2 * smoothed[0] if smoothed else 1)
    low, high = axes.get_xlim()
    if crawls_below is not None:
        axes.axvspan(low, crawls_below, color=MUTED, alpha=0.12, linewidth=0, label="crawls")
    if fails_above is not None:
        axes.axvspan(fails_above, high, color=_RED, alpha=0.15, linewidth=0, label="fails")
    axes.axvline(own, color=_RED, linestyle="--", label=f"--lr {own:g}")
    if suggested is not None:
        axes.axvline(suggested, color=_GREEN, linestyle=":", linewidth=3, label=f"suggested: {suggested:.2g}")
    axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower center", ncols=6)
    return figure


@style.context(["default", LOOK])
def one_batch(losses: Sequence[float], *, guessing: float) -> Figure:
    """The loss at each step on the same few images, and that of guessing."""
    figure = Figure(figsize=(8, 3))
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, color=_BLUE, marker=".", markersize=4)
    axes.axhline(guessing, color=MUTED, linestyle="--")
    axes.annotate("guessing", (1, guessing), textcoords="offset points", xytext=(0, 4), color=MUTED)
    axes.set(xlabel="step", ylabel="loss", title="learning one batch by heart")
    axes.set_ylim(bottom=0)
    return figure


@style.context(["default", LOOK])
def through_depth(
    names: Sequence[str],
    means: Sequence[float],
    stds: Sequence[float],
    gradients: Sequence[float | None],
    updates: Sequence[float | None],
) -> Figure:
    """Activations, gradients and updates of each layer, from the image on the left to the logits on the right.

    `gradients` and `updates` are shares of the norm of the weight; None for layers without one.
    """
    figure = Figure(figsize=(max(8.0, 0.22 * len(names) + 2), 7))
    above, below = figure.subplots(2, 1, sharex=True)
    places = np.arange(len(names))
    above.errorbar(places, means, yerr=stds, fmt="o", color=_BLUE, markersize=3, elinewidth=1)
    above.set(title="outputs of each layer: mean, and deviation either way")
    _draw_shares(below, gradients, _BLUE, "o", "gradient")
    _draw_shares(below, updates, _RED, "x", "first update")
    below.set(title="gradient and first update, as shares of the weight", yscale="log")
    # Plain numbers rather than powers of ten with raised exponents, which are formula text.
    below.yaxis.set_major_formatter(LogFormatter())
    below.yaxis.set_minor_formatter(LogFormatter())
    # Beyond some seventy names none could be read.
    every = max(1, len(names) // 70)
    below.set_xticks(places[::every], list(names[::every]), rotation=90, fontsize=7)
    below.legend(loc="best")
    for axes in (above, below):
        axes.grid(True)
    return figure


def _draw_shares(axes: Axes, shares: Sequence[float | None], colour: str, marker: str, label: str) -> None:
    """Of those that are above 0, which is not on a logarithmic scale."""
    shown = [(place, share) for place, share in enumerate(shares) if share]
    axes.plot([place for place, _ in shown], [share for _, share in shown], marker, color=colour, label=label)
