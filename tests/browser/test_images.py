"""The image beside the network, images of one's own, the gallery and the confusion matrix, in a real browser."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, Route, expect
from torch import Tensor

from convscope.data import Splits
from convscope.explorer.explorer import Explorer
from convscope.explorer.export import export_page
from convscope.interpret import Method, explain
from convscope.interpret.features import features, nearest
from convscope.metrics import confusion_matrix, log_softmax
from convscope.predict import Predictor
from convscope.runs import Run

PIXEL = """(source, [x, y]) => {
    const canvas = new OffscreenCanvas(source.naturalWidth ?? source.width, source.naturalHeight ?? source.height);
    const pen = canvas.getContext("2d");
    pen.drawImage(source, 0, 0);
    return Array.from(pen.getImageData(x, y, 1, 1).data);
}"""
"""Red, green, blue and opacity of a pixel of a canvas or a picture."""


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Run]) -> Run:
    """The smallest network, never trained, and tested on the slice's 200 images."""
    return make_run("linear", tested=True)


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    """Its network."""
    return Predictor.from_run(run, "cpu")


@pytest.fixture
def page(run: Run, explore: Callable[..., str], open_page: Callable[..., Page]) -> Page:
    """The page, with the first test image."""
    page = open_page(explore(run))
    expect(page.locator("#image .answer")).not_to_be_empty()
    return page


def until(page: Page, check: Callable[[], bool]) -> None:
    """Wait for what no locator can wait for."""
    for _ in range(400):
        if check():
            return
        page.wait_for_timeout(50)
    pytest.fail("waited in vain")


def png(pixels: np.ndarray | None = None) -> bytes:
    """An image file; light strokes on black, when there are no pixels."""
    if pixels is None:
        pixels = np.zeros((40, 40), dtype=np.uint8)
        pixels[10:30, 8:14] = 220
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def answer_of(predictor: Predictor, content: bytes) -> str:
    """What the page has to say of an image file."""
    (prediction,) = predictor.predict(Image.open(io.BytesIO(content)))
    name, probability = prediction.classes[0]
    return f"Predicted: {name}, {100 * probability:.1f}%"


def inputs_of(predictor: Predictor, splits: Splits, index: int) -> Tensor:
    """A test image as the network takes it (1, 1, 28, 28)."""
    return predictor.preprocessing(splits.test.take(torch.tensor([index])))


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace("−", "-"))


