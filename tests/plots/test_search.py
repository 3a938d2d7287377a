"""Pictures of a search, compared by what they contain."""

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from convscope import plots
from convscope.errors import UserError

SCALES: dict[str, plots.Scale] = {
    "lr": "log",
    "shift": "linear",
    "optimizer": "choice",
    "model_options.flip": "choice",
}
NAMES = ["lr", "shift", "optimizer", "flip"]


def trials(accuracies: list[float], finished: list[bool] | None = None) -> list[dict[str, Any]]:
    draws = np.random.default_rng(0)
    return [
        {
            "number": number,
            "value": accuracy,
            "finished": finished is None or finished[number],
            "values": {
                "lr": 10 ** draws.uniform(-4, -1),
                "shift": int(draws.integers(5)),
                "optimizer": ("sgd", "adamw", None)[number % 3],
                "model_options.flip": bool(number % 2),
            },
        }
        for number, accuracy in enumerate(accuracies)
    ]


def drawn(figure: Figure) -> None:
    """Laid out and drawn without a warning, which the tests take as an error."""
    figure.savefig(io.BytesIO(), format="png")


def points(axes: Any, label: str) -> list[tuple[float, float]]:
    line = next(line for line in axes.lines if line.get_label() == label)
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def test_the_history_has_every_trial_and_the_best_so_far() -> None:
    # R-A12
    figure = plots.trial_history(trials([0.8, 0.85, 0.95, 0.82], [True, True, False, True]), goal="accuracy")
    (axes,) = figure.axes
    assert points(axes, "finished") == [(0, 0.8), (1, 0.85), (3, 0.82)]
    assert points(axes, "given up") == [(2, 0.95)]
    # What was given up is not the best, however good it was when that happened.
    assert points(axes, "best so far") == [(0, 0.8), (1, 0.85), (2, 0.85), (3, 0.85)]
    assert axes.get_ylabel() == "accuracy"
    drawn(figure)


def test_of_losses_the_lowest_is_best() -> None:
    figure = plots.trial_history(trials([0.5, 0.7, 0.3]), goal="loss")
    assert points(figure.axes[0], "best so far") == [(0, 0.5), (1, 0.5), (2, 0.3)]
    drawn(figure)


@pytest.mark.parametrize(("goal", "far", "marker"), [("accuracy", 0.1, "v"), ("loss", 9.0, "^")])
def test_what_is_far_worse_lies_at_the_edge(goal: Any, far: float, marker: str) -> None:
    values = [0.9, 0.91, 0.92, 0.93, 0.89, 0.9, far]
    (axes,) = plots.trial_history(trials(values), goal=goal).axes
    low, high = axes.get_ylim()
    assert low <= min(values[:-1]) and max(values[:-1]) <= high
    assert not low <= far <= high
    edge = next(line for line in axes.lines if line.get_marker() == marker)
    assert edge.get_xydata().tolist() == [[6, low if goal == "accuracy" else high]]


def test_a_slice_is_a_panel_a_field() -> None:
    figure = plots.slices(trials([0.8, 0.85, 0.9, 0.82, 0.7]), scales=SCALES, goal="accuracy")
    assert [axes.get_title(loc="left") for axes in figure.axes] == NAMES
    shift = points(figure.axes[1], "finished")
    assert [y for _, y in shift] == [0.8, 0.85, 0.9, 0.82, 0.7]
    assert all(tick == int(tick) for tick in figure.axes[1].get_xticks())  # no shift by half a pixel
    optimizer = figure.axes[2]
    assert [label.get_text() for label in optimizer.get_xticklabels()] == ["adamw", "sgd", "none"]
    # Choices lie side by side, near their names.
    assert [round(x) for x, _ in points(optimizer, "finished")] == [1, 0, 2, 1, 0]
    drawn(figure)


def test_a_line_a_trial_the_best_on_top() -> None:
    values = [0.8, 0.95, 0.7]
    figure = plots.parallel_coordinates(trials(values), scales=SCALES, goal="accuracy")
    axes, bar = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == len(SCALES) and line.get_marker() == "."]
    assert len(lines) == 3
    heights = np.array([line.get_ydata() for line in lines])
    assert heights.min() == 0 and heights.max() == 1
    rows = trials(values)
    rates = [row["values"]["lr"] for row in rows]
    assert list(np.argsort(heights[:, 0])) == list(np.argsort([rates[2], rates[0], rates[1]]))
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    assert bar.get_ylabel() == "validation accuracy"
    drawn(figure)


def test_importances_are_in_order() -> None:
    figure = plots.importances({"shift": 0.1, "lr": 0.7, "model_options.flip": 0.2})
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.7]  # from below
    assert [label.get_text() for label in axes.get_yticklabels()] == ["shift", "flip", "lr"]
    assert {text.get_text() for text in axes.texts} == {"10%", "20%", "70%"}
    drawn(figure)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_few_trials_and_many_and_those_that_are_all_the_same(count: int) -> None:
    rows = trials([0.5] * count)
    for row in rows:
        row["values"] = rows[0]["values"]
    drawn(plots.trial_history(rows, goal="accuracy"))
    drawn(plots.slices(rows, scales=SCALES, goal="accuracy"))
    drawn(plots.slices(rows, scales={"lr": "log"}, goal="loss"))
    drawn(plots.parallel_coordinates(rows, scales=SCALES, goal="loss"))
    drawn(plots.parallel_coordinates(rows, scales={"optimizer": "choice"}, goal="accuracy"))
    drawn(plots.importances({"lr": 0.0}))


def test_without_trials_there_is_nothing_to_draw() -> None:
    for draw in (
        lambda: plots.trial_history([], goal="accuracy"),
        lambda: plots.slices([], scales=SCALES, goal="accuracy"),
        lambda: plots.parallel_coordinates([], scales=SCALES, goal="accuracy"),
    ):
        with pytest.raises(UserError, match="there are no trials to draw"):
            draw()
    with pytest.raises(UserError, match="there are no importances to draw"):
        plots.importances({})
