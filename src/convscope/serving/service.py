"""What answers: a trained network behind a queue, with threads that decode images before it."""

import asyncio
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from convscope.data.decoding import quiet_pillow
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.serving.batcher import Batcher
from convscope.serving.counts import Counts
from convscope.serving.images import Decoded, decode
from convscope.serving.questions import Given, Limits, Question, read_question
from convscope.web.answers import Answer, in_json

_AT_ONCE = 1 << 16
"""Bytes of a request that are read sooner than a thread for them is found."""
_TOGETHER = 8
"""Images of a request that one thread decodes."""


class Service:
    """A run's network, to be asked by any number at once; to be used in a `with` block, and within one event loop."""

    def __init__(
        self, run: Run, predictor: Predictor, *, limits: Limits, max_batch: int, patience: float, counts: Counts
    ) -> None:
        """Take what answers; `patience`: seconds that an image waits for others on their way, see `Batcher`."""
        self.predictor = predictor
        self._limits = limits
        self._counts = counts
        self._model = _describe(run, predictor, limits)
        self._name = run.name
        self.batcher = Batcher(
            predictor.probabilities, most=max_batch, patience=patience, room=limits.queue, observe=counts.batch
        )
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="decode")

    def __enter__(self) -> Self:
        """Make the first answer, which takes longer than the others."""
        with ExitStack() as closing:
            closing.enter_context(quiet_pillow())  # once for all threads
            closing.callback(self.batcher.close)
            closing.callback(self._threads.shutdown, cancel_futures=True)
            known = self.predictor.preprocessing
            self.predictor.probabilities(torch.zeros(1, known.channels, known.decode_size, known.decode_size).byte())
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Answer what is under way, and end the threads."""
        self._closing.close()

    @property
    def facts(self) -> dict[str, str]:
        """What answers, for those who count."""
        return {"run": self._name, "network": self.predictor.model.name, "engine": self.predictor.engine.name}

    def model(self) -> Answer:
        """The network, its classes, and what it makes of an image before it looks at it."""
        return in_json(self._model | {"engine": self.predictor.engine.name})

    async def predict(self, content_type: str, query: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """The likeliest classes of every image in a request.

        Raises:
            Refused: the request is not as it must be, or there is no room for it now.
            TimeoutError: the answer took too long.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.answer_seconds):
            asked = (content_type, query, body, self._limits)
            if len(body) <= _AT_ONCE:
                question = read_question(*asked)
            else:
                question = await loop.run_in_executor(self._threads, read_question, *asked)
            images, invert = question.images, question.invert
            with self.batcher.admit(len(images)) as put:
                decoding = [
                    loop.run_in_executor(self._threads, self._decode, images[first : first + _TOGETHER], invert)
                    for first in range(0, len(images), _TOGETHER)
                ]
                decoded = Decoded.of_all(await asyncio.gather(*decoding))
                parts = await asyncio.gather(*map(asyncio.wrap_future, put(decoded.squares)))
        return self._answer(question, decoded, torch.cat(parts) if parts else torch.empty(0, 1))

    def _decode(self, images: Sequence[Given], invert: bool) -> Decoded:
        return decode(images, self.predictor.preprocessing, self._limits, invert=invert)

    def _answer(self, question: Question, decoded: Decoded, probabilities: Tensor) -> Answer:
        """What is said of every image; 400 when none of them was one."""
        best = probabilities.topk(min(question.top_k, probabilities.shape[1]))
        said = zip(best.values.tolist(), best.indices.tolist(), decoded.warnings, strict=True)
        rows: list[dict[str, Any]] = []
        for given, error in zip(question.images, decoded.errors, strict=True):
            if error is not None:
                rows.append({"image": given.name, "error": str(error)})
                continue
            values, indices, warning = next(said)
            classes = [
                # JSON has no word for what a network says whose weights are no numbers.
                {"name": self.predictor.classes[index], "probability": value if math.isfinite(value) else None}
                for value, index in zip(values, indices, strict=True)
            ]
            rows.append({"image": given.name, "classes": classes, "warning": warning})
        answered = len(decoded.warnings)
        self._counts.images(answered=answered, refused=len(rows) - answered)
        answer = {"model": self._name, "predictions": rows}
        if answered:
            return in_json(answer)
        return in_json({"error": str(next(filter(None, decoded.errors))), **answer}, 400)


def _describe(run: Run, predictor: Predictor, limits: Limits) -> dict[str, Any]:
    """Everything about a model that does not change while it answers."""
    test = run.reports().get("test")
    accuracy = None
    if test is not None and math.isfinite(test["top1"]):
        accuracy = {"split": "test", "images": test["images"], "top1": test["top1"]}
    return {
        "model": run.name,
        "network": predictor.model.name,
        "classes": list(predictor.classes),
        "preprocessing": predictor.preprocessing.to_dict(),
        "accuracy": accuracy,
        "limits": asdict(limits),
    }
