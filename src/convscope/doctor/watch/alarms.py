"""What an alarm is, and what the watch knows when it asks whether to raise one.

Each kind of alarm is a function `Evidence -> Alarm | None`. It states what was measured and what to change; where it is
not sure it is silent, for whoever meets a false alarm does not believe the next one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from convscope.config import Config
from convscope.doctor.watch.probe import Measures
from convscope.training.state import EpochRecord

WINDOW = 100
"""Steps over which losses are averaged."""
NEAR = 0.02
"""So close to the loss of guessing, as a share of it, a network knows nothing of the images."""
FALLING = 0.0025
"""A loss that falls by this share of that of guessing from one half of the window to the other is on its way."""


@dataclass(frozen=True)
class Alarm:
    """Something that goes wrong in a training."""

    kind: str
    epoch: int
    step: int
    """Steps done in the epoch."""
    what: str
    """One sentence with the evidence."""
    remedy: str
    """What to try, the most promising first."""
    over: str = ""
    """When and how it came to an end by itself; empty while it stands."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a training at a moment."""

    config: Config
    classes: int
    guessing: float
    """The loss of an answer that is the same for all images."""
    most_frequent: float
    """Share of the training images that belong to the largest class."""
    epoch: int
    step: int
    """Steps done in the epoch."""
    steps: int
    """Steps done since the watch began."""
    losses: tuple[float, ...]
    """Of the last steps, the oldest first."""
    grad_norms: tuple[float, ...]
    """Of the same steps, before clipping."""
    first_loss: float
    best_loss: float
    """Lowest mean over as many steps, at any moment before."""
    start: Measures
    """The first step that was looked at."""
    now: Measures
    """The last one, and the one before."""
    before: Measures
    settled: bool
    """Whether the learning rate is near its highest, or was there before: no longer in a warm-up."""
    history: tuple[EpochRecord, ...]
    """The epochs that are over."""
    class_difference: Callable[[], float]
    """How different the training images of different classes are, 1 where labels have nothing to do with the images;
    asking takes a moment."""
    evaluated_in_training: tuple[str, ...] = ()
    """Layers that were in training mode while the network was evaluated."""

    @property
    def loss(self) -> float:
        """Mean over the last steps."""
        return sum(self.losses) / len(self.losses)

    @property
    def full(self) -> bool:
        """Whether there were steps enough to tell where the loss stands."""
        return len(self.losses) >= WINDOW

    @property
    def stalled(self) -> bool:
        """Whether the loss stands at that of guessing, and does not fall."""
        half = len(self.losses) // 2
        early, late = (sum(part) / max(1, half) for part in (self.losses[:half], self.losses[half:]))
        return self.lost and self.loss < (1 + NEAR) * self.guessing and early - late < FALLING * self.guessing

    @property
    def lost(self) -> bool:
        """Whether the loss is that of guessing or above."""
        return self.full and self.settled and self.loss > (1 - NEAR) * self.guessing

    @property
    def growth(self) -> float:
        """Norm of the weights against that at the start, of layers that learnt both then and now."""
        start = {weights.layer: weights.norm for weights in self.start.weights}
        now = {weights.layer: weights.norm for weights in self.now.weights if weights.layer in start}
        before = math.hypot(*(start[layer] for layer in now))
        return math.hypot(*now.values()) / before if before else 1.0

    def alarm(self, kind: str, what: str, remedy: str) -> Alarm:
        """An alarm raised now."""
        return Alarm(kind, self.epoch, self.step, what, remedy)


Detector = Callable[[Evidence], Alarm | None]


def median(values: list[float]) -> float:
    """The middle one, 0 of none."""
    return sorted(values)[len(values) // 2] if values else 0.0


def listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
