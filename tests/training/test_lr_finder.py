"""The range test: which rates crawl, which fail, and which one is suggested.  R-A4"""

import math
from dataclasses import replace
from itertools import islice, pairwise, repeat

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from convscope.training.freezing import Freezing
from convscope.training.lr_finder import (
    BROKEN,
    HIGHEST,
    LOWEST,
    SAFETY,
    RateTest,
    Trial,
    endless,
    geometric,
    range_test,
    smooth,
)
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime

RATES = geometric(LOWEST, HIGHEST, 100)
CPU = Runtime(torch.device("cpu"))


def curve(*points: tuple[float, float]) -> RateTest:
    """Losses that go straight, over the logarithm of the rate, from point to point."""
    losses = []
    for rate in RATES:
        before = max((point for point in points if point[0] <= rate), default=points[0])
        after = min((point for point in points if point[0] > rate), default=points[-1])
        way = 0.0 if before[0] == after[0] else math.log(rate / before[0]) / math.log(after[0] / before[0])
        losses.append(before[1] + way * (after[1] - before[1]))
    return RateTest(RATES, tuple(losses))


def trial(classes: int = 3) -> Trial:
    torch.manual_seed(0)
    model = nn.Linear(8, classes)
    return Trial(model, build_optimizer("sgd", model, lr=1.0, momentum=0.0), CPU)


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    images = torch.randn(60, 8)
    return images, (images @ torch.randn(8, 3)).argmax(dim=1)


def test_a_curve_that_stands_falls_and_rises() -> None:
    test = curve((1e-6, 2.3), (1e-3, 2.3), (1e-1, 0.5), (1.0, 4.0))
    assert test.learns
    assert test.crawls_below is not None and test.suggested is not None and test.fails_above is not None
    assert 1e-3 < test.crawls_below < 1e-2 < test.suggested * 2 < 1e-1 < test.fails_above < 1
    lowest = min(range(100), key=test.smoothed.__getitem__)
    assert RATES[lowest] / 10 <= test.suggested * SAFETY <= RATES[lowest] or test.suggested == test.crawls_below


@pytest.mark.parametrize("points", [((1e-6, 2.3), (10.0, 2.29)), ((1e-6, 2.3), (1e-1, 2.3), (1.0, 9.0))])
def test_a_curve_that_never_falls(points: tuple[tuple[float, float], ...]) -> None:
    test = curve(*points)
    assert not test.learns
    assert (test.suggested, test.crawls_below, test.fails_above) == (None, None, None)


def test_a_curve_that_does_not_rise_again_fails_nowhere() -> None:
    test = curve((1e-6, 2.3), (1e-3, 2.3), (10.0, 0.1))
    assert test.suggested is not None and test.fails_above is None


def test_a_steep_fall_is_not_followed_by_a_rate_that_crawls() -> None:
    test = curve((1e-6, 2.3), (0.01, 2.3), (0.02, 0.3), (0.1, 0.3), (1.0, 9.0))
    assert test.suggested is not None and test.crawls_below is not None
    assert test.suggested >= test.crawls_below > 0.01


@given(st.floats(1e-6, 1e-3), st.floats(2, 1e4), st.integers(2, 300))
def test_geometric(low: float, factor: float, count: int) -> None:
    rates = geometric(low, low * factor, count)
    assert len(rates) == count
    assert rates[0] == pytest.approx(low) and rates[-1] == pytest.approx(low * factor)
    ratios = [after / before for before, after in pairwise(rates)]
    assert min(ratios) == pytest.approx(max(ratios))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_smooth_stays_between_the_extremes(losses: list[float]) -> None:
    smoothed = smooth(losses)
    assert len(smoothed) == len(losses)
    assert smoothed[0] == pytest.approx(losses[0])
    assert all(min(losses) - 1e-9 <= value <= max(losses) + 1e-9 for value in smoothed)


def test_a_real_test_learns_and_ends_where_it_breaks() -> None:
    *_, test = range_test(trial(), repeat(batch()), steps=100)
    assert test.learns and test.suggested is not None
    assert 1e-4 < test.suggested < 10
    assert test.rates == RATES[: len(test.losses)]
    model = trial().model
    broken = Trial(model, build_optimizer("sgd", model, lr=1.0, momentum=0.99), CPU)
    *_, test = range_test(broken, repeat((batch()[0], torch.arange(60) % 3)), steps=100)
    assert len(test.losses) < 100
    assert all(math.isfinite(loss) for loss in test.losses)
    assert all(loss <= BROKEN * test.losses[0] for loss in test.smoothed[:-1])


def test_steps_are_those_of_the_optimizer() -> None:
    ours, by_hand = trial(), trial()
    images, labels = batch()
    losses = list(ours.steps(repeat((images, labels)), [0.1, 0.2]))
    for lr in (0.1, 0.2):
        loss = nn.functional.cross_entropy(by_hand.model(images), labels)
        by_hand.optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in by_hand.model.parameters():
                assert parameter.grad is not None
                parameter -= lr * parameter.grad
    assert losses[1] < losses[0]
    for mine, other in zip(ours.model.parameters(), by_hand.model.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_loss_that_is_no_number_is_the_last() -> None:
    images, labels = batch()
    losses = list(trial().steps(repeat((images * torch.nan, labels)), [0.1] * 5))
    assert len(losses) == 1 and math.isnan(losses[0])


def test_stages_keep_their_share_of_the_rate_and_rest_if_they_are_to() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    groups = [{"params": [*model[0].parameters()], "lr_scale": 0.1}, {"params": [*model[1].parameters()]}]
    some = Trial(model, torch.optim.SGD(groups, lr=1.0), CPU)
    some.set_rate(0.5)
    assert [group["lr"] for group in some.optimizer.param_groups] == [0.05, 0.5]
    before = model[0].weight.detach().clone()
    resting = replace(some, freezing=Freezing({"0": model[0]}))
    list(resting.steps(repeat(batch()), [0.5] * 3))
    assert torch.equal(model[0].weight, before)


def test_batches_go_on_after_an_epoch() -> None:
    class Loader:
        samples = 4

        def __len__(self) -> int:
            return 2

        def epoch(self, epoch: int, start: int = 0):  # type: ignore[no-untyped-def]
            yield from [(torch.tensor(epoch), torch.tensor(step)) for step in range(start, 2)]

    assert [(int(a), int(b)) for a, b in islice(endless(Loader()), 5)] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
