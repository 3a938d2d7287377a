"""The server's other addresses, what it says before it is ready, and how it ends.  R-F4"""

import re
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from convscope.errors import UserError
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.serving.counts import Counts
from convscope.serving.questions import Limits
from convscope.serving.server import serving
from convscope.serving.service import Service
from convscope.web.server import address_of, is_local, listen

Start = Callable[..., Any]
Png = Callable[..., bytes]


def test_alive_and_ready(server: httpx.Client) -> None:
    assert server.get("/health").json() == {"status": "alive"}
    assert server.get("/ready").json() == {"status": "ready"}


def test_the_model_says_what_it_is(server: httpx.Client, run: Run) -> None:
    model = server.get("/model").json()
    predictor = Predictor.from_run(run, "cpu")
    assert (model["model"], model["network"], model["engine"]) == ("linear", "linear", "pytorch-float32")
    assert tuple(model["classes"]) == predictor.classes
    assert model["preprocessing"] == predictor.preprocessing.to_dict()
    assert model["accuracy"] == {"split": "test", "images": 200, "top1": run.metrics()["test"]["top1"]}
    assert model["limits"]["images"] == Limits().images


def test_a_run_that_was_not_tested_has_no_accuracy(start: Start, make_run: Callable[..., Run]) -> None:
    assert start(make_run("linear", name="untested")).get("/model").json()["accuracy"] is None


def test_the_page_stands_alone(server: httpx.Client) -> None:
    assert server.get("/").headers["location"] == "/docs"
    response = server.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(rule.partition(" ")[::2] for rule in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert re.fullmatch("'self' 'sha256-[^ ]+'", policy["script-src"])
    assert re.fullmatch("'self' 'sha256-[^ ]+'", policy["style-src"])
    outside = re.findall(r"(?:\b(?:src|href)=|\burl\()[\"']?([^\"'\s>)]+)", response.text)
    assert outside == ["data:,", "/openapi.json"]


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/docs/", "/static/main.js", "/..%2fmodel", "/favicon.ico"])
def test_there_is_nothing_elsewhere(server: httpx.Client, path: str) -> None:
    response = server.get(path)
    assert response.status_code == 404
    assert response.json()["error"].startswith("there is nothing at this address")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(server: httpx.Client, method: str) -> None:
    response = server.request(method, "/predict")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST" and response.json()["error"].endswith(".")


def test_what_is_answered_is_counted(start: Start, run: Run, png: Png) -> None:
    server = start(run)
    for _ in range(3):
        server.ask(png(1))
    server.ask(b"no image")
    server.get("/nothing")
    server.get("/health", headers={"Host": "evil.example"})
    assert server.metric('convscope_requests_total{path="/predict",status="200"}') == 3
    assert server.metric('convscope_requests_total{path="/predict",status="400"}') == 1
    assert server.metric('convscope_requests_total{path="other",status="404"}') == 1
    assert server.metric('convscope_requests_total{path="/health",status="403"}') == 1
    assert server.metric('convscope_images_total{result="answered"}') == 3
    assert server.metric('convscope_images_total{result="refused"}') == 1
    assert server.metric("convscope_prediction_seconds_count") == 4
    assert server.metric("convscope_batch_images_sum") == 3
    assert server.metric("convscope_queue_images") == 0
    assert (
        'convscope_model_info{run="linear",network="linear",engine="pytorch-float32"} 1' in server.get("/metrics").text
    )


def test_before_the_network_is_there(run: Run, png: Png) -> None:
    limits, counts = Limits(), Counts()
    answers: list[httpx.Response] = []
    with listen([0]) as listener, httpx.Client(base_url=address_of(listener), trust_env=False) as client:

        def load() -> Service:
            answers.extend(client.get(path) for path in ("/health", "/ready", "/model", "/metrics", "/docs"))
            answers.append(client.post("/predict", content=png(1), headers={"Content-Type": "image/png"}))
            raise UserError("the run has no weights: train it.")

        with pytest.raises(UserError, match="no weights"), serving(load, listener, limits=limits, counts=counts):
            pytest.fail("there is no network")
    assert [response.status_code for response in answers] == [200, 503, 503, 200, 200, 503]
    assert all(response.headers["retry-after"] == "1" for response in answers if response.status_code == 503)


def test_the_end_lets_nobody_in_and_answers_those_who_are(start: Start, run: Run, png: Png) -> None:
    server = start(run, gated=True)
    gate = server.service.predictor.engine
    place = urlsplit(server.address)

    def open_the_gate_once_nobody_is_let_in() -> None:
        with suppress(ConnectionError):
            while True:
                socket.create_connection((place.hostname, place.port), timeout=10).close()
        gate.open.set()

    with ThreadPoolExecutor(2) as pool:
        answer: Future[httpx.Response] = pool.submit(server.ask, png(1))
        assert gate.busy.wait(60)
        opened = pool.submit(open_the_gate_once_nobody_is_let_in)
        server.stop()
        opened.result(timeout=60)
        assert answer.result(timeout=60).status_code == 200


def test_nobody_else_reaches_it_unless_that_is_wished() -> None:
    with listen([0]) as listener:
        assert listener.getsockname()[0] == "127.0.0.1" and is_local(listener)
    with listen([0], host="localhost") as listener:
        assert is_local(listener)
    with listen([0], host="0.0.0.0") as listener:
        assert not is_local(listener)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a machine has but one such address")
def test_the_address_that_is_printed_is_answered(start: Start, run: Run) -> None:
    assert start(run, host="127.0.1.1").get("/health").status_code == 200


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7", "no such host", "a" * 70])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(UserError, match=r"no address .*--host"):
        listen([0], host=host)