def give(page: Page, content: bytes, name: str = "image.png") -> None:
    page.locator("#image input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def transfer(page: Page, content: bytes, kind: str, event: str) -> None:
    """A drop on the page, or a paste, of one file."""
    page.evaluate(
        """([bytes, kind, event]) => {
             const data = new DataTransfer();
             data.items.add(new File([new Uint8Array(bytes)], "file", {type: kind}));
             const [make, key] = event === "paste" ? [ClipboardEvent, "clipboardData"] : [DragEvent, "dataTransfer"];
             document.body.dispatchEvent(new make(event, {[key]: data, bubbles: true, cancelable: true}));
           }""",
        [list(content), kind, event],
    )


def image_of(page: Page) -> str:
    """The image that the state names."""
    found = re.search("image=([^&]*)", page.url)
    return found[1].replace("%2F", "/") if found else "test/0"


class TestImage:
    def test_it_tells_what_the_image_is_and_what_the_network_says(
        self, page: Page, predictor: Predictor, fashion_splits: Splits
    ) -> None:
        label = int(fashion_splits.test.labels[0])
        with torch.no_grad():
            probabilities = predictor.model(inputs_of(predictor, fashion_splits, 0)).softmax(dim=1)[0]
        best = int(probabilities.argmax())
        verdict = "✓ Right" if best == label else "✗ Wrong"
        expect(page.locator("#image h2")).to_have_text("test image 0")
        expect(page.locator("#image .truth")).to_have_text(f"True class: {predictor.classes[label]}")
        expect(page.locator("#image .answer")).to_have_text(
            f"{verdict}: {predictor.classes[best]}, {100 * probabilities[best]:.1f}%"
        )
        shown = page.locator("#image figure img").first
        assert shown.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == 28

    def test_buttons_lead_to_other_images(self, page: Page, run: Run) -> None:
        title = page.locator("#image h2")
        expect(page.get_by_role("button", name="The image before")).to_be_disabled()
        page.get_by_role("button", name="The next image", exact=True).click()
        expect(title).to_have_text("test image 1")
        page.get_by_role("button", name="The image before").click()
        expect(title).to_have_text("test image 0")
        page.go_back()
        expect(title).to_have_text("test image 1")
        page.get_by_role("button", name="Any image").click()
        assert 0 <= int(image_of(page).removeprefix("test/")) < 200
        arrays = run.predictions()
        probabilities = np.exp(log_softmax(arrays["logits"]))
        wrong = np.flatnonzero(probabilities.argmax(axis=1) != arrays["labels"])
        most_confident = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
        for index in most_confident[:2]:
            page.get_by_role("button", name="The next image that the network got wrong").click()
            expect(title).to_have_text(f"test image {index}")

    def test_a_late_answer_does_not_replace_a_newer_one(
        self, page: Page, predictor: Predictor, fashion_splits: Splits
    ) -> None:
        held: list[Route] = []
        page.route("**/api/overview*image=test%2F1&*", lambda route: held.append(route))
        following = page.get_by_role("button", name="The next image", exact=True)
        following.click()
        expect(page.locator("#image h2")).to_have_text("test image 1")
        following.click()
        truth = f"True class: {predictor.classes[int(fashion_splits.test.labels[2])]}"
        expect(page.locator("#image .truth")).to_have_text(truth)
        assert int(fashion_splits.test.labels[1]) != int(fashion_splits.test.labels[2])
        for route in held:
            with page.expect_response("**/api/overview*image=test%2F1&*"):
                route.continue_()
        expect(page.locator("#image")).to_have_attribute("aria-busy", "false")
        expect(page.locator("#image .truth")).to_have_text(truth)

    def test_attribution_maps_lie_over_it(
        self,
        make_run: Callable[..., Run],
        explore: Callable[..., str],
        open_page: Callable[..., Page],
        fashion_splits: Splits,
    ) -> None:
        tinyvgg = make_run("tinyvgg")
        page, predictor = open_page(explore(tinyvgg)), Predictor.from_run(tinyvgg, "cpu")
        page.get_by_text("What it looks at").click()
        canvas, legend = page.locator("#image canvas.map").first, page.locator("#image .legend").first
        inputs = inputs_of(predictor, fashion_splits, 0)
        page.get_by_label("Overlay").select_option("grad-cam")
        predicted = predictor.classes[int(predictor.model(inputs).argmax())]
        expect(legend).to_contain_text(f"for {predicted}, at the layer block2.")
        page.get_by_label("Class", exact=True).select_option("3")
        methods: tuple[Method, ...] = get_args(Method)
        for method in methods:
            page.get_by_label("Overlay").select_option(method)
            expect(legend).to_contain_text(f"for {predictor.classes[3]}")
            expect(canvas).to_be_visible()
            (expected,) = explain(predictor.model, inputs, method=method, classes=torch.tensor([3]))
            shown = [number(legend.locator("span").nth(place).inner_text()) for place in (0, 1)]
            assert shown == pytest.approx([float(expected.min()), float(expected.max())], rel=1e-3, abs=1e-9)
            # The colours are those of the values, which travel with a byte each.
            row, column = divmod(int(expected.abs().argmax()), 28)
            assert canvas.evaluate("(canvas) => [canvas.height, canvas.width]") == [28, 28]
            blue, yellow, red = [33, 102, 172, 255], [253, 231, 37, 255], [178, 24, 43, 255]
            strongest = yellow if expected.min() >= 0 else red if expected[row, column] > 0 else blue
            assert canvas.evaluate(PIXEL, [column, row]) == pytest.approx(strongest, abs=3)
        page.get_by_label("Overlay").select_option("grad-cam")
        page.get_by_label("Layer", exact=True).select_option("block1.conv2")
        expect(legend).to_contain_text("at the layer block1.conv2")
        (expected,) = explain(
            predictor.model, inputs, method="grad-cam", layer="block1.conv2", classes=torch.tensor([3])
        )
        assert number(legend.locator("span").nth(1).inner_text()) == pytest.approx(float(expected.max()), rel=1e-3)
        page.get_by_label("Overlay").select_option("occlusion")
        expect(page.get_by_label("Layer", exact=True)).to_be_hidden()
        page.get_by_label("Opacity").fill("80")
        assert canvas.evaluate("(canvas) => canvas.style.opacity") == "0.8"
        page.get_by_label("Overlay").select_option("")
        expect(canvas).to_be_hidden()

    def test_a_map_that_there_cannot_be_is_explained(
        self, run: Run, explore: Callable[..., str], open_page: Callable[..., Page]
    ) -> None:
        page = open_page(f"{explore(run)}#method=grad-cam")
        expect(page.locator("#image .legend").first).to_contain_text("occlusion")
        expect(page.locator("#image canvas.map").first).to_be_hidden()
        assert all("400" in line for line in page.complaints)  # type: ignore[attr-defined]
        page.complaints.clear()  # type: ignore[attr-defined]

    def test_what_the_network_sees_in_numbers(self, page: Page, predictor: Predictor, fashion_splits: Splits) -> None:
        page.get_by_text("What it looks at").click()
        page.get_by_label("Show it as the network sees it").check()
        seen = inputs_of(predictor, fashion_splits, 0)[0, 0]
        reading, canvas = page.locator("#image .reading").first, page.locator("#image canvas.seen").first
        expect(reading).to_contain_text("1 × 28 × 28, values from")
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 14.5 / 28, box["y"] + box["height"] * 20.5 / 28)
        expect(reading).to_contain_text("row 20, column 14: ")
        assert number(reading.inner_text().split(": ")[1]) == pytest.approx(float(seen[20, 14]), rel=1e-3)
        canvas.press("ArrowUp")
        expect(reading).to_contain_text("row 19, column 14: ")
        assert number(reading.inner_text().split(": ")[1]) == pytest.approx(float(seen[19, 14]), rel=1e-3)

    def test_nearest_training_images(self, page: Page, predictor: Predictor, fashion_splits: Splits) -> None:
        page.get_by_text("Nearest training images").click()
        expect(page.locator("#image .nearest")).to_contain_text("of 540 training images")
        train = features(predictor.model, predictor.preprocessing, fashion_splits.train)
        query = features(predictor.model, predictor.preprocessing, fashion_splits.test, indices=torch.tensor([0]))[0]
        indices, similarities = nearest(train, query, 12)
        tiles = page.locator("#image .nearest .tile")
        expect(tiles).to_have_count(12)
        labels = fashion_splits.train.labels[indices].tolist()
        for tile, index, label, similarity in zip(tiles.all(), indices, labels, similarities, strict=True):
            name = tile.get_attribute("aria-label") or ""
            kin = "the same class" if label == int(fashion_splits.test.labels[0]) else "another class"
            assert name.startswith(f"training image {index}: {predictor.classes[label]}, {kin}, similarity ")
            assert number(name.rpartition(" ")[2]) == pytest.approx(float(similarity), rel=1e-3)
        tiles.first.click()
        expect(page.locator("#image h2")).to_have_text(f"training image {indices[0]}")
        expect(tiles).to_have_count(12)  # those of that image now, without itself
        expect(page.get_by_label(re.compile(f"training image {indices[0]}:"))).to_have_count(0)


