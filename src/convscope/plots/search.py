"""How a search for a better setting went.

A trial is a mapping with its `number`, its `value` (validation accuracy or loss), whether it was `finished` or given up
before, and its `values`: one for each field that was varied. `scales` says of each field whether its numbers run
`linear` or `log`, or whether it is a `choice`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, PercentFormatter

from convscope.errors import UserError
from convscope.plots.style import INK, LOOK, MUTED, PALE, PALETTE, short_name

Trials = Sequence[Mapping[str, Any]]
Scale = Literal["linear", "log", "choice"]
Scales = Mapping[str, Scale]
Goal = Literal["accuracy", "loss"]

_BLUE, _RED = PALETTE[:2]
_MOST_COLUMNS = 4


@style.context(["default", LOOK])
def trial_history(trials: Trials, *, goal: Goal) -> Figure:
    """The value of each trial in their order, and the best so far."""
    _check(trials)
    figure = Figure(figsize=(9, 4))
    axes = figure.subplots()
    numbers = [trial["number"] for trial in trials]
    _dots(axes, trials, numbers, goal)
    best, so_far = (-np.inf, max) if goal == "accuracy" else (np.inf, min)
    line = []
    for trial in trials:
        best = so_far(best, trial["value"]) if trial["finished"] else best
        line.append(best if np.isfinite(best) else np.nan)
    axes.step(numbers, line, where="post", color=_RED, linewidth=2, label="best so far")
    axes.set(xlabel="trial", title=f"validation {goal} of each trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(True)
    figure.legend(loc="outside lower center", ncols=4)
    return figure


@style.context(["default", LOOK])
def importances(shares: Mapping[str, float]) -> Figure:
    """How much depends on each field, the most important on top; shares of 1."""
    if not shares:
        raise UserError("there are no importances to draw: try more settings first.")
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(ordered)))
    axes = figure.subplots()
    bars = axes.barh([_name(field) for field, _ in ordered], [share for _, share in ordered], color=_BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=4, color=INK)
    axes.set(xlim=(0, 1.1 * max(max(shares.values()), 1e-9)), title="what tells the best trials from the others")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    return figure


@style.context(["default", LOOK])
def slices(trials: Trials, *, scales: Scales, goal: Goal) -> Figure:
    """The value of each trial over each of the fields: a panel a field."""
    _check(trials)
    columns = min(len(scales), _MOST_COLUMNS)
    rows = -(-len(scales) // columns)
    figure = Figure(figsize=(2.9 * max(columns, 2), 2.6 * rows + 0.5))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (name, scale) in zip(panels.flat, scales.items(), strict=False):
        values = [trial["values"][name] for trial in trials]
        places = _places(values, scale)
        if scale == "choice":
            places = places + np.random.default_rng(0).uniform(-0.15, 0.15, len(places))  # apart from one another
        _dots(axes, trials, places, goal)
        axes.set(title=_name(name))
        _ticks(axes, values, scale)
        axes.grid(True)
    for axes in list(panels.flat)[len(scales) :]:
        axes.remove()
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


@style.context(["default", LOOK])
def parallel_coordinates(trials: Trials, *, scales: Scales, goal: Goal) -> Figure:
    """One line a trial through its values, each field an upright axis; the better, the brighter, and on top."""
    _check(trials)
    figure = Figure(figsize=(max(6.0, 1.5 * len(scales) + 1.5), 4.6))
    axes = figure.subplots()
    heights = {}
    paper = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}
    for place, (name, scale) in enumerate(scales.items()):
        values = [trial["values"][name] for trial in trials]
        places = _places(values, scale)
        low, high = _ends(places, scale)
        heights[name] = (places - low) / (high - low)
        axes.axvline(place, color=PALE, linewidth=1.5)
        marks = _marks(values, scale)
        for mark, words in zip((_places(marks, scale, values) - low) / (high - low), map(_words, marks), strict=True):
            axes.text(place + 0.04, mark, words, fontsize=8, color=INK, va="center", zorder=3, bbox=paper)
    low, high = _limits(trials, goal)
    colour = ScalarMappable(Normalize(low, high), "viridis" if goal == "accuracy" else "viridis_r")
    better = sorted(range(len(trials)), key=lambda row: trials[row]["value"], reverse=goal == "loss")
    for row in better:
        points = [heights[name][row] for name in scales]
        width, alpha = (1.6, 0.9) if trials[row]["finished"] else (0.9, 0.45)
        axes.plot(points, color=colour.to_rgba(trials[row]["value"]), linewidth=width, alpha=alpha, marker=".")
    axes.set(xlim=(-0.2, len(scales) - 0.5), ylim=(-0.06, 1.06), yticks=[], title="the trials and their values")
    axes.set_xticks(range(len(scales)), list(map(_name, scales)))
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(colour, ax=axes, label=f"validation {goal}")
    if goal == "accuracy":
        bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    return figure


def _check(trials: Trials) -> None:
    if not trials:
        raise UserError("there are no trials to draw: train one for an epoch first.")


def _dots(axes: Axes, trials: Trials, places: Any, goal: Goal) -> None:
    """Finished trials as dots, others as rings; what is far worse than the rest lies at the edge, as a triangle."""
    low, high = _limits(trials, goal)
    axes.set_ylim(low, high)
    for finished, colour, label in ((True, _BLUE, "finished"), (False, MUTED, "given up")):
        rows = [row for row, trial in enumerate(trials) if trial["finished"] == finished]
        x, y = np.asarray(places)[rows], np.array([trials[row]["value"] for row in rows], dtype=float)
        inside = (y >= low) & (y <= high)
        fill: Any = "full" if finished else "none"
        axes.plot(x[inside], y[inside], "o", color=colour, fillstyle=fill, markersize=5, label=label)
        if not inside.all():
            edge, marker = (low, "v") if goal == "accuracy" else (high, "^")
            axes.plot(x[~inside], np.full((~inside).sum(), edge), marker, color=colour, fillstyle=fill, clip_on=False)
    axes.set_ylabel(goal)
    if goal == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def _limits(trials: Trials, goal: Goal) -> tuple[float, float]:
    """From the best trial to a little beyond the middle ones: a few that failed do not press the others together."""
    values = np.array([trial["value"] for trial in trials], dtype=float)
    best, worst, middle = values.max(), values.min(), np.quantile(values, 0.25)
    if goal == "loss":
        best, worst, middle = values.min(), values.max(), np.quantile(values, 0.75)
    beyond = middle - 1.5 * (best - middle)
    edge = max(worst, beyond) if goal == "accuracy" else min(worst, beyond)
    margin = 0.06 * abs(best - edge) or 0.01
    return (edge - margin, best + margin) if goal == "accuracy" else (best - margin, edge + margin)


def _places(values: Sequence[Any], scale: Scale, among: Sequence[Any] | None = None) -> np.ndarray[Any, Any]:
    """Where values lie on an axis: numbers at themselves, or their logarithm; choices at their rank `among` all."""
    if scale == "choice":
        names = _marks(values if among is None else among, scale)
        return np.array([names.index(value) for value in values], dtype=float)
    numbers = np.array(values, dtype=float)
    return np.log10(numbers) if scale == "log" else numbers


def _ends(places: np.ndarray[Any, Any], scale: Scale) -> tuple[float, float]:
    low, high = float(places.min()), float(places.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _marks(values: Sequence[Any], scale: Scale) -> list[Any]:
    """What is written beside an axis: all choices, or the ends of a range."""
    if scale == "choice":
        distinct = list(dict.fromkeys(values))
        numbers = all(isinstance(value, int | float) for value in distinct)
        return sorted(distinct) if numbers else sorted(distinct, key=lambda value: (value is None, str(value)))
    return list(dict.fromkeys((min(values), max(values))))


def _ticks(axes: Axes, values: Sequence[Any], scale: Scale) -> None:
    if scale == "choice":
        marks = _marks(values, scale)
        axes.set_xticks(range(len(marks)), [_words(mark) for mark in marks])
        axes.set_xlim(-0.5, len(marks) - 0.5)
    elif scale == "log":
        low, high = _ends(_places(values, scale), scale)
        axes.xaxis.set_major_locator(FixedLocator(list(np.linspace(low, high, 3))))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{10**place:.2g}"))
    else:
        whole = all(isinstance(value, int) for value in values)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=whole, min_n_ticks=1))


def _name(field: str) -> str:
    """A field in a picture, where `model_options.` would leave no room for the option itself."""
    return short_name(field.removeprefix("model_options."))


def _words(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:.3g}" if isinstance(value, float) else short_name(str(value))
