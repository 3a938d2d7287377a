"""The arithmetic of layers as the page shows it, compared with what PyTorch computes."""  # R-F1

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from convscope.data import Splits
from convscope.interpret.ablation import without_channels
from convscope.interpret.activations import record
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.checkpoint import load_weights, save_weights


def shown(value: float) -> str:
    """A number as the page writes it: four significant digits."""
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 1e5:
        mantissa, exponent = f"{size:.3e}".split("e")
        text = f"{mantissa}e{int(exponent):+d}"
    else:
        text = repr(float(f"{size:.4g}")).removesuffix(".0")
    return ("−" if value < 0 else "") + text


def read(text: str) -> float:
    return float(text.replace("−", "-"))


@dataclass
class Subject:
    """A network, what it computes for the first test image, and the page that shows it."""

    model: nn.Module
    inputs: Tensor
    rows: dict[str, Tensor]
    page: Page

    def show(self, layer: str, channel: int | None = None) -> None:
        """Open the arithmetic of a layer as a link does."""
        link = f"#layer={layer}" + ("" if channel is None else f"&channel={channel}")
        self.page.evaluate("link => { location.hash = link; }", link)
        self.page.wait_for_function(
            """([layer, channel]) => document.querySelector("#detail-title").textContent === layer
                && !document.querySelector(".detail-body[aria-busy]")
                && (channel === null || document.querySelector(".stepper :is(input, select)").value == channel)""",
            arg=[layer, channel],
        )

    def button(self, name: str) -> Locator:
        return self.page.locator("#detail").get_by_role("button", name=name, exact=True)

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    @property
    def result(self) -> str:
        """The value that the last line of arithmetic ends in."""
        return self.page.locator(".steps .equation").last.locator(".result .value").inner_text()

    def place(self) -> tuple[int, int]:
        """Row and column of the pixel that is taken apart."""
        y, x = re.findall(r"\d+", self.page.locator(".slide [role=status]").inner_text(), re.ASCII)[:2]
        return int(y), int(x)

    def go(self, y: int, x: int) -> None:
        """Point at a pixel of the output."""
        output = self.page.locator(".slide canvas[tabindex]")
        height, width = output.evaluate("c => [c.clientHeight, c.clientWidth]")
        rows, columns = self.rows[self.page.locator("#detail-title").inner_text()].shape[1:]
        output.hover(position={"x": (x + 0.5) * width / columns, "y": (y + 0.5) * height / rows})
        assert self.place() == (y, x)


@pytest.fixture
def subject(
    make_run: Callable[..., Run],
    explore: Callable[..., str],
    open_page: Callable[..., Page],
    fashion_splits: Splits,
) -> Callable[..., Subject]:
    def start(model: str, *, input_size: int = 28, in_channels: int = 1, **options: Any) -> Subject:
        run = make_run(model, input_size=input_size, in_channels=in_channels, **options)
        predictor = Predictor.from_run(run, "cpu")
        inputs = predictor.preprocessing(fashion_splits.test.take(torch.tensor([0])))
        rows = {name: values[0] for name, values in record(predictor.model, inputs).items()}
        address = explore(run)
        page = open_page(address)
        page.wait_for_selector("#views button")
        return Subject(predictor.model, inputs, rows, page)

    return start


def matrix(page: Page, number: int) -> list[str]:
    return page.locator(".steps .matrix").nth(number).locator("td").all_inner_texts()


