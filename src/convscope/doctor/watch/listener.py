"""The doctor beside a training that is under way: it looks on, and says what goes wrong."""

import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.hooks import RemovableHandle

from convscope.doctor.guessing import guessing_loss
from convscope.doctor.watch.alarms import NEAR, WINDOW, Alarm, Detector, Evidence
from convscope.doctor.watch.learning import labels_at_random, labels_disagree, overfitting, stuck
from convscope.doctor.watch.network import (
    cut_off,
    dead_relus,
    evaluation_in_training_mode,
    softmax_before_loss,
    wrong_scaling,
    zeroed_layer,
)
from convscope.doctor.watch.probe import Measures, Probe
from convscope.doctor.watch.rate import exploding_gradients, rate_too_high, rate_too_low, weight_decay_too_strong
from convscope.doctor.watch.separation import class_difference
from convscope.errors import UserError
from convscope.experiment import Plan
from convscope.experiment.session import Session
from convscope.training.compiled import uncompiled
from convscope.training.state import BatchRecord, EpochRecord

EVERY = 50
"""Steps between two looks: a look costs a fifth of a step where steps are short, and 2% is what a watch may cost."""

DETECTORS: tuple[Detector, ...] = (
    softmax_before_loss,
    zeroed_layer,
    cut_off,
    wrong_scaling,
    evaluation_in_training_mode,
    labels_at_random,
    exploding_gradients,
    rate_too_high,
    weight_decay_too_strong,
    rate_too_low,
    dead_relus,
    stuck,
    labels_disagree,
    overfitting,
)
"""From what is plain to see to what is left when nothing else explains it; the first that speaks is believed."""
PASSING = ("stuck at chance", "vanishing gradients")
"""Kinds that are over when the loss falls below that of guessing."""


