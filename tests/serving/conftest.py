"""Servers on this machine, asked as other programs would ask them."""

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from convscope.predict import Predictor
from convscope.runs import Run
from convscope.serving.counts import Counts
from convscope.serving.questions import Limits
from convscope.serving.server import serving
from convscope.serving.service import Service
from convscope.web.server import LOCAL, address_of, listen


class Gated:
    """An engine that answers once it is let, and remembers how many images it was given at a time.

    The first image, which a service asks about by itself, passes.
    """

    name = "gated"

    def __init__(self, engine: Callable[[Tensor], Tensor]) -> None:
        self._engine = engine
        self.open, self.busy = Event(), Event()
        self.sizes: list[int] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        if len(self.sizes) > 1:
            self.busy.set()
            assert self.open.wait(60)
        return self._engine(images)


class Server(httpx.Client):
    """A client of a server that runs in this process."""

    def __init__(self, address: str, service: Service, stop: Callable[[], None]) -> None:
        limits = httpx.Limits(max_connections=200)
        super().__init__(base_url=address, timeout=60, trust_env=False, limits=limits)
        self.address = address
        self.service = service
        self.stop = stop

    def metric(self, name: str) -> float:
        """A number of /metrics."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])

    def wait_for(self, name: str, value: float) -> None:
        """Until a number of /metrics is this one."""
        for _ in range(3000):
            if self.metric(name) == value:
                return
            time.sleep(0.01)
        pytest.fail(f"{name} never became {value}")

    def ask(self, content: bytes, **parameters: object) -> httpx.Response:
        """About one image, as it is."""
        headers = {"Content-Type": "image/png"}
        return self.post("/predict", content=content, headers=headers, params=parameters)  # type: ignore[arg-type]


Start = Callable[..., Server]


def starter(stack: ExitStack) -> Start:
    def run(
        run: Run, *, host: str = LOCAL, max_batch: int = 32, patience: float = 0.002, gated: bool = False, **limits: Any
    ) -> Server:
        allowed, counts = replace(Limits(), **limits), Counts()

        def load() -> Service:
            predictor = Predictor.from_run(run, "cpu")
            if gated:
                predictor.engine = Gated(predictor.engine)
            return Service(run, predictor, limits=allowed, max_batch=max_batch, patience=patience, counts=counts)

        own = stack.enter_context(ExitStack())
        listener = own.enter_context(listen([0], host=host))
        address = address_of(listener)
        service = own.enter_context(serving(load, listener, limits=allowed, counts=counts))
        return stack.enter_context(Server(address, service, own.close))

    return run


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server of a run, which ends with the test; keywords of `Limits` are taken too."""
    with ExitStack() as stack:
        yield starter(stack)


@pytest.fixture(scope="session")
def run(make_run: Callable[..., Run]) -> Run:
    """Of a small network."""
    return make_run("linear", tested=True)


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[Server]:
    """One for all tests of a file: whatever it was sent before, it still answers."""
    with ExitStack() as stack:
        yield starter(stack)(run)


def picture(seed: int, *, mode: str = "L", size: tuple[int, int] = (28, 28)) -> Image.Image:
    """Noise, another one for each number."""
    channels = () if mode == "L" else (len(mode),)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, *channels), dtype=np.uint8))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """An image as a file."""

    def run(image: Image.Image, kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        image.save(file, kind)
        return file.getvalue()

    return run


@pytest.fixture(scope="session")
def png(encode: Callable[..., bytes]) -> Callable[..., bytes]:
    """A PNG of noise, another one for each number."""
    return lambda seed, **keywords: encode(picture(seed, **keywords))


@pytest.fixture(scope="session")
def expected(run: Run) -> Callable[..., list[tuple[str, float]]]:
    """What the run's network says of the noise of a number, asked by itself."""
    predictor = Predictor.from_run(run, "cpu")

    def say(seed: int, *, top_k: int = 5, invert: bool = False) -> list[tuple[str, float]]:
        return list(predictor.predict(picture(seed), top_k=top_k, invert=invert)[0].classes)

    return say
