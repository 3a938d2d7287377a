"""Whether a training that is under way learns at all."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from convscope.catalog import MODELS
from convscope.config import Config
from convscope.experiment import Plan
from convscope.training.state import BatchRecord, EpochRecord

WINDOW = 100
"""Steps over which losses are averaged, and between two looks at them."""
NEAR = 0.02
"""So close to the loss of guessing, as a share of it, a network knows nothing of the images."""
FALLING = 0.0025
"""A loss that falls by this share from one half of the window to the other is on its way, if slowly."""


class StallWatch:
    """Says so once when the loss stays at that of guessing, and once more when it leaves it.

    A deep network without batch normalisation may give all images the same answer, after its first large steps or from
    the beginning. Its gradients then nearly vanish, and epochs may go by at chance before it gets away.

    A listener: it keeps the losses on the device and reads them once in WINDOW steps, so it makes no step wait.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` is given each finding, one line of text."""
        self._say = say

    def on_start(self, plan: Plan) -> None:
        """Begin anew: there may be several trainings, one after the other."""
        self._config = plan.config
        self._classes = len(plan.class_counts)
        self._guessing = guessing_loss(plan.class_counts, plan.config.label_smoothing)
        self._losses: Tensor | None = None
        self._steps = 0
        self._lr = 0.0
        self._stalled = self._over = False

    def on_batch(self, record: BatchRecord) -> None:
        """Take note of the loss, and look at the last ones when another WINDOW steps have gone by."""
        # Copied into one tensor: a hundred small ones, kept from step to step among the large ones that come and go,
        # leave gaps in the memory that nothing fits into.
        if self._losses is None:
            self._losses = torch.zeros(WINDOW, device=record.loss.device)
        self._losses[self._steps % WINDOW] = record.loss
        self._steps += 1
        if self._steps % WINDOW == 0:
            self._look(f"epoch {record.epoch}, batch {record.step}/{record.steps}", record.lr)

    def on_epoch(self, record: EpochRecord) -> None:
        """Look at the last losses where there have been WINDOW steps."""
        if self._steps >= WINDOW:
            self._look(f"epoch {record.epoch}", record.lr)

    def _look(self, when: str, lr: float) -> None:
        """Compare the losses of the window with that of guessing."""
        if self._over or self._losses is None:
            return
        in_order = self._losses.roll(-self._steps % WINDOW)
        early, late = in_order.view(2, -1).mean(dim=1).tolist()
        loss = (early + late) / 2
        warming_up = self._lr < lr < self._config.lr / 2  # steps still too small to tell
        self._lr = lr
        if self._stalled and loss < (1 - NEAR) * self._guessing:
            self._over = True
            self._say(f"{when}: the loss, {loss:.3f}, is now below that of guessing: the network begins to learn")
        elif not self._stalled and not warming_up and is_stalled(early, late, self._guessing):
            self._stalled = True
            self._say(f"{when}: {describe_stall(loss, self._classes, self._config)}")


def guessing_loss(class_counts: Sequence[int], label_smoothing: float = 0.0) -> float:
    """The least cross-entropy of an answer that is the same for every image: log(classes) where all are as frequent.

    That answer is the average target, and its loss is the average target's entropy.
    """
    total, classes = sum(class_counts), len(class_counts)
    targets = [(1 - label_smoothing) * count / total + label_smoothing / classes for count in class_counts]
    return -sum(target * math.log(target) for target in targets if target)


def is_stalled(early: float, late: float, guessing: float) -> bool:
    """Whether mean losses of two successive stretches are those of guessing, and do not fall."""
    return abs((early + late) / 2 - guessing) < NEAR * guessing and early - late < FALLING * guessing


def describe_stall(loss: float, classes: int, config: Config) -> str:
    """What is the matter, and what to try, most promising first."""
    remedies = []
    if f"{config.model}_bn" in MODELS:
        remedies.append(f"the network {config.model}_bn, whose norms keep the gradients alive")
    if config.optimizer == "sgd":
        # Where gradients nearly vanish sgd's steps do so too, and a smaller rate makes them smaller still.
        remedies.append("--optimizer adamw --lr 0.001, whose steps do not shrink with the gradients")
    remedies.append(f"a smaller learning rate, --lr {config.lr / 10:g}")
    if not config.warmup_epochs and config.schedule != "one-cycle":  # which warms up by itself
        remedies.append("a warm-up, --warmup-epochs 1")
    return (
        f"the loss, {loss:.3f}, is that of guessing among {classes} classes: the network knows nothing of the images, "
        f"and that may last for epochs; try {'; or '.join(remedies)}"
    )
