"""When one engine may stand for another."""

import math

import pytest
import torch

from convscope.engines.agreement import Agreement


def test_figures() -> None:
    expected = torch.tensor([[2.0, 0.0], [0.0, 0.1], [0.0, 3.0], [1.0, 0.0]])
    logits = torch.tensor([[2.0, 0.0], [0.1, 0.0], [0.0, 3.0], [1.5, 0.0]])
    agreement = Agreement.of(logits, expected)
    assert agreement.images == 4
    assert agreement.top1 == pytest.approx(0.75)
    difference = 1 / (1 + math.exp(-1.5)) - 1 / (1 + math.exp(-1.0))
    assert agreement.largest_difference == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize(
    ("images", "others", "difference", "suffices"),
    [
        (1000, 0, 0.0, True),
        (1000, 5, 0.05, True),
        (1000, 6, 0.05, False),
        (1000, 0, 0.11, False),
        (20, 1, 0.02, True),  # one between two classes
        (20, 2, 0.02, False),
        (20, 0, math.nan, False),
        (1, 1, 0.02, True),
    ],
)
def test_what_suffices(images: int, others: int, difference: float, suffices: bool) -> None:
    assert Agreement(images, 1 - others / images, difference).suffices == suffices


def test_what_is_no_number_never_suffices() -> None:
    expected = torch.zeros(20, 3)
    logits = torch.zeros(20, 3)
    logits[7, 1] = math.nan
    assert not Agreement.of(logits, expected).suffices
