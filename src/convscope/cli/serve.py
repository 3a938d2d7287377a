"""`convscope serve RUN`: a trained network answers over HTTP."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run

if TYPE_CHECKING:
    from convscope.serving.service import Service


@dataclass(frozen=True)
class Serve:
    """Let other programs ask a trained network over HTTP, until Ctrl-C.

    The address that it prints is a page that explains how to ask, and on which to try an image.

    $ convscope serve latest
    $ curl -F image=@photo.jpg http://127.0.0.1:8000/predict
    $ convscope serve first --port 9000 --engine openvino-bfloat16
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name or path of the run whose network answers, or `latest`."""
    host: str = "127.0.0.1"
    """Address of this machine to listen at; by default nobody else can reach it. There is no password: let only those
    in whom you trust, or put a server in front that asks for one."""
    port: int = 8000
    """Port to listen at, 0 for any that is free."""
    max_batch: int = 32
    """Images at most that go through the network together; 1 for each by itself."""
    wait_ms: float = 2.0
    """Milliseconds that an image waits for others which are on their way, so that they go through together."""
    queue: int = 512
    """Images that may wait for their answer at once; who asks for more is told to come again (status 503)."""
    engine: str = "auto"
    """Runtime that answers: auto (the fastest that `convscope bench inference RUN` found to agree), or its name."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    runs_dir: Path = Path("runs")
    """Directory in which a run is looked for by its name."""


def main(argv: list[str]) -> int:
    """Serve until Ctrl-C or SIGTERM; 0."""
    flags = read_flags(Serve, argv, verb="serve")
    _check(flags)
    run = Run.open(flags.run, flags.runs_dir)

    from convscope.engines.measured import FILE
    from convscope.serving.counts import Counts
    from convscope.serving.questions import Limits
    from convscope.serving.server import serving
    from convscope.web.server import address_of, is_local, listen

    limits = replace(Limits(), queue=flags.queue, images=min(Limits().images, flags.queue))
    counts = Counts()

    def load() -> "Service":
        from convscope.predict import Predictor
        from convscope.serving.service import Service

        predictor = Predictor.from_run(run, device=flags.device)
        predictor.use_engine(flags.engine, run=run)
        return Service(
            run, predictor, limits=limits, max_batch=flags.max_batch, patience=flags.wait_ms / 1000, counts=counts
        )

    with listen([flags.port], host=flags.host) as listener, suppress(KeyboardInterrupt), _told_by_sigterm():
        print(address_of(listener), flush=True)
        if not is_local(listener):
            print(
                f"convscope: warning: whoever reaches {flags.host} can ask, for there is no password: "
                f"let only those in whom you trust.",
                file=sys.stderr,
            )
        with serving(load, listener, limits=limits, counts=counts) as service:
            facts = service.facts
            print(f"\n{facts['run']} answers: {facts['network']} on {facts['engine']}; Ctrl-C ends it", flush=True)
            if flags.engine == "auto" and not (run.path / FILE).exists():
                print(f"`convscope bench inference {flags.run}` may find a faster engine", flush=True)
            try:
                while True:
                    time.sleep(0.5)  # a Ctrl-C just before a longer wait would be noticed after it
            finally:
                print("what was asked is still answered; Ctrl-C again ends it at once", flush=True)
    return 0


def _check(flags: Serve) -> None:
    if not 0 <= flags.port <= 65535:
        raise UserError(f"port {flags.port} is impossible: choose one from 1024 to 65535.")
    for name, value in (("max-batch", flags.max_batch), ("queue", flags.queue)):
        if not 1 <= value <= 65536:
            raise UserError(f"{name} is {value}: it must be from 1 to 65536.")
    if not 0 <= flags.wait_ms <= 1000:
        raise UserError(f"wait-ms is {flags.wait_ms:g}: it must be from 0 to 1000.")


@contextmanager
def _told_by_sigterm() -> Iterator[None]:
    """Understand what systemd and Docker send as they ask for an end, which they do politely at first, like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
