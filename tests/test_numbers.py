"""Numbers as people read them."""

import math

import pytest

from convscope.numbers import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (83.2, "1 min 23 s"),
        (3599.7, "1 h 0 min"),
        (7325, "2 h 2 min"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words
