"""The playground: the worked examples, any other setting against PyTorch, and what cannot be."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, expect
from torch import Tensor

from convscope.runs import Run

EXAMPLE = [[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]
KERNEL = [[2, 0, 1], [0, 1, 2], [1, 0, 2]]

GO = "link => { location.hash = `view=playground&play=${encodeURIComponent(link)}`; }"


@pytest.fixture
def playground(
    make_run: Callable[..., Run], explore: Callable[..., str], open_page: Callable[..., Page]
) -> Callable[..., Page]:
    def start(link: str = "", **screen: Any) -> Page:
        page = open_page(f"{explore(make_run('linear'))}#view=playground{link}", **screen)
        page.wait_for_selector("#playground-view h2")
        return page

    return start


def output(page: Page) -> list[list[float]]:
    """The numbers in the output's grid."""
    rows = page.locator("table.numbers", has_text="Output").locator("tr").all()
    return [[float(text.replace("−", "-")) for text in row.locator("button").all_inner_texts()] for row in rows]


def field(page: Page, name: str) -> Locator:
    return page.locator("#playground-view").get_by_label(name)


def example(page: Page, name: str) -> None:
    page.get_by_role("group", name="Examples").get_by_role("button", name=name).click()


def test_the_worked_examples(playground: Callable[..., Page]) -> None:  # R-D5
    page = playground()
    assert output(page) == [[15, 16], [6, 15]]
    example(page, "Max pooling")
    assert output(page) == [[6, 8], [15, 16]]
    example(page, "Average pooling")
    assert output(page) == [[3.5, 5.25], [11.75, 13.25]]
    example(page, "Convolution")
    assert output(page) == [[15, 16], [6, 15]]


def test_numbers_can_be_changed_and_the_address_keeps_them(playground: Callable[..., Page]) -> None:
    page = playground()
    cell = field(page, "Input, row 0, column 0")
    cell.fill("-10.5")
    expect(page.locator(".told")).to_contain_text("(−10.5) · 2 + 2 · 0 + 3 · 1")
    assert output(page) == [[-8, 16], [6, 15]]
    assert cell.evaluate("cell => document.activeElement === cell")  # one can go on typing
    field(page, "Kernel, row 2, column 2").fill("0")
    assert output(page) == [[-10, 12], [6, 13]]
    page.reload()
    page.wait_for_selector("table.numbers")
    assert output(page) == [[-10, 12], [6, 13]]


def test_the_formula_of_the_size_lives(playground: Callable[..., Page]) -> None:  # R-D6
    page = playground()
    formula = page.locator(".size-formula")
    expect(formula).to_contain_text("⌊(4 + 2·0 − 1·(3 − 1) − 1) / 1⌋ + 1 = 2")
    field(page, "Padding p").fill("2")
    field(page, "Stride s").fill("2")
    expect(formula).to_contain_text("⌊(4 + 2·2 − 1·(3 − 1) − 1) / 2⌋ + 1 = 3")
    field(page, "Dilation d").fill("3")
    field(page, "Input size n").fill("7")
    expect(formula).to_contain_text("⌊(7 + 2·2 − 3·(3 − 1) − 1) / 2⌋ + 1 = 3")
    images = torch.zeros(1, 1, 7, 7)
    images[0, 0, :4, :4] = torch.tensor(EXAMPLE)
    weight = torch.tensor(KERNEL, dtype=torch.float32)[None, None]
    assert output(page) == F.conv2d(images, weight, stride=2, padding=2, dilation=3)[0, 0].tolist()
    expect(page.locator("#playground-view code")).to_have_text(
        "nn.Conv2d(1, 1, kernel_size=3, stride=2, padding=2, dilation=3, bias=False)"
    )


def test_what_cannot_be_is_explained(playground: Callable[..., Page]) -> None:
    page = playground()
    for link, sentence in {
        "convolution;1;0;2;1,2|3,4;1,1|1,1": "reaches over 3 cells, but the input has only 2",
        "convolution;1;same;1;1,2|3,4;1,1|1,1": "an even kernel has no middle",
        "convolution;2;same;1;1,2|3,4;1": "choose stride 1",
        "max;1;2;1;1,2|3,4;2": "at most half its size, 1",
        "average;1;0;1;1,2|3,4;3": "choose a smaller kernel, or more padding",
    }.items():
        page.evaluate(GO, link)
        expect(page.locator("#playground-view [role=alert]")).to_contain_text(sentence)
        expect(page.locator(".numbers")).to_have_count(0)
        example(page, "Convolution")  # and there is a way back
        assert output(page) == [[15, 16], [6, 15]]


def test_an_address_that_tells_nothing_shows_the_first_example(playground: Callable[..., Page]) -> None:
    page = playground()
    wrong = ["nonsense", "max;2", "max;0;0;1;1,2|3,4;2", "convolution;1;0;1;1,2|3;1", "max;1;0;1;x;1"]
    for link in (*wrong, "max;1;99;1;1,2|3,4;2", "average;1;0;2;1,2|3,4;1", "convolution;1;0;1;1e999;1"):
        example(page, "Max pooling")
        page.evaluate(GO, link)
        expect(page.locator(".told")).to_contain_text("= 15")


