"""The page as one file: what is in it, and what is not."""

import base64
import html
import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope.errors import ConvscopeError
from convscope.explorer.export import LIMIT, address, document, export_page
from convscope.explorer.pages import file_names
from convscope.runs import Run

IMAGES = ["test/3", "train/8"]


def answers_in(page: str) -> dict[str, dict[str, Any]]:
    match = re.search(r'<script type="application/json" id="answers">(.*?)</script>', page, flags=re.DOTALL)
    assert match is not None
    answers: dict[str, dict[str, Any]] = json.loads(match[1])
    return answers


@pytest.fixture
def exported(questions: Any, tmp_path: Path) -> tuple[str, list[str]]:
    """The page of a small network, and what was left out."""
    left_out = export_page(questions.explorer, tmp_path / "page.html", IMAGES)
    return (tmp_path / "page.html").read_text(encoding="utf-8"), left_out


def test_a_small_network_is_whole(  # R-F1
    exported: tuple[str, list[str]], questions: Any, read_floats: Callable[..., dict[str, torch.Tensor]]
) -> None:
    page, left_out = exported
    assert left_out == []
    answers = answers_in(page)
    network = json.loads(answers["api/network?run=tinyvgg_bn"]["body"])
    assert network == questions.json("network", run="tinyvgg_bn")
    names = ["image", *(layer["name"] for layer in network["layers"])]
    for image in IMAGES:
        place = {"run": "tinyvgg_bn", "epoch": "best", "image": image}
        for name, options in (("overview", {}), ("explain", {"method": "grad-cam"}), ("neighbours", {})):
            said = answers[address(name, place | options)]
            assert json.loads(said["body"]) == questions.json(name, **place, **options)
        for layer in names:
            said = answers[address("activation", place | {"layer": layer})]
            values = read_floats(base64.b64decode(said["base64"]), said["headers"])[""]
            assert torch.equal(values, questions.tensor("activation", layer=layer, **place))
        for name, parameters in (("picture", {"image": image, "run": "tinyvgg_bn"}), ("thumbnail", {"image": image})):
            said = answers[address(name, parameters)]
            assert said["type"] == "image/png"
            assert base64.b64decode(said["base64"]) == questions.ask(name, **parameters).body
        near = json.loads(answers[address("neighbours", place)]["body"])["images"]
        assert all(address("thumbnail", {"image": neighbour["id"]}) in answers for neighbour in near)
    for layer in network["layers"]:
        if layer["parameters"]:
            place = {"run": "tinyvgg_bn", "epoch": "best", "layer": layer["name"]}
            said = answers[address("weights", place)]
            parts = read_floats(base64.b64decode(said["base64"]), said["headers"])
            expected = questions.parts("weights", **place)
            assert parts.keys() == expected.keys()
            assert all(torch.equal(parts[name], expected[name]) for name in parts)


def test_it_tells_the_page_what_there_is(exported: tuple[str, list[str]], questions: Any) -> None:
    answers = answers_in(exported[0])
    runs = json.loads(answers["api/runs"]["body"])
    assert (runs["can_upload"], runs["image"], runs["runs"][0]["epochs"]) == (False, "test/3", [0, 3])
    for epoch in (0, 3):
        for image in IMAGES:
            place = {"run": "tinyvgg_bn", "epoch": epoch, "image": image}
            assert json.loads(answers[address("overview", place)]["body"]) == questions.json("overview", **place)
        filters = {"run": "tinyvgg_bn", "epoch": epoch, "layer": "block1.conv1"}
        assert (
            base64.b64decode(answers[address("weights", filters)]["base64"]) == questions.ask("weights", **filters).body
        )
    first = "api/images?limit=60&offset=0&order=index&run=tinyvgg_bn&split=test"  # as images/thumbnails.js asks
    listed = json.loads(answers[first]["body"])
    assert listed["total"] == 2 and [image["id"] for image in listed["images"]] == IMAGES
    for image in listed["images"]:
        overview = questions.json("overview", run="tinyvgg_bn", epoch="best", image=image["id"])
        assert image["label"] == overview["image"]["label"]
        assert image["confidence"] == max(overview["probabilities"])
        assert image["confidence"] == overview["probabilities"][image["predicted"]]


