"""Predictions of a linear model that needs no training: it answers with the nearest class mean of FashionMNIST."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image, ImageOps

from convscope.data.datasets import load_train_test
from convscope.data.imageset import ImageSet
from convscope.data.preprocessing import Preprocessing
from convscope.data.statistics import mean_image_per_class
from convscope.errors import UserError
from convscope.models import build_model
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.checkpoint import save_weights


@pytest.fixture(scope="module")
def mini() -> tuple[ImageSet, ImageSet]:
    return load_train_test("fashion-mnist-mini")


@pytest.fixture(scope="module")
def parts(mini: tuple[ImageSet, ImageSet]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """State dict and header of the model of the nearest mean: |x - m|^2 is least where x·m - |m|^2 / 2 is most."""
    train, _ = mini
    preprocessing = Preprocessing.for_training(train)
    means = preprocessing((mean_image_per_class(train) * 255).round().to(torch.uint8)).flatten(start_dim=1)
    state = {"output.weight": means / 50, "output.bias": -means.square().sum(dim=1) / 100}
    header = {
        "model": "linear",
        "options": {},
        "num_classes": len(train.classes),
        "in_channels": 1,
        "input_size": 28,
        "classes": list(train.classes),
        "preprocessing": preprocessing.to_dict(),
    }
    return state, header


@pytest.fixture(scope="module")
def weights(parts: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "checkpoints" / "best.safetensors"
    save_weights(path, *parts)
    return path


@pytest.fixture(scope="module")
def predictor(weights: Path) -> Predictor:
    return Predictor.from_weights(weights, device="cpu")


@pytest.fixture(scope="module")
def picture(mini: tuple[ImageSet, ImageSet]) -> Callable[[str], Image.Image]:
    """The first test image of a class."""
    _, test = mini

    def first(name: str) -> Image.Image:
        index = int(torch.nonzero(test.labels == test.classes.index(name))[0])
        return Image.fromarray(test.images[index, 0].numpy())

    return first


def test_the_same_pixels_give_the_same_answer_as_in_evaluation(
    predictor: Predictor, weights: Path, mini: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    _, test = mini
    count = 150  # more than one batch
    paths = []
    for index in range(count):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(test.images[index, 0].numpy()).save(paths[-1])
    predictions = predictor.predict(paths, top_k=10)

    model = build_model("linear")
    model.load_state_dict(safetensors.torch.load_file(weights))
    expected = model(predictor.preprocessing(test.images[:count])).softmax(dim=1)
    assert [prediction.source for prediction in predictions] == [str(path) for path in paths]
    for prediction, row in zip(predictions, expected, strict=True):
        answer = dict(prediction.classes)
        assert [answer[name] for name in test.classes] == pytest.approx(row.tolist(), abs=1e-6)
    right = [p.classes[0][0] == test.classes[k] for p, k in zip(predictions, test.labels, strict=False)]
    assert sum(right) > 0.6 * count


def test_the_best_classes_come_first(predictor: Predictor, picture: Callable[[str], Image.Image]) -> None:
    everything = predictor.predict(picture("Trouser"), top_k=99)[0].classes
    probabilities = [probability for _, probability in everything]
    assert everything[0][0] == "Trouser"
    assert sorted(name for name, _ in everything) == sorted(predictor.classes)
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)
    assert predictor.predict(picture("Trouser"), top_k=2)[0].classes == everything[:2]
    assert len(predictor.predict(picture("Trouser"))[0].classes) == 5
    with pytest.raises(UserError, match="top_k is 0"):
        predictor.predict(picture("Trouser"), top_k=0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "I;16", "F"])
def test_the_mode_of_an_image_does_not_matter(
    mode: str, predictor: Predictor, picture: Callable[[str], Image.Image]
) -> None:
    grey = picture("Bag")
    if mode == "I;16":
        image = Image.fromarray(np.array(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert(mode)
    assert image.mode == mode
    expected, answer = (dict(p.classes) for p in predictor.predict([grey, image], top_k=10))
    assert answer == pytest.approx(expected, abs=1e-5)


def test_size_orientation_and_compression_do_not_change_the_class(
    predictor: Predictor, picture: Callable[[str], Image.Image], tmp_path: Path
) -> None:
    trouser = picture("Trouser")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise to see it so
    lying = trouser.resize((1400, 1400), Image.Resampling.BICUBIC).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "upright.jpg", exif=exif)
    lying.save(tmp_path / "lying.jpg")
    small = trouser.resize((9, 9))
    upright, without_exif, tiny = predictor.predict([tmp_path / "upright.jpg", tmp_path / "lying.jpg", small])
    assert upright.classes[0][0] == tiny.classes[0][0] == "Trouser"
    assert without_exif.classes[0][0] != "Trouser"
    expected = dict(predictor.predict(trouser)[0].classes)["Trouser"]
    assert upright.classes[0][1] == pytest.approx(expected, abs=0.05)


def test_images_are_padded_and_not_squashed(predictor: Predictor, picture: Callable[[str], Image.Image]) -> None:
    columns = np.array(picture("Trouser"))
    empty = 28 - int((columns.max(axis=0) > 0).sum())
    assert empty >= 10  # a trouser is narrow: most of what a crop removes is black
    narrow = Image.fromarray(columns[:, 7:21])
    whole = np.zeros_like(columns)
    whole[:, 7:21] = columns[:, 7:21]
    from_narrow, from_whole = predictor.predict([narrow, Image.fromarray(whole)], top_k=10)
    assert from_narrow.classes == from_whole.classes
    assert from_narrow.classes[0][0] == "Trouser"
    assert predictor.predict(narrow.resize((28, 28)))[0].classes[0][0] != "Trouser"


def test_a_dark_shirt_on_white_is_noticed_and_can_be_inverted(
    predictor: Predictor, picture: Callable[[str], Image.Image]
) -> None:
    shirt = picture("Shirt")
    photo = ImageOps.invert(shirt)
    wide = Image.new("L", (60, 28), "white")
    wide.paste(photo, (16, 0))
    narrow = ImageOps.invert(picture("Trouser")).crop((6, 0, 22, 28))
    for image in (photo, wide, narrow):  # padding hides nothing
        warning = predictor.predict(image)[0].warning
        assert warning is not None
        assert "light on dark" in warning
        assert "--invert" in warning
    inverted = predictor.predict(photo, invert=True)[0]
    assert inverted == replace(predictor.predict(shirt)[0], source="image 1")
    assert inverted.warning is None
    mistaken = predictor.predict(shirt, invert=True)[0].warning
    assert mistaken is not None
    assert "leave --invert out" in mistaken


def test_the_warning_neither_cries_wolf_nor_sleeps(predictor: Predictor, mini: tuple[ImageSet, ImageSet]) -> None:
    _, test = mini
    images = [Image.fromarray(image[0].numpy()) for image in test.images[:300]]
    assert not any(prediction.warning for prediction in predictor.predict(images))
    assert all(prediction.warning for prediction in predictor.predict(images, invert=True))


def test_a_model_of_photos_on_white_and_one_of_mixed_grounds(
    picture: Callable[[str], Image.Image], predictor: Predictor
) -> None:
    def with_border(border: float) -> Predictor:
        preprocessing = replace(predictor.preprocessing, border=border)
        return Predictor(predictor.model, preprocessing, predictor.classes, torch.device("cpu"))

    shirt = picture("Shirt")
    warning = with_border(0.95).predict(shirt)[0].warning
    assert warning is not None
    assert "the training images are dark on light" in warning
    assert with_border(0.95).predict(ImageOps.invert(shirt))[0].warning is None
    for image in (shirt, ImageOps.invert(shirt)):
        assert with_border(0.45).predict(image)[0].warning is None


def test_an_empty_image_is_not_passed_over_in_silence(predictor: Predictor) -> None:
    for colour in ("black", "white", "grey"):
        warning = predictor.predict(Image.new("RGB", (30, 20), colour))[0].warning
        assert warning is not None
        assert "same brightness everywhere" in warning


def test_a_bad_image_raises_or_is_left_out(
    predictor: Predictor, picture: Callable[[str], Image.Image], tmp_path: Path
) -> None:
    bad = tmp_path / "notes.txt"
    bad.write_text("no image")
    images = [picture("Bag"), bad, picture("Trouser")]
    before = set(threading.enumerate())
    with pytest.raises(UserError, match=r"notes\.txt is no image"):
        predictor.predict(images)
    assert set(threading.enumerate()) <= before, "threads are left"
    errors: list[UserError] = []
    predictions = predictor.predict(images, on_error=errors.append)
    assert [prediction.source for prediction in predictions] == ["image 1", "image 3"]
    assert [prediction.classes[0][0] for prediction in predictions] == ["Bag", "Trouser"]
    assert len(errors) == 1
    assert "notes.txt" in str(errors[0])
    assert predictor.predict([]) == []


def test_colour_networks_take_grey_and_colour_images(tmp_path: Path) -> None:
    colours = Preprocessing(
        size=32, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), border=0.4, decode_size=32, resize="pad"
    ).to_dict()
    header = {
        "model": "simplenet",
        "options": {},
        "num_classes": 2,
        "in_channels": 3,
        "input_size": 32,
        "classes": ["cat", "dog"],
        "preprocessing": colours,
    }
    model = build_model("simplenet", num_classes=2, in_channels=3, input_size=32, seed=0)
    path = tmp_path / "weights.safetensors"
    save_weights(path, model.state_dict(), header)
    generator = np.random.default_rng(0)
    photo = Image.fromarray(generator.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    photo_answer, grey_answer = Predictor.from_weights(path).predict([photo, photo.convert("L")])
    assert {name for name, _ in photo_answer.classes} == {"cat", "dog"}
    assert photo_answer.classes != grey_answer.classes


def test_a_predictor_from_a_run(weights: Path, picture: Callable[[str], Image.Image]) -> None:
    run = Run(weights.parent.parent)
    assert Predictor.from_run(run).predict(picture("Bag"))[0].classes[0][0] == "Bag"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "tinyvgg"),
        ("num_classes", 7),
        ("num_classes", "ten"),
        ("classes", ["shirt", "bag"]),
        ("classes", None),
        ("preprocessing", {"size": 28}),
        ("preprocessing", None),
        ("options", {"colour": 3}),
        ("input_size", 14),
    ],
)
def test_a_header_that_does_not_fit_its_weights(
    key: str, value: object, parts: tuple[dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path
) -> None:
    state, header = parts
    path = tmp_path / "best.safetensors"
    save_weights(path, state, header | {key: value})
    with pytest.raises(UserError):
        Predictor.from_weights(path)
    save_weights(path, state, {name: header[name] for name in header if name != key})
    with pytest.raises(UserError, match=r"best\.safetensors"):
        Predictor.from_weights(path)


def test_an_unknown_device(weights: Path) -> None:
    with pytest.raises(UserError, match="there is no device 'abacus'"):
        Predictor.from_weights(weights, device="abacus")


def test_images_in_an_array_are_answered_like_files(
    predictor: Predictor, mini: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    pixels = mini[1].images[:300, 0].numpy()
    np.save(tmp_path / "some.npy", pixels)
    Image.fromarray(pixels[7]).save(tmp_path / "one.png")
    images = [tmp_path / "one.png", tmp_path / "some.npy", tmp_path / "one.png"]
    answers = predictor.predict(images, top_k=3)
    assert [answer.source for answer in answers] == [
        str(tmp_path / "one.png"),
        *(f"{tmp_path / 'some.npy'}[{index}]" for index in range(300)),
        str(tmp_path / "one.png"),
    ]
    for answer in (answers[0], answers[-1]):
        assert dict(answer.classes) == pytest.approx(dict(answers[8].classes), abs=1e-6)
    inverted = predictor.predict(tmp_path / "some.npy", invert=True)
    assert all(answer.warning and "leave --invert out" in answer.warning for answer in inverted)
    errors: list[UserError] = []
    rest = predictor.predict([tmp_path / "none.npy", tmp_path / "one.png"], on_error=errors.append)
    assert len(rest) == 1
    assert "there is no file" in str(errors[0])


def test_a_stream_begins_before_all_is_read(predictor: Predictor, picture: Callable[[str], Image.Image]) -> None:
    asked = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal asked
        while True:
            asked += 1
            yield picture("Bag")

    stream = predictor.stream(endless())
    assert [next(stream).source for _ in range(200)] == [f"image {number}" for number in range(1, 201)]
    assert asked < 1500
    stream.close()  # type: ignore[attr-defined]


def test_squares_of_any_channels_become_the_networks(
    predictor: Predictor, picture: Callable[[str], Image.Image]
) -> None:
    grey, colour = picture("Bag"), picture("Bag").convert("RGB")
    assert torch.equal(predictor.read(grey), predictor.read(colour))
    assert torch.equal(predictor.read(grey, invert=True), 255 - predictor.read(grey))
    squares = torch.stack([predictor.read(grey), predictor.read(ImageOps.invert(grey))])
    probabilities = predictor.probabilities(squares)
    assert probabilities.shape == (2, 10)
    assert probabilities.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert probabilities[0].max().item() == pytest.approx(predictor.predict(grey)[0].classes[0][1], abs=1e-6)


def test_another_engine_answers(weights: Path, picture: Callable[[str], Image.Image]) -> None:
    predictor = Predictor.from_weights(weights, "cpu")
    predictor.use_engine(run=Run(weights.parent.parent), images=1)
    assert predictor.engine.name == "pytorch-float32"

    class Always:
        name = "always"

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0] * 9 + [50.0]]).repeat(len(images), 1)

    predictor.engine = Always()
    assert predictor.predict(picture("Bag"), top_k=1)[0].classes == ((predictor.classes[9], 1.0),)
    with pytest.raises(UserError, match="unknown engine 'tensorflow'"):
        predictor.use_engine("tensorflow", run=Run(weights.parent.parent))