def test_same_keeps_the_size(playground: Callable[..., Page]) -> None:
    page = playground()
    field(page, 'padding="same"').check()
    weight = torch.tensor(KERNEL, dtype=torch.float32)[None, None]
    images = torch.tensor(EXAMPLE, dtype=torch.float32)[None, None]
    assert output(page) == F.conv2d(images, weight, padding="same")[0, 0].tolist()
    expect(field(page, "Padding p")).to_be_disabled()
    field(page, "Layer").select_option("max")
    assert output(page) == F.max_pool2d(images, 3, stride=1)[0, 0].tolist()


def test_the_window_is_shown_and_walks(playground: Callable[..., Page]) -> None:
    page = playground()

    def window() -> list[int]:
        cells = page.locator("table.numbers").first.locator("td")
        return [k for k, cell in enumerate(cells.all()) if "window" in (cell.get_attribute("class") or "")]

    assert window() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    told = page.locator(".told")
    expect(told).to_contain_text(
        "Row 0, column 0: 1 · 2 + 2 · 0 + 3 · 1 + 0 · 0 + 1 · 1 + 2 · 2 + 3 · 1 + 0 · 0 + 1 · 2 = 15"
    )
    page.get_by_role("button", name="Output, row 0, column 0").press("ArrowDown")
    assert window() == [4, 5, 6, 8, 9, 10, 12, 13, 14]
    expect(told).to_contain_text("= 6")
    expect(page.get_by_role("button", name="Output, row 1, column 0")).to_be_focused()
    page.get_by_role("button", name="Output, row 0, column 1").hover()
    expect(told).to_contain_text("= 16")
    player = page.locator("#playground-view .player")
    player.get_by_role("button", name="Step").click()
    expect(told).to_contain_text("Row 1, column 0")
    player.get_by_role("button", name="Play").click()
    expect(told).to_contain_text("Row 0, column 1")
    player.get_by_role("button", name="Pause").click()
    example(page, "Max pooling")
    assert page.locator("td.winner").count() == 1
    expect(told).to_contain_text("max(1, 2, 5, 6) = 6")


def test_on_a_telephone_only_grids_are_wide(playground: Callable[..., Page]) -> None:
    page = playground(width=390, height=844)
    example(page, "Every second pixel")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_any_setting_is_that_of_pytorch(playground: Callable[..., Page]) -> None:
    page = playground()
    random = Random(0)
    settings = [_draw(random) for _ in range(300)]
    found = page.evaluate(
        """async (settings) => {
          const { whyNot, layerOf, compute, toText, fromText } = await import("convscope/playground/rules.js");
          return settings.map((setting) => {
            const same = toText(fromText(toText(setting))) === toText(setting);
            if (whyNot(setting)) return { same, output: null };
            const layer = layerOf(setting);
            const places = [...Array(layer.size).keys()];
            return { same, output: places.map((y) => places.map((x) => compute(setting, layer, y, x).result)) };
          });
        }""",
        settings,
    )
    for setting, made in zip(settings, found, strict=True):
        assert made["same"], setting
        try:
            expected = _pytorch(setting)
        except RuntimeError:
            expected = None
        assert (made["output"] is None) == (expected is None), setting
        if expected is not None:
            made_here = torch.tensor(made["output"], dtype=torch.float32)
            torch.testing.assert_close(made_here, expected, msg=str(setting))
    assert 50 < sum(made["output"] is None for made in found) < 250  # both happened


def _draw(random: Random) -> dict[str, Any]:
    def square(size: int) -> list[list[int]]:
        return [[random.randint(-9, 9) for _ in range(size)] for _ in range(size)]

    operation = random.choice(["convolution", "max", "average"])
    size = random.randint(1, 4)
    return {
        "operation": operation,
        "stride": random.randint(1, 3),
        "padding": random.randint(0, 3),
        "dilation": 1 if operation == "average" else random.randint(1, 3),
        "input": square(random.randint(1, 7)),
        "kernel": square(size) if operation == "convolution" else [[1] * size for _ in range(size)],
    }


def _pytorch(setting: dict[str, Any]) -> Tensor:
    """What the layer computes; raises RuntimeError where there is none."""
    images = torch.tensor(setting["input"], dtype=torch.float32)[None, None]
    kernel = torch.tensor(setting["kernel"], dtype=torch.float32)[None, None]
    places = {key: setting[key] for key in ("stride", "padding", "dilation")}
    match setting["operation"]:
        case "convolution":
            answer = F.conv2d(images, kernel, **places)
        case "max":
            answer = F.max_pool2d(images, kernel.shape[-1], **places)
        case _:
            places.pop("dilation")
            answer = F.avg_pool2d(images, kernel.shape[-1], **places)
    return answer[0, 0]
