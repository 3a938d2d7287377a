"""A watch beside a training: what it is told, what it says and keeps, and that it changes nothing.  R-D7, R-F2."""

import json
import math
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convscope.config import Config
from convscope.doctor.guessing import guessing_loss
from convscope.doctor.watch.alarms import WINDOW
from convscope.doctor.watch.listener import EVERY, Watch
from convscope.experiment import Plan, resume, train
from convscope.experiment.session import Session
from convscope.runs import Run, create_run
from convscope.training.checkpoint import load_state
from convscope.training.loop import Interrupted
from convscope.training.state import BatchRecord, EpochRecord

pytestmark = pytest.mark.usefixtures("no_pictures")

CHANCE = math.log(10)
SETTING = Config(model="lenet5", batch_size=16, epochs=3, optimizer="sgd", lr=0.1, schedule="constant", threads=1)
SETTING = replace(SETTING, device="cpu", precision="float32")


class Watched:
    """A watch that is told of losses, a step each, while the network is never used."""

    def __init__(self, data: Path, folder: Path, config: Config = SETTING) -> None:
        self.said: list[str] = []
        self.watch = Watch(self.said.append)
        self.session = Session.prepare(replace(config, data=str(data)))
        self.plan = Plan(
            run=Run(folder),
            config=self.session.config,
            parameters=1,
            class_counts=(54,) * 10,
            val_images=60,
            skipped=(),
            device="cpu",
            precision="float32",
            threads=1,
            resumed=False,
            first_epoch=1,
        )
        for parameter in self.session.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.watch.on_start(self.plan, self.session)
        self.step = 0

    def goes(self, *losses: float, lr: float = 0.1) -> "Watched":
        for loss in losses:
            self.step += 1
            self.watch.on_batch(record(self.step, loss, lr=lr))
        return self

    @property
    def kinds(self) -> list[str]:
        return [alarm.kind for alarm in self.watch.alarms]


def record(step: int, loss: float | Tensor, *, lr: float = 0.1) -> BatchRecord:
    return BatchRecord(1, step, 1000, 100.0, lr, torch.as_tensor(loss), torch.tensor(1.0))


@pytest.fixture
def watched(fashion_slice: Path, tmp_path: Path) -> Watched:
    return Watched(fashion_slice, tmp_path)