class Watch:
    """Raises alarms: says each in one line, and keeps all in the run's directory.

    One at a time: while an alarm stands, what else is seen is most likely its consequence. Each kind is raised once.

    A listener: it keeps losses on the device and reads them once in EVERY steps, so it makes no other step wait, and
    of network and data it keeps nothing alive.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` is given each alarm, one line of text."""
        self._say = say

    def on_start(self, plan: Plan, session: Session) -> None:
        """Begin anew: there may be several trainings, one after the other. A resumed one keeps its alarms."""
        self._plan = plan
        self._session = weakref.ref(session)
        self._guessing = guessing_loss(plan.class_counts, plan.config.label_smoothing)
        # One tensor: many small ones, kept from step to step among the large ones that come and go, leave gaps in the
        # memory that nothing fits into.
        self._seen = torch.zeros(WINDOW, 2, device=session.runtime.device)  # loss and norm of the gradient
        self._steps = 0
        self._lr = 0.0
        self._settled = False
        self._first_loss = self._best_loss = math.inf
        self._probe: Probe | None = None
        self._measures: list[Measures] = []
        rows: list[dict[str, Any]] = [*plan.run.history()] if plan.resumed else []
        self._history = [EpochRecord(**row) for row in rows]
        self._evaluation = ExitStack()
        self._in_training: dict[str, None] = {}
        self._class_difference: float | None = None
        self.alarms: list[Alarm] = []
        if plan.resumed:
            with suppress(UserError):  # a damaged list of alarms is no reason not to go on
                self.alarms = [Alarm(**row) for row in plan.run.alarms() or ()]
        plan.run.write_alarms([asdict(alarm) for alarm in self.alarms])

    def on_batch(self, record: BatchRecord) -> None:
        """Take note of the step, and look closer at one in EVERY."""
        torch.stack((record.loss, record.grad_norm), out=self._seen[self._steps % WINDOW])
        self._steps += 1
        # A warm-up is over when the rate is high, or falls: no later one is small because it is still rising.
        self._settled |= record.lr >= self._plan.config.lr / 2 or record.lr < self._lr
        self._lr = record.lr
        session = self._session()
        assert session is not None
        if self._probe is not None:
            measures = self._probe.read(session.model, lr=record.lr, resting=_resting(session, record.epoch))
            self._measures = [*self._measures[:1], *self._measures[1:][-1:], measures]
            self._probe = None
        # Reading the loss makes a GPU wait, so there it is done when the loop does so too.
        broken = self._steps % session.runtime.check_every == 0 and not math.isfinite(record.loss.item())
        if broken or self._steps == 2 or self._steps % EVERY == 0:
            self._look(record.epoch, record.step)
        if self._steps == 1 or self._steps % EVERY == EVERY - 1:
            self._probe = Probe(session.model)
        if record.step == record.steps and not self._plan.config.compile:
            self._watch_evaluation(session.model)

    def on_epoch(self, record: EpochRecord) -> None:
        """Take note of the epoch, and look at all there is."""
        self._evaluation.close()
        self._history.append(record)
        self._look(record.epoch, 0)

    def _look(self, epoch: int, step: int) -> None:
        """Raise the first alarm that there is reason for, unless one stands."""
        if not self._measures:
            return
        evidence = self._evidence(epoch, step)
        standing = next((alarm for alarm in self.alarms if not alarm.over), None)
        if standing is None:
            raised = {alarm.kind for alarm in self.alarms}
            found = (alarm for detector in DETECTORS if (alarm := detector(evidence)) is not None)
            alarm = next((alarm for alarm in found if alarm.kind not in raised), None)
            if alarm is not None:
                self._keep([*self.alarms, alarm], f"{alarm.kind}: {alarm.what}; {alarm.remedy}", evidence)
        elif standing.kind in PASSING and evidence.loss < (1 - NEAR) * self._guessing:
            over = f"the loss, {evidence.loss:.3f}, is now below that of guessing: the network begins to learn"
            ended = replace(standing, over=f"{_when(evidence)}: {over}")
            self._keep([ended if alarm is standing else alarm for alarm in self.alarms], over, evidence)
        if self._steps >= EVERY:
            self._best_loss = min(self._best_loss, evidence.loss)

    def _evidence(self, epoch: int, step: int) -> Evidence:
        """All that is known now."""
        count = min(self._steps, WINDOW)
        losses, grad_norms = self._seen.roll(-self._steps % WINDOW, dims=0)[-count:].T.tolist()
        if math.isinf(self._first_loss):
            self._first_loss = losses[0]
        session, counts = self._session(), self._plan.class_counts
        assert session is not None
        return Evidence(
            config=self._plan.config,
            classes=len(counts),
            guessing=self._guessing,
            most_frequent=max(counts) / sum(counts),
            epoch=epoch,
            step=step,
            steps=self._steps,
            losses=tuple(losses),
            grad_norms=tuple(grad_norms),
            first_loss=self._first_loss,
            best_loss=self._best_loss,
            start=self._measures[0],
            before=self._measures[-2] if len(self._measures) > 1 else self._measures[-1],
            now=self._measures[-1],
            settled=self._settled,
            history=tuple(self._history),
            class_difference=self._ask_class_difference,
            evaluated_in_training=tuple(self._in_training),
        )

    def _ask_class_difference(self) -> float:
        session = self._session()
        if self._class_difference is None and session is not None:
            self._class_difference = class_difference(session.train, len(self._plan.class_counts))
        return self._class_difference or 0.0

    def _keep(self, alarms: list[Alarm], text: str, evidence: Evidence) -> None:
        """Write down the alarms as they are now, and say what is new."""
        self.alarms = alarms
        self._plan.run.write_alarms([asdict(alarm) for alarm in alarms])
        self._say(f"{_when(evidence)}: {text}")

    def _watch_evaluation(self, model: nn.Module) -> None:
        """Look at the first batch of the evaluation that ends the epoch for layers that take it for training.

        A compiled network is not watched so: its hooks would be compiled too, and stay.
        """
        handles: dict[str, RemovableHandle] = {}

        def note(name: str, module: nn.Module, inputs: object) -> None:
            handles[name].remove()
            if module.training:
                self._in_training[name] = None

        self._evaluation.enter_context(uncompiled(model))
        for name, module in model.named_modules():
            if isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p):
                handles[name] = module.register_forward_pre_hook(partial(note, name))
                self._evaluation.callback(handles[name].remove)


def _when(evidence: Evidence) -> str:
    return f"epoch {evidence.epoch}" + (f", batch {evidence.step}" if evidence.step else "")


def _resting(session: Session, epoch: int) -> list[nn.Module]:
    """The stages that the setting keeps from learning in an epoch."""
    freezing = session.freezing
    return [*freezing.stages.values()][: freezing.resting(epoch)]