@pytest.mark.parametrize(
    ("model", "options", "layer"),
    [
        ("tinyvgg", {}, "block1.conv2"),
        ("resnet18", {"input_size": 64, "width": 0.25}, "conv1"),  # 7x7 with stride 2, one input channel, no bias
        ("resnet18", {"input_size": 64, "width": 0.25}, "layer2.0.downsample.0"),  # 1x1 with stride 2
    ],
)
def test_a_convolution_is_taken_apart_to_its_products(
    subject: Callable[..., Subject], model: str, options: dict[str, Any], layer: str
) -> None:
    shows = subject(model, **options)
    conv = shows.model.get_submodule(layer)
    assert isinstance(conv, nn.Conv2d)
    channel = 3
    shows.show(layer, channel)
    source = "block1.act1" if model == "tinyvgg" else "image" if layer == "conv1" else "layer1.1.act2"
    inputs, output = shows.rows[source], shows.rows[layer][channel]
    padded = F.pad(inputs, [conv.padding[1], conv.padding[1], conv.padding[0], conv.padding[0]])
    kernel, stride = conv.kernel_size, conv.stride
    for y, x in ((0, 0), (2, 1), (output.shape[0] - 1, output.shape[1] - 1)):
        shows.go(y, x)
        patch = padded[:, y * stride[0] :, x * stride[1] :][:, : kernel[0], : kernel[1]]
        products = patch * conv.weight[channel]
        index = int(shows.texts(".part[aria-pressed=true] .index")[0])
        assert matrix(shows.page, 0) == [shown(v) for v in patch[index].flatten().tolist()]
        assert matrix(shows.page, 1) == [shown(v) for v in conv.weight[channel, index].flatten().tolist()]
        exact = patch[index].double() * conv.weight[channel, index].double()
        assert matrix(shows.page, 2) == [shown(v) for v in exact.flatten().tolist()]
        assert shows.result == shown(output[y, x].item())
        terms = [read(text) for text in shows.texts(".steps .term .value")]
        assert terms[0] == pytest.approx(products[index].sum().item(), rel=1e-3, abs=1e-5)
        assert sum(terms[:-1]) == pytest.approx(terms[-1], rel=1e-3, abs=2e-3)
        # What each of the input channels shown gives.
        for part, value in zip(shows.texts(".part .index"), shows.texts(".part .value"), strict=True):
            assert read(value) == pytest.approx(products[int(part)].sum().item(), rel=1e-3, abs=1e-5)


