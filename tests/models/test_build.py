"""`build_model`: options, and what is refused."""

import pytest
import torch

from convscope.errors import UserError
from convscope.models import build_model, check_options


def count(name: str, **options: object) -> int:
    return sum(parameter.numel() for parameter in build_model(name, **options).parameters())


def test_both_readings_of_tinyvgg_and_both_widths() -> None:
    # R-A2
    assert count("tinyvgg") == 467_818
    assert count("tinyvgg", hidden=256) == 870_634
    assert count("tinyvgg", block2_convs=1) == 430_890
    assert count("tinyvgg", block2_convs=1, hidden=256) == 833_706


def test_lenet_is_the_same_size_on_28_pixels_and_on_the_papers_32() -> None:
    assert count("lenet5", input_size=28) == count("lenet5", input_size=32) == 61_706


def test_dropout_is_an_option() -> None:
    # R-A5
    images = torch.randn(8, 1, 28, 28)
    still = build_model("tinyvgg", seed=0)
    dropping = build_model("tinyvgg", dropout=0.5, seed=0)
    assert torch.equal(still(images), still(images))
    assert not torch.equal(dropping(images), dropping(images))
    # Dropout has no weights: apart from training, the two are one network.
    assert torch.equal(dropping.eval()(images), still.eval()(images))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tinyvg", {}, "unknown model 'tinyvg': did you mean 'tinyvgg'"),
        ("tinyvgg", {"hiden": 256}, "unknown tinyvgg option 'hiden': did you mean 'hidden'"),
        ("linear", {"hidden": 256}, "the model 'linear' has none"),
        ("tinyvgg", {"hidden": 2.5}, "'hidden' of the model 'tinyvgg' is 2.5: it must be a whole number"),
        ("tinyvgg", {"hidden": True}, "must be a whole number"),
        ("tinyvgg", {"dropout": "half"}, "'dropout' of the model 'tinyvgg' is 'half': it must be a number"),
        ("tinyvgg", {"dropout": 1}, "dropout is 1"),
        ("tinyvgg", {"dropout": float("nan")}, "dropout is nan"),
        ("tinyvgg", {"block2_convs": 3}, "block2_convs is 3"),
        ("tinyvgg_bn", {"hidden": 0}, "hidden is 0"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_model(name, **options)


def test_options_can_be_checked_without_building() -> None:
    check_options("tinyvgg_bn", {"hidden": 64, "dropout": 0})
    with pytest.raises(UserError, match="unknown tinyvgg option 'num_classes'"):
        check_options("tinyvgg", {"num_classes": 3})


def test_without_a_seed_weights_come_from_the_global_generator() -> None:
    torch.manual_seed(7)
    first = build_model("linear")
    second = build_model("linear")
    torch.manual_seed(7)
    assert torch.equal(build_model("linear").head.weight, first.head.weight)
    assert not torch.equal(second.head.weight, first.head.weight)