@pytest.mark.parametrize(
    ("counts", "smoothing"), [((7,) * 10, 0.0), ((7,) * 10, 0.1), ((90, 9, 1), 0.0), ((90, 9, 1), 0.2), ((5, 0), 0.0)]
)
def test_loss_of_guessing_is_the_least_that_one_answer_for_all_images_can_have(
    counts: tuple[int, ...], smoothing: float
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    targets = F.one_hot(labels, len(counts)).float().mean(dim=0) * (1 - smoothing) + smoothing / len(counts)
    answer = targets.clamp(min=1e-30).log().requires_grad_()
    loss = F.cross_entropy(answer.expand(len(labels), -1), labels, label_smoothing=smoothing)
    loss.backward()
    assert answer.grad is not None and answer.grad.abs().max() < 1e-6  # convex: flat means least
    assert guessing_loss(counts, smoothing) == pytest.approx(loss.item(), abs=1e-6)


def test_an_alarm_is_one_line_said_once_and_kept(watched: Watched) -> None:
    assert watched.plan.run.alarms() == []
    watched.goes(*[CHANCE] * (WINDOW - 1))
    assert watched.said == []
    watched.goes(CHANCE)
    assert watched.kinds == ["stuck at chance"]
    assert watched.said[0].startswith(f"epoch 1, batch {WINDOW}: stuck at chance: the loss, 2.303, is that of guessing")
    assert "\n" not in watched.said[0]
    assert len(watched.goes(*[CHANCE] * 5 * WINDOW).said) == 1
    (kept,) = watched.plan.run.alarms() or ()
    assert (kept["kind"], kept["epoch"], kept["step"], kept["over"]) == ("stuck at chance", 1, WINDOW, "")
    assert kept["what"] in watched.said[0] and kept["remedy"] in watched.said[0]


def test_leaving_the_plateau_is_told_once_and_kept(watched: Watched) -> None:
    watched.goes(*[CHANCE] * WINDOW, *[1.9] * WINDOW)
    assert len(watched.said) == 2
    assert watched.said[1].endswith("is now below that of guessing: the network begins to learn")
    (kept,) = watched.plan.run.alarms() or ()
    assert kept["over"] == watched.said[1]
    # Each kind is raised once.
    assert len(watched.goes(*[CHANCE] * 2 * WINDOW, *[1.0] * WINDOW).said) == 2


def test_while_an_alarm_stands_its_consequences_are_not_others(watched: Watched) -> None:
    watched.goes(*[CHANCE] * WINDOW, *[50.0] * 2 * WINDOW)
    assert watched.kinds == ["stuck at chance"]


def test_an_epochs_end_is_a_moment_to_look_too(watched: Watched) -> None:
    watched.goes(*[1.0] * (EVERY // 2), *[CHANCE] * (WINDOW + EVERY // 4))
    assert watched.said == []
    watched.goes(*[CHANCE] * (EVERY // 4 - 1))
    watched.watch.on_epoch(EpochRecord(1, 2.3, 0.1, 2.3, 0.1, 0.1, 0.0, 100.0, 1.0))
    assert [line.partition(":")[0] for line in watched.said] == ["epoch 1"]


def test_losses_are_looked_at_in_their_order(watched: Watched) -> None:
    # Falling within the window, which begins in the middle of where the losses are kept.
    falling = [CHANCE * (1.01 - 0.0001 * step) for step in range(WINDOW)]
    assert watched.goes(*[1.0] * EVERY, *falling).said == []


def test_a_network_that_collapses_later_is_told_of_too(watched: Watched) -> None:
    assert watched.goes(*[1.5] * 3 * WINDOW, *[CHANCE] * WINDOW).kinds == ["stuck at chance"]


def test_a_warm_up_is_waited_for(watched: Watched) -> None:
    # Rising, and below half of the highest rate: the steps are still too small to tell.
    for lr in (0.01, 0.04):
        watched.goes(*[CHANCE] * WINDOW, lr=lr)
    assert watched.said == []
    assert watched.goes(*[CHANCE] * WINDOW, lr=0.06).kinds == ["stuck at chance"]


def test_a_rate_that_has_decayed_is_no_excuse(watched: Watched) -> None:
    watched.goes(*[1.0] * WINDOW, lr=0.1).goes(*[CHANCE] * WINDOW, lr=0.01)
    assert watched.kinds == ["stuck at chance"]


def test_a_loss_that_is_no_number_is_seen_at_once(watched: Watched) -> None:
    watched.goes(2.3, 2.4, 3.0, 9.0, math.nan)
    assert watched.kinds == ["learning rate too high"]
    assert "after 5 steps the loss is no longer a number" in watched.said[0]


def test_nothing_is_kept_alive(watched: Watched) -> None:
    losses = [torch.tensor(CHANCE) for _ in range(5)]
    alive: Sequence[Any] = [weakref.ref(loss) for loss in losses]
    for step in range(5):
        watched.watch.on_batch(record(step + 1, losses[step]))
    model, session = weakref.ref(watched.session.model), weakref.ref(watched.session)
    del losses, watched.session
    assert [loss() for loss in alive] == [None] * 5
    assert model() is None and session() is None


def test_each_training_is_watched_by_itself(watched: Watched) -> None:
    watched.goes(*[CHANCE] * WINDOW)
    watched.watch.on_start(watched.plan, watched.session)
    assert watched.watch.alarms == [] == watched.plan.run.alarms()
    assert len(watched.goes(*[CHANCE] * (WINDOW - 1)).said) == 1
    assert len(watched.goes(CHANCE).said) == 2


EVERYTHING = replace(SETTING, model="tinyvgg_bn", input_size=12, optimizer="adamw", lr=2e-3, schedule="one-cycle")
EVERYTHING = replace(EVERYTHING, epochs=2, mixup=0.4, shift=1, label_smoothing=0.1, ema=0.9, clip_norm=1.0)


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_a_training_comes_to_the_same_bits_with_a_watch_and_without(
    micro_batch: int | None, fashion_slice: Path, tmp_path: Path
) -> None:
    config = replace(EVERYTHING, data=str(fashion_slice), micro_batch=micro_batch)
    watch = Watch(print)
    first = train(config, runs_dir=tmp_path, name="without")
    second = train(config, runs_dir=tmp_path, name="with", observers=[watch])
    states = [load_state(run.last_state) for run in (first, second)]
    for part in ("model", "random"):
        assert states[0][part].keys() == states[1][part].keys()
        assert all(torch.equal(value, states[1][part][name]) for name, value in states[0][part].items())
    assert first.metrics()["test"] == second.metrics()["test"]
    assert watch.alarms == [] == second.alarms()
    assert first.alarms() is None


def test_alarms_from_before_a_stop_are_kept(fashion_slice: Path, tmp_path: Path) -> None:
    config = replace(SETTING, data=str(fashion_slice), lr=1e5)  # the loss leaps, and lenet5's tanh keeps it finite
    steps, said = [0], list[str]()

    class Counter:
        def on_start(self, plan: Plan, session: Session) -> None: ...

        def on_batch(self, record: BatchRecord) -> None:
            steps[0] += 1

        def on_epoch(self, record: EpochRecord) -> None: ...

    with pytest.raises(Interrupted):
        observers = [Counter(), Watch(said.append)]
        train(config, runs_dir=tmp_path, name="first", observers=observers, interrupted=lambda: steps[0] == WINDOW)
    run = Run(tmp_path / "first")
    before = run.alarms()
    assert before is not None and [alarm["kind"] for alarm in before] == ["learning rate too high"]
    resume(run, observers=[Watch(said.append)])
    assert run.alarms() == before and len(said) == 1


def test_alarms_that_anybody_may_have_written(tmp_path: Path) -> None:
    run = create_run(tmp_path, "first", SETTING, {})
    alarm = {"kind": "k", "epoch": 1, "step": 2, "what": "w", "remedy": "r", "over": ""}
    (run.path / "alarms.json").write_text(json.dumps({"alarms": [alarm | {"more": 1}]}), encoding="utf-8")
    assert run.alarms() == [alarm]
    (run.path / "alarms.json").write_text(json.dumps({"alarms": [alarm | {"epoch": "one"}]}), encoding="utf-8")
    with pytest.raises(Exception, match="epoch is no whole number"):
        run.alarms()
