"""Whether a learning rate is too high or too low, or none will do: by short trainings, not by rules of thumb alone."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from convscope.config import Config
from convscope.doctor.findings import Finding
from convscope.doctor.guessing import ways_out
from convscope.doctor.training.depth import LayerHealth
from convscope.training.lr_finder import RateTest

LEARNS = 0.95
"""Share of the loss of guessing below which a network has begun to learn for certain."""
KNOWS_NOTHING = 0.98
"""Share of it above which it has not."""
CRAWLS, THROWN_ABOUT = 0.1, 0.33
"""Shares of what the best rate gains, below which one ten times smaller crawls, and one ten times larger overshoots."""
CLOSE = 3.0
"""Rates nearer to one another than by this factor are equally good as far as a short training can tell."""
FAR = 10.0
"""Rates farther from one another than by this factor are not."""
TOO_STRONG = 1.0
"""Pull of weight decay as a share of that of the loss at the beginning, below which it does no harm. LeNet-5 lost 15
points of validation accuracy in three short epochs at a share of 1 and nearly all it can learn at 10; a small ResNet,
whose batch norms make up for the size of weights, gained at 1 and lost at 6."""
SLOWED = 0.5
"""Share of what the network learns in a short training without decay, below which it does harm."""


@dataclass(frozen=True)
class ShortTraining:
    """A few steps at one learning rate from the first weights on."""

    rate: float
    losses: tuple[float, ...]

    @property
    def end(self) -> float:
        """The mean loss of the last third; infinite where one is not a number."""
        last = self.losses[-max(1, len(self.losses) // 3) :]
        mean = sum(last) / len(last)
        return mean if math.isfinite(mean) else math.inf


def find_wrong_rate(
    config: Config,
    test: RateTest,
    own: ShortTraining,
    others: Sequence[ShortTraining],
    guessing: float,
    *,
    by_heart: bool,
) -> Iterator[Finding]:
    """Compare the short training at the setting's own rate with `others` at the rates that the test suggests.

    `by_heart` is whether the network has learnt a few images by heart: then it works, and where it does not learn in a
    short training the images may just be hard to tell apart.
    """
    best = min((own, *others), key=lambda training: training.end)
    steps = len(own.losses)
    if best.end > KNOWS_NOTHING * guessing:
        yield Finding(
            kind="slow to begin" if by_heart else "stuck at chance",
            severity="note" if by_heart else "severe",
            what=f"after {steps} steps at --lr {config.lr:g} the loss is {_words(own.end)}, and that of guessing is "
            f"{guessing:.3g}; "
            + (
                "nor is it better at the rates that the range test suggests."
                if test.learns
                else "nor does it fall anywhere in the range test."
            ),
            why="It does learn a few images by heart, so it works: the images may be hard to tell apart, or few steps "
            "too few."
            if by_heart
            else "The network gives nearly the same answer to all images. Its gradients then nearly vanish, and epochs "
            "may go by before it gets away, if it ever does.",
            remedy=f"Try {'; or '.join(ways_out(config))}.",
        )
        return
    gain, possible = guessing - own.end, guessing - best.end
    if best.end > LEARNS * guessing:
        return  # too little to judge another by
    if (config.lr >= CLOSE * best.rate and own.end > KNOWS_NOTHING * guessing) or (
        config.lr >= FAR * best.rate and gain < THROWN_ABOUT * possible
    ):
        yield Finding(
            kind="learning rate too high",
            severity="severe",
            what=f"at --lr {config.lr:g} the loss is {_words(own.end)} after {steps} steps, and that of guessing is "
            f"{guessing:.3g}; at {best.rate:.2g} it is {best.end:.3g}.",
            why="Each step overshoots, and what one has learnt the next destroys.",
            remedy=f"Give --lr {best.rate:.2g}.",
        )
    elif config.lr * FAR <= best.rate and gain < CRAWLS * possible:
        yield Finding(
            kind="learning rate too low",
            severity="severe",
            what=f"at --lr {config.lr:g} the loss is {own.end:.4g} after {steps} steps, and at {best.rate:.2g} it is "
            f"{best.end:.3g}.",
            why="So small steps get there too, but a training of this length does not.",
            remedy=f"Give --lr {best.rate:.2g}.",
        )


def decay_share(layers: Sequence[LayerHealth], config: Config) -> float:
    """Pull of weight decay on all layers together, as a share of the pull of the loss; 0 without decay."""
    decaying = [layer for layer in layers if layer.decay is not None]
    if not decaying:
        return 0.0
    penalty = sum((config.weight_decay * (layer.weight_norm or 0.0)) ** 2 for layer in decaying)
    decoupled = config.optimizer == "adamw"
    pull = sum((layer.weights or 0) if decoupled else (layer.grad_norm or 0.0) ** 2 for layer in decaying)
    return math.sqrt(penalty / pull)


def find_strong_decay(
    config: Config, share: float, own: ShortTraining, undecayed: ShortTraining | None, guessing: float
) -> Iterator[Finding]:
    """Whether a decay whose `decay_share` is above TOO_STRONG is what keeps the network from learning, by the
    short training without it.
    """
    if undecayed is None:
        return
    if undecayed.end > LEARNS * guessing or guessing - own.end > SLOWED * (guessing - undecayed.end):
        return
    yield Finding(
        kind="weight decay too strong",
        severity="severe",
        what=f"--weight-decay {config.weight_decay:g} pulls on the weights {share:.2g} times as hard as the loss does: "
        f"after {len(own.losses)} steps the loss is {_words(own.end)}, and without decay it is {undecayed.end:.3g}.",
        why="The weights shrink towards 0 faster than they learn, until all images get the same answer.",
        remedy=f"Give --weight-decay {0.01 * config.weight_decay / share:.1g} or less.",
    )


def _words(loss: float) -> str:
    return f"{loss:.3g}" if math.isfinite(loss) else "no number any more"


def suggest(trainings: Sequence[ShortTraining], guessing: float) -> float | None:
    """The rate that got furthest; None where the network learnt at none."""
    best = min(trainings, key=lambda training: training.end)
    return best.rate if best.end <= KNOWS_NOTHING * guessing else None


def describe_rates(test: RateTest, trainings: Sequence[ShortTraining], guessing: float) -> dict[str, Any]:
    """The range test and the short trainings, as JSON types."""
    return {
        "rates": list(test.rates),
        "losses": list(test.losses),
        "smoothed": list(test.smoothed),
        "crawls_below": test.crawls_below,
        "fails_above": test.fails_above,
        "suggested": suggest(trainings, guessing),
        "short_trainings": [
            {"lr": training.rate, "end": training.end if math.isfinite(training.end) else None}
            for training in trainings
        ],
    }
