"""Connections of which nothing comes are given up, and answers are not held back.  R-F2"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convscope.web import connection, responses, server
from convscope.web.answers import error

LARGE = bytes(32 << 20)


async def answer(request: Request) -> Response:
    if request.method == "POST":
        await request.body()
    return Response(LARGE if request.url.path == "/large" else b"fine")


async def refuse(request: Request) -> Response:
    return responses.respond(error("not now.", 503), last=True)


@pytest.fixture
def connect() -> Iterator[Callable[[], socket.socket]]:
    """Starts a server with a few addresses, and connects to it."""
    with ExitStack() as stack:

        def run() -> socket.socket:
            listener = stack.enter_context(server.listen([0]))
            place = listener.getsockname()
            app = Starlette(
                routes=[
                    Route("/", answer, methods=["GET", "POST"]),
                    Route("/large", answer),
                    Route("/full", refuse, methods=["POST"]),
                ]
            )
            stack.enter_context(server.running(app, listener, connections=10, patience=3))
            return stack.enter_context(socket.create_connection(place, timeout=20))

        yield run


def rest(client: socket.socket) -> bytes:
    """What comes until the end of the connection, for which it waits."""
    received = b""
    with suppress(ConnectionError):
        while piece := client.recv(65536):
            received += piece
    return received


GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST /full HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"], ids=["nothing", "half a head"])
def test_who_says_nothing_is_not_waited_for(
    connect: Callable[[], socket.socket], sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    client = connect()
    client.sendall(sent)
    assert rest(client) == b""


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


def test_nor_who_goes_on_with_a_request_that_has_its_answer(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    client = connect()
    client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n")
    while not client.recv(65536).endswith(b"fine"):
        pass
    client.sendall(b"a little")
    assert rest(client) == b""


def test_but_a_body_may_take_longer(connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    client = connect()
    client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\nConnection: close\r\n\r\n")
    time.sleep(0.5)
    client.sendall(bytes(100))
    assert rest(client).endswith(b"fine")


def test_who_is_refused_may_finish_and_reads_why(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    client.sendall(POST % len(LARGE) + LARGE)  # without a look at the answer, which is there from the beginning
    answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 503") and answer.endswith(b'{"error":"not now."}')
    assert b"connection: close" in answer.lower()


def test_but_is_not_waited_for_without_end(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "REST_SECONDS", 0.2)
    client = connect()
    client.sendall(POST % 1000)
    assert rest(client).endswith(b'{"error":"not now."}')


def test_no_more_connections_than_there_is_room_for(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "TOLD", 1)
    clients = [connect()]
    clients += [socket.create_connection(clients[0].getpeername(), timeout=20) for _ in range(20)]
    assert [rest(client) for client in clients[11:]] == [b""] * 10
    for client in clients[:11]:
        client.sendall(GET)
    assert [client.recv(12) for client in clients[:11]] == [b"HTTP/1.1 200"] * 10 + [b"HTTP/1.1 503"]
    for client in clients:
        client.close()


def test_there_may_be_as_many_files_open_as_that_takes(connect: Callable[[], socket.socket]) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2048 if before[1] == resource.RLIM_INFINITY else min(2048, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, most), before[1]))
    try:
        connect()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


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
    waited = []

    class Watched(connection.Connection):
        def resume_writing(self) -> None:
            super().resume_writing()
            waited.append(self._sending.cancelled())

    monkeypatch.setattr(server, "Connection", Watched)
    client = connect()
    client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    time.sleep(0.2)
    received = 0
    while piece := client.recv(1 << 20):
        received += len(piece)
    assert received > len(LARGE)
    assert waited and all(waited)  # and no longer


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