class TestOwnImages:
    def test_from_a_file(self, page: Page, predictor: Predictor) -> None:
        content = png()
        give(page, content)
        expect(page.locator("#image .answer")).to_have_text(answer_of(predictor, content))
        expect(page.locator("#image .truth")).to_have_text("True class: unknown")
        assert image_of(page).startswith("upload/")
        expect(page.locator("#image .warning")).to_be_empty()

        # One that looks like a negative can be turned.
        light = 255 - np.asarray(Image.open(io.BytesIO(png())).resize((28, 28)))
        give(page, png(light))
        expect(page.locator("#image .warning")).to_contain_text("Light and dark are the other way round")
        page.get_by_role("button", name="Exchange light and dark").click()
        expect(page.locator("#image .warning")).to_be_empty()
        expect(page.locator("#image .answer")).to_have_text(answer_of(predictor, png(255 - light)))

    def test_dropped_or_pasted_in_any_view(self, page: Page, predictor: Predictor) -> None:
        for event, brightness in (("drop", 120), ("paste", 240)):
            page.get_by_role("button", name="Images", exact=True).click()
            transfer(page, b"", "image/png", "dragover")
            expect(page.locator(".drop")).to_be_visible()
            content = png(np.tri(28, dtype=np.uint8) * brightness)
            transfer(page, content, "image/png", event)
            expect(page.locator("#image .answer")).to_have_text(answer_of(predictor, content))
            if event == "drop":
                expect(page.locator(".drop")).to_be_hidden()

    def test_what_is_no_image_changes_nothing(self, page: Page) -> None:
        answer = page.locator("#image .answer")
        before = answer.inner_text()
        for content, sentence in ((b"no image at all", "is no image"), (png()[:60], "cannot be decoded")):
            give(page, content)
            expect(page.locator("#notice")).to_contain_text(sentence)
        assert all("400" in line for line in page.complaints)  # type: ignore[attr-defined]
        page.complaints.clear()  # type: ignore[attr-defined]
        page.evaluate(
            """() => {
                 const data = new DataTransfer();
                 data.items.add(new File([new Uint8Array(21 << 20)], "large.png", {type: "image/png"}));
                 document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
               }"""
        )
        expect(page.locator("#notice")).to_contain_text("The image has 21.0 MiB, and the explorer takes 20.0 MiB")
        expect(answer).to_have_text(before)
        assert image_of(page) == "test/0"

    def test_drawn_with_the_mouse_while_the_network_answers(self, page: Page) -> None:
        page.get_by_role("button", name="Draw").click()
        box = page.locator("#image .pad canvas").bounding_box()
        assert box is not None
        place = (box["x"] + 60, box["y"] + 120)
        page.mouse.move(*place)
        page.mouse.down()
        page.mouse.move(place[0] + 100, place[1], steps=5)
        expect(page.locator("#image h2")).to_have_text("your image")  # before the stroke has an end
        page.mouse.move(place[0] + 100, place[1] + 60, steps=5)
        page.mouse.up()
        picture = page.locator("#image figure img").first
        # Light on black, as the training images are: a corner, and both strokes.
        places = ([0, 0], [12, 14], [18, 19])
        until(page, lambda: [picture.evaluate(PIXEL, place)[0] for place in places] == [0, 255, 255])
        # However many drawings there were, one step back leads to what was shown before.
        page.go_back()
        expect(page.locator("#image h2")).to_have_text("test image 0")

    def test_drawn_with_the_keyboard(self, page: Page) -> None:
        page.get_by_role("button", name="Draw").press("Enter")
        pad = page.locator("#image .pad canvas")
        expect(pad).to_be_focused()
        pad.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
        expect(page.locator("#image h2")).to_have_text("your image")
        assert [pad.evaluate(PIXEL, place)[0] for place in ([130, 145], [160, 145])] == [255, 0]
        page.get_by_role("button", name="Clear").click()
        assert pad.evaluate(PIXEL, [130, 145])[0] == 0

        # What is shown can be copied, to be changed.
        page.get_by_role("button", name="Copy image").click()
        same = """(pad) => {
            const image = document.querySelector("#image figure img");
            const levels = (source, side) => {
                const pen = new OffscreenCanvas(side, side).getContext("2d");
                pen.drawImage(source, 0, 0);
                const {data} = pen.getImageData(0, 0, side, side);
                return (x, y) => data[4 * (y * side + x)];
            };
            const given = levels(image, 28), drawn = levels(pad, 280);
            return Array.from({length: 784}, (_, i) => [i % 28, Math.floor(i / 28)])
                .every(([x, y]) => drawn(10 * x + 5, 10 * y + 5) === given(x, y));
        }"""
        until(page, lambda: bool(pad.evaluate(same)))
        page.keyboard.press("Escape")
        expect(pad).to_be_hidden()
        expect(page.get_by_role("button", name="Draw")).to_be_focused()

    def test_a_photograph(self, page: Page) -> None:
        page.get_by_role("button", name="Camera").click()
        page.get_by_role("button", name="Take a picture").click()
        expect(page.locator("#image h2")).to_have_text("your image")
        video = page.locator("#image video")
        stream = video.evaluate_handle("(video) => video.srcObject")
        page.locator("#image .camera").get_by_role("button", name="Close").click()
        expect(video).to_be_hidden()
        assert stream.evaluate("(stream) => stream.getTracks().map((track) => track.readyState)") == ["ended"]

    def test_colour_has_no_pad_and_a_phone_has_all_in_one_column(
        self, make_run: Callable[..., Run], explore: Callable[..., str], open_page: Callable[..., Page]
    ) -> None:
        page = open_page(explore(make_run("simplenet", in_channels=3, input_size=32)), width=390, dark=True)
        expect(page.get_by_role("button", name="File …")).to_be_visible()
        assert page.get_by_role("button", name="Draw").count() == 0
        for view in ("Network", "Images", "Confusions"):
            page.get_by_role("button", name=view, exact=True).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        expect(page.locator("#confusion-view").get_by_role("alert")).to_be_visible()
        page.complaints.clear()  # type: ignore[attr-defined]


