"""Servers that lie, wander, babble and fall silent: the download ends with a reason, and in time."""

import gc
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from convscope import downloads
from convscope.downloads import Unavailable, download

Answer = Callable[[BaseHTTPRequestHandler], None]
CONTENTS = b"contents"


def send(handler: BaseHTTPRequestHandler, status: int = 200, body: bytes = CONTENTS, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def babble(handler: BaseHTTPRequestHandler) -> None:
    send(handler)
    for _ in range(1000):
        handler.wfile.write(bytes(10_000))


def fall_silent(handler: BaseHTTPRequestHandler) -> None:
    send(handler, Content_Length="100")
    handler.wfile.flush()
    time.sleep(2)


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\0\xff" * 500)


ANSWERS: dict[str, tuple[Answer, str]] = {
    "more is promised": (lambda handler: send(handler, Content_Length="100"), "broke off"),
    "less is promised": (lambda handler: send(handler, Content_Length="3"), "wrong checksum"),
    "no number is promised": (lambda handler: send(handler, Content_Length="many"), "wrong checksum|broke off"),
    "too much is promised": (lambda handler: send(handler, Content_Length="9" * 30), "broke off"),
    "another file": (lambda handler: send(handler, body=b"garbage", Content_Length="7"), "wrong checksum"),
    "nothing": (lambda handler: send(handler, body=b"", Content_Length="0"), "wrong checksum"),
    "no gzip after all": (lambda handler: send(handler, Content_Encoding="gzip"), "broke off|wrong checksum"),
    "in circles": (lambda handler: send(handler, 302, Location="/again"), "answered 302"),
    "to a file of this machine": (lambda handler: send(handler, 302, Location="file:///etc/passwd"), "reached"),
    "to nowhere": (lambda handler: send(handler, 302, Location="http://[::bad/"), "could not be reached"),
    "an error": (lambda handler: send(handler, 500), "answered 500"),
    "a header without end": (lambda handler: send(handler, X="x" * 100_000), "could not be reached"),
    "no HTTP": (no_http, "could not be reached"),
    "without end": (babble, "sent more than 1,000,000 bytes"),
    "silence": (fall_silent, "broke off"),
}


@pytest.fixture
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server that answers in one of these ways."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ANSWERS[request.param][0](self)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to the terminal."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the other side has had enough
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/file"
        server.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("address", "words"), [(name, words) for name, (_, words) in ANSWERS.items()], indirect=["address"]
)
def test_a_hostile_server(address: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_PATIENCE", 0.5)
    monkeypatch.setattr(downloads, "_MOST_BYTES", 1_000_000)
    with pytest.raises(Unavailable, match=words) as raised:
        download(address, tmp_path / "file", name="file", algorithm="sha256", digest=sha256(CONTENTS).hexdigest())
    assert str(raised.value).isprintable()
    del raised
    gc.collect()  # the network's library leaves connections open that it gave up, which is a warning only here
    assert {path.name for path in tmp_path.iterdir()} <= {"file"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1_000_000
