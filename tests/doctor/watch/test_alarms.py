"""When each alarm is raised, and when it is not: evidence made up, a step to either side of every threshold."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convscope.config import Config
from convscope.doctor.guessing import ways_out
from convscope.doctor.watch import learning, network, rate
from convscope.doctor.watch.alarms import WINDOW, Evidence, listed
from convscope.doctor.watch.listener import DETECTORS
from convscope.doctor.watch.probe import Measures, Passed, Weights
from convscope.doctor.watch.separation import f_ratio
from convscope.training.state import EpochRecord

CHANCE = math.log(10)


def measures(*, norm: float = 1.0, gradient: float = 0.1, moved: float = 1e-3, lr: float = 0.1) -> Measures:
    """Two layers, each with these figures."""
    weights = tuple(Weights(layer, norm, gradient, moved, usual=norm) for layer in ("conv", "output"))
    passed = Passed(pixel_mean=0.0, pixel_std=1.0, least=-2.0, odd_sum=3.0)
    return Measures(lr=lr, weights=weights, cut_off=(), silent={"act": 0.1}, passed=passed)


HEALTHY = Evidence(
    config=Config(model="vgg11", optimizer="sgd", lr=0.1, schedule="constant"),
    classes=10,
    guessing=CHANCE,
    most_frequent=0.1,
    epoch=2,
    step=30,
    steps=300,
    losses=(1.0,) * WINDOW,
    grad_norms=(1.0,) * WINDOW,
    first_loss=2.4,
    best_loss=0.9,
    start=measures(),
    before=measures(),
    now=measures(),
    settled=True,
    history=(),
    class_difference=lambda: 30.0,
)
STALLED = replace(HEALTHY, losses=(CHANCE,) * WINDOW, best_loss=CHANCE)


def kinds(evidence: Evidence) -> list[str]:
    """Of all alarms for which there is reason."""
    return [alarm.kind for detector in DETECTORS if (alarm := detector(evidence)) is not None]


def passing(evidence: Evidence, **figures: float) -> Evidence:
    """With other images or answers, in both of the last steps looked at."""
    now = replace(evidence.now, passed=replace(evidence.now.passed, **figures))
    return replace(evidence, before=replace(now), now=now, start=now)


def test_nothing_is_said_of_what_is_healthy() -> None:
    assert kinds(HEALTHY) == []
    assert kinds(replace(STALLED, settled=False)) == []  # a warm-up


@pytest.mark.parametrize("missing", ["pixel_mean", "least"])
def test_what_is_not_known_raises_no_alarm(missing: str) -> None:
    assert kinds(replace(HEALTHY, now=replace(HEALTHY.now, passed=Passed()))) == []


@given(st.lists(st.floats(-20, 20), min_size=WINDOW, max_size=WINDOW), st.integers(3, 10**6))
def test_losses_below_that_of_guessing_never_raise_one(noise: list[float], steps: int) -> None:
    losses = tuple(0.4 * CHANCE * (1 + value / 40) for value in noise)
    assert kinds(replace(HEALTHY, losses=losses, steps=steps)) == []


def test_a_stall_is_explained_by_what_else_is_seen() -> None:
    # R-E5
    assert kinds(STALLED) == ["stuck at chance"]
    first, last = STALLED.now.weights
    vanished = replace(STALLED.now, weights=(replace(first, gradient=1e-6), last))
    assert kinds(replace(STALLED, now=vanished)) == ["vanishing gradients"]
    assert kinds(replace(STALLED, class_difference=lambda: 1.2))[0] == "labels look wrong"
    assert kinds(replace(STALLED, now=measures(moved=1e-5)))[0] == "learning rate too low"
    assert kinds(replace(STALLED, now=measures(norm=5.0)))[0] == "learning rate too high"


def test_a_loss_that_falls_is_on_its_way() -> None:
    falling = tuple(CHANCE * (1.01 - 0.0001 * step) for step in range(WINDOW))
    assert kinds(replace(HEALTHY, losses=falling)) == []
    assert not replace(HEALTHY, losses=falling[::-1]).stalled or kinds(replace(HEALTHY, losses=falling[::-1]))


def test_remedies_fit_the_setting_and_come_in_their_order() -> None:
    text = "; ".join(ways_out(STALLED.config))
    places = [text.index(word) for word in ("vgg11_bn", "--optimizer adamw", "--lr 0.01", "--warmup-epochs 1")]
    assert places == sorted(places)
    config = replace(STALLED.config, model="alexnet", optimizer="adam", schedule="one-cycle")
    bare = "; ".join(ways_out(config))
    assert "--lr 0.01" in bare
    assert not any(word in bare for word in ("_bn", "--optimizer", "--warmup"))


def test_a_loss_worse_than_guessing_tells_of_too_high_a_rate() -> None:
    high = replace(HEALTHY, losses=(1.6 * CHANCE,) * WINDOW)
    assert kinds(high) == ["learning rate too high"]
    assert kinds(replace(high, losses=(1.4 * CHANCE,) * WINDOW)) == []
    assert kinds(replace(high, first_loss=8.0)) == []  # it began there
    assert kinds(replace(high, losses=high.losses[:50])) == []  # too few steps to tell


def test_weights_that_outgrow_all_bounds_tell_of_too_high_a_rate() -> None:
    grown = replace(HEALTHY, now=measures(norm=4.1))
    assert kinds(grown) == ["learning rate too high"]
    assert kinds(replace(grown, now=measures(norm=3.9))) == []
    assert kinds(replace(grown, losses=(0.3,) * WINDOW)) == []  # it learns all the same
    single = replace(grown.now, weights=grown.now.weights[:1])
    assert kinds(replace(grown, now=single, start=replace(single, weights=HEALTHY.start.weights[:1]))) == []


def test_what_explodes_after_it_had_learnt_is_not_the_rates_fault_alone() -> None:
    jumped = replace(HEALTHY, losses=(*[1.0] * 99, 40.0), grad_norms=(*[1.0] * 99, 500.0))
    assert kinds(jumped) == ["exploding gradients"]
    assert kinds(replace(jumped, grad_norms=(*[1.0] * 99, 50.0))) == []
    assert kinds(replace(jumped, losses=(1.0,) * WINDOW)) == []  # it recovered
    broken = replace(jumped, losses=(*[1.0] * 99, math.nan), grad_norms=(*[1.0] * 99, math.nan))
    assert kinds(broken)[0] == "exploding gradients"
    assert kinds(replace(broken, best_loss=2.2))[0] == "learning rate too high"


def test_what_is_out_of_proportion_at_the_first_step_is_no_matter_of_the_rate() -> None:
    first = replace(
        HEALTHY, steps=2, losses=(30.0, 25.0), grad_norms=(900.0, 800.0), first_loss=30.0, best_loss=math.inf
    )
    assert kinds(first) == ["exploding gradients"]
    assert "--clip-norm 1" in (rate.exploding_gradients(first) or pytest.fail()).remedy
    assert kinds(replace(first, first_loss=9.0)) == []


def test_steps_that_lead_nowhere_tell_of_too_low_a_rate() -> None:
    crawling = replace(HEALTHY, losses=(1.8,) * WINDOW, now=measures(moved=1e-4))
    assert kinds(crawling) == ["learning rate too low"]
    assert kinds(replace(crawling, steps=150)) == []
    assert kinds(replace(crawling, losses=(1.2,) * WINDOW)) == []
    assert kinds(replace(crawling, now=measures(moved=3e-4))) == []
    assert kinds(replace(crawling, now=measures(moved=1e-4, gradient=1e-5))) == []  # the gradient is what is small
    assert kinds(replace(crawling, now=measures(moved=1e-4, lr=0.04))) == []  # it has decayed
    assert kinds(replace(crawling, config=replace(crawling.config, pretrained="imagenet"))) == []


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weights_that_decay_faster_than_they_learn(optimizer: str) -> None:
    config = replace(HEALTHY.config, optimizer=optimizer, weight_decay=0.5)  # type: ignore[arg-type]
    shrunk = replace(HEALTHY, config=config, losses=(1.5,) * WINDOW, now=measures(norm=0.4, moved=0.05))
    assert kinds(shrunk) == ["weight decay too strong"]
    assert "--weight-decay 0.005" in (rate.weight_decay_too_strong(shrunk) or pytest.fail()).remedy
    assert kinds(replace(shrunk, now=measures(norm=0.6, moved=0.05))) == []
    assert kinds(replace(shrunk, losses=(1.0,) * WINDOW)) == []
    weak = replace(shrunk, config=replace(config, weight_decay=5e-4))
    assert kinds(weak) == []


def test_answers_that_are_probabilities() -> None:
    assert kinds(passing(HEALTHY, least=0.0, odd_sum=0.004)) == ["softmax before the loss"]
    assert kinds(passing(HEALTHY, least=-0.001, odd_sum=0.004)) == []
    assert kinds(passing(HEALTHY, least=0.0, odd_sum=0.1)) == []


def test_pixels_as_they_are_in_the_file() -> None:
    assert kinds(passing(HEALTHY, pixel_mean=72.0, pixel_std=90.0)) == ["images not normalised"]
    # From 0 to 1: what `--scaling unit` asks for, and standardising does not give.
    unit = passing(HEALTHY, pixel_mean=0.29, pixel_std=0.35)
    assert kinds(replace(unit, start=replace(unit.now))) == ["images not normalised"]
    for config in (replace(unit.config, scaling="unit"), replace(unit.config, pretrained="imagenet")):
        assert kinds(replace(unit, config=config)) == []
    assert kinds(passing(HEALTHY, pixel_mean=-0.2, pixel_std=0.7)) == []


def test_layers_that_cannot_learn() -> None:
    zero = replace(HEALTHY.now, weights=(Weights("conv", 0.0, 0.0, 0.0, usual=1.0), HEALTHY.now.weights[1]))
    assert kinds(replace(HEALTHY, now=zero)) == ["zeroed layer"]
    recovering = replace(HEALTHY.now, weights=(Weights("conv", 0.0, 0.1, 0.0, usual=1.0), HEALTHY.now.weights[1]))
    assert kinds(replace(HEALTHY, now=recovering)) == []
    cut = replace(HEALTHY.now, cut_off=("conv", "norm"))
    assert kinds(replace(HEALTHY, before=cut, now=cut)) == ["no gradient"]
    assert kinds(replace(HEALTHY, evaluated_in_training=("norm",))) == ["evaluation in training mode"]
    dead = replace(
        STALLED, now=replace(HEALTHY.now, silent={"act": 1.0}), before=replace(HEALTHY.now, silent={"act": 1.0})
    )
    assert kinds(dead)[0] == "dead ReLUs"
    assert kinds(replace(dead, before=HEALTHY.before))[0] == "stuck at chance"
    assert kinds(replace(dead, losses=HEALTHY.losses)) == []  # a branch that is dead, beside others


def epoch(number: int, train_loss: float, val_loss: float, *, train: float = 0.9, val: float = 0.8) -> EpochRecord:
    return EpochRecord(number, train_loss, train, val_loss, val, 0.1, 1.0, 100.0, 1.0)


def test_a_validation_loss_that_rises_while_the_training_loss_falls() -> None:
    losses = [(0.5, 0.4), (0.3, 0.35), (0.2, 0.45), (0.1, 0.5), (0.05, 0.6)]
    history = tuple(epoch(number, *pair) for number, pair in enumerate(losses, start=1))
    evidence = replace(HEALTHY, history=history)
    assert kinds(evidence) == ["overfitting"]
    alarm = learning.overfitting(evidence) or pytest.fail()
    assert "since epoch 2" in alarm.what
    assert all(word in alarm.remedy for word in ("--shift 2", "--weight-decay 0.0005", "--patience 3"))
    tried = replace(evidence.config, flip=True, weight_decay=0.1, patience=5)
    assert (learning.overfitting(replace(evidence, config=tried)) or pytest.fail()).remedy == "try more images"
    assert kinds(replace(evidence, history=history[:4])) == []  # two epochs may be an accident
    slight = tuple(replace(record, val_loss=min(record.val_loss, 0.42)) for record in history)
    assert kinds(replace(evidence, history=slight)) == []


def test_what_is_learnt_by_heart_is_of_no_use_elsewhere() -> None:
    history = tuple(epoch(number, 1.0, 2.6, train=0.6, val=0.11) for number in (1, 2, 3))
    assert kinds(replace(HEALTHY, history=history)) == ["labels look wrong"]
    assert kinds(replace(HEALTHY, history=history[:2])) == []
    better = (*history[:2], replace(history[2], val_accuracy=0.4))
    assert kinds(replace(HEALTHY, history=better)) == []
    # Where nine tenths belong to one class, nine tenths are what guessing gets right.
    uneven = tuple(epoch(number, 0.2, 0.5, train=0.95, val=0.9) for number in (1, 2, 3))
    assert kinds(replace(HEALTHY, history=uneven, most_frequent=0.9, guessing=0.33)) == []


@given(st.integers(0, 2**32), st.integers(2, 10))
def test_labels_at_random_differ_as_chance_has_it(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(600, 16, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (600,), generator=generator)
    assert f_ratio(values, labels, classes) < 3
    assert f_ratio(values + labels[:, None], labels, classes) > 10
    # Neither shift nor scale matters, nor a class that nobody belongs to.
    assert f_ratio(7 * values + 3, labels, classes + 1) == pytest.approx(f_ratio(values, labels, classes))


def test_names_are_listed_up_to_three() -> None:
    assert (listed(["a"]), listed(["a", "b", "c", "d", "e"])) == ("a", "a, b, c and 2 more")


def test_every_detector_is_asked() -> None:
    modules = (learning, network, rate)
    written = {
        value
        for module in modules
        for name, value in vars(module).items()
        if getattr(value, "__annotations__", {}).get("evidence") is Evidence and name != "remedies"
    }
    assert written == set(DETECTORS)
