"""Two runs side by side on one image, and the epochs of a run one after the other."""

import re
from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import Tensor

from convscope.data import Splits
from convscope.predict import Predictor
from convscope.runs import Run

Explore = Callable[..., str]
OpenPage = Callable[..., Page]
MakeRun = Callable[..., Run]

COLOURS = """async ([kernels, reach]) => {
    const { colour } = await import("convscope/colour.js");
    return kernels.map((kernel) => kernel.flatMap((value) => [...colour(value, -reach, reach), 255]));
}"""
SHOWS = """(kernels) => {
    const canvases = document.querySelectorAll("#main-side [data-row='body.c1'] canvas.filter");
    return kernels.every((colours, k) => {
        const { width, height } = canvases[k];
        const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvases[k], 0, 0);
        const { data } = copy.getImageData(0, 0, width, height);
        return data.length === colours.length && colours.every((level, i) => Math.abs(level - data[i]) <= 2);
    });
}"""
"""Of 255 levels, for a map has 512 colours."""


def logits_of(run: Run, splits: Splits, *, image: int = 0, epoch: int | None = None) -> Tensor:
    path = run.best_weights if epoch is None else run.snapshots()[epoch]
    predictor = Predictor.from_weights(path, device="cpu")
    with torch.no_grad():
        logits: Tensor = predictor.model(predictor.preprocessing(splits.test.take(torch.tensor([image]))))[0]
    return logits


def expect_answer(side: Locator, logits: Tensor) -> None:
    """The bars come to show the probabilities of these logits."""
    percents = [f"{100 * share:.1f}%" for share in logits.softmax(dim=0).tolist()]
    expect(side.locator(".bars .bar-percent")).to_have_text(percents)


# R-F1
@pytest.mark.parametrize("width", [1280, 390])
def test_two_runs_on_one_image(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits, width: int
) -> None:
    one, two = make_run("lenet5", input_size=32), make_run("tinyvgg", hidden=16, seed=3)
    classes = fashion_splits.test.classes
    page = open_page(explore(one, two), width=width)
    expect(page.locator("#other-side")).to_be_hidden()
    page.get_by_label("Beside it").select_option("tinyvgg")
    sides = page.locator("#main-side"), page.locator("#other-side")
    for side, run in zip(sides, (one, two), strict=True):
        expect_answer(side, logits_of(run, fashion_splits))
        expect(side.locator("h2").first).to_contain_text(run.name)
    expect(sides[1].locator("[data-row='block1.conv1']")).to_be_visible()
    boxes = [box for box in (side.bounding_box() for side in sides) if box]
    assert (boxes[1]["x"] > boxes[0]["x"] + boxes[0]["width"]) == (width == 1280)
    assert (boxes[1]["y"] > boxes[0]["y"] + boxes[0]["height"]) == (width == 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.evaluate("location.hash += '&image=test/5'")
    answers = [classes[int(logits_of(run, fashion_splits, image=5).argmax())] for run in (one, two)]
    difference = page.locator(".difference")
    if answers[0] == answers[1]:
        expect(difference).to_contain_text(f"Both say {answers[0]}")
    else:
        expect(difference).to_contain_text(f"lenet5 says {answers[0]}")
        expect(difference).to_contain_text(f"tinyvgg says {answers[1]}")
    # A channel of the second run is that of the second run.
    sides[1].locator("[data-row='block1.conv1'] [data-channel]").first.click()
    page.wait_for_url("**/#*side=other*")
    page.keyboard.press("Escape")
    page.get_by_label("Beside it").select_option("nothing")
    expect(sides[1]).to_be_hidden()
    expect(difference).to_be_hidden()


def test_another_run(explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits) -> None:
    one, two = make_run("lenet5", input_size=32), make_run("linear", seed=3)
    page = open_page(explore(one, two))
    page.get_by_label("Run", exact=True).select_option("linear")
    page.locator("#main-side [data-row='output']").wait_for()
    expect(page.locator("#main-side [data-row='body.c1']")).to_have_count(0)
    expect_answer(page.locator("#main-side"), logits_of(two, fashion_splits))
    page.go_back()
    expect(page.locator("#main-side [data-row='body.c1']")).to_be_visible()


# R-F1: one watches the filters form
def test_epochs(explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits) -> None:
    run = make_run("lenet5", input_size=32, snapshots=(0, 1, 2))
    page = open_page(explore(run))
    side = page.locator("#main-side")
    expect_answer(side, logits_of(run, fashion_splits))
    slider = page.get_by_label("Epoch", exact=True)
    expect(slider).to_have_attribute("aria-valuetext", "best")
    slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "epoch 2")
    page.wait_for_url("**/#*epoch=2*")
    expect_answer(side, logits_of(run, fashion_splits, epoch=2))
    weights = Predictor.from_weights(run.snapshots()[2], device="cpu").model.state_dict()
    kernels = weights["body.c1.weight"]
    colours = page.evaluate(COLOURS, [kernels.flatten(start_dim=1).tolist(), float(kernels.abs().max())])
    page.wait_for_function(SHOWS, arg=colours)

    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "epoch 0")
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("button", name="Pause").wait_for()
    expect(slider).to_have_attribute("aria-valuetext", "best")  # where the film ends
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect_answer(side, logits_of(run, fashion_splits))
    # Played again it begins anew, and moving the slider stops it.
    page.get_by_role("button", name="Play", exact=True).click()
    expect(slider).to_have_attribute("aria-valuetext", re.compile("epoch"))
    slider.press("Home")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_one_run_at_two_epochs(
    explore: Explore, open_page: OpenPage, make_run: MakeRun, fashion_splits: Splits
) -> None:
    run = make_run("lenet5", input_size=32, snapshots=(0, 1))
    page = open_page(explore(run))
    page.get_by_label("Beside it").select_option("another epoch")
    page.get_by_label("Epoch of the second").press("Home")
    page.wait_for_url("**/#*otherEpoch=0*")
    expect_answer(page.locator("#main-side"), logits_of(run, fashion_splits))
    expect_answer(page.locator("#other-side"), logits_of(run, fashion_splits, epoch=0))
    expect(page.locator(".difference")).to_contain_text("epoch 0")


def test_without_epochs_and_other_runs_there_is_no_choice(
    explore: Explore, open_page: OpenPage, make_run: MakeRun
) -> None:
    page = open_page(explore(make_run("linear")))
    page.locator("#main-side .bars button").first.wait_for()
    expect(page.locator("#controls select")).to_have_count(0)
    expect(page.locator("#controls input").first).to_be_hidden()