class TestGallery:
    @pytest.fixture
    def gallery(self, page: Page) -> Page:
        page.get_by_role("button", name="Images", exact=True).click()
        return page

    def ids(self, page: Page) -> list[int]:
        expect(page.locator("#images-view .found")).to_have_attribute("aria-busy", "false")
        names = page.locator("#images-view .tile").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
        return [int(name.split()[2].rstrip(":")) for name in names]

    def test_filters_and_order(self, gallery: Page, run: Run) -> None:
        arrays = run.predictions()
        labels, confidence = arrays["labels"], np.exp(log_softmax(arrays["logits"])).max(axis=1)
        predicted = arrays["logits"].argmax(axis=1)
        often = int(np.bincount(predicted).argmax())
        status = gallery.locator("#images-view").get_by_role("status")
        expect(status).to_have_text("Images 1 to 60 of 200")
        assert self.ids(gallery) == list(range(60))

        gallery.get_by_label("Predicted class").select_option(str(often))
        gallery.get_by_label("only those taken for another class").check()
        gallery.get_by_label("Order").select_option("unsure")
        wrong = np.flatnonzero((predicted == often) & (labels != often))
        expect(status).to_have_text(f"Images 1 to {min(60, len(wrong))} of {len(wrong)}")
        assert self.ids(gallery) == wrong[np.argsort(confidence[wrong], kind="stable")][:60].tolist()

        gallery.get_by_label("True class", exact=True).select_option(str(often))
        expect(status).to_have_text("No image fits.")
        assert self.ids(gallery) == []

    def test_pages_and_from_one_to_the_network(self, gallery: Page) -> None:
        status = gallery.locator("#images-view").get_by_role("status")
        expect(gallery.get_by_role("button", name="◀ Previous")).to_be_disabled()
        for first, last in ((61, 120), (121, 180), (181, 200)):
            gallery.get_by_role("button", name="Next ▶").click()
            expect(status).to_have_text(f"Images {first} to {last} of 200")
            assert self.ids(gallery) == list(range(first - 1, last))
        expect(gallery.get_by_role("button", name="Next ▶")).to_be_disabled()
        gallery.locator("#images-view .tile").nth(7).press("Enter")
        expect(gallery.locator("#network-view")).to_be_visible()
        expect(gallery.locator("#image h2")).to_have_text("test image 187")

    def test_training_images_have_no_predictions(self, gallery: Page, fashion_splits: Splits) -> None:
        gallery.get_by_role("combobox", name="Images", exact=True).select_option("train")
        status = gallery.locator("#images-view").get_by_role("status")
        expect(status).to_have_text("Images 1 to 60 of 540")
        for label in ("Predicted class", "Order", "only those taken for another class"):
            expect(gallery.get_by_label(label)).to_be_disabled()
        gallery.get_by_label("True class", exact=True).select_option("4")
        members = np.flatnonzero(fashion_splits.train.labels.numpy() == 4)
        expect(status).to_have_text(f"Images 1 to {len(members)} of {len(members)}")
        assert self.ids(gallery) == members.tolist()

    def test_a_run_that_was_never_tested_says_so(
        self, make_run: Callable[..., Run], explore: Callable[..., str], open_page: Callable[..., Page]
    ) -> None:
        page = open_page(f"{explore(make_run('linear', name='untested'))}#view=images")
        expect(page.locator("#images-view .tile")).to_have_count(60)
        page.get_by_label("Order").select_option("unsure")
        expect(page.locator("#images-view").get_by_role("status")).to_contain_text("convscope evaluate untested")
        expect(page.locator("#images-view .tile")).to_have_count(0)
        page.get_by_role("button", name="Confusions").click()
        expect(page.locator("#confusion-view").get_by_role("alert")).to_contain_text("convscope evaluate untested")
        page.complaints.clear()  # type: ignore[attr-defined]


