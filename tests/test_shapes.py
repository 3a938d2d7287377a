"""JSON that may have been written by anybody: what is accepted, and what is said of the rest."""

import math
from pathlib import Path

import pytest

from convscope.shapes import ALARM, METRICS, misfit, read_json

SHAPE = {"name": str, "count": int, "share": float, "rest": dict, "rows": [{"place": int}]}
FITTING = {"name": "a", "count": 1, "share": 0.5, "rest": {}, "rows": [{"place": 1}, {"place": 2}], "more": None}


@pytest.mark.parametrize("changes", [{}, {"share": 1}, {"share": math.nan}, {"rows": []}, {"rest": {"x": [1]}}])
def test_what_fits(changes: dict[str, object]) -> None:
    assert misfit(FITTING | changes, SHAPE) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": 1}, "name is no text"),
        ({"count": 1.0}, "count is no whole number"),
        ({"count": True}, "count is no whole number"),
        ({"count": 1 << 64}, "count is no whole number"),
        ({"share": "0.5"}, "share is no number"),
        ({"share": math.inf}, "share is no number"),
        ({"share": None}, "share is no number"),
        ({"share": 10**400}, "share is no number"),
        ({"rest": []}, "rest is no mapping"),
        ({"rows": {}}, "rows is no list"),
        ({"rows": [{"place": 1}, {}]}, "an item of rows lacks place"),
        ({"rows": [{"place": "1"}]}, "an item of rows place is no whole number"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], words: str) -> None:
    assert misfit(FITTING | changes, SHAPE) == words


def test_what_is_missing() -> None:
    assert misfit({}, SHAPE) == "it lacks name"
    assert misfit([], SHAPE) == "it is no mapping"
    assert misfit({"name": None}, SHAPE, partial=True) is None
    assert misfit({"name": 1}, SHAPE, partial=True) == "name is no text"


DEEP = ("[" * 5000, "[" * 60 + "]" * 60, '{"a":' * 900 + "1" + "}" * 900)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}}', *DEEP])
def test_what_is_no_json_or_too_deep(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError):
        read_json(tmp_path / "file")


def test_json_as_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"a": [1, {"b": "\\u00e9"}]}')
    assert read_json(tmp_path / "file") == {"a": [1, {"b": "é"}]}


def test_the_shapes_of_our_files_are_shapes() -> None:
    assert misfit(dict.fromkeys(ALARM), METRICS | ALARM, partial=True) is None
