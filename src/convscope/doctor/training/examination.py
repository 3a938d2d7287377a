"""The doctor before a training: faults of a network and its setting that are better found in a minute than in a night.

Everything is tried on copies. The session is left as it was, weights, statistics, optimizer and random numbers alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from convscope.config import Config
from convscope.data import class_counts
from convscope.doctor.findings import Finding
from convscope.doctor.training.cost import estimate_memory, estimate_time, find_too_large
from convscope.doctor.training.depth import LayerHealth, examine_layers
from convscope.doctor.training.first_answers import describe_answers, find_wrong_answers
from convscope.doctor.training.inputs import describe_inputs, find_wrong_inputs
from convscope.doctor.training.layer_faults import find_wrong_layers
from convscope.doctor.training.overfit import few_images, find_too_little, learnt, overfit
from convscope.doctor.training.rate_search import copy_for_trial, search_rates
from convscope.doctor.training.rates import (
    TOO_STRONG,
    decay_share,
    describe_rates,
    find_strong_decay,
    find_wrong_rate,
    suggest,
)
from convscope.downloads import Progress
from convscope.experiment.session import Session
from convscope.numbers import without_infinity
from convscope.training.lr_finder import Trial, endless

BATCHES = 4
"""Batches by which inputs, first answers and layers are judged."""

# What a finding may be a mere consequence of: those of a kind with a smaller number.
_DEPTH = {
    "exploding gradients": 1,
    "vanishing gradients": 1,
    "saturated units": 1,
    "first loss too high": 1,
    "weight decay too strong": 1,
    "learning rate too high": 2,
    "learning rate too low": 2,
    "stuck at chance": 2,
    "cannot learn one batch": 3,
}
_ORDER = ("severe", "warning", "note")


@dataclass(frozen=True, eq=False)
class TrainingReport:
    """What was found in a training that has not begun, the worst first, and what it is like."""

    config: Config
    findings: tuple[Finding, ...]
    layers: tuple[LayerHealth, ...]
    """In the order of the forward pass."""
    facts: dict[str, Any]
    """As JSON types: `inputs` (see `describe_inputs`), `answers` (`describe_answers`), `rates` (`describe_rates`),
    `one_batch`, `memory` (`estimate_memory`), `time` (`estimate_time`)."""

    @property
    def name(self) -> str:
        """Network and data set."""
        return f"{self.config.model} on {self.config.data}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON types; numbers that JSON does not have, infinity and NaN, are None."""
        everything: dict[str, Any] = without_infinity(
            {
                "model": self.config.model,
                "data": self.config.data,
                "findings": [finding.to_dict() for finding in self.findings],
                "layers": [layer.to_dict() for layer in self.layers],
                "facts": self.facts,
            }
        )
        return everything


def examine(session: Session, *, progress: Progress | None = None) -> TrainingReport:
    """Look for every fault of a training that this package knows, by some hundred steps on copies.

    `progress` is told how many steps of each part are done.
    """
    random_state = session.runtime.random_state()
    try:
        return _examine(session, progress)
    finally:
        session.runtime.restore_random_state(random_state)


def _examine(session: Session, progress: Progress | None) -> TrainingReport:
    config = session.config
    memory = estimate_memory(session)  # before anything here takes some
    micro_batch = memory["micro_batch"]

    def trial() -> Trial:
        return copy_for_trial(session, micro_batch=micro_batch)

    batches = list(islice(endless(session.train), BATCHES))
    inputs = describe_inputs(batches)
    answers = describe_answers(trial(), batches, class_counts(session.splits.train), config.label_smoothing)
    guessing = answers["guessing_loss"]
    layers = examine_layers(trial(), batches, lr=config.lr)
    decay = decay_share(layers, config)
    search = search_rates(
        session, micro_batch=micro_batch, guessing=guessing, check_decay=decay > TOO_STRONG, progress=progress
    )
    lr = suggest((search.own, *search.others), guessing) or config.lr
    batch = few_images(session.train)
    one_batch = tuple(overfit(trial(), batch, lr=lr, guessing=guessing, progress=progress))
    findings = [
        *find_too_large(memory, config.batch_size),
        *find_wrong_inputs(inputs, config),
        *find_wrong_answers(answers),
        *find_wrong_layers(layers, resting=_resting(session), still=search.still),
        *find_strong_decay(config, decay, search.own, search.undecayed, guessing),
        *find_wrong_rate(
            config, search.test, search.own, search.others, guessing, by_heart=learnt(one_batch, guessing)
        ),
        *find_too_little(one_batch, len(batch[1]), lr, guessing),
    ]
    return TrainingReport(
        config=config,
        findings=tuple(sorted(_demoted(findings), key=lambda finding: _ORDER.index(finding.severity))),
        layers=layers,
        facts={
            "inputs": inputs,
            "answers": answers,
            "decay_share": decay,
            "rates": describe_rates(search.test, (search.own, *search.others), guessing),
            "one_batch": {"images": len(batch[1]), "lr": lr, "losses": list(one_batch)},
            "memory": memory,
            "time": estimate_time(session, search.seconds_a_step),
        },
    )


def _demoted(findings: list[Finding]) -> Iterator[Finding]:
    """The findings, but what may be no more than a consequence of another one as a note."""
    least = min((_depth(finding) for finding in findings if finding.severity != "note"), default=0)
    for finding in findings:
        if _depth(finding) > least and finding.severity != "note":
            why = f"This may be no more than a consequence of what is found above. {finding.why}"
            yield replace(finding, severity="note", why=why)
        else:
            yield finding


def _depth(finding: Finding) -> int:
    return _DEPTH.get(finding.kind, 0)


def _resting(session: Session) -> frozenset[str]:
    """Names of the layers that the setting keeps from learning at first."""
    resting = {id(layer) for stage in session.freezing.stages.values() for layer in stage.modules()}
    return frozenset(name for name, layer in session.model.named_modules() if id(layer) in resting)