def test_nothing_in_it_is_fetched(exported: tuple[str, list[str]]) -> None:
    page, _ = exported
    assert "/static/" not in page.replace(json.dumps(answers_in(page)), "").split("<body>")[0].split("imports")[0]
    modules = json.loads(re.search(r'<script type="importmap">(.*?)</script>', page)[1])["imports"]  # type: ignore[index]
    assert sorted(modules) == sorted(f"convscope/{name}" for name in file_names() if name.endswith(".js"))
    assert all(place.startswith("data:text/javascript;base64,") for place in modules.values())
    head = page.split("<body>")[0]
    assert set(re.findall(r'(?:src|href)="([^"]*)"', head)) == {"data:,"}


def test_its_policy_allows_what_is_in_it_alone(exported: tuple[str, list[str]]) -> None:
    page, _ = exported
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    rules = dict(rule.partition(" ")[::2] for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "connect-src" not in rules
    scripts = re.findall(r'<script type="(?:importmap|module)">(.*?)</script>', page, flags=re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)

    def hashes(contents: list[str]) -> set[str]:
        digests = [base64.b64encode(sha256(content.encode()).digest()).decode() for content in contents]
        return {f"'sha256-{digest}'" for digest in digests}

    assert set(rules["script-src"].split()) == {"data:"} | hashes(scripts)
    assert set(rules["style-src"].split()) == hashes(styles)


def test_names_cannot_end_the_element_that_holds_them() -> None:
    hostile = "</script><script>alert(1)</script><!--"
    page = document({"api/runs": {"type": "application/json", "body": hostile}})
    assert hostile not in page
    assert answers_in(page)["api/runs"]["body"] == hostile


@pytest.mark.parametrize("limit", [0, 1_200_000, 1_800_000])
def test_what_has_no_room_is_told_and_the_rest_is_there(questions: Any, tmp_path: Path, limit: int) -> None:
    path = tmp_path / "page.html"
    least = export_page(questions.explorer, path, IMAGES[:1], limit=0)
    smallest = path.stat().st_size
    left_out = export_page(questions.explorer, path, IMAGES[:1], limit=limit)
    answers = answers_in(path.read_text(encoding="utf-8"))
    assert path.stat().st_size <= max(limit, smallest)
    assert set(left_out) <= set(least)
    assert "api/network?run=tinyvgg_bn" in answers
    there = {place for place in answers if re.match("api/(activation|weights).*epoch=best", place)}
    epochs = json.loads(answers["api/runs"]["body"])["runs"][0]["epochs"]
    assert len(there) + len(epochs) == len(least) - len(left_out)
    assert bool(there) == (limit > 0)
    assert [epoch for epoch in (0, 3) if f"epoch {epoch} (tinyvgg_bn)" not in left_out] == epochs


def test_addresses_are_those_that_a_browser_writes() -> None:
    odd = {"run": "a b~c*d'(é)", "image": "upload/00", "epoch": "best"}
    # From `new URLSearchParams(…).toString()` in Chromium.
    assert address("overview", odd) == "api/overview?epoch=best&image=upload%2F00&run=a+b%7Ec*d%27%28%C3%A9%29"
    assert address("runs", {}) == "api/runs"


def test_there_must_be_such_an_image(questions: Any, tmp_path: Path) -> None:
    with pytest.raises(ConvscopeError, match="no image test/200"):
        export_page(questions.explorer, tmp_path / "page.html", ["test/200"])
    assert not (tmp_path / "page.html").exists()


def test_a_network_without_maps_and_without_predictions(
    open_explorer: Any, make_run: Callable[..., Run], tmp_path: Path
) -> None:
    questions = open_explorer(make_run("linear"))
    assert export_page(questions.explorer, tmp_path / "page.html", ["test/0"]) == []
    answers = answers_in((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not any(place.startswith(("api/explain", "api/confusion")) for place in answers)
    assert (tmp_path / "page.html").stat().st_size < LIMIT
