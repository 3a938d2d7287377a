"""Comparing a function's answer with the right one."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.learn import Wrong, expect_equal
from convscope.learn.values import shown

EYE = torch.eye(2)
NAN = "NaN, which is not a number, comes from 0/0, inf - inf, or the root or logarithm of a negative number."
DEVICE = "new tensors belong where those are that were given: `device=x.device`."
SLASH = "in Python `/` always gives a floating-point number, `//` the whole number below."


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (3, 3),
        (0.3, 0.1 + 0.2),
        (2, 2.0),
        (1e-9, 0.0),
        (float("nan"), float("nan")),
        (float("inf"), float("inf")),
        (True, True),
        ("same", "same"),
        (None, None),
        ([1, 2], (1, 2)),
        ((1, EYE, "a"), (1, EYE.clone(), "a")),
        (EYE.double(), EYE),
        (EYE + 1e-7, EYE),
        (EYE.clone().requires_grad_(), EYE),
        (EYE.to(torch.uint8), EYE.long()),
        (EYE.bool(), EYE.bool()),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
        (torch.tensor([torch.nan]), torch.tensor([torch.nan])),
        (np.float64(0.5), 0.5),
        (torch.tensor([1e4 + 1e-3, 1e-3]), torch.tensor([1e4, 0.0])),  # what adding 1e4 and -1e4 leaves
    ],
)
def test_equal(got: Any, wanted: Any) -> None:
    expect_equal(got, wanted, call="f(x)")


@pytest.mark.parametrize(
    ("got", "wanted", "sentence"),
    [
        (4, 3, "f(x) gave 4, not 3."),
        (0.25, 0.5, "f(x) gave 0.25, not 0.5."),
        (4_000_001, 4_000_000, "f(x) gave 4000001, not 4000000."),
        (math.nan, 0.5, f"f(x) gave nan, not 0.5: {NAN}"),
        (math.inf, 0.5, "f(x) gave inf, not 0.5: inf comes from a division by 0, log(0), or exp of a large number."),
        ("other", "same", "f(x) gave 'other', not 'same'."),
        (None, 3, "f(x) gave None, instead of an int, 3: a function without `return` gives None."),
        (3, None, "f(x) gave an int, 3, instead of None."),
        (3.0, 3, f"f(x) gave a float, 3.0, instead of an int, 3: {SLASH}"),
        (3.5, 3, "f(x) gave a float, 3.5, instead of an int, 3."),
        (True, 1, "f(x) gave a truth value, True, instead of an int, 1."),
        (True, 1.0, "f(x) gave a truth value, True, instead of a float, 1.0."),
        (1, True, "f(x) gave an int, 1, instead of a truth value, True."),
        (1j, 1.0, "f(x) gave a complex number, 1j, instead of a float, 1.0."),
        ("3", 3, "f(x) gave a text, '3', instead of an int, 3."),
        ((3,), 3, "f(x) gave a tuple, (3,), instead of an int, 3: a comma behind a value makes a tuple of it."),
        (EYE.sum, 2.0, "f(x) gave a function, sum, instead of a float, 2.0: is `()` missing behind `sum`?"),
        (
            (letter for letter in "a"),
            3,
            "f(x) gave a generator, <generator object <genexpr>>, instead of an int, 3: `yield` makes a function a "
            "generator, `return` gives a value.",
        ),
        (
            range(2),
            [0, 1],
            "f(x) gave a range, range(0, 2), instead of a list, [0, 1]: `list(...)` makes a list of it.",
        ),
        (np.int64(3), 3, "f(x) gave a NumPy number, 3, instead of an int, 3: `.item()` takes the number out."),
        (
            np.zeros(2),
            [0, 0],
            "f(x) gave a NumPy array, [0.0, 0.0], instead of a list, [0, 0]: `.tolist()` makes a list of it.",
        ),
        (torch.tensor(3), 3, "f(x) gave a tensor, 3, instead of an int, 3: `.item()` takes the number out."),
        (EYE, 3, "f(x) gave a tensor of shape (2, 2), instead of an int, 3."),
        (EYE, "a", "f(x) gave a tensor of shape (2, 2), instead of a text, 'a'."),
        (
            EYE,
            (3, 3),
            "f(x) gave a tensor of shape (2, 2), instead of a tuple, (3, 3): `.tolist()` makes a list of it.",
        ),
        (EYE, (3, 3, 3), "f(x) gave a tensor of shape (2, 2), instead of a tuple, (3, 3, 3)."),
        ((1, 2), (1, 2, 3), "f(x) gave (1, 2), not (1, 2, 3): 2 values instead of 3."),
        ((1, 2, 4), (1, 2, 3), "f(x) gave (1, 2, 4), not (1, 2, 3)."),
        ((1, 2.0), (1, 2), f"f(x) at place [1] gave a float, 2.0, instead of an int, 2: {SLASH}"),
        (list(range(20)), [*range(19), 20], "f(x) at place [19] gave 19, not 20."),
        (3, EYE, "f(x) gave an int, 3, instead of a tensor of shape (2, 2)."),
        (2.0, EYE.sum(), "f(x) gave a float, 2.0, instead of a tensor, 2.0: `torch.tensor(...)` makes one of it."),
        (
            EYE.tolist(),
            EYE,
            "f(x) gave a list, [[1.0, 0.0], [0.0, 1.0]], instead of a tensor of shape (2, 2): `torch.tensor(...)` "
            "makes one of it.",
        ),
        (
            [*EYE],
            EYE,
            "f(x) gave a list, [[1.0, 0.0], [0.0, 1.0]], instead of a tensor of shape (2, 2): `torch.stack` makes one "
            "tensor of several.",
        ),
        (EYE[0], EYE, "f(x) gave a tensor of shape (2,) instead of (2, 2)."),
        (
            EYE.sum(),
            EYE,
            "f(x) gave a tensor of shape () instead of (2, 2): one without dimensions is a single number.",
        ),
        (
            EYE[None],
            EYE,
            "f(x) gave a tensor of shape (1, 2, 2) instead of (2, 2): about dimensions of size 1 decide `keepdim`, "
            "`squeeze` and `unsqueeze`.",
        ),
        (
            torch.zeros(2, 3),
            torch.zeros(3, 2),
            "f(x) gave a tensor of shape (2, 3) instead of (3, 2): the dimensions are in another order.",
        ),
        (
            EYE.to("meta"),
            EYE,
            f"f(x) gave a tensor on the device meta instead of cpu: {DEVICE}",
        ),
        (EYE.to_sparse(), EYE, "f(x) gave a sparse tensor: `.to_dense()` makes an ordinary one of it."),
        (EYE.long(), EYE, "f(x) gave integers (int64) instead of floating-point numbers (float32)."),
        (EYE, EYE.bool(), "f(x) gave floating-point numbers (float32) instead of truth values (bool)."),
        (EYE.bool(), EYE.long(), "f(x) gave truth values (bool) instead of integers (int64)."),
        (EYE * 1j, EYE, "f(x) gave complex numbers (complex64) instead of floating-point numbers (float32)."),
        (2 * EYE, EYE, "f(x) gave [[2.0, 0.0], [0.0, 2.0]], not [[1.0, 0.0], [0.0, 1.0]]."),
        (torch.tensor(4_000_001), torch.tensor(4_000_000), "f(x) gave 4000001, not 4000000."),
        (
            torch.tensor([0.1]).half(),
            torch.tensor([0.1]),
            "f(x) gave [0.0999756], not [0.1]: float16 has two or three digits only: compute in float32.",
        ),
        (EYE.log() * 0, EYE, f"f(x) gave [[0.0, nan], [nan, 0.0]], not [[1.0, 0.0], [0.0, 1.0]]: {NAN}"),
        (
            1 / EYE,
            EYE,
            "f(x) gave [[1.0, inf], [inf, 1.0]], not [[1.0, 0.0], [0.0, 1.0]]: inf comes from a division by 0, log(0), "
            "or exp of a large number.",
        ),
        (
            torch.eye(5) + torch.eye(5).roll(1, 1),
            torch.eye(5),
            "f(x) gave 5 wrong values of 25; the first is at [0, 1], 1.0 instead of 0.0.",
        ),
    ],
)
def test_different(got: Any, wanted: Any, sentence: str) -> None:
    with pytest.raises(Wrong) as info:
        expect_equal(got, wanted, call="f(x)")
    assert str(info.value) == sentence


@pytest.mark.parametrize(
    ("got", "wanted", "hints", "sentence"),
    [
        (9, 10, {8: "too few", 9: "one too few"}, "f(x) gave 9, not 10: one too few."),
        (3.0, 3, {3: "?"}, f"f(x) gave a float, 3.0, instead of an int, 3: {SLASH}"),
        (9.0, 10, {9: "one too few."}, "f(x) gave a float, 9.0, instead of an int, 10: one too few."),
        (
            4_000_001,
            4_000_003,
            {4_000_000: "?", 4_000_001: "two too few"},
            "f(x) gave 4000001, not 4000003: two too few.",
        ),
        ((1, 2), (2, 1), {(1, 2): "the wrong way round"}, "f(x) gave (1, 2), not (2, 1): the wrong way round."),
        ("max", "mean", {"max": "is it?"}, "f(x) gave 'max', not 'mean': is it?"),
        (
            EYE[0],
            EYE[1],
            {EYE: "both", (1, 0): "the first"},
            "f(x) gave [1.0, 0.0], not [0.0, 1.0]: the first.",
        ),
        (EYE[0], EYE[1], {EYE[0]: "the first"}, "f(x) gave [1.0, 0.0], not [0.0, 1.0]: the first."),
        (
            torch.eye(5) * 2,
            torch.eye(5),
            {torch.eye(5) * 2: "twice as much"},
            "f(x) gave 5 wrong values of 25; the first is at [0, 0], 2.0 instead of 1.0: twice as much.",
        ),
        # A hint that is no answer of this kind does no harm.
        (EYE[0], 3, {"text": "?", (1, "a"): "?", None: "?"}, "f(x) gave a tensor of shape (2,), instead of an int, 3."),
        (EYE[0].to("meta"), EYE[1], {EYE[0]: "?"}, f"f(x) gave a tensor on the device meta instead of cpu: {DEVICE}"),
        (4, 3, {True: "?", EYE: "?", (4,): "?"}, "f(x) gave 4, not 3."),
        (1, 3, {True: "?"}, "f(x) gave 1, not 3."),
    ],
)
def test_hints(got: Any, wanted: Any, hints: dict[Any, str], sentence: str) -> None:
    with pytest.raises(Wrong) as info:
        expect_equal(got, wanted, call="f(x)", hints=hints)
    assert str(info.value) == sentence


def test_a_right_answer_needs_no_hint() -> None:
    expect_equal(3, 3, call="f(x)", hints={3: "that is right"})


def test_tolerance() -> None:
    expect_equal(0.52, 0.5, call="f(x)", tolerance=0.05)
    with pytest.raises(Wrong):
        expect_equal(0.52, 0.5, call="f(x)", tolerance=0.03)


@pytest.mark.parametrize(
    ("got", "wanted", "words"),
    [
        (0.5000001, 0.5, "gave 0.5000001, not 0.5."),
        ((1, 0.5000001), (1, 0.5), "at place [1] gave 0.5000001, not 0.5."),
        (torch.tensor(0.5000001).double(), torch.tensor(0.5), "gave 0.5000001192092896, not 0.5."),
        (
            torch.full((2,), 1 / 3) + 1e-7,
            torch.full((2,), 1 / 3),
            "gave 2 wrong values of 2; the first is at [0], 0.3333334",
        ),
        (torch.tensor([1 / 3]) + 1e-7, torch.tensor([1 / 3]), "gave 1 wrong value of 1; it is at [0], 0.3333334"),
    ],
)
def test_small_differences_are_shown_in_full(got: Any, wanted: Any, words: str) -> None:
    with pytest.raises(Wrong) as info:
        expect_equal(got, wanted, call="f(x)", tolerance=0)
    assert words in str(info.value)


NUMBERS = st.integers() | st.floats() | st.booleans() | st.text(max_size=3) | st.none()
TENSORS = st.builds(
    lambda values, kind, ndim: torch.tensor(values).to(kind).reshape(*[1] * ndim, -1),
    st.lists(st.integers(0, 9), max_size=20),
    st.sampled_from([torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool]),
    st.integers(0, 2),
)
ANSWERS = st.recursive(NUMBERS | TENSORS, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner))


@settings(max_examples=100)
@given(ANSWERS, ANSWERS)
def test_whatever_comes_it_is_right_or_told_in_a_sentence(got: Any, wanted: Any) -> None:
    expect_equal(copy.deepcopy(wanted), wanted, call="f(x)")
    try:
        expect_equal(got, wanted, call="f(x)", hints={3: "three", (1, 2): "one, two"})
    except Wrong as error:
        assert str(error).startswith("f(x) ") and str(error).endswith((".", "?"))
        assert len(str(error)) < 1000 and "\n" not in str(error)


@pytest.mark.parametrize("number", [10**400, -(10**5000)], ids=["long", "too long to be written"])
@pytest.mark.parametrize("wanted", [3, 0.5, EYE, (1, 2), "text"])
def test_an_int_beyond_all_floats(number: int, wanted: Any) -> None:
    with pytest.raises(Wrong):
        expect_equal(number, wanted, call="f(x)", hints={1.5: "?"})


class Odd:
    """Knows neither to be written nor to be compared."""

    def __repr__(self) -> str:
        raise KeyError

    def __eq__(self, other: object) -> bool:
        raise KeyError

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("wanted", [3, 0.5, EYE, (1, 2), "text", None])
def test_an_object_of_the_learners(wanted: Any) -> None:
    with pytest.raises(Wrong, match="gave an Odd, <Odd object>, instead of"):
        expect_equal(Odd(), wanted, call="f(x)", hints={3: "?", EYE: "?"})


def test_a_list_that_contains_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Wrong, match="gave a list, <list object>, instead of an int, 3"):
        expect_equal(endless, 3, call="f(x)")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333"),
        (2.0, "2.0"),
        (1e30, "1e+30"),
        (torch.zeros(2, 3, 4), "a tensor of shape (2, 3, 4)"),
        ((1,), "(1,)"),
        (list(range(20)), "a list of 20"),
        ([["x" * 50] * 5] * 2, "a list of 2"),
        (np.zeros((5, 5)), "a NumPy array of shape (5, 5)"),
        ("x" * 100, "'" + "x" * 76 + "..."),
        (torch.nn.Sequential(torch.nn.ReLU()), "Sequential( (0): ReLU() )"),
        (shown, "shown"),
    ],
)
def test_shown(value: Any, text: str) -> None:
    assert shown(value) == text
