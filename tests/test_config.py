"""The setting: its bounds, and that everything in it is explained."""

import ast
import inspect
import math
from dataclasses import FrozenInstanceError, fields
from itertools import pairwise
from typing import Any

import pytest
import yaml

from convscope.config import Config
from convscope.errors import UserError


def test_a_setting_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().epochs = 3


def test_every_field_is_explained() -> None:
    """The explanations are the help of the flags."""
    body = ast.parse(inspect.getsource(Config)).body[0].body
    explained = {
        statement.target.id
        for statement, following in pairwise(body)
        if isinstance(statement, ast.AnnAssign) and isinstance(getattr(following, "value", None), ast.Constant)
    }
    assert explained == {field.name for field in fields(Config)}


@pytest.mark.parametrize(
    ("name", "value", "range_in_words"),
    [
        ("epochs", 0, "at least 1"),
        ("epochs", -1, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("micro_batch", 0, "at least 1"),
        ("lr", 0.0, "greater than 0"),
        ("lr", -0.1, "greater than 0"),
        ("momentum", 1.0, "at least 0 and less than 1"),
        ("weight_decay", -1e-4, "at least 0"),
        ("gamma", 0.0, "greater than 0 and at most 1"),
        ("gamma", 1.1, "greater than 0 and at most 1"),
        ("final_lr", -0.1, "at least 0 and at most 1"),
        ("label_smoothing", 1.0, "at least 0 and less than 1"),
        ("dropout", 1.0, "at least 0 and less than 1"),
        ("val_share", 0.0, "greater than 0 and less than 1"),
        ("val_share", 1.0, "greater than 0 and less than 1"),
        ("ema", 1.0, "at least 0 and less than 1"),
        ("clip_norm", 0.0, "greater than 0"),
        ("patience", 0, "at least 1"),
        ("warmup_epochs", -1.0, "at least 0"),
        ("step_epochs", 0, "at least 1"),
        ("plateau_patience", -1, "at least 0"),
        ("shift", -1, "at least 0"),
        ("rotation", 181.0, "at most 180"),
        ("cutout", -1, "at least 0"),
        ("input_size", 0, "at least 1"),
        ("threads", 0, "at least 1"),
        ("checkpoint_every", 0.0, "greater than 0"),
        ("seed", -1, "at least 0"),
        ("seed", 2**63, "less than"),
        ("split_seed", -1, "at least 0"),
        ("lr", math.nan, "a finite number"),
        ("lr", math.inf, "a finite number"),
        ("weight_decay", math.inf, "a finite number"),
    ],
)
def test_values_out_of_range_are_named_with_the_range(name: str, value: float, range_in_words: str) -> None:
    with pytest.raises(UserError) as info:
        Config(**{name: value})
    assert str(info.value).startswith(f"{name} is {value}: it must be ")
    assert range_in_words in str(info.value)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 1, "batch_size": 1, "micro_batch": 1},
        {"dropout": 0.0, "label_smoothing": 0.0, "ema": 0.0, "momentum": 0.0},
        {"gamma": 1.0, "final_lr": 1.0},
        {"dropout": None, "clip_norm": None, "patience": None, "threads": None},
        {"seed": 2**63 - 1},
    ],
)
def test_values_at_the_bounds_are_taken(values: dict[str, Any]) -> None:
    config = Config(**values)
    assert {name: getattr(config, name) for name in values} == values


def test_nesterov_needs_momentum() -> None:
    assert Config(nesterov=True, momentum=0.9).nesterov
    with pytest.raises(UserError, match="nesterov needs momentum"):
        Config(nesterov=True, momentum=0.0)


def test_yaml_has_every_field_in_order() -> None:
    """The file in the run directory is resolved: nothing in it depends on tomorrow's defaults."""
    written = yaml.safe_load(Config(lr=1e-3, model_options={"hidden": 256}).to_yaml())
    assert list(written) == [field.name for field in fields(Config)]
    assert written["lr"] == 1e-3
    assert written["model_options"] == {"hidden": 256}
    assert written["patience"] is None
