"""What may be varied, how it is written, and what it comes to."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from convscope.config import Config
from convscope.errors import UserError
from convscope.recipes import load_recipe, recipe_names
from convscope.search.reading import load_space, parse_dimension
from convscope.search.space import (
    Choices,
    Dimension,
    Range,
    base_values,
    contains,
    default_space,
    grid,
    grid_size,
    rounded,
    setting_of,
    to_yaml,
)


@pytest.mark.parametrize(
    ("word", "key", "dimension"),
    [
        ("lr=1e-4..1e-1:log", "lr", Range(1e-4, 1e-1, log=True)),
        ("shift=0..4", "shift", Range(0, 4, whole=True)),
        ("batch-size=32..256:log", "batch_size", Range(32, 256, log=True, whole=True)),
        ("rotation=0..30:7.5", "rotation", Range(0, 30, step=7.5)),
        ("rotation=0..30:7", "rotation", Range(0, 28, step=7)),
        ("shift=1..9:3", "shift", Range(1, 7, step=3, whole=True)),
        ("label_smoothing=0..0.3:0.1", "label_smoothing", Range(0, 0.3, step=0.1)),
        ("batch_size=64,128", "batch_size", Choices((64, 128))),
        ("optimizer=sgd,adamw", "optimizer", Choices(("sgd", "adamw"))),
        ("flip=true,false", "flip", Choices((True, False))),
        ("clip_norm=null,1", "clip_norm", Choices((None, 1.0))),
        ("freeze=all-but-head,2", "freeze", Choices(("all-but-head", 2))),
        ("model=tinyvgg,tinyvgg_bn", "model", Choices(("tinyvgg", "tinyvgg_bn"))),
        ("model_options.hidden=8..32:8", "model_options.hidden", Range(8, 32, step=8, whole=True)),
        ("model_options.width=0.5..1", "model_options.width", Range(0.5, 1)),
        ("weight_decay=0,1e-4", "weight_decay", Choices((0.0, 1e-4))),
    ],
)
def test_words_of_the_command_line(word: str, key: str, dimension: Dimension, tmp_path: Path) -> None:
    # R-A12
    assert parse_dimension(word) == (key, dimension)
    (tmp_path / "space.yaml").write_text(to_yaml({key: dimension}), encoding="utf-8")
    assert load_space(tmp_path / "space.yaml") == {key: dimension}


MISTAKES = [
    ("lr", "'lr' does not say what to vary: write it like lr=1e-4..1e-1:log or batch_size=64,128."),
    ("lr=", "'lr=' does not say what to vary"),
    ("lrr=1,2", "unknown field to vary 'lrr': did you mean 'lr'?"),
    ("lr=0.1", "lr needs two or more different values"),
    ("lr=0.1,0.1", "lr needs two or more different values"),
    ("lr=0.1,0", "lr is 0.0: it must be greater than 0."),
    ("lr=0..1", "lr is 0.0: it must be greater than 0."),
    ("lr=0.1..0.01", "the range of lr is empty: give a low below the high."),
    ("lr=0.1..x", "the range of lr must have numbers as its limits"),
    ("lr=0.1...inf", "the range of lr must have numbers as its limits"),
    ("shift=0..2.5", "the range of shift must have whole numbers as its limits"),
    ("shift=0..4:log", "shift cannot have a logarithmic range from 0 or below"),
    ("shift=0..4:5", "the step of shift does not fit into its range"),
    ("lr=1e-4..1e-1:lgo", "the range of lr must have numbers as its limits and step"),
    ("flip=0..1", "flip cannot be 0.0: it must be true or false."),
    ("optimizer=sgd,adaam", "optimizer cannot be 'adaam': did you mean 'adam'?"),
    ("batch_size=64,big", "batch_size cannot be 'big': it must be a whole number."),
    ("seed=1,2", "seed cannot be varied, for the best of several seeds is luck"),
    ("data=mnist,fashion-mnist", "data cannot be varied, for trials that are judged on different images"),
    ("val_share=0.1,0.2", "val_share cannot be varied"),
    ("device=cpu,cuda", "device cannot be varied"),
    ("model_options=1,2", "the network's options are varied one by one"),
    ("model_options.=1,2", "unknown field to vary 'model_options.'"),
    ("model_options.hidden=8,[9]", "model_options.hidden is [9]: it must be a number, a text, true or false."),
]


@pytest.mark.parametrize(("word", "sentence"), MISTAKES)
def test_mistakes_in_words(word: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_dimension(word)
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "SPACE names nothing to vary: write lines such as"),
        ("lr: 0.1", "SPACE, line 1: lr has only one value: give a list such as [64, 128], or a range"),
        ("flip: [true, false]\nlrr: [1, 2]", "SPACE, line 2: unknown field to vary 'lrr': did you mean 'lr'?"),
        ("lr: {low: 0.1}", "SPACE, line 1: lr has no proper range: write {low: 0.1, high: 0.5}"),
        ("lr: {low: 0.1, hihg: 1}", "SPACE, line 1: lr has no proper range"),
        ("lr: {low: 0.1, high: 1, log: 3}", "SPACE, line 1: lr has no proper range"),
        ("lr: {low: true, high: 2}", "SPACE, line 1: the range of lr must have numbers as its limits"),
        ("lr: {low: [1], high: 2}", "SPACE, line 1: the range of lr must have numbers as its limits"),
        ("lr: {low: 0.1, high: 1, log: true, step: 0.1}", "SPACE, line 1: lr cannot have a logarithmic range"),
        ("- lr", "SPACE: this is no setting"),
        ("1: [2, 3]", "SPACE, line 1: unknown field to vary '1'"),
    ],
)
def test_mistakes_in_files_have_their_line(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_space(path)
    assert str(raised.value).startswith(sentence.replace("SPACE", str(path)))


def test_a_trial_changes_what_is_varied_and_nothing_else() -> None:
    base = Config(model_options={"block2_convs": 1})
    values = {"lr": 0.05, "model_options.hidden": 20}
    setting = setting_of(base, values)
    assert setting == Config(lr=0.05, model_options={"block2_convs": 1, "hidden": 20})
    assert base_values(base, {"lr": Range(0.1, 1), "model_options.hidden": Choices((1, 2))}) == {
        "lr": base.lr,
        "model_options.hidden": None,
    }


ranges = st.tuples(
    st.floats(1e-6, 1e3), st.floats(1.0001, 1e3), st.booleans(), st.sampled_from([None, 0.25, 1 / 3])
).map(
    lambda form: Range(
        form[0], form[0] * form[1], log=form[2] and form[3] is None, step=form[3] and form[0] * (form[1] - 1) * form[3]
    )
)


@given(dimension=ranges.filter(lambda dimension: dimension.step is None), share=st.floats(0, 1))
def test_numbers_are_rounded_without_leaving_the_range(dimension: Range, share: float) -> None:
    number = dimension.low + share * (dimension.high - dimension.low)
    value = rounded(Config(), {"lr": dimension}, {"lr": number})["lr"]
    assert dimension.low <= value <= dimension.high
    assert math.isclose(value, number, rel_tol=5.1e-4)
    assert value in (float(f"{value:.4g}"), dimension.low, dimension.high, Config().lr)


def test_the_base_and_the_steps_of_a_range_keep_all_their_digits() -> None:
    space = {"lr": Range(0.001, 0.1), "rotation": Range(10.00001, 10.00005, step=1e-5)}
    base = Config(lr=0.00123456)
    assert rounded(base, space, {"lr": 0.00123456, "rotation": 10.00003}) == {"lr": 0.00123456, "rotation": 10.00003}
    assert rounded(base, space, {"lr": 0.00123457, "rotation": 10.00001}) == {"lr": 0.001235, "rotation": 10.00001}
    assert rounded(base, {"lr": Range(0, 1, step=0.1)}, {"lr": 0.1 + 0.2}) == {"lr": 0.3}


@given(dimension=ranges)
def test_a_range_contains_its_ends_and_nothing_beyond(dimension: Range) -> None:
    assert contains(dimension, dimension.low)
    assert not contains(dimension, dimension.low * 0.999)
    assert not contains(dimension, dimension.high * 1.001)
    for other in (None, True, "1", float("nan")):
        assert not contains(dimension, other)


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Range(0, 4, whole=True), [0, 3, 4], [5, 1.5, True, "a"]),
        (Range(0, 1, step=0.25), [0, 0.25, 0.75, 1], [0.3, -0.25]),
        (Choices((None, 1.0, "a")), [None, 1.0, "a"], ["b", 2.0, False]),
    ],
)
def test_contains(dimension: Dimension, inside: list[Any], outside: list[Any]) -> None:
    assert all(contains(dimension, value) for value in inside)
    assert not any(contains(dimension, value) for value in outside)


def test_a_grid_holds_each_combination_once() -> None:
    space = {"lr": Choices((0.1, 0.2)), "shift": Range(0, 2, whole=True), "rotation": Range(0, 30, step=15)}
    points = list(grid(space))
    assert len(points) == grid_size(space) == 18
    assert len({tuple(point.values()) for point in points}) == 18
    assert all(contains(space[key], value) for point in points for key, value in point.items())
    assert {point["rotation"] for point in points} == {0, 15, 30}


@pytest.mark.parametrize("word", ["lr=0.1..0.3:0.1", "lr=0.1..0.8:0.1", "lr=0.1..0.75:0.05", "lr=1e-5..9e-5:1e-5"])
def test_a_grid_has_the_numbers_that_people_write(word: str) -> None:
    # And not 0.1 + 2 * 0.1, which lies outside of its range.
    key, dimension = parse_dimension(word)
    numbers = [point[key] for point in grid({key: dimension})]
    assert all(contains(dimension, number) and len(f"{number}") <= 6 for number in numbers)
    assert isinstance(dimension, Range) and (numbers[0], numbers[-1]) == (dimension.low, dimension.high)


@pytest.mark.parametrize("dimension", [Range(0.1, 1), Range(1, 8, log=True, whole=True)])
def test_a_grid_needs_an_end(dimension: Range) -> None:
    with pytest.raises(UserError, match="a grid cannot hold all numbers from"):
        grid_size({"lr": dimension})


STRANGE = Config(optimizer="sgd", lr=0.1, batch_size=1, weight_decay=0.03, label_smoothing=0.3, dropout=0.1)


@pytest.mark.parametrize("base", [Config(), STRANGE, *map(load_recipe, recipe_names())])
def test_what_is_varied_when_nobody_says_has_the_base_in_it(base: Config, tmp_path: Path) -> None:
    space = default_space(base, dropout=True)
    assert all(contains(space[key], value) for key, value in base_values(base, space).items())
    assert set(default_space(base, dropout=False)) == set(space) - {"dropout"}
    for dimension in space.values():
        assert not isinstance(dimension, Choices) or len(set(dimension.values)) == len(dimension.values)
    (tmp_path / "space.yaml").write_text(to_yaml(space), encoding="utf-8")
    assert load_space(tmp_path / "space.yaml") == space
    assert set(yaml.safe_load(to_yaml(space))) == set(space)
