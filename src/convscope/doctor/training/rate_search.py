"""Short trainings of copies of a session: at rising rates, at the setting's own rate, and at better ones."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from convscope.doctor.training.rates import KNOWS_NOTHING, ShortTraining
from convscope.downloads import Progress
from convscope.experiment.session import Session
from convscope.training.loss import CrossEntropy
from convscope.training.lr_finder import RateTest, Trial, endless, range_test
from convscope.training.runtime import Runtime

STEPS, FEWEST, SECONDS = 100, 40, 30.0
"""Steps of the range test; fewer, but not fewer than 40, where they would take longer than 30 seconds."""
PATIENT = 100
"""Steps in which a network should have begun to learn; as many as the watch over a training waits for."""
SHARE = 0.4
"""Steps of a short training as a share of those of the range test."""
APART = 3.0
"""Factor between the rate that the range test suggests and the next one that is tried: its rule is cautious."""


@dataclass(frozen=True)
class RateSearch:
    """What came out."""

    test: RateTest
    own: ShortTraining
    """At the setting's rate."""
    others: tuple[ShortTraining, ...]
    """At rates that the range test suggests."""
    undecayed: ShortTraining | None
    """At the setting's rate without weight decay; None where that was not asked for."""
    still: frozenset[str]
    """Layers whose weights had no gradient at the end of `own`."""
    seconds_a_step: float


def copy_for_trial(session: Session, *, micro_batch: int | None = None) -> Trial:
    """Copies of the session's network and optimizer, to be tried out; dropout then draws the same numbers each time."""
    torch.manual_seed(session.config.seed)
    model, optimizer, freezing = copy.deepcopy((session.model, session.optimizer, session.freezing))
    return Trial(
        model,
        optimizer,
        # Of its own, because it remembers how float16's losses are scaled.
        Runtime(session.runtime.device, session.runtime.dtype),
        CrossEntropy(session.config.label_smoothing),
        freezing,
        session.config.clip_norm,
        micro_batch or session.config.micro_batch,
    )


def search_rates(
    session: Session, *, micro_batch: int | None, guessing: float, check_decay: bool, progress: Progress | None = None
) -> RateSearch:
    """Run the range test, then short trainings; with `check_decay` one without weight decay too.

    Where all of them end at the loss of `guessing`, the setting's own rate gets a longer one: a network may need that
    to begin.
    """
    lr = session.config.lr
    steps = _affordable_steps(copy_for_trial(session, micro_batch=micro_batch), session)
    tests = range_test(copy_for_trial(session, micro_batch=micro_batch), endless(session.train), steps=steps)
    for test in tests:
        if progress:
            progress("range of learning rates", len(test.losses), steps)
    if progress:
        progress("range of learning rates", steps, steps)  # it may have ended before
    steps = round(SHARE * steps)
    rates = _worth_trying(test, lr)
    count = 1 + len(rates) + check_decay

    warm_up = session.schedule.factor(0) < 1

    def train(rate: float, trial: Trial, number: int) -> ShortTraining:
        losses: list[float] = []
        for loss in trial.steps(endless(session.train), _course(rate, steps, warm_up=warm_up)):
            losses.append(loss)
            if progress:
                progress("short trainings", number * steps + len(losses), count * steps)
        return ShortTraining(rate, tuple(losses))

    # Each copy is let go before the next is made: a network may take a large part of the memory.
    trial = copy_for_trial(session, micro_batch=micro_batch)
    started = time.perf_counter()
    own = train(lr, trial, 0)
    seconds_a_step = (time.perf_counter() - started) / len(own.losses)
    still = _without_gradient(trial.model)
    del trial
    others = [
        train(rate, copy_for_trial(session, micro_batch=micro_batch), number)
        for number, rate in enumerate(rates, start=1)
    ]
    undecayed = None
    if check_decay:
        undecayed = train(lr, without_decay(copy_for_trial(session, micro_batch=micro_batch)), count - 1)
    if steps < PATIENT and min(training.end for training in (own, *others)) > KNOWS_NOTHING * guessing:
        steps, count = PATIENT, 1
        own = train(lr, copy_for_trial(session, micro_batch=micro_batch), 0)
    return RateSearch(test, own, tuple(others), undecayed, still, seconds_a_step)


def without_decay(trial: Trial) -> Trial:
    """The same trial, whose optimizer no longer shrinks weights."""
    for group in trial.optimizer.param_groups:
        group["weight_decay"] = 0.0
    return trial


def _affordable_steps(trial: Trial, session: Session) -> int:
    """How many steps of the range test there is time for, judged by three."""
    started = time.perf_counter()
    list(islice(trial.steps(endless(session.train), [session.config.lr] * 3), 3))
    seconds = (time.perf_counter() - started) / 3
    return max(FEWEST, min(STEPS, int(SECONDS / seconds)))


def _worth_trying(test: RateTest, own: float) -> list[float]:
    """Rates at which the network may learn better than at its own."""
    if test.suggested is None:
        return [own / 10]  # the test goes too fast for networks that take long to begin
    bolder = APART * test.suggested
    return (
        [test.suggested, bolder] if test.fails_above is None or APART * bolder < test.fails_above else [test.suggested]
    )


def _course(rate: float, steps: int, *, warm_up: bool) -> Iterator[float]:
    """The rate of each step: from the first on, or rising over a third of them."""
    for step in range(steps):
        yield rate * min(1.0, 3 * (step + 1) / steps) if warm_up else rate


def _without_gradient(model: nn.Module) -> frozenset[str]:
    """Names of the layers whose weight has no gradient, or one that is 0 throughout."""
    weights = {
        name.removesuffix(".weight"): parameter.grad
        for name, parameter in model.named_parameters()
        if name.endswith(".weight")
    }
    return frozenset(name for name, gradient in weights.items() if gradient is None or not gradient.any())