def test_all_input_channels_can_be_shown_and_chosen(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    shows.show("block1.conv2", 0)
    page = shows.page
    expect(page.locator(".part")).to_have_count(16)
    shows.button("Show all").click()
    expect(page.locator(".part")).to_have_count(32)
    values = [read(text) for text in shows.texts(".part .value")]
    bias = shows.model.get_submodule("block1.conv2").bias[0].item()  # type: ignore[index, union-attr]
    y, x = shows.place()
    assert sum(values) + bias == pytest.approx(shows.rows["block1.conv2"][0, y, x].item(), abs=2e-3)
    page.locator(".part").nth(20).click()
    chosen = page.locator(".part[aria-pressed=true] .index").inner_text()
    assert shows.texts(".part .index")[20] == chosen
    expect(page.locator(".maps figcaption").first).to_contain_text(f"channel {chosen}")
    assert shows.place() == (y, x)


SMALL: dict[str, dict[str, Any]] = {
    "tinyvgg_bn": {"dropout": 0.25},
    "lenet5": {"input_size": 32},
    "googlenet": {"input_size": 32},
    "se_resnet18_small": {"input_size": 32, "width": 0.25},
}


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("tinyvgg_bn", ["image", "block1.norm1", "block1.act1", "block2.pool", "hidden.act", "hidden.dropout"]),
        ("lenet5", ["body.tanh1", "body.s2"]),
        ("googlenet", ["maxpool1.pool", "norm1", "inception3a", "inception3a.branch4.0", "average"]),
        ("se_resnet18_small", ["layer1.0.rescale.sigmoid", "layer1.0.rescale", "layer1.0.downsample", "layer1.0"]),
    ],
)
def test_every_kind_of_layer_ends_in_the_value_of_pytorch(
    subject: Callable[..., Subject], model: str, layers: list[str]
) -> None:
    shows = subject(model, **SMALL[model])
    for layer in layers:
        values = shows.rows[layer]
        for channel in (0, len(values) - 1):
            shows.show(layer, channel)
            if values.ndim == 1:
                assert shows.result == shown(values[channel].item()), layer
                continue
            _, height, width = values.shape
            for y, x in {(0, 0), (height // 2, width // 3), (height - 1, width - 1)}:
                if height * width > 1:
                    shows.go(y, x)
                assert shows.result == shown(values[channel, y, x].item()), (layer, channel, y, x)


def test_batch_normalisation_shows_its_statistics(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg_bn")
    norm = shows.model.get_submodule("block2.norm1")
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    shows.show("block2.norm1", 5)
    shows.go(3, 2)
    before = shows.rows["block2.conv1"][5, 3, 2].item()
    centred = before - norm.running_mean[5].item()
    deviation = (norm.running_var[5].item() + norm.eps) ** 0.5
    terms = [before, norm.running_mean[5].item(), centred, centred, deviation, centred / deviation, centred / deviation]
    terms += [norm.weight[5].item(), norm.bias[5].item(), shows.rows["block2.norm1"][5, 3, 2].item()]
    assert shows.texts(".steps .term .value") == [shown(term) for term in terms]


def test_a_max_pool_marks_the_winner_and_an_average_its_sum(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg_bn")
    shows.show("block1.pool", 1)
    shows.go(6, 7)
    window = shows.rows["block1.norm2"][1, 12:14, 14:16].flatten()
    assert matrix(shows.page, 0) == [shown(value) for value in window.tolist()]
    assert shows.texts(".steps td.marked") == [shown(window.max().item())]

    shows = subject("lenet5", input_size=32)
    shows.show("body.s2", 2)
    shows.go(4, 9)
    total, count, mean = shows.texts(".steps .term .value")
    window = shows.rows["body.tanh1"][2, 8:10, 18:20]
    assert read(total) == pytest.approx(window.sum().item(), rel=1e-3)
    assert (count, mean) == ("4", shown(shows.rows["body.s2"][2, 4, 9].item()))


def test_flatten_tells_the_place_of_every_value(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    maps = shows.rows["block2.act"]
    c, y, x = 40, 5, 2
    index = (c * 7 + y) * 7 + x
    shows.show("hidden.flatten", index)
    assert shows.texts(".steps .term .value")[:4] == [f"{c} · 7 · 7", f"{y} · 7", str(x), str(index)]
    assert shows.result == shown(maps[c, y, x].item()) == shown(shows.rows["hidden.flatten"][index].item())
    # The map is a way to other places.
    box = shows.page.locator(".grid canvas").bounding_box()
    assert box is not None
    shows.page.mouse.click(box["x"] + box["width"] * 0.5 / 7, box["y"] + box["height"] * 0.5 / 7)
    expect(shows.page.locator(".stepper input")).to_have_value(str(c * 49))


def test_a_linear_layer_shows_the_products_that_count_most(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    linear = shows.model.get_submodule("hidden.linear")
    assert isinstance(linear, nn.Linear)
    unit = 17
    shows.show("hidden.linear", unit)
    products = (shows.rows["hidden.flatten"].double() * linear.weight[unit].double()).detach()
    total, bias, result = shows.texts(".steps .term .value")
    assert read(total) == pytest.approx(products.sum().item(), rel=1e-3, abs=1e-4)
    assert (bias, result) == (shown(linear.bias[unit].item()), shown(shows.rows["hidden.linear"][unit].item()))
    for table, largest in zip(("Raise it most", "Lower it most"), (True, False), strict=True):
        rows = shows.page.locator("table", has_text=table).locator("tbody tr").all_inner_texts()
        values, indices = products.topk(8, largest=largest)
        for text, value, index in zip(rows, values.tolist(), indices.tolist(), strict=True):
            where, given, weight, made = text.split("\t")[:4]
            assert where == f"channel {index // 49} ({index % 49 // 7}, {index % 7})"
            assert given == shown(shows.rows["hidden.flatten"][index].item())
            assert weight == shown(linear.weight[unit, index].item())
            assert made == shown(value)
    # The channels whose products add up to most, with their sums.
    sums = products.view(64, 49).sum(dim=1)
    expected = sums.abs().sort(descending=True).indices[:16].tolist()
    assert [int(text) for text in shows.texts(".part .index")] == expected
    for text, channel in zip(shows.texts(".part .value"), expected, strict=True):
        assert read(text) == pytest.approx(sums[channel].item(), rel=1e-3, abs=1e-5)


def test_softmax_shows_all_classes(subject: Callable[..., Subject], fashion_splits: Splits) -> None:
    shows = subject("tinyvgg")
    shows.show("output")
    logits = shows.rows["output"]
    probabilities = logits.softmax(dim=0)
    rows = [text.split("\t") for text in shows.page.locator(".softmax tbody tr").all_inner_texts()]
    classes = list(fashion_splits.test.classes)
    assert [row[0] for row in rows] == [classes[k] for k in probabilities.argsort(descending=True).tolist()]
    for name, logit, difference, power, probability, *_ in rows:
        k = classes.index(name)
        exact = (logits[k].double() - logits.max().double()).item()
        assert (logit, difference) == (shown(logits[k].item()), shown(exact))
        assert (power, probability) == (shown(np.exp(exact)), shown(probabilities[k].item()))
    # Without a class in the address it begins with the likeliest.
    assert shows.page.locator(".stepper select").input_value() == str(int(logits.argmax()))


def test_a_concatenation_leads_to_its_branches(subject: Callable[..., Subject]) -> None:
    shows = subject("googlenet", input_size=32)
    shows.show("inception3a", 70)
    assert "channel 6 of inception3a.branch2.1.act" in shows.page.locator(".detail-body .explain").inner_text()
    shows.page.locator(".figures [aria-current] button").click()
    expect(shows.page.locator("#detail-title")).to_have_text("inception3a.branch2.1.act")
    expect(shows.page.locator(".stepper input")).to_have_value("6")
    torch.testing.assert_close(shows.rows["inception3a"][70], shows.rows["inception3a.branch2.1.act"][6])


def test_the_window_slides_by_itself_and_stops(subject: Callable[..., Subject]) -> None:
    shows = subject("lenet5", input_size=32)
    shows.show("body.c3", 0)
    page = shows.page
    shows.go(0, 0)
    step = shows.button("Step")
    step.click()
    assert shows.place() == (0, 1)
    play = shows.button("Play")
    play.click()
    expect(page.locator(".steps .result")).to_contain_text(re.compile("row [1-9]"))
    shows.button("Pause").click()
    stopped = page.locator(".steps").inner_text()
    page.wait_for_timeout(400)  # milliseconds: more than two steps
    assert page.locator(".steps").inner_text() == stopped


def test_arrow_keys_walk_over_the_output(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    shows.show("block1.conv1", 7)
    shows.go(26, 1)
    canvas = shows.page.locator(".slide canvas[tabindex]")
    for key, (y, x) in {
        "ArrowDown": (27, 1),
        "ArrowLeft": (27, 0),
        "ArrowUp": (26, 0),
        "ArrowRight": (26, 1),
    }.items():
        canvas.press(key)
        assert shows.place() == (y, x)
        assert shows.result == shown(shows.rows["block1.conv1"][7, y, x].item())
    canvas.press("ArrowDown")
    canvas.press("ArrowDown")  # at the border
    assert shows.place() == (27, 1)


def test_channels_and_neighbours_are_a_step_away(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg_bn")
    page = shows.page
    shows.show("block1.norm1", 4)
    channel = page.locator(".stepper input")
    shows.button("Next channel").click()
    expect(channel).to_have_value("5")
    assert shows.page.evaluate("location.hash").count("channel=5") == 1
    channel.fill("31")
    channel.press("Enter")
    expect(shows.button("Next channel")).to_be_disabled()
    expect(page.locator(".maps figcaption").last).to_contain_text("channel 31")
    # To the activation with the same channel; the convolution after it has channels of its own.
    shows.button("block1.act1").click()
    expect(page.locator("#detail-title")).to_have_text("block1.act1")
    expect(channel).to_have_value("31")
    shows.button("block1.conv2").click()
    expect(page.locator("#detail-title")).to_have_text("block1.conv2")
    strongest = int(shows.rows["block1.conv2"].flatten(1).amax(dim=1).argmax())
    expect(channel).to_have_value(str(strongest))
    page.go_back()
    expect(page.locator("#detail-title")).to_have_text("block1.act1")


def test_the_dialog_closes(subject: Callable[..., Subject]) -> None:
    shows = subject("linear")
    page = shows.page
    for way in (
        lambda: page.keyboard.press("Escape"),
        lambda: shows.button("Close").click(),
        lambda: page.mouse.click(3, 450),
        lambda: page.go_back(),
    ):
        shows.show("output", 3)
        way()
        expect(page.locator("#detail")).not_to_be_visible()
        page.wait_for_function("() => !location.hash.includes('layer')")  # Escape hides it before its event comes


def test_the_focus_returns_to_where_it_was(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    channel = shows.page.locator("#network-view [data-channel]:visible").nth(5)
    channel.click()
    expect(shows.page.locator(".detail-body > section").first).to_be_visible()
    shows.page.keyboard.press("Escape")
    expect(channel).to_be_focused()


def test_a_channel_can_be_switched_off(subject: Callable[..., Subject], fashion_splits: Splits) -> None:
    shows = subject("tinyvgg")
    shows.show("block2.act", 9)
    shows.button("Switch the channel off").click()
    table = shows.page.locator(".without tbody tr")
    expect(table).to_have_count(5)
    before = shows.rows["output"].softmax(dim=0)
    with torch.no_grad(), without_channels(shows.model, "block2.act", [9]):
        after = shows.model(shows.inputs)[0].softmax(dim=0)
    classes = list(fashion_splits.test.classes)
    for text in table.all_inner_texts():
        name, was, now = text.split("\t")[:3]
        k = classes.index(name)
        assert read(was.rstrip("%")) == pytest.approx(100 * before[k].item(), abs=0.0501)
        assert read(now.rstrip("%")) == pytest.approx(100 * after[k].item(), abs=0.0501)


@pytest.mark.parametrize("link", ["epoch=0", "other=second&side=other"])
def test_another_epoch_and_another_run_have_their_own_weights(
    make_run: Callable[..., Run], explore: Callable[..., str], open_page: Callable[..., Page], link: str
) -> None:
    run, second = make_run("tinyvgg", snapshots=(0,)), make_run("tinyvgg", seed=5, name="second")
    page = open_page(f"{explore(run, second)}#layer=block1.conv1&channel=2&{link}")
    page.wait_for_selector(".detail-body > section")
    weights = run.snapshots()[0] if link == "epoch=0" else second.best_weights
    conv = Predictor.from_weights(weights, "cpu").model.get_submodule("block1.conv1")
    assert isinstance(conv, nn.Conv2d)
    assert matrix(page, 1) == [shown(value) for value in conv.weight[2, 0].flatten().tolist()]


def test_patches_that_excite_a_channel_are_shown(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    shows.show("block1.act1", 1)
    shows.button("Find what excites it most").click()
    expect(shows.page.locator(".patches li")).to_have_count(9)
    found = [text.split() for text in shows.texts(".patches li")]
    values = [read(value) for _, value in found]
    assert values == sorted(values, reverse=True)
    picture = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    assert set(shows.page.locator(".patches canvas").first.evaluate(picture)[3::4]) == {255}
    # A patch is a way to its image, in which the channel has this value.
    shows.page.locator(".patches button").nth(2).click()
    expect(shows.page.locator(".maps figcaption").last).to_contain_text(f"to {found[2][1]}")
    assert f"image={found[2][0].replace('/', '%2F')}" in shows.page.evaluate("location.hash")


def test_a_network_that_has_diverged_can_be_looked_into(
    make_run: Callable[..., Run], explore: Callable[..., str], open_page: Callable[..., Page]
) -> None:
    run = make_run("tinyvgg")
    state, header = load_weights(run.best_weights)
    state["block2.conv1.weight"][3] = float("nan")
    save_weights(run.best_weights, state, header)
    page = open_page(explore(run))
    for layer in ("block2.conv1", "block2.act1", "block2.pool", "hidden.flatten", "hidden.linear", "output"):
        page.evaluate("layer => { location.hash = `#layer=${layer}&channel=3`; }", layer)
        expect(page.locator("#detail-title")).to_have_text(layer)
        expect(page.locator(".detail-body[aria-busy]")).to_have_count(0)
        expect(page.locator(".detail-body .result .value").last).to_have_text("NaN")


def test_an_unknown_layer_is_told_in_a_sentence(subject: Callable[..., Subject]) -> None:
    shows = subject("linear")
    shows.page.evaluate("location.hash = '#layer=nowhere'")
    expect(shows.page.locator(".detail-body [role=alert]")).to_contain_text("no layer nowhere")


def test_a_late_answer_does_not_take_the_place_of_a_newer_one(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg")
    page = shows.page
    page.route(
        re.compile(r"api/activation.*layer=block1\.conv1"),
        lambda route: (page.wait_for_timeout(600), route.continue_()),
    )
    page.evaluate("location.hash = '#layer=block1.conv1'")
    page.wait_for_selector("#detail[open]")
    shows.show("hidden.act")
    page.wait_for_timeout(1000)  # milliseconds: until the late answer has come
    assert "hidden.act" in page.locator(".detail-body figcaption").last.inner_text()


def test_nothing_is_wider_than_a_telephone(subject: Callable[..., Subject]) -> None:
    shows = subject("tinyvgg_bn")
    shows.page.set_viewport_size({"width": 390, "height": 844})
    for layer in ("block1.conv2", "block1.norm1", "block1.pool", "hidden.linear", "output"):
        shows.show(layer)
        assert shows.page.evaluate(
            "document.querySelector('#detail').scrollWidth <= document.querySelector('#detail').clientWidth"
        )


def test_the_arithmetic_of_any_convolution_is_pytorchs(subject: Callable[..., Subject]) -> None:
    page = subject("linear").page
    generator = torch.Generator().manual_seed(0)
    cases, answers = [], []
    for size, kernel, stride, padding, dilation in product((7, 10), (1, 2, 3), (1, 2), (0, 2), (1, 2)):
        image = torch.randn(1, 1, size, size + 1, generator=generator)
        weight = torch.randn(1, 1, kernel, kernel, generator=generator)
        answer = F.conv2d(image, weight, stride=stride, padding=padding, dilation=dilation)[0, 0]
        settings = dict(
            zip(("stride", "padding", "dilation"), ([value] * 2 for value in (stride, padding, dilation)), strict=True)
        )
        cases.append(
            {
                "map": {"data": image.flatten().tolist(), "height": size, "width": size + 1},
                "kernel": weight.flatten().tolist(),
                "settings": {"kernel": [kernel, kernel], **settings},
                "shape": list(answer.shape),
            }
        )
        answers.append(answer)
    found = page.evaluate(
        """async (cases) => {
          const { convolve, outputSize } = await import("convscope/arithmetic.js");
          return cases.map(({ map, kernel, settings: s, shape }) => ({
            data: [...convolve(map, kernel, s, ...shape).data],
            size: [map.height, map.width].map((n) =>
              outputSize(n, s.kernel[0], s.stride[0], s.padding[0], s.dilation[0])),
          }));
        }""",
        cases,
    )
    for made, answer in zip(found, answers, strict=True):
        assert made["size"] == list(answer.shape)
        torch.testing.assert_close(torch.tensor(made["data"]).view(answer.shape), answer, rtol=1e-5, atol=1e-5)


def test_activations_are_those_of_pytorch(subject: Callable[..., Subject]) -> None:
    page = subject("linear").page
    values = torch.linspace(-6, 6, 101)
    layers = [
        ("ReLU", {}, nn.ReLU()),
        ("LeakyReLU", {"slope": 0.2}, nn.LeakyReLU(0.2)),
        ("SiLU", {}, nn.SiLU()),
        ("GELU", {"approximate": "none"}, nn.GELU()),
        ("GELU", {"approximate": "tanh"}, nn.GELU("tanh")),
        ("Sigmoid", {}, nn.Sigmoid()),
        ("Tanh", {}, nn.Tanh()),
    ]
    for kind, settings, layer in layers:
        found = page.evaluate(
            """async ([kind, settings, values]) => {
              const { activation } = await import("convscope/arithmetic.js");
              return values.map(activation(kind, settings));
            }""",
            [kind, settings, values.tolist()],
        )
        torch.testing.assert_close(torch.tensor(found), layer(values), rtol=1e-4, atol=1e-6)
