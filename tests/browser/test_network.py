"""The drawn network shows what PyTorch computed, for any model, by pointer and by keyboard."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from playwright.sync_api import Locator, Page, Route, expect
from torch import Tensor

from convscope.data import Splits
from convscope.interpret.activations import record
from convscope.models import build_model
from convscope.models.summary import summarise
from convscope.predict import Predictor
from convscope.runs import Run

COLOURS = """async ([values, low, high]) => {
    const { colour } = await import("convscope/colour.js");
    return values.flatMap((value) => [...colour(value, low, high), 255]);
}"""
SHOWS = """([selector, colours]) => {
    const canvas = document.querySelector(selector);
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    return data.length === colours.length && colours.every((level, i) => Math.abs(level - data[i]) <= 4);
}"""
"""Of 255 levels: an overview rounds its values, and a map has 512 colours."""
ARRANGED = """async (rows) => {
    const { arrange, fold, rowsOf } = await import("convscope/network/layout.js");
    const describe = (items) => items.map((item) => item.items
        ? { fold: item.name, items: describe(item.items) }
        : { row: item.row.name, branches: item.branches.map((branch) => describe(branch.items)) });
    const items = arrange(rows);
    return { items: describe(items), folds: describe(fold(items)), all: rowsOf(fold(items)).map((row) => row.name) };
}"""

Explore = Callable[..., str]
OpenPage = Callable[..., Page]
MakeRun = Callable[..., Run]


def computed(run: Run, splits: Splits, image: int = 0) -> dict[str, Tensor]:
    """What every row makes of a test image: (C, H, W) or (features,)."""
    predictor = Predictor.from_run(run, device="cpu")
    inputs = predictor.preprocessing(splits.test.take(torch.tensor([image])))
    return {name: values[0] for name, values in record(predictor.model, inputs).items()}


def settled(page: Page) -> Page:
    page.locator("#main-side .network:not([aria-busy]) [data-channel]").first.wait_for()
    return page


def card(page: Page, name: str) -> Locator:
    return page.locator(f"#main-side [data-row='{name}']")


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def buttons_of(row: Locator) -> list[tuple[int, str]]:
    """Number and name of the channel of each button."""
    found = row.locator("[data-channel]").evaluate_all(
        "(all) => all.map((each) => [Number(each.dataset.channel), each.getAttribute('aria-label')])"
    )
    return [(index, name) for index, name in found]


def assert_true(row: Locator, values: Tensor) -> None:
    """The name of each button tells the range of its channel, to four significant digits."""
    for index, label in buttons_of(row):
        low, high = float(values[index].min()), float(values[index].max())
        told = [number(text) for text in label.rpartition(", ")[2].removeprefix("from ").split(" to ")]
        assert told == pytest.approx([low, high] if low < high else [low], rel=5.1e-4), label


# R-F1, R-A7
def test_every_row_with_its_channels(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits
) -> None:
    run = make_run("tinyvgg", hidden=16)
    rows = computed(run, fashion_splits)
    page = settled(open_page(explore(run)))
    assert_true(card(page, "image"), rows["image"])
    for layer in summarise(build_model("tinyvgg", hidden=16), (1, 28, 28)).layers:
        row, values = card(page, layer.name), rows[layer.name]
        expect(row.locator(".row-facts")).to_contain_text(layer.kind)
        expect(row.locator(".row-facts")).to_contain_text(" × ".join(map(str, layer.output_shape)))
        if layer.parameters:
            expect(row.locator(".row-facts")).to_contain_text(f"{layer.parameters:,} parameters")
        expect(row.locator("[data-channel]")).to_have_count(min(len(values), 12 if values.ndim == 3 else 64))
        assert_true(row, values)
    first = card(page, "block1.conv1")
    expect(first).to_contain_text("convolution 3 × 3, 32 channels")
    assert [index for index, _ in buttons_of(first)] == sorted(
        rows["block1.conv1"].amax(dim=(1, 2)).topk(12).indices.tolist()
    )


def test_colours_are_the_values_and_the_weights(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits
) -> None:
    run = make_run("tinyvgg", hidden=16)
    maps = computed(run, fashion_splits)["block1.conv1"]
    weight = Predictor.from_run(run, device="cpu").model.state_dict()["block1.conv1.weight"]
    page = settled(open_page(explore(run)))
    buttons = card(page, "block1.conv1").locator("[data-channel]")
    shown = [index for index, _ in buttons_of(card(page, "block1.conv1"))]
    limits = [float(maps[shown].min()), float(maps[shown].max())]
    reach = float(weight.abs().max())
    place = f"#main-side [data-row='block1.conv1'] [data-channel='{shown[3]}']"
    for selector, values, low, high in (
        (f"{place} canvas:last-child", maps[shown[3]], *limits),
        (f"{place} canvas.filter", weight[shown[3]], -reach, reach),
    ):
        colours = page.evaluate(COLOURS, [values.flatten().tolist(), low, high])
        page.wait_for_function(SHOWS, arg=[selector, colours])
    # R-A7, R-F1: for all channels exact tensors are asked
    card(page, "block1.conv1").get_by_role("button", name="all 32").click()
    expect(buttons).to_have_count(32)
    assert_true(card(page, "block1.conv1"), maps)
    card(page, "block1.conv1").get_by_role("button", name="only 12").click()
    expect(buttons).to_have_count(12)


def test_answer_as_bars(explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits) -> None:
    run = make_run("lenet5", input_size=32)
    logits = computed(run, fashion_splits)["output"]
    shares = logits.softmax(dim=0)
    page = settled(open_page(explore(run)))
    test = fashion_splits.test
    answer, truth = test.classes[int(shares.argmax())], test.classes[int(test.labels[0])]
    verdict = page.locator("#main-side .verdict")
    expect(verdict).to_contain_text(f"It says {answer}")
    expect(verdict).to_contain_text("right" if answer == truth else f"wrong, it is {truth}")
    bars = page.locator("#main-side .bars button")
    expect(bars).to_have_count(10)
    for index, name in enumerate(test.classes):
        bar = bars.nth(index)
        expect(bar).to_contain_text(name)
        assert bar.locator(".bar-percent").inner_text() == f"{100 * float(shares[index]):.1f}%"
        assert number(bar.locator(".bar-logit").inner_text()) == pytest.approx(float(logits[index]), rel=5.1e-4)
    assert "the true class" in (bars.nth(int(test.labels[0])).get_attribute("aria-label") or "")
    bars.nth(4).click()
    page.wait_for_url("**/#*layer=output&channel=4*")


def test_channels_by_pointer_and_keyboard(explore: Explore, open_page: OpenPage, make_run: MakeRun) -> None:
    page = settled(open_page(explore(make_run("tinyvgg", hidden=16))))
    row = card(page, "block1.act1")
    first = row.locator("[data-channel]").first
    first.focus()
    assert page.locator("#main-side .hovered").inner_text() == first.get_attribute("aria-label")
    expect(card(page, "block1.conv1")).to_have_class("row read")
    expect(card(page, "block1.conv2")).to_have_class("row reader")
    page.keyboard.press("End")
    expect(row.locator("[data-channel]").last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    chosen = row.locator("[data-channel]").nth(10)
    expect(chosen).to_be_focused()
    assert row.locator("[tabindex='0']").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/#*layer=block1.act1&channel={chosen.get_attribute('data-channel')}")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda address: "layer=" not in address)
    card(page, "block2.pool").hover()
    expect(card(page, "block2.conv2")).to_have_class("row read")
    expect(card(page, "block1.conv1")).to_have_class("row")


# R-A8
def test_text_of_a_row(explore: Explore, open_page: OpenPage, make_run: MakeRun) -> None:
    page = settled(open_page(explore(make_run("tinyvgg", hidden=16))))
    row = card(page, "block1.conv2")
    heading = row.locator("h3 button")
    expect(heading).to_have_attribute("aria-expanded", "false")
    heading.press("Enter")
    expect(heading).to_have_attribute("aria-expanded", "true")
    for text in ("3·3·32·32 + 32 = 9,248", "7,225,344 for one image", "5 × 5 pixels", "kernel", "padding"):
        expect(row.locator(".row-text")).to_contain_text(text)
    row.get_by_role("button", name="block1.pool").click()
    expect(card(page, "block1.pool").locator("h3 button")).to_be_focused()


def test_a_new_image_moves_nothing(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits
) -> None:
    run = make_run("tinyvgg", hidden=16)
    page = settled(open_page(explore(run)))
    places = "() => [...document.querySelectorAll('#main-side .row')].map((row) => row.getBoundingClientRect().top)"
    before = page.evaluate(places)
    held: list[Route] = []
    page.route("**/api/overview?*test%2F7*", lambda route: held.append(route))
    page.evaluate("location.hash = '#image=test/7'")
    page.wait_for_function("document.querySelector('#main-side .network').ariaBusy === 'true'")
    page.evaluate("location.hash = '#image=test/9'")
    rows = computed(run, fashion_splits, 9)
    name = fashion_splits.test.classes[int(rows["output"].argmax())]
    settled(page)
    # The answer to a question that was overtaken comes last, and changes nothing.
    while not held:
        page.wait_for_timeout(10)
    with page.expect_response("**/api/overview?*test%2F7*"):
        for route in held:
            route.continue_()
    page.wait_for_timeout(100)
    assert_true(card(page, "block2.conv2"), rows["block2.conv2"])
    expect(page.locator("#main-side .verdict")).to_contain_text(name)
    assert page.evaluate(places) == before


def test_an_error_is_a_sentence(explore: Explore, open_page: OpenPage, make_run: MakeRun) -> None:
    page = open_page(explore(make_run("lenet5", input_size=32)) + "#image=test/1000000")
    expect(page.locator("#main-side .network-message")).to_contain_text("1000000")
    expect(page.locator("#main-side .verdict")).to_contain_text("1000000")
    page.evaluate("location.hash = '#image=test/1'")
    expect(page.locator("#main-side .network-message")).to_be_hidden()
    settled(page)
    page.complaints[:] = [text for text in page.complaints if "404" not in text]  # type: ignore[attr-defined]


# R-F1
@pytest.mark.parametrize(
    ("name", "fold"),
    [
        ("vgg11", None),
        ("googlenet", "inception4e"),
        ("resnet18_small", "layer3"),
        ("densenet121_small", "features.denseblock3"),
        ("se_resnet18_small", "layer4"),
    ],
)
def test_branches_of_the_catalogue(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, name: str, fold: str | None
) -> None:
    with torch.device("meta"):
        model = build_model(name, input_size=64)
    layers = [row for row in summarise(model, (1, 64, 64)).layers if not row.training_only]
    rows = [{"name": row.name, "inputs": list(row.inputs)} for row in layers]
    drawn = open_page(explore(make_run("linear"))).evaluate(ARRANGED, rows)
    assert sorted(drawn["all"]) == sorted(row.name for row in layers)
    assert len(set(drawn["all"])) == len(layers)
    items = {item["row"]: item["branches"] for item in walk(drawn["items"])}
    for row in layers:
        # Branches stand in the order in which they are read, and each ends in what is read.
        ends = [branch[-1]["row"] if branch else None for branch in items[row.name]]
        assert len(ends) == (len(row.inputs) if row.is_junction else 0)
        assert all(end in (None, read) for end, read in zip(ends, row.inputs, strict=False))
    folds = [item["fold"] for item in drawn["folds"] if "fold" in item]
    assert fold in (None, *folds)


def walk(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield item
        for branch in item["branches"]:
            yield from walk(branch)


def test_branches_lie_side_by_side_where_there_is_room(
    explore: Explore, open_page: OpenPage, make_run: MakeRun
) -> None:
    address = explore(make_run("googlenet", input_size=32))
    for width, side_by_side in ((1280, True), (390, False)):
        page = settled(open_page(address, width=width))
        branches = page.locator("[aria-label='inception3a'] .branch")
        expect(branches).to_have_count(4)
        boxes = [box for box in (branch.bounding_box() for branch in branches.all()) if box]
        first, second = boxes[:2]
        assert (second["x"] >= first["x"] + first["width"] - 1) == side_by_side
        assert (second["y"] >= first["y"] + first["height"] - 1) != side_by_side
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_large_networks_are_folded(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits
) -> None:
    run = make_run("densenet121_small", input_size=28)
    page = settled(open_page(explore(run)))
    rows = page.locator("#main-side .row")
    assert rows.count() < 40
    fold = page.locator("#main-side .fold[aria-label='features.denseblock3']")
    assert_true(fold, computed(run, fashion_splits)["features.denseblock3:24"])
    page.get_by_role("button", name="Unfold all").click()
    expect(rows).to_have_count(1 + 484)
    # Also what was unfolded later has its values.
    last = card(page, "features.denseblock4.denselayer16.conv2")
    assert_true(last, computed(run, fashion_splits)["features.denseblock4.denselayer16.conv2"])
    page.get_by_role("button", name="Fold all", exact=True).click()
    expect(last).to_be_hidden()


def test_an_address_of_runs_that_are_gone_shows_those_that_are_there(
    explore: Explore, open_page: OpenPage, make_run: MakeRun
) -> None:
    run = make_run("linear")
    page = settled(open_page(f"{explore(run)}#run=gone&other=gone+too&epoch=3"))
    expect(page.locator("#main-side .output")).to_contain_text("linear")
    expect(page.locator("#other-side")).to_be_hidden()
    assert "gone" not in page.url
