"""Requests that no page of ours would send: to the server as it runs, byte by byte where need be."""

import io
import json
import re
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from convscope.errors import UserError
from convscope.explorer import server
from convscope.explorer.explorer import Explorer
from convscope.explorer.server import serving
from convscope.runs import Run
from convscope.web.answers import UPLOAD_LIMIT
from convscope.web.guard import LONGEST_ADDRESS
from convscope.web.server import listen

OURS = {"X-Convscope": "1"}


@pytest.fixture(scope="module")
def address(make_run: Callable[..., Run]) -> Iterator[str]:
    """Of a server, one for all of these tests: whatever it was sent before, it still answers."""
    explorer, _ = Explorer.open([make_run("linear", tested=True)], device="cpu")
    future: Future[Explorer] = Future()
    future.set_result(explorer)
    with serving(future, port=0) as address:
        yield address
    explorer.background.close()


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        yield client
        assert client.get("/api/runs").status_code == 200  # unimpressed


def sentence(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    text: str = response.json()["error"]
    assert text.endswith(".") and "Traceback" not in text and str(Path(__file__).parents[2]) not in text
    return text


def raw(address: str, request: bytes, *, end: bool = False) -> bytes:
    """What the server sends: one answer as long as it says, and what follows at once; or nothing."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(request)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionResetError):
            while not whole(answer) and (piece := connection.recv(65536)):
                answer += piece
        return answer


def whole(answer: bytes) -> bool:
    """Whether an answer has as many bytes as it says; one that does not say ends with the connection."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(separator) and length is not None and len(body) >= int(length[1])


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def host_of(address: str) -> bytes:
    return urlsplit(address).netloc.encode()


def test_only_this_machine_is_listened_to(address: str) -> None:
    assert urlsplit(address).hostname == "127.0.0.1"
    with listen([0]) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "0.0.0.0:{port}", "127.0.0.1.evil.example:{port}", ""],
)
@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/runs"])
def test_another_host_is_refused(address: str, client: httpx.Client, host: str, path: str) -> None:
    name = host.format(port=urlsplit(address).port)
    response = client.get(path, headers={"Host": name})
    assert response.status_code == 403
    assert "another host" in sentence(response)


def test_two_hosts_or_none_are_refused(address: str) -> None:
    host = host_of(address)
    two = b"GET /api/runs HTTP/1.1\r\nHost: " + host + b"\r\nHost: evil.example\r\n\r\n"
    assert status_of(raw(address, two)) in (400, 403)
    assert status_of(raw(address, b"GET /api/runs HTTP/1.1\r\n\r\n")) == 400
    assert status_of(raw(address, b"GET /api/runs HTTP/1.0\r\n\r\n")) == 403
    foreign = b"GET http://evil.example/api/runs HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    assert status_of(raw(address, foreign)) == 404


