"""The report and its slides in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from convscope.config import Config
from convscope.experiment import train
from convscope.report import write_report, write_slides
from convscope.runs import Run

Open = Callable[..., Page]

CONTRASTS = """() => {
  // WCAG 2.2, 1.4.3: of each text with the nearest paper below it, (lighter + 0.05) / (darker + 0.05).
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const pixel = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (colour) => {
    const shares = [...pixel(colour)].map((value) => value / 255);
    const [r, g, b] = shares.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (pixel(colour)[3] === 255) return colour;
    }
    throw new Error("no paper");
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {};
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [luminance(ink), luminance(paper(element))].sort((x, y) => y - x);
    found[`${ink} on ${paper(element)}`] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def run(fashion_slice: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A linear network that has seen 540 images, and makes mistakes."""
    setting = Config(data=str(fashion_slice), model="linear", epochs=2, device="cpu", threads=1)
    return train(setting, runs_dir=tmp_path_factory.mktemp("runs"), name="first")


@pytest.fixture
def report(run: Run, open_page: Open) -> Callable[..., Page]:
    address = write_report(run).as_uri()
    return lambda **screen: open_page(address, **screen)


def test_from_a_number_of_the_matrix_to_its_images_and_back(report: Callable[..., Page], run: Run) -> None:
    # R-F3
    page = report()
    worst = run.results()["test"]["most_confused"][0]
    words = f"{worst['true']} taken for {worst['predicted']}"
    number = page.get_by_role("button", name=words)
    assert number.inner_text() == str(worst["count"])
    number.focus()
    page.keyboard.press("Enter")
    opened = page.get_by_role("dialog", name=words)
    assert opened.is_visible()
    images = opened.get_by_role("img")
    assert images.count() >= min(12, worst["count"])
    assert all(size == 28 for size in images.evaluate_all("images => images.map((image) => image.naturalWidth)"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Close"
    page.keyboard.press("Escape")
    assert not opened.is_visible()
    assert number.evaluate("button => button === document.activeElement")
    number.click()
    opened.get_by_role("button", name="Close").click()
    assert not opened.is_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_its_paper(report: Callable[..., Page], dark: bool) -> None:
    page = report(dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    page.evaluate("document.querySelector('[popover]').showPopover()")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 6
    assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_to_the_side(report: Callable[..., Page], width: int) -> None:
    page = report(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # What is wider than a phone scrolls within itself.
    matrix = page.get_by_role("table", name="Confusion matrix").locator("xpath=..")
    assert (matrix.evaluate("box => box.scrollWidth > box.clientWidth")) == (width == 390)


def test_a_matrix_is_printed_whole_and_without_its_images(report: Callable[..., Page]) -> None:
    page = report(width=700)  # the width of a sheet of paper between its margins, about
    page.emulate_media(media="print")
    matrix = page.get_by_role("table", name="Confusion matrix").locator("xpath=..")
    assert matrix.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert page.locator("[popover]:visible").count() == 0
    assert page.get_by_text("Press a number").is_visible() is False
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_table_of_contents_leads_to_each_part(report: Callable[..., Page]) -> None:
    page = report()
    links = page.get_by_role("navigation").get_by_role("link")
    there = "links => links.map((link) => document.querySelector(link.hash).textContent)"
    assert links.evaluate_all(there) == links.all_inner_texts()
    links.last.click()
    assert page.get_by_role("heading", name="How to repeat it").evaluate(
        "it => it.getBoundingClientRect().top < innerHeight"
    )


def test_the_arrow_keys_turn_the_slides(run: Run, open_page: Open) -> None:
    # R-C9
    page = open_page(write_slides(run).as_uri(), width=1280, height=720)
    slides = page.locator("section.slide")
    assert slides.count() == 10

    def turned(top: int) -> bool:
        """Whether the page comes to rest there; its policy forbids a script that would wait for that."""
        for _ in range(200):
            if page.evaluate("scrollY") == top:
                return True
            page.wait_for_timeout(50)
        return False

    for key, number in (("ArrowDown", 1), ("PageDown", 2), ("ArrowDown", 3), ("ArrowUp", 2), ("End", 9)):
        page.keyboard.press(key)
        assert turned(720 * number)
    overflow = (
        "slides => slides.map((slide) => slide.firstElementChild).filter((e) => e.scrollHeight > e.clientHeight).length"
    )
    assert slides.evaluate_all(overflow) == 0


def test_each_slide_is_a_page_in_print(run: Run, open_page: Open) -> None:
    # R-C9
    page = open_page(write_slides(run).as_uri(), dark=True)
    printed = page.pdf(prefer_css_page_size=True)
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert len(boxes) == 10
    width, height = (float(length) * 25.4 / 72 for length in boxes[0])  # points to millimetres
    assert (width, height) == (pytest.approx(320, abs=0.5), pytest.approx(180, abs=0.5))
