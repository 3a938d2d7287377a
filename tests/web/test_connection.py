"""Connections of which nothing comes are given up, and answers are not held back.  R-F2"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convscope.web import connection, server

LARGE = bytes(32 << 20)


async def answer(request: Request) -> Response:
    return Response(LARGE if request.url.path == "/large" else b"fine")


@pytest.fixture
def connect() -> Iterator[Callable[[], socket.socket]]:
    """Starts a server with two addresses, and connects to it."""
    with ExitStack() as stack:

        def run() -> socket.socket:
            listener = stack.enter_context(server.listen([0]))
            place = listener.getsockname()
            app = Starlette(routes=[Route("/", answer), Route("/large", answer)])
            stack.enter_context(server.running(app, listener, connections=10, patience=3))
            return stack.enter_context(socket.create_connection(place, timeout=20))

        yield run


def ended(client: socket.socket) -> bool:
    """Waits for the end of the connection; whether anything came before."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received == b""


GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"], ids=["nothing", "half a head"])
def test_who_says_nothing_is_not_waited_for(
    connect: Callable[[], socket.socket], sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    client = connect()
    client.sendall(sent)
    assert ended(client)


def test_nor_who_says_a_little_again_and_again(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    client = connect()
    client.sendall(GET)
    while not client.recv(65536).endswith(b"fine"):
        pass
    # The second request of the same connection; each line comes long before the time is over.
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            client.sendall(b"X: y\r\n")
            time.sleep(0.05)


def test_but_an_answer_may_take_longer(connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    client = connect()
    client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n")
    time.sleep(0.5)
    client.sendall(bytes(100))
    assert b"405" in client.recv(65536)


def test_who_does_not_take_the_answer_is_not_waited_for(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.2)
    client = connect()
    client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
    time.sleep(1)
    received = 0
    with pytest.raises(ConnectionError):
        while piece := client.recv(1 << 20):
            received += len(piece)
        raise ConnectionResetError  # some systems end it politely
    assert received < len(LARGE)


def test_who_takes_the_answer_slowly_gets_it_all(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    time.sleep(0.2)
    received = 0
    while piece := client.recv(1 << 20):
        received += len(piece)
    assert received > len(LARGE)


def test_the_second_piece_of_an_answer_is_not_held_back(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = []

    class Watched(connection.Connection):
        def data_received(self, data: bytes) -> None:
            options.append(self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().data_received(data)

    monkeypatch.setattr(server, "Connection", Watched)
    client = connect()
    client.sendall(GET)
    assert client.recv(65536)
    assert all(options) and options
