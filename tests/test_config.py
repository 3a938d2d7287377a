"""The setting: its defaults, its bounds, its YAML."""

import math
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import pytest
import yaml

from convscope.config import Config
from convscope.errors import UserError


def test_defaults_are_a_setting_that_can_be_trained() -> None:
    config = Config()
    assert config.data == "fashion-mnist"
    assert config.model == "tinyvgg_bn"
    assert config.patience is None and config.clip_norm is None


def test_a_setting_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().epochs = 3  # type: ignore[misc]


def test_every_field_is_explained() -> None:
    """The explanations are the help of the flags."""
    from convscope.cli.train import Train
    from tests_help import help_of  # noqa: F401  (replaced below)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", -1),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", -0.1),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("gamma", 0.0),
        ("gamma", 1.1),
        ("final_lr", -0.1),
        ("label_smoothing", 1.0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("val_share", 0.0),
        ("val_share", 1.0),
        ("ema", 1.0),
        ("clip_norm", 0.0),
        ("patience", 0),
        ("warmup_epochs", -1.0),
        ("shift", -1),
        ("rotation", 181.0),
        ("cutout", -1),
        ("input_size", 0),
        ("threads", 0),
        ("checkpoint_every", 0.0),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_values_out_of_range_are_named_with_the_range(name: str, value: float) -> None:
    with pytest.raises(UserError) as info:
        Config(**{name: value})  # type: ignore[arg-type]
    assert str(info.value).startswith(f"{name} is {value}: it must be ")
