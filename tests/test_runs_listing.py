"""Tables of runs, whatever stands in them."""

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.config import Config
from convscope.runs.exports import to_csv, to_markdown
from convscope.runs.grouping import deviation, repetitions
from convscope.runs.listing import RESULTS, SETTINGS, Listed, Row, order, select

values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)


@given(st.lists(st.lists(values, min_size=3, max_size=3), max_size=5))
def test_csv_comes_back_as_it_was(rows: list[list[Any]]) -> None:
    head, *back = csv.reader(io.StringIO(to_csv(["a", "b", "c"], rows)))
    assert head == ["a", "b", "c"] and len(back) == len(rows)
    for row, cells in zip(rows, back, strict=True):
        for value, cell in zip(row, cells, strict=True):
            if not isinstance(value, str):
                assert cell == ("" if value is None else str(value))
                continue
            assert cell.isprintable() and not cell.startswith(("=", "+", "-", "@"))
            if value.isprintable():
                assert cell.removeprefix("'") == value.removeprefix("'")


@given(st.lists(st.lists(st.text(max_size=20), min_size=3, max_size=3), min_size=1, max_size=5))
def test_markdown_has_as_many_cells_as_columns(rows: list[list[str]]) -> None:
    lines = to_markdown(["a", "b", "c"], rows, right=[True, False, False]).splitlines()
    assert lines[:2] == ["| a | b | c |", "| ---: | --- | --- |"]
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert len(re.sub(r"\\.", "", line).split("|")) == 5  # what a backslash is before divides no cells
        assert "<" not in re.sub(r"\\.", "", line)


def listed(**row: Any) -> Listed:
    return Listed(dict.fromkeys((*RESULTS, *SETTINGS)) | row, Config())


@given(st.lists(st.none() | st.floats(allow_nan=False), max_size=6), st.floats(allow_nan=False))
def test_a_condition_and_its_opposite_divide_the_runs_that_have_a_value(numbers: list[Any], bound: float) -> None:
    runs = [listed(lr=number) for number in numbers]
    with_value = [run for run in runs if run.row["lr"] is not None]
    for sign, opposite in ((">=", "<"), (">", "<=")):
        chosen = select(runs, [f"lr{sign}{bound!r}"]), select(runs, [f"lr{opposite}{bound!r}"])
        assert sorted(map(id, chosen[0] + chosen[1])) == sorted(map(id, with_value))
    assert len(select(runs, [f"lr={bound!r}"])) + len(select(runs, [f"lr!={bound!r}"])) == len(runs)
    assert select(runs, ["lr=none"]) == [run for run in runs if run.row["lr"] is None]


@given(st.lists(values, max_size=8))
def test_any_values_can_be_put_in_order(mixed: list[Any]) -> None:
    rows: list[Row] = [{"x": value} for value in mixed]
    ordered = [row["x"] for row in order(rows, "x")]
    assert sorted(map(repr, ordered)) == sorted(map(repr, mixed))
    numbers = [value for value in ordered if isinstance(value, bool | int | float)]
    assert numbers == sorted(numbers)
    assert ordered[: ordered.count(None)] == [None] * ordered.count(None)


def test_the_last_part_of_a_path_is_enough() -> None:
    runs = [listed(data="/a/b/photos"), listed(data="photos"), listed(data="photos/b")]
    assert select(runs, ["data=photos"]) == runs[:2]
    assert select(runs, ["data=*photos*"]) == runs


def test_long_seeds_are_told_apart() -> None:
    runs = [listed(seed=seed) for seed in (10**9, 10**9 + 1, 2**63 - 1)]
    for run in runs:
        assert select(runs, [f"seed={run.row['seed']}"]) == [run]
    assert select(runs, ["seed=1e9"]) == runs[:1]


def test_repetitions_have_labels_that_tell_them_apart() -> None:
    settings = [
        Config(model="linear", data="a", seed=0),
        Config(model="linear", data="b", seed=0),
        Config(model="linear", data="a", seed=1),
        Config(model="lenet5", data="a", lr=0.1),
        Config(model="lenet5", data="a", lr=0.2),
        Config(model="lenet5", data="a", lr=0.2),
    ]
    assert repetitions(settings, list("uvwxyz")) == [
        ("linear", [0, 2]),
        ("linear", [1]),  # another data set, which has a column of its own
        ("lenet5 (lr 0.1)", [3]),
        ("lenet5 (lr 0.2) y", [4]),
        ("lenet5 (lr 0.2) z", [5]),
    ]


@pytest.mark.parametrize(("sample", "spread"), [([], None), ([1.0], None), ([1.0, 3.0], 2**0.5)])
def test_a_deviation_is_that_of_a_sample(sample: list[float], spread: float | None) -> None:
    assert deviation(sample) == pytest.approx(spread)