class TestConfusions:  # R-F3
    def counts(self, run: Run) -> np.ndarray:
        arrays = run.predictions()
        return confusion_matrix(arrays["labels"], arrays["logits"].argmax(axis=1), 10)

    def test_from_a_cell_to_its_images_to_the_network(self, page: Page, run: Run, predictor: Predictor) -> None:
        page.get_by_role("button", name="Confusions").click()
        cells = page.locator("#confusion-view td button")
        expect(cells).to_have_count(100)
        counts = self.counts(run)
        assert [int(text) for text in cells.all_inner_texts()] == counts.flatten().tolist()

        # The largest number off the diagonal, which is also the first one in the list in words.
        np.fill_diagonal(counts, 0)
        label, wrong = divmod(int(counts.argmax()), 10)
        words = f"{predictor.classes[label]} taken for {predictor.classes[wrong]}"
        expect(page.locator("#confusion-view .pairs button").first).to_have_text(f"{words}: {counts.max()}")
        cells.nth(10 * label + wrong).click()
        expect(page.locator("#confusion-view h3")).to_contain_text(f"{words}: {counts.max()} images")
        arrays = run.predictions()
        confidence = np.exp(log_softmax(arrays["logits"])).max(axis=1)
        there = np.flatnonzero((arrays["labels"] == label) & (arrays["logits"].argmax(axis=1) == wrong))
        there = there[np.argsort(-confidence[there], kind="stable")]
        tiles = page.locator("#confusion-view .tile")
        expect(tiles).to_have_count(len(there))
        for tile, index in zip(tiles.all(), there, strict=True):
            expect(tile).to_have_attribute("aria-label", re.compile(f"^test image {index}: .*, wrong$"))
        tiles.first.click()
        expect(page.locator("#image h2")).to_have_text(f"test image {there[0]}")
        expect(page.locator("#network-view")).to_be_visible()

    def test_by_keyboard(self, page: Page, predictor: Predictor) -> None:
        page.get_by_role("button", name="Confusions").click()
        cells = page.locator("#confusion-view td button")
        expect(cells).to_have_count(100)
        cells.first.focus()
        for key, place in (("ArrowRight", 1), ("ArrowDown", 11), ("End", 19), ("ArrowRight", 19), ("ArrowLeft", 18)):
            page.keyboard.press(key)
            expect(cells.nth(place)).to_be_focused()
        assert page.locator("#confusion-view td button[tabindex='0']").count() == 1
        page.keyboard.press("Enter")
        words = f"{predictor.classes[1]} taken for {predictor.classes[8]}"
        expect(page.locator("#confusion-view h3")).to_contain_text(words)
        page.keyboard.press("Home")
        expect(cells.nth(10)).to_be_focused()

    def test_two_runs(
        self, run: Run, make_run: Callable[..., Run], explore: Callable[..., str], open_page: Callable[..., Page]
    ) -> None:
        second = make_run("linear", name="second", seed=3, tested=True)
        page = open_page(f"{explore(run, second)}#view=confusion&other=second&method=occlusion")
        tables = page.locator("#confusion-view table")
        expect(tables).to_have_count(2)
        for table, one in zip(tables.all(), (run, second), strict=True):
            counts = self.counts(one)
            right = int(np.trace(counts))
            expect(table.locator("caption")).to_have_text(f"{one.name}: {right} of 200 right ({right / 2:.1f}%)")
            assert [int(text) for text in table.locator("td").all_inner_texts()] == counts.flatten().tolist()
        # Beside the network, each has its map on the image.
        page.get_by_role("button", name="Network", exact=True).click()
        expect(page.locator("#image canvas.map:visible")).to_have_count(2)
        expect(page.locator("#image figure .run")).to_have_text([run.name, "second"])


