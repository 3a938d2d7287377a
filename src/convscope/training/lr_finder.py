"""A learning rate that is large enough to get somewhere and small enough not to be thrown about.  R-A4.

The range test (Smith, Cyclical learning rates for training neural networks, arXiv 1506.01186, §3.3): a training in
which the learning rate rises from step to step, from one at which nothing happens to one at which everything breaks.
The loss stands still at first, then falls, then rises again.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn, optim

from convscope.training.evaluate import Loader
from convscope.training.freezing import Freezing
from convscope.training.loop import add_gradients
from convscope.training.loss import CrossEntropy
from convscope.training.runtime import Runtime

LOWEST, HIGHEST = 1e-6, 10.0
"""Rates at which even a large network crawls, and at which even a small one breaks."""
BROKEN = 4.0
"""Times the first loss, above which a loss will not come down again within the test."""
FALL = 0.05
"""Share of the first loss by which it must fall somewhere, or else no rate has made the network learn."""
BEGIN = 0.1
"""Share of the whole fall that is done when the network can be said to learn."""
NEARLY = 0.05
"""Share of the whole fall that does not count where the lowest loss is looked for."""
MEMORY = 0.9
"""Weight of the past in the smoothed loss: about ten steps count."""
SAFETY = 10.0
"""The rate at which the loss was lowest, divided by this, is the one suggested. At the lowest point large steps already
undo as much as they gain; a tenth of it is the rule of thumb of fast.ai's `lr_find`, which follows the same paper."""


@dataclass(frozen=True)
class Trial:
    """What takes steps: a network and its optimizer, mostly copies, for both are changed."""

    model: nn.Module
    optimizer: optim.Optimizer
    runtime: Runtime
    criterion: CrossEntropy = field(default_factory=CrossEntropy)
    freezing: Freezing = field(default_factory=Freezing)
    clip_norm: float | None = None
    micro_batch: int | None = None

    def steps(self, batches: Iterable[tuple[Tensor, Tensor]], rates: Iterable[float]) -> Iterator[float]:
        """Take a step at each of the rates, and tell the loss before it; end after a loss that is no number."""
        self.freezing.train(self.model, epoch=1)
        for (images, labels), rate in zip(batches, rates, strict=False):
            self.set_rate(rate)
            self.optimizer.zero_grad()
            loss, _ = add_gradients(
                self.model, images, labels, self.criterion, self.runtime, micro_batch=self.micro_batch
            )
            yield loss.item()
            if not math.isfinite(loss.item()):
                return
            self.runtime.step(self.optimizer, clip_norm=self.clip_norm)

    def set_rate(self, rate: float) -> None:
        """Give every parameter its learning rate, where that of the head is `rate`."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)


@dataclass(frozen=True)
class RateTest:
    """The loss at each rate, and what it says."""

    rates: tuple[float, ...]
    """Rising geometrically; as far as the test went, which is nowhere where already the first loss is no number."""
    losses: tuple[float, ...]
    """Of the batch at each rate, before the step."""

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The losses without most of the noise; as long as these."""
        return smooth(self.losses)

    @property
    def learns(self) -> bool:
        """Whether the loss fell at any rate."""
        return bool(self.losses) and min(self.smoothed) < (1 - FALL) * self._start

    @property
    def suggested(self) -> float | None:
        """The rate to begin with; None where no rate made the network learn."""
        if self.crawls_below is None:
            return None
        return max(self.rates[self._lowest] / SAFETY, self.crawls_below)

    @property
    def crawls_below(self) -> float | None:
        """The rate up to which hardly anything happened."""
        if not self.learns:
            return None
        begun = self._start - BEGIN * (self._start - self.smoothed[self._lowest])
        return next(rate for rate, loss in zip(self.rates, self.smoothed, strict=True) if loss <= begun)

    @property
    def fails_above(self) -> float | None:
        """The rate at which half of what was gained was lost again; None where the test ended before."""
        if not self.learns:
            return None
        lost = (self._start + self.smoothed[self._lowest]) / 2
        after = zip(self.rates[self._lowest :], self.smoothed[self._lowest :], strict=True)
        return next((rate for rate, loss in after if loss >= lost), None)

    @property
    def _lowest(self) -> int:
        """Where the loss is first nearly at its lowest; where it is lowest is chance, for there it is flat."""
        smoothed = self.smoothed
        enough = min(smoothed) + NEARLY * (self._start - min(smoothed))
        return next(number for number, loss in enumerate(smoothed) if loss <= enough)

    @property
    def _start(self) -> float:
        """The loss before anything was learnt, of more than one batch."""
        first = self.losses[: max(1, len(self.losses) // 10)]
        return sum(first) / len(first)


def range_test(trial: Trial, batches: Iterable[tuple[Tensor, Tensor]], *, steps: int = 100) -> Iterator[RateTest]:
    """Take up to `steps` steps at rising rates, each on a fresh batch, and tell after each how far the test is."""
    rates = geometric(LOWEST, HIGHEST, steps)
    losses: list[float] = []
    for loss in trial.steps(batches, rates):
        if math.isfinite(loss):
            losses.append(loss)
        yield RateTest(rates[: len(losses)], tuple(losses))
        if not math.isfinite(loss) or smooth(losses)[-1] > BROKEN * losses[0]:
            return


def geometric(low: float, high: float, count: int) -> tuple[float, ...]:
    """Numbers from `low` to `high`, each by the same factor larger than the one before it."""
    return tuple(low * (high / low) ** (number / (count - 1)) for number in range(count))


def smooth(losses: Sequence[float]) -> tuple[float, ...]:
    """The exponential average, without its bias towards 0 at the beginning (Kingma & Ba, arXiv 1412.6980, §3)."""
    average, smoothed = 0.0, []
    for number, loss in enumerate(losses, start=1):
        average = MEMORY * average + (1 - MEMORY) * loss
        smoothed.append(average / (1 - MEMORY**number))
    return tuple(smoothed)


def endless(batches: Loader) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one epoch after the other."""
    epoch = 0
    while True:
        epoch += 1
        yield from batches.epoch(epoch)
