"""The page of `convscope serve`: an image is tried on it as a person does.  R-F1"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, Route, expect

from convscope.predict import Predictor
from convscope.runs import Run
from convscope.serving.counts import Counts
from convscope.serving.openapi import ENDPOINTS
from convscope.serving.questions import Limits
from convscope.serving.server import serving
from convscope.serving.service import Service
from convscope.web.server import address_of, listen


@pytest.fixture
def address(make_run: Callable[..., Run]) -> Iterator[str]:
    """Of a server of a small network."""
    run, limits, counts = make_run("linear", tested=True), Limits(), Counts()

    def load() -> Service:
        predictor = Predictor.from_run(run, "cpu")
        return Service(run, predictor, limits=limits, max_batch=8, patience=0.0, counts=counts)

    with listen([0]) as listener, serving(load, listener, limits=limits, counts=counts):
        yield address_of(listener)


def test_images_are_tried(address: str, open_page: Callable[..., Page], tmp_path: Path) -> None:
    drawing = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(drawing).rectangle((15, 10, 45, 50), fill=0)
    drawing.save(tmp_path / "drawing.png")
    (tmp_path / "notes.png").write_text("no image")
    page = open_page(address)
    expect(page.locator("#model")).to_contain_text("linear on pytorch-float32, 10 classes")
    expect(page.locator("#model")).to_contain_text("of 200 test images right")
    expect(page.locator("#endpoints tr")).to_have_count(len(ENDPOINTS))
    expect(page.locator("#examples")).to_contain_text(f"curl -F image=@photo.jpg -F image=@other.png {address}predict")
    page.get_by_label("Images").set_input_files([tmp_path / "drawing.png", tmp_path / "notes.png"])
    page.get_by_label("Classes").fill("3")
    page.get_by_role("button", name="Ask").click()
    answers = page.locator("#answers article")
    expect(answers).to_have_count(2)
    expect(answers.nth(0).locator("tr")).to_have_count(3)
    expect(answers.nth(0)).to_contain_text("Doubtful: ")
    expect(answers.nth(1)).to_contain_text("notes.png is no image")
    page.get_by_label("exchange light and dark").check()
    page.get_by_role("button", name="Ask").click()
    expect(answers.nth(0).locator("strong")).to_have_text("drawing.png")
    expect(page.locator("#answers")).not_to_contain_text("Doubtful")
    page.locator("summary").click()
    expect(page.locator("#answer-json")).to_contain_text('"probability"')


def test_what_goes_wrong_is_told(address: str, open_page: Callable[..., Page], tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "image.png")
    page = open_page(address)
    expect(page.locator("#model")).to_contain_text("linear")
    page.get_by_label("Images").set_input_files([tmp_path / "image.png"] * 200)
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert")).to_contain_text("more than 128 images")
    page.complaints.clear()  # type: ignore[attr-defined]  # of the status 413
    page.get_by_label("Images").set_input_files([tmp_path / "image.png"])
    held: list[Route] = []
    page.route("**/predict", lambda route: held.append(route))
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("button", name="Ask")).to_be_disabled()  # or two answers would stand side by side
    while not held:
        page.wait_for_timeout(10)
    held[0].continue_()
    expect(page.locator("#answers article")).to_have_count(1)
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(address: str, open_page: Callable[..., Page], width: int, dark: bool) -> None:
    page = open_page(address, width=width, dark=dark)
    expect(page.locator("#model")).to_contain_text("linear")
    expect(page.locator("#endpoints tr")).to_have_count(len(ENDPOINTS))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
