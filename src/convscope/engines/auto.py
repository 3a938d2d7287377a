"""The fastest engine that agrees with the network itself, for so many images, counting the time it takes to start."""

from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from convscope.engines.agreement import Agreement
from convscope.engines.choice import CONVERTED, REFERENCE, open_engine, present
from convscope.engines.engine import Engine
from convscope.engines.finished import Finished
from convscope.engines.measured import Measured, read_measured
from convscope.errors import ConvscopeError


class Candidate(NamedTuple):
    """An engine that nobody has measured here."""

    name: str
    worth: float
    """Seconds that the images left must take for it to be tried."""


# A copy of the network is made at once; a converted model takes ten seconds, and must save more than that.
_CANDIDATES = (
    Candidate("pytorch-bfloat16", 1.0),
    Candidate("openvino-bfloat16", 30.0),
    Candidate("openvino-float32", 30.0),
    Candidate("onnxruntime-float32", 30.0),
)
"""What is tried unmeasured, likely the fastest of its kind first; int8 is never taken unmeasured."""
_FEW = 16
"""Images that show whether an engine has the network at all that it was measured with."""


class Trying:
    """Answers by the network itself, and tries faster engines in its place while there is much left to answer.

    For one thread.
    """

    def __init__(
        self, finished: Finished, device: torch.device, *, images: int, candidates: Sequence[Candidate]
    ) -> None:
        """`images`: how many there will be."""
        self._finished, self._device = finished, device
        self._reference = self._engine = open_engine(REFERENCE, finished, device)
        self._left = images
        self._candidates = list(candidates)

    @property
    def name(self) -> str:
        """Of the engine that answers now."""
        return self._engine.name

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes), on the CPU."""
        started = perf_counter()
        logits = self._engine(images)
        seconds = perf_counter() - started
        self._left -= len(images)
        seconds_left = seconds * self._left / len(images)
        while self._candidates and seconds_left > self._candidates[0].worth:
            if self._try(self._candidates.pop(0).name, images, seconds):
                break  # what is left now takes less time: whether it still pays to go on, the next batch shows
        return logits

    def _try(self, name: str, images: Tensor, seconds: float) -> bool:
        """Whether an engine gives the same answers in less time, and so takes over."""
        try:
            engine = open_engine(name, self._finished, self._device)
            answers = engine(images)
        except ConvscopeError:  # then it is none for this network
            return False
        started = perf_counter()
        engine(images)  # the first time costs more
        faster = perf_counter() - started < seconds
        if faster and Agreement.of(answers, self._reference(images)).suffices:
            self._engine = engine
            return True
        return False


class Checked:
    """An engine whose first answers are compared with the network's own, which goes on in its place if they differ.

    For any number of threads: at worst some of them check more than they need.
    """

    def __init__(self, engine: Engine, reference: Engine) -> None:
        self._engine, self._reference = engine, reference
        self._to_check = _FEW

    @property
    def name(self) -> str:
        """Of the engine that answers now."""
        return self._engine.name

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes), on the CPU."""
        answers = self._engine(images)
        if self._to_check > 0:
            few = images[: self._to_check]
            self._to_check -= len(few)
            if not Agreement.of(answers[: len(few)], self._reference(few)).suffices:
                self._engine = self._reference
                return self._reference(images)
        return answers


def choose_engine(finished: Finished, device: torch.device, *, images: int | None = None) -> Engine:
    """The engine that will have answered so many images first; None: as many as come, so that only its speed counts.

    Where `convscope bench inference` has measured this network on such a machine, its figures decide. Else the network
    itself begins, and goes on trying where there are many images.
    """
    here = [name for name, obstacle in present(device).items() if obstacle is None]
    measured = {row.name: row for row in read_measured(finished, device) if row.name in here}
    if REFERENCE not in measured:
        candidates = [row for row in _CANDIDATES if row.name in here]
        return Trying(finished, device, images=images or 0, candidates=candidates)
    reference = open_engine(REFERENCE, finished, device)

    def seconds(row: Measured) -> float:
        if images is None:
            return 1 / row.images_per_second
        return row.seconds(images, kept=row.name not in CONVERTED or finished.is_kept(CONVERTED[row.name].precision))

    for row in sorted((row for row in measured.values() if row.agreement.suffices), key=seconds):
        if row.name == REFERENCE:
            break
        with suppress(ConvscopeError):  # an engine that has gone since it was measured
            return Checked(open_engine(row.name, finished, device), reference)
    return reference
