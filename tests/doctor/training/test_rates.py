"""What is said of a learning rate, given short trainings at it and at others."""

import math
from dataclasses import replace

import pytest

from convscope.config import Config
from convscope.doctor.training.depth import LayerHealth
from convscope.doctor.training.rates import ShortTraining, decay_share, find_strong_decay, find_wrong_rate, suggest
from convscope.training.lr_finder import RateTest

CHANCE = math.log(10)
LEARNT = RateTest((1e-5, 1e-3, 1e-1), (2.3, 1.0, 3.0))
FLAT = RateTest((1e-5, 1e-3, 1e-1), (2.3, 2.3, 2.3))


def ends(rate: float, loss: float) -> ShortTraining:
    return ShortTraining(rate, (CHANCE, loss, loss))


def said(lr: float, end: float, *others: tuple[float, float], test: RateTest = LEARNT) -> list[str]:
    trainings = [ends(*other) for other in others]
    found = find_wrong_rate(Config(lr=lr), test, ends(lr, end), trainings, CHANCE, by_heart=False)
    return [finding.kind for finding in found]


@pytest.mark.parametrize(
    ("lr", "end", "other", "kinds"),
    [
        (0.2, 0.8, (0.002, 0.7), []),  # whatever the factor, it learns
        (0.2, 2.3, (0.002, 0.7), ["learning rate too high"]),
        (0.2, math.inf, (0.002, 0.7), ["learning rate too high"]),
        (0.2, 2.0, (0.002, 0.7), ["learning rate too high"]),  # it gains far less than it could
        (0.004, 2.3, (0.002, 0.7), []),  # too near to tell
        (0.01, 2.0, (0.002, 0.7), []),
        (2e-6, 2.29, (0.002, 0.7), ["learning rate too low"]),
        (2e-4, 2.0, (0.002, 0.7), []),  # slow, but under way
        (5e-4, 2.29, (0.002, 0.7), []),  # a few times smaller will do later
        (0.2, 2.3, (0.002, 2.24), []),  # what is best is too little to judge by
        (0.1, 2.3, (0.01, 2.3), ["stuck at chance"]),
        (0.1, math.nan, (0.01, 4.0), ["stuck at chance"]),
    ],
)
def test_verdicts(lr: float, end: float, other: tuple[float, float], kinds: list[str]) -> None:
    assert said(lr, end, other) == kinds


def test_where_no_rate_will_do_the_words_say_so() -> None:
    config = Config(model="vgg11", optimizer="sgd", lr=0.1, schedule="constant")
    (finding,) = find_wrong_rate(config, FLAT, ends(0.1, CHANCE), [], CHANCE, by_heart=False)
    assert "nor does it fall anywhere in the range test" in finding.what
    assert all(word in finding.remedy for word in ("vgg11_bn", "adamw", "--warmup-epochs 1"))
    bare = replace(config, model="alexnet", optimizer="adam", schedule="one-cycle")
    (finding,) = find_wrong_rate(bare, LEARNT, ends(0.1, CHANCE), [ends(0.01, CHANCE)], CHANCE, by_heart=False)
    assert finding.remedy == "Try a smaller learning rate, --lr 0.01."
    assert "range test suggests" in finding.what


def test_a_network_that_works_may_have_hard_images_to_tell_apart() -> None:
    (finding,) = find_wrong_rate(Config(), LEARNT, ends(0.1, CHANCE), [], CHANCE, by_heart=True)
    assert (finding.kind, finding.severity) == ("slow to begin", "note")


def test_suggestion() -> None:
    assert suggest([ends(0.1, 2.0), ends(0.01, 1.0), ends(0.001, math.nan)], CHANCE) == 0.01
    assert suggest([ends(0.1, CHANCE)], CHANCE) is None


def test_the_end_is_the_last_third() -> None:
    assert ShortTraining(0.1, (9.0, 9.0, 9.0, 9.0, 1.0, 2.0)).end == 1.5
    assert ShortTraining(0.1, (3.0,)).end == 3.0
    assert ShortTraining(0.1, (3.0, math.nan)).end == math.inf


def layer(decay: float | None = 1.0) -> LayerHealth:
    return LayerHealth(
        name="a", kind="Linear", mean=0.0, std=1.0, varies=1.0, weights=16, weight_norm=3.0, grad_norm=0.5, decay=decay
    )


def test_share_of_decay() -> None:
    assert decay_share([layer()] * 2, Config(optimizer="sgd", weight_decay=0.1)) == pytest.approx(0.6)
    assert decay_share([layer()] * 2, Config(optimizer="adamw", weight_decay=0.1)) == pytest.approx(0.3 / 4)
    assert decay_share([layer(None)], Config(weight_decay=0.1)) == 0.0


def test_strong_decay_must_do_harm() -> None:
    def kinds(own: float, undecayed: ShortTraining | None) -> list[str]:
        found = find_strong_decay(Config(weight_decay=0.5), 2.0, ends(0.1, own), undecayed, CHANCE)
        return [finding.kind for finding in found]

    assert kinds(2.2, ends(0.1, 0.7)) == ["weight decay too strong"]
    assert kinds(0.8, ends(0.1, 0.7)) == []
    assert kinds(2.3, ends(0.1, 2.3)) == []
    assert kinds(2.3, None) == []
