"""Where a server listens, and how it is run beside the rest of a program."""

import errno
import ipaddress
import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

from convscope.errors import UserError
from convscope.web.connection import Connection
from convscope.web.guard import LONGEST_HEADERS

LOCAL = "127.0.0.1"
"""This machine, as itself alone can reach it."""

_BACKLOG = 128
"""Connections that are taken up at a time; a few times as many may be open before their number is looked at."""
_FILES = 2048
"""Files to have open at once, each connection being one. Some systems allow 256 unless asked for more, and with
none left asyncio complains without end."""


def is_local(listener: socket.socket) -> bool:
    """Whether nobody but this machine itself reaches who listens here."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def listen(ports: Iterable[int], *, host: str = LOCAL) -> socket.socket:
    """A socket that listens at the first of the ports that is free; 0 stands for any that is.

    Raises:
        UserError: there is none, or this machine has no such address.
    """
    tried = list(ports)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in tried:
        try:
            socket.getaddrinfo(host, port, family)  # whose error `create_server` would hide
            return socket.create_server((host, port), family=family)
        except (OSError, UnicodeError) as error:
            if isinstance(error, socket.gaierror | UnicodeError) or error.errno == errno.EADDRNOTAVAIL:
                raise UserError(
                    f"this machine has no address {host}: give one of its own with --host, or leave that out."
                ) from error
    taken = f"port {tried[0]}" if len(tried) == 1 else f"every port from {tried[0]} to {tried[-1]}"
    raise UserError(f"{taken} is taken or not allowed: choose another with --port, or 0 for any that is free.")


def address_of(listener: socket.socket) -> str:
    """What to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextmanager
def running(app: ASGIApp, listener: socket.socket, *, connections: int, patience: int) -> Iterator[None]:
    """Serve `app` in a thread until the block ends; then take nothing new, and finish what is under way.

    Args:
        app: what answers.
        listener: is closed in the end.
        connections: so many at once; who comes then is told to come again, or cut off.
        patience: seconds that what is under way may take in the end.
    """

    class Limited(Connection):
        most = connections

    config = uvicorn.Config(
        app,
        loop="asyncio",  # the same on every machine, as is the strict reading of HTTP
        http=Limited,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # not of every request that is no HTTP
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        timeout_graceful_shutdown=patience,
        backlog=_BACKLOG,
    )
    _allow_files()
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # who has to be cut off now is no error
        server.should_exit = True
        thread.join(timeout=patience + 5)


def _allow_files() -> None:
    """Ask for `_FILES`, or as many as there may be."""
    with suppress(ImportError, OSError, ValueError):  # Windows counts otherwise
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
        if now != resource.RLIM_INFINITY and now < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