def test_both_names_of_this_machine_are_served(address: str, client: httpx.Client) -> None:
    port = urlsplit(address).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert client.get("/api/runs", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/runs"), ("POST", "/api/upload"), ("GET", "/")])
def test_another_origin_is_refused(address: str, client: httpx.Client, method: str, path: str, origin: str) -> None:
    headers = OURS | {"Origin": origin.format(port=urlsplit(address).port)}
    response = client.request(method, path, headers=headers)
    assert response.status_code == 403
    assert "another page" in sentence(response)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_another_site_is_refused_but_may_link_to_the_page(client: httpx.Client, site: str) -> None:
    headers = OURS | {"Sec-Fetch-Site": site}
    for method, path in (("GET", "/api/runs"), ("GET", "/static/main.js"), ("POST", "/api/upload")):
        assert client.request(method, path, headers=headers).status_code == 403
    assert client.get("/", headers=headers).status_code == 200
    for site in ("same-origin", "none"):
        assert client.get("/api/runs", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_a_form_of_another_page_cannot_upload(client: httpx.Client) -> None:
    # A form, or a fetch without asking first, cannot send a header of its own.
    response = client.post("/api/upload", content=b"x", headers={"Content-Type": "text/plain"})
    assert response.status_code == 403
    assert "X-Convscope" in sentence(response)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e%2fserver.py",
        "/static/..%5cserver.py",
        "/static/..\\server.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/main.js%00.png",
        "/static/main.js%00",
        "/static/main.js/",
        "/static/./main.js",
        "/static/MAIN.JS",
        "/static/C:%5cwindows%5cwin.ini",
        "/static/%252e%252e%252fserver.py",
        "/static/",
        "/static",
        "/static/index.html/../../server.py",
        "/..%2f..%2fpyproject.toml",
        "/api/",
        "/api",
        "/api/__init__",
        "/api/runs/",
        "/api/..%2fruns",
        "//api/runs",
        "/favicon.ico",
    ],
)
def test_no_path_leads_out(address: str, path: str) -> None:
    answer = raw(address, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: " + host_of(address) + b"\r\n\r\n")
    assert status_of(answer) == 404, answer[:200]
    assert b"there is nothing at this address" in answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/runs", "/api/upload"])
def test_other_methods_are_refused(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path, headers=OURS)
    assert response.status_code == 405
    assert method in sentence(response)


def test_get_and_post_are_not_interchangeable(client: httpx.Client) -> None:
    assert client.post("/api/runs", headers=OURS).status_code == 405
    assert client.get("/api/upload").status_code == 404
    head = client.head("/api/runs")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/runs", "/nowhere", "/api/overview"])
def test_every_answer_says_what_the_browser_may_do_with_it(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(rule.partition(" ")[::2] for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"].startswith("'self' 'sha256-") and "unsafe" not in headers["content-security-policy"]
    assert policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path in ("/", "/static/main.js") else "no-store")
    assert "access-control-allow-origin" not in headers and "server" not in headers


def test_files_are_sent_once(client: httpx.Client) -> None:
    first = client.get("/static/main.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get("/static/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "query",
    [
        "run=linear&run=linear",
        "run",
        "run=%ff",
        "run=linear&",
        "&&&",
        "x=" + "1" * 400,
        "&".join(f"a{n}=1" for n in range(100)),
        "run=linear;epoch=best",
        "run[]=linear",
    ],
)
def test_odd_queries_are_refused(client: httpx.Client, query: str) -> None:
    response = client.get(f"/api/network?{query}")
    assert response.status_code in (400, 404)
    sentence(response)


def test_names_with_markup_come_back_as_text(client: httpx.Client) -> None:
    response = client.get("/api/network", params={"run": "<script>alert(1)</script>"})
    assert response.status_code == 404
    assert "<script>" in sentence(response)  # in JSON that no browser sniffs for HTML
    assert response.headers["x-content-type-options"] == "nosniff"


def test_long_addresses_and_headers_are_refused(address: str, client: httpx.Client) -> None:
    response = client.get("/api/runs?" + "x" * LONGEST_ADDRESS)
    assert response.status_code == 431
    sentence(response)
    endless = b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: " + host_of(address) + b"\r\n\r\n"
    assert status_of(raw(address, endless)) in (400, 431)  # as it came, whole or in parts
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(20))
    large = b"GET / HTTP/1.1\r\nHost: " + host_of(address) + b"\r\n" + headers + b"\r\n"
    assert status_of(raw(address, large)) in (400, 431)


UPLOAD = b"POST /api/upload HTTP/1.1\r\nHost: %s\r\nX-Convscope: 1\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        UPLOAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        UPLOAD + b"Content-Length: -5\r\n\r\nhello",
        UPLOAD + b"Content-Length: five\r\n\r\nhello",
        UPLOAD + b"Content-Length: +5\r\n\r\nhello",
        UPLOAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
        UPLOAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        UPLOAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /api/runs HTTP/1.1\r\nHost : %s\r\n\r\n",
        b"GET /api/runs HTTP/1.1\r\nHost: %s\r\nX: a\x00b\r\n\r\n",
        b"GET /api/runs HTTP/1\r\nHost: %s\r\n\r\n",
        b"GET  /api/runs HTTP/1.1\r\nHost: %s\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 %s\r\n\r\n",
    ],
)
def test_malformed_requests_are_answered_and_cut(address: str, request_bytes: bytes) -> None:
    answer = raw(address, request_bytes % host_of(address))
    assert 400 <= status_of(answer) < 600 and b"200 OK" not in answer, answer[:200]


def test_a_smuggled_request_gets_no_answer(address: str) -> None:
    # Both lengths at once are how two servers are made to disagree about where a request ends.
    inner = b"GET /api/runs HTTP/1.1\r\nHost: " + host_of(address) + b"\r\n\r\n"
    head = (
        b"POST /api/upload HTTP/1.1\r\nHost: %s\r\nX-Convscope: 1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked"
    )
    answer = raw(address, head % (host_of(address), 5 + len(inner)) + b"\r\n\r\n0\r\n\r\n" + inner)
    assert status_of(answer) == 400
    assert b"connection: close" in answer.lower()  # so that what follows is not read


