"""The exported page in a browser, from disk: what is in it works, and what is not in it is told in a sentence."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from convscope.explorer.explorer import Explorer
from convscope.explorer.export import export_page
from convscope.runs import Run

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def small(make_run: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The page of a small network for two images, and what the explorer knows of it."""
    explorer, _ = Explorer.open([make_run("tinyvgg", tested=True, snapshots=(0, 2), hidden=16)], device="cpu")
    path = tmp_path_factory.mktemp("exported") / "a page.html"
    assert export_page(explorer, path, ["test/3", "train/8"]) == []
    explorer.background.close()
    return path, explorer


def predicted(explorer: Explorer, image: str, epoch: str = "best") -> str:
    """The class that the network names."""
    subject = explorer.first
    values = subject.recorded(epoch, image, explorer.images.pixels(image, subject.predictor().preprocessing))
    return explorer.classes[int(values[subject.output].argmax())]


@pytest.mark.parametrize("screen", [{"width": 1280}, {"width": 390, "dark": True}])
def test_it_shows_its_images_and_their_arithmetic(  # R-F1
    small: tuple[Path, Any], open_page: OpenPage, screen: dict[str, Any]
) -> None:
    path, explorer = small
    page = open_page(path.as_uri(), **screen)
    image = page.locator("#image")
    expect(image.get_by_role("heading")).to_have_text("test image 3", ignore_case=True)
    expect(image.locator(".answer")).to_contain_text(predicted(explorer, "test/3"))
    assert page.evaluate("document.querySelector('#image img').naturalWidth") == 28

    image.get_by_role("button", name="The next image").click()
    expect(image.get_by_role("heading")).to_have_text("training image 8", ignore_case=True)
    expect(image.locator(".answer")).to_contain_text(predicted(explorer, "train/8"))

    page.locator("#network-view [data-channel]:visible").nth(3).click()
    detail = page.get_by_role("dialog")
    expect(detail).to_be_visible()
    expect(detail).not_to_contain_text("not in the exported page")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()


def test_grad_cam_and_neighbours_are_in_it(small: tuple[Path, Any], open_page: OpenPage) -> None:
    page = open_page(small[0].as_uri())
    page.locator("#image summary", has_text="What it looks at").click()
    page.get_by_label("Overlay").select_option("grad-cam")
    expect(page.locator("#image .legend").first).to_contain_text(re.compile("for .*, at the layer"))
    page.locator("#image summary", has_text="Nearest training images").click()
    tiles = page.locator("#image .nearest .tile")
    expect(tiles).to_have_count(12)
    assert page.evaluate(
        "[...document.querySelectorAll('.nearest img')].every((picture) => picture.naturalWidth === 28)"
    )
    expect(tiles.first).to_be_disabled()  # the image itself is not in the file


def test_the_epochs_are_in_it(small: tuple[Path, Any], open_page: OpenPage) -> None:
    path, explorer = small
    page = open_page(path.as_uri())
    expect(page.locator("#image .answer")).to_contain_text(predicted(explorer, "test/3"))
    slider = page.get_by_role("slider", name="Epoch")
    assert (slider.get_attribute("max"), slider.input_value()) == ("2", "2")  # 0, 2, best
    for place, epoch in (("0", "0"), ("1", "2")):
        slider.fill(place)
        expect(page.locator("#image .answer")).to_contain_text(predicted(explorer, "test/3", epoch))
        expect(page.locator("output.epoch").first).to_have_text(f"epoch {epoch}")


def test_the_other_views_are_there_too(small: tuple[Path, Any], open_page: OpenPage) -> None:
    page = open_page(small[0].as_uri())
    views = page.get_by_role("navigation", name="Views")
    views.get_by_role("button", name="Images").click()
    expect(page.locator("#images-view .tile")).to_have_count(2)
    views.get_by_role("button", name="Confusions").click()
    expect(page.locator("#confusion-view table")).to_be_visible()
    views.get_by_role("button", name="Playground").click()
    expect(page.locator("#playground-view")).to_be_visible()


def test_what_had_no_room_is_told(make_run: Callable[..., Run], tmp_path: Path, open_page: OpenPage) -> None:
    explorer, _ = Explorer.open([make_run("tinyvgg", hidden=16, name="cut")], device="cpu")
    left_out = export_page(explorer, tmp_path / "page.html", ["test/0"], limit=0)
    explorer.background.close()
    assert left_out
    page = open_page((tmp_path / "page.html").as_uri())
    expect(page.locator("#network-view [data-channel]:visible").first).to_be_visible()
    page.locator("#network-view [data-channel]:visible").nth(3).click()
    expect(page.locator("body")).to_contain_text("not in the exported page")
