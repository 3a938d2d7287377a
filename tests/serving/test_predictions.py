"""Predictions over HTTP: the same that the network gives to whoever asks it directly.  R-F4"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from PIL import Image

from convscope.runs import Run

Png = Callable[..., bytes]
Expected = Callable[..., list[tuple[str, float]]]


def check(prediction: dict[str, Any], expected: Sequence[tuple[str, float]]) -> None:
    assert [row["name"] for row in prediction["classes"]] == [name for name, _ in expected]
    probabilities = [row["probability"] for row in prediction["classes"]]
    assert probabilities == pytest.approx([probability for _, probability in expected], abs=1e-5)


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_form_with_files(server: httpx.Client, png: Png, expected: Expected) -> None:
    files = [("image", (f"{seed}.png", png(seed), "image/png")) for seed in range(20)]
    response = server.post("/predict", files=files, data={"top_k": "3"})
    assert response.status_code == 200
    answer = response.json()
    assert answer["model"] == "linear"
    assert [row["image"] for row in answer["predictions"]] == [f"{seed}.png" for seed in range(20)]
    for seed, prediction in enumerate(answer["predictions"]):
        check(prediction, expected(seed, top_k=3))


@pytest.mark.parametrize("kind", ["image/png", "image/whatever", "application/octet-stream"])
def test_an_image_as_it_is(server: httpx.Client, png: Png, expected: Expected, kind: str) -> None:
    response = server.post("/predict?top_k=2&invert=true", content=png(3), headers={"Content-Type": kind})
    (prediction,) = response.json()["predictions"]
    assert prediction["image"] == "the image"
    check(prediction, expected(3, top_k=2, invert=True))


def test_json(server: httpx.Client, png: Png, expected: Expected) -> None:
    body = {"images": [in_base64(png(1)), in_base64(png(2))], "top_k": 1, "invert": True}
    predictions = server.post("/predict", json=body).json()["predictions"]
    assert [row["image"] for row in predictions] == ["image 1", "image 2"]
    for seed, prediction in enumerate(predictions, start=1):
        check(prediction, expected(seed, top_k=1, invert=True))


def test_an_answer_does_not_depend_on_who_else_asks(
    start: Callable[..., Any], make_run: Callable[..., Run], png: Png
) -> None:
    # R-F4: only on the order in which a batch of another size is added up.
    server = start(make_run("tinyvgg_bn"))
    kinds: list[dict[str, Any]] = [{}, {"mode": "RGB"}, {"mode": "RGBA"}, {"size": (99, 40)}, {"size": (9, 300)}]
    alone = [server.ask(png(seed, **kind)).json()["predictions"][0] for seed, kind in enumerate(kinds)]
    files = [("image", (str(seed), png(seed, **kind))) for seed, kind in enumerate(kinds)]
    together = server.post("/predict", files=files).json()["predictions"]
    for one, other in zip(alone, together, strict=True):
        check(other, [(row["name"], row["probability"]) for row in one["classes"]])


def test_one_damaged_image_does_not_lose_the_others(server: httpx.Client, png: Png, expected: Expected) -> None:
    contents = [png(0), b"no image", png(1)[:60], b"", png(2)]
    names = ["0.png", "text", "cut.png", "nothing", "2.png"]
    response = server.post("/predict", files=[("image", each) for each in zip(names, contents, strict=True)])
    assert response.status_code == 200
    predictions = response.json()["predictions"]
    check(predictions[0], expected(0))
    check(predictions[4], expected(2))
    assert predictions[1] == {"image": "text", "error": "text is no image: give a PNG, a JPEG or another image file."}
    assert predictions[2]["error"].startswith("cut.png cannot be decoded") and "classes" not in predictions[2]
    assert "nothing is no image" in predictions[3]["error"]
    in_json = server.post("/predict", json={"images": ["!", in_base64(png(1))]}).json()["predictions"]
    assert in_json[0]["error"].startswith("image 1 is no base64: give")
    check(in_json[1], expected(1))


def test_no_image_at_all_is_an_error(server: httpx.Client) -> None:
    response = server.ask(b"no image")
    assert response.status_code == 400
    assert response.json()["error"] == "the image is no image: give a PNG, a JPEG or another image file."
    assert len(response.json()["predictions"]) == 1


def test_a_doubt_is_told(server: httpx.Client, encode: Callable[..., bytes]) -> None:
    flat = server.ask(encode(Image.new("L", (28, 28), 200))).json()["predictions"][0]
    assert "same brightness everywhere" in flat["warning"]
    drawing = Image.new("L", (28, 28), 255)
    drawing.paste(0, (8, 8, 20, 20))
    on_white = server.ask(encode(drawing)).json()["predictions"][0]["warning"]
    assert "other way round" in on_white and "invert exchanges" in on_white and "--" not in on_white
    assert server.ask(encode(drawing), invert="true").json()["predictions"][0]["warning"] is None


def test_more_classes_than_there_are(server: httpx.Client, png: Png) -> None:
    classes = server.ask(png(1), top_k=1000).json()["predictions"][0]["classes"]
    assert len(classes) == 10
    assert sum(row["probability"] for row in classes) == pytest.approx(1, abs=1e-5)


def test_markup_in_a_name_stays_text(server: httpx.Client, png: Png) -> None:
    name = "<script>\x1b[31m\u202e.png"
    response = server.post("/predict", files=[("image", (name, png(1)))])
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["predictions"][0]["image"].isprintable()