def test_an_exported_page_has_its_own_images_alone(run: Run, open_page: Callable[..., Page], tmp_path: Path) -> None:
    explorer, _ = Explorer.open([run], device="cpu")
    export_page(explorer, tmp_path / "page.html", ["test/5", "test/8", "train/3"])
    explorer.background.close()
    page = open_page((tmp_path / "page.html").as_uri())
    title = page.locator("#image h2")
    for name in ("test image 5", "test image 8", "training image 3"):
        expect(title).to_have_text(name)
        following = page.get_by_role("button", name="The next image", exact=True)
        if name != "training image 3":
            following.click()
    expect(following).to_be_disabled()
    for name in ("File …", "Draw", "Camera", "The next image that the network got wrong"):
        assert page.get_by_role("button", name=name).count() == 0
    page.get_by_text("Nearest training images").click()
    expect(page.locator("#image .nearest .tile:disabled")).to_have_count(12)
    page.get_by_role("button", name="Images", exact=True).click()
    tiles = page.locator("#images-view .tile")
    expect(tiles).to_have_count(3)
    tiles.nth(1).click()
    expect(title).to_have_text("test image 8")
    page.get_by_role("button", name="Confusions").click()
    arrays = run.predictions()
    place = 10 * int(arrays["labels"][8]) + int(arrays["logits"][8].argmax())
    page.locator("#confusion-view td button").nth(place).click()
    expect(page.get_by_label(re.compile("^test image 8:")).locator("visible=true")).to_have_count(1)