def upload_head(address: str, *headers: bytes) -> bytes:
    lines = [b"POST /api/upload HTTP/1.1", b"Host: " + host_of(address), b"X-Convscope: 1", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_an_upload_that_says_it_is_too_large_is_not_read(address: str) -> None:
    answer = raw(address, upload_head(address, b"Content-Length: %d" % (UPLOAD_LIMIT + 1)))
    assert status_of(answer) == 413 and b"20 MiB" in answer


def test_an_upload_is_counted_while_it_comes(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UPLOAD_LIMIT", 1 << 16)
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    # It never ends, and says no length: the server answers all the same.
    answer = raw(address, upload_head(address, b"Transfer-Encoding: chunked") + chunk * 17)
    assert status_of(answer) == 413


def test_a_slow_upload_is_given_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UPLOAD_SECONDS", 0.2)
    answer = raw(address, upload_head(address, b"Content-Length: 100") + b"some")
    assert status_of(answer) == 408 and b"did not arrive" in answer


def test_a_cut_upload_harms_nobody(address: str, client: httpx.Client) -> None:
    assert raw(address, upload_head(address, b"Content-Length: 100") + b"some", end=True)[:12] in (b"", b"HTTP/1.1 400")


def test_many_uploads_at_once_are_refused(address: str, client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    place = urlsplit(address)
    waiting = [socket.create_connection((place.hostname, place.port), timeout=10) for _ in range(4)]
    for connection in waiting:
        connection.sendall(upload_head(address, b"Content-Length: 100") + b"some")
    statuses = []
    for _ in range(100):  # until the server has seen all four
        statuses.append(client.post("/api/upload", content=b"x", headers=OURS).status_code)
        if statuses[-1] == 503:
            break
    for connection in waiting:
        connection.close()
    assert statuses[-1] == 503 and set(statuses) <= {400, 503}


def bomb() -> bytes:
    """A PNG of 100,000 pixels a side that is a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"GIF89a" + b"\xff" * 1000,
        bomb(),
        encoded("JPEG")[:300],
        encoded("PNG")[:-30],
    ],
    ids=["nothing", "text", "svg", "postscript", "noise", "bomb", "cut JPEG", "cut PNG"],
)
def test_what_is_no_image_ends_in_a_sentence(client: httpx.Client, content: bytes) -> None:
    response = client.post("/api/upload", content=content, headers=OURS)
    assert response.status_code == 400
    assert "the image" in sentence(response)


def test_real_images_of_every_kind_are_taken(client: httpx.Client) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        response = client.post("/api/upload", content=encoded(kind), headers=OURS)
        assert response.status_code == 200, (kind, response.text)
        place = {"run": "linear", "epoch": "best", "image": response.json()["id"]}
        assert client.get("/api/overview", params=place).status_code == 200


def test_many_connections_do_not_keep_the_page_away(address: str, client: httpx.Client) -> None:
    place = urlsplit(address)
    idle = [socket.create_connection((place.hostname, place.port), timeout=10) for _ in range(40)]
    assert client.get("/").status_code == 200
    for connection in idle:
        connection.close()


def test_the_page_is_there_before_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    future: Future[Explorer] = Future()
    with serving(future, port=0) as address, httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        assert client.get("/").status_code == 200
        answers: list[Any] = []
        asking = Thread(target=lambda: answers.append(client.get("/api/runs")))
        asking.start()
        assert client.get("/static/main.js").status_code == 200
        future.set_exception(UserError("the run has no weights: train it."))
        asking.join(timeout=30)
        assert answers[0].status_code == 400
        assert json.loads(answers[0].content)["error"] == "the run has no weights: train it."


def test_a_websocket_is_not_spoken(address: str) -> None:
    upgrade = (
        b"GET /api/runs HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % host_of(address)
    )
    assert status_of(raw(address, upgrade)) != 101


def test_a_taken_port_is_told(address: str) -> None:
    port = urlsplit(address).port
    assert port is not None
    with pytest.raises(UserError, match=f"port {port} is taken.*--port"):
        listen([port])
