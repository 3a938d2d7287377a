"""The server as it runs: first it listens, and it answers about images as soon as there is a network."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from socket import socket

from convscope.serving.app import build_app
from convscope.serving.counts import Counts
from convscope.serving.questions import Limits
from convscope.serving.service import Service
from convscope.web.guard import local_hosts
from convscope.web.server import is_local, running


@contextmanager
def serving(load: Callable[[], Service], listener: socket, *, limits: Limits, counts: Counts) -> Iterator[Service]:
    """Serve in a thread until the block ends; then let nobody in any more, and answer those who are.

    Args:
        load: makes what answers, which may take long; meanwhile others can ask whether it is ready.
        listener: see `web.server.listen`.
        limits: of requests.
        counts: what is counted.
    """
    service: Future[Service] = Future()
    hosts = local_hosts(*listener.getsockname()[:2]) if is_local(listener) else None
    app = build_app(service, limits=limits, counts=counts, hosts=hosts)
    patience = round(limits.body_seconds + limits.answer_seconds)
    with ExitStack() as last, running(app, listener, connections=limits.connections, patience=patience):
        loaded = last.enter_context(load())  # ends after the server, which needs it to the end
        service.set_result(loaded)
        yield loaded
