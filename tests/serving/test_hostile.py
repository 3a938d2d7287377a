"""Requests that nobody in good faith would send: to the server as it runs, byte by byte where need be.  R-F2"""

import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from convscope.runs import Run
from convscope.serving.questions import Limits
from convscope.web.guard import LONGEST_ADDRESS

Start = Callable[..., Any]
Png = Callable[..., bytes]


def sentence(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    text: str = response.json()["error"]
    assert text.endswith((".", "?")) and text.isprintable() and "Traceback" not in text
    return text


def host_of(address: str) -> bytes:
    return urlsplit(address).netloc.encode()


def head(address: str, *headers: bytes) -> bytes:
    lines = [b"POST /predict HTTP/1.1", b"Host: " + host_of(address), b"Content-Type: image/png", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def raw(address: str, request: bytes, *, end: bool = False) -> bytes:
    """What the server sends until its answer is whole, or it closes the connection."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(request)
            if end:
                connection.shutdown(socket.SHUT_WR)
            while not whole(answer) and (piece := connection.recv(65536)):
                answer += piece
        return answer


def whole(answer: bytes) -> bool:
    first, separator, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", first)
    return bool(separator) and length is not None and len(body) >= int(length[1])


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", ""])
@pytest.mark.parametrize("path", ["/", "/model", "/predict"])
def test_a_name_that_was_made_to_point_here_is_refused(server: httpx.Client, host: str, path: str) -> None:
    name = host.format(port=server.base_url.port)
    response = server.request("POST" if path == "/predict" else "GET", path, headers={"Host": name})
    assert response.status_code == 403
    assert "`convscope serve`" in sentence(response)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
def test_a_page_of_another_origin_cannot_ask(server: httpx.Client, png: Png, origin: str) -> None:
    headers = {"Origin": origin.format(port=server.base_url.port)}
    response = server.post("/predict", files=[("image", png(1))], headers=headers)
    assert response.status_code == 403
    assert "another page" in sentence(response)
    site = server.get("/model", headers={"Sec-Fetch-Site": "cross-site"})
    assert site.status_code == 403 and "another site" in sentence(site)
    assert server.get("/docs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_our_own_page_can(server: httpx.Client, png: Png) -> None:
    headers = {"Origin": f"http://127.0.0.1:{server.base_url.port}", "Sec-Fetch-Site": "same-origin"}
    response = server.post("/predict", files=[("image", png(1))], headers=headers)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers and "server" not in response.headers


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("top_k=0", "whole number"),
        ("top_k=1001", "whole number"),
        ("top_k=-1", "whole number"),
        ("top_k=٣", "parameters that cannot be read|whole number"),
        ("top_k=1&top_k=2", "given twice"),
        ("topk=1", "choose from top_k, invert"),
        ("invert", "cannot be read"),
        ("invert=%ff", "cannot be read"),
        ("&".join(f"a{number}=1" for number in range(100)), "cannot be read"),
    ],
)
def test_odd_parameters(server: httpx.Client, png: Png, query: str, words: str) -> None:
    response = server.post(f"/predict?{query}", content=png(1), headers={"Content-Type": "image/png"})
    assert response.status_code == 400
    assert re.search(words, sentence(response))


def test_a_compressed_request(server: httpx.Client, png: Png) -> None:
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    response = server.post("/predict", content=png(1), headers=headers)
    assert response.status_code == 415 and "compressed" in sentence(response)


def test_long_addresses_and_headers(server: httpx.Client) -> None:
    assert server.get("/model?" + "x" * LONGEST_ADDRESS).status_code == 431
    assert server.get("/model", headers={f"X-{number}": "y" * 1000 for number in range(20)}).status_code in (400, 431)


def test_a_request_that_says_it_is_too_large_is_not_read(server: Any) -> None:
    answer = raw(server.address, head(server.address, b"Content-Length: %d" % (Limits().request_bytes + 1)))
    assert status_of(answer) == 413 and b"32 MiB" in answer and b"connection: close" in answer.lower()


def test_a_request_is_counted_while_it_comes(start: Start, run: Run) -> None:
    server = start(run, request_bytes=1 << 20)
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    # It never ends, and says no length: the server answers all the same.
    answer = raw(server.address, head(server.address, b"Transfer-Encoding: chunked") + chunk * 17)
    assert status_of(answer) == 413


def test_a_slow_body_is_given_up(start: Start, run: Run) -> None:
    server = start(run, body_seconds=0.2)
    answer = raw(server.address, head(server.address, b"Content-Length: 100") + b"some")
    assert status_of(answer) == 408 and b"did not arrive" in answer and b"connection: close" in answer.lower()


def test_a_cut_body_harms_nobody(server: Any) -> None:
    assert raw(server.address, head(server.address, b"Content-Length: 100") + b"some", end=True)[:12] in (
        b"",
        b"HTTP/1.1 400",
    )
    assert server.get("/ready").status_code == 200


def test_who_goes_before_the_answer_harms_nobody(start: Start, run: Run, png: Png) -> None:
    server = start(run, gated=True)
    gate = server.service.predictor.engine
    place = urlsplit(server.address)
    body = png(1)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(head(server.address, b"Content-Length: %d" % len(body)) + body)
        assert gate.busy.wait(60)
    gate.open.set()
    assert server.ask(body).status_code == 200


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: -5",
        b"Content-Length: five",
        b"Content-Length: 99999999999999999999999",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"X: a\x00b",
        b"X : y",
    ],
)
def test_malformed_requests_are_answered_and_cut(server: Any, lines: bytes) -> None:
    assert 400 <= status_of(raw(server.address, head(server.address, lines) + b"hello")) < 500


def test_a_bomb_is_not_set_off(server: Any, encode: Callable[..., bytes]) -> None:
    bomb = encode(Image.new("1", (30_000, 10_000)))
    assert len(bomb) < 100_000
    response = server.ask(bomb)
    assert response.status_code == 400 and "million pixels" in sentence(response)


BODIES = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        [
            b"--edge\r\n",
            b"\r\n--edge--\r\n",
            b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n',
            b'Content-Disposition: form-data; name="top_k"\r\n\r\n3',
            b'{"images": ["',
            b'iVBORw0KGgo="',
            b"]}",
            b"\x89PNG\r\n\x1a\n",
            b"\x00\xff\r\n",
        ]
    )
).map(b"".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=9,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=BODIES
    | st.fixed_dictionaries({"images": VALUES}, optional={"top_k": VALUES, "invert": VALUES, "x": VALUES}).map(
        lambda value: json.dumps(value).encode()
    ),
    kind=st.sampled_from(["multipart/form-data; boundary=edge", "application/json", "image/png", "text/plain"]),
    query=st.sampled_from(["", "?top_k=3", "?invert=maybe", "?%00"]),
)
def test_whatever_is_sent_is_answered(server: httpx.Client, body: bytes, kind: str, query: str) -> None:
    response = server.post(f"/predict{query}", content=body, headers={"Content-Type": kind})
    assert response.status_code in (200, 400, 413, 415), response.text
    if response.status_code != 200:
        sentence(response)
