"""Many at once, too many at once, and answers that take too long.  R-F4"""

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from convscope.predict import Predictor
from convscope.runs import Run
from convscope.serving.counts import Counts
from convscope.serving.questions import Limits
from convscope.serving.service import Service

Start = Callable[..., Any]
Png = Callable[..., bytes]
Expected = Callable[..., list[tuple[str, float]]]


def test_sixty_four_at_once_get_their_own_answers(start: Start, run: Run, png: Png, expected: Expected) -> None:
    server = start(run, gated=True, patience=60.0)
    gate = server.service.predictor.engine
    with ThreadPoolExecutor(64) as pool:
        answers = [pool.submit(server.ask, png(seed)) for seed in range(64)]
        assert gate.busy.wait(60)
        server.wait_for("convscope_queue_images", 64)
        gate.open.set()
        for seed, answer in enumerate(answers):
            (prediction,) = answer.result(timeout=60).json()["predictions"]
            assert [row["name"] for row in prediction["classes"]] == [name for name, _ in expected(seed)]
            said = [row["probability"] for row in prediction["classes"]]
            # Of who goes with it through the network an answer depends by rounding alone.
            assert said == pytest.approx([probability for _, probability in expected(seed)], abs=1e-5)
    assert server.metric("convscope_batch_images_sum") == 64
    assert server.metric("convscope_batch_images_count") <= 3
    assert max(gate.sizes) == 32


def test_without_batches_each_goes_by_itself(start: Start, run: Run, png: Png) -> None:
    server = start(run, max_batch=1)
    files = [("image", (str(seed), png(seed))) for seed in range(5)]
    assert len(server.post("/predict", files=files).json()["predictions"]) == 5
    assert server.metric('convscope_batch_images_bucket{le="1"}') == server.metric("convscope_batch_images_count") == 5


def test_too_many_at_once_are_told_to_come_again(start: Start, run: Run, png: Png) -> None:
    server = start(run, gated=True, queue=4)
    gate = server.service.predictor.engine
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(server.ask, png(seed)) for seed in range(4)]
        server.wait_for("convscope_queue_images", 4)
        refused = server.ask(png(5))
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1" and "try again" in refused.json()["error"]
        assert server.get("/health").status_code == 200
        gate.open.set()
        assert [answer.result(timeout=60).status_code for answer in waiting] == [200] * 4
    assert server.ask(png(5)).status_code == 200  # it has recovered
    assert server.metric("convscope_queue_images") == 0


def test_more_than_the_queue_holds_can_never_be_answered(start: Start, run: Run, png: Png) -> None:
    server = start(run, queue=4, images=4)
    files = [("image", (str(seed), png(seed))) for seed in range(5)]
    assert server.post("/predict", files=files).status_code == 413
    assert server.post("/predict", files=files[:4]).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(start: Start, run: Run, png: Png) -> None:
    server = start(run, gated=True, answer_seconds=0.3)
    gate = server.service.predictor.engine
    response = server.ask(png(1))
    assert response.status_code == 504
    assert "too long" in response.json()["error"]
    assert server.metric("convscope_queue_images") == 0
    gate.open.set()
    assert server.ask(png(1)).status_code == 200


def test_a_network_that_fails_is_told_without_its_secrets(
    start: Start, run: Run, png: Png, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(run)

    def fail(images: object) -> object:
        raise RuntimeError("a secret of /home")

    engine, server.service.predictor.engine = server.service.predictor.engine, fail
    response = server.ask(png(1))
    assert response.status_code == 500
    assert "secret" not in response.text and "Traceback" not in response.text
    assert "a secret of /home" in caplog.text
    server.service.predictor.engine = engine
    assert server.ask(png(1)).status_code == 200


def test_a_network_that_fails_at_once_leaves_nothing_behind(run: Run) -> None:
    def fail(images: object) -> object:
        raise RuntimeError("a surprise")

    predictor = Predictor.from_run(run, "cpu")
    predictor.engine = fail  # type: ignore[assignment]
    before = (threading.enumerate(), warnings.filters[:])
    service = Service(run, predictor, limits=Limits(), max_batch=1, patience=0.0, counts=Counts())
    with pytest.raises(RuntimeError, match="a surprise"), service:
        pytest.fail("it cannot be asked")
    assert (threading.enumerate(), warnings.filters) == before


def test_a_network_that_gives_no_numbers(start: Start, run: Run, png: Png) -> None:
    server = start(run)
    engine = server.service.predictor.engine
    server.service.predictor.engine = lambda images: engine(images) * float("nan")
    (prediction,) = server.ask(png(1)).json()["predictions"]
    assert {row["probability"] for row in prediction["classes"]} == {None}


def test_bodies_share_the_memory(start: Start, run: Run, png: Png) -> None:
    server = start(run, all_bytes=10_000)
    response = server.ask(bytes(20_000))
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert server.ask(png(1)).status_code == 200
    assert server.ask(bytes(9_999)).status_code == 400  # the room was given back each time
    assert server.ask(bytes(9_999)).status_code == 400


def test_an_image_of_too_many_bytes_or_pixels(start: Start, run: Run, png: Png) -> None:
    server = start(run, image_bytes=3 << 20, pixels=2_000_000)
    files = [
        ("image", ("wide", png(1, size=(2, 1_000_001)))),
        ("image", ("fat", bytes(4 << 20))),
        ("image", ("a", png(1))),
    ]
    wide, fat, fine = server.post("/predict", files=files).json()["predictions"]
    assert wide["error"].startswith("wide has more than 2 million pixels: give")
    assert fat["error"].startswith("fat has more than 3 MiB: give")
    assert "classes" in fine


def test_the_limit_of_connections(start: Start, run: Run) -> None:
    server = start(run, connections=3)
    clients = [httpx.Client(base_url=server.address, trust_env=False) for _ in range(4)]
    responses = [client.get("/health") for client in clients]
    for client in clients:
        client.close()
    assert [response.status_code for response in responses] == [200, 200, 200, 503]
    assert "too many are connected" in responses[3].json()["error"] and responses[3].headers["retry-after"] == "1"
