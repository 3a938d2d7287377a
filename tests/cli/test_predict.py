"""The verb `predict` on real files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from convscope.cli.predict import main
from convscope.data.datasets import load_train_test
from convscope.data.imageset import ImageSet
from convscope.data.preprocessing import Preprocessing
from convscope.errors import UserError
from convscope.models import build_model
from convscope.training.checkpoint import save_weights

Picture = Callable[[int], Image.Image]


@pytest.fixture(scope="module")
def test_set() -> ImageSet:
    return load_train_test("fashion-mnist-mini")[1]


@pytest.fixture(scope="module")
def runs_dir(test_set: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one run, `tiny`, of an untrained network."""
    runs = tmp_path_factory.mktemp("runs")
    model = build_model("tinyvgg", hidden=8, seed=0)
    header = {
        "model": "tinyvgg",
        "options": {"hidden": 8},
        "num_classes": 10,
        "in_channels": 1,
        "input_size": 28,
        "classes": list(test_set.classes),
        "preprocessing": Preprocessing.for_training(test_set).to_dict(),
    }
    save_weights(runs / "tiny" / "checkpoints" / "best.safetensors", model.state_dict(), header)
    (runs / "tiny" / "config.yaml").write_text("model: tinyvgg\n")
    (runs / "tiny" / "metrics.json").write_text('{"format": 1, "status": "finished"}')
    return runs


@pytest.fixture
def photos(test_set: ImageSet, tmp_path: Path) -> Path:
    """A folder with three images at two depths, and other things."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, index in (("b.PNG", 0), ("a.jpg", 1), ("more/c.png", 2)):
        Image.fromarray(test_set.images[index, 0].numpy()).save(folder / name)
    (folder / "notes.txt").write_text("not an image, and not meant as one")
    return folder


@pytest.fixture
def predict(
    runs_dir: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("COLUMNS", "300")  # so that long paths stay in one line of the table

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["tiny", *map(str, arguments), "--runs-dir", str(runs_dir), "--device", "cpu"])
        return status, *capfd.readouterr()

    return run


Verb = Callable[..., tuple[int, str, str]]


def sources(output: str) -> list[str]:
    return [Path(prediction["source"]).name for prediction in json.loads(output)["predictions"]]


def test_table(predict: Verb, photos: Path) -> None:
    status, output, messages = predict(photos / "a.jpg", "--top-k", 3)
    assert status == 0
    assert messages == ""
    assert "a.jpg" in output
    assert output.count("%") == 3


def test_json(predict: Verb, photos: Path, test_set: ImageSet) -> None:
    status, output, _ = predict(photos / "a.jpg", "--json", "--top-k", 10)
    answer = json.loads(output)
    assert status == 0
    assert answer["run"] == "tiny"
    assert answer["errors"] == []
    (prediction,) = answer["predictions"]
    assert prediction["source"] == str(photos / "a.jpg")
    assert prediction["warning"] is None
    assert {name for name, _ in prediction["classes"]} == set(test_set.classes)
    assert sum(probability for _, probability in prediction["classes"]) == pytest.approx(1)


def test_folders_patterns_and_files(predict: Verb, photos: Path) -> None:
    assert sources(predict(photos, "--json")[1]) == ["a.jpg", "b.PNG", "c.png"]
    assert sources(predict(photos / "*.jpg", "--json")[1]) == ["a.jpg"]
    assert sources(predict(photos / "**" / "*.png", "--json")[1]) == ["c.png"]
    assert sources(predict(photos / "b.PNG", photos / "a.jpg", "--json")[1]) == ["b.PNG", "a.jpg"]


def test_a_name_with_the_signs_of_a_pattern_is_a_name(predict: Verb, photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "[bold]a*.jpg")
    status, output, _ = predict(photos / "[bold]a*.jpg")
    assert status == 0
    assert "[bold]a*.jpg" in output


def test_bad_images_are_named_and_the_good_ones_predicted(predict: Verb, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, output, messages = predict(
        photos / "notes.txt",
        photos / "a.jpg",
        photos / "missing.png",
        tmp_path / "empty",
        photos / "*.webp",
        "--json",
    )
    assert status == 2
    assert sources(output) == ["a.jpg"]
    lines = messages.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("convscope: ") for line in lines)
    for words in ("notes.txt is no image", "no image file", "holds no image", "no file matches"):
        assert sum(words in line for line in lines) == 1
    assert len(json.loads(output)["errors"]) == 4


@pytest.mark.parametrize(("name", "sentence"), [("notes.txt", "notes.txt is no image"), ("*.webp", "no file matches")])
def test_only_bad_images(name: str, sentence: str, predict: Verb, photos: Path) -> None:
    status, output, messages = predict(photos / name)
    assert status == 2
    assert output == ""
    assert sentence in messages


def test_dark_on_light_photos_get_one_warning_and_invert_mends_it(
    predict: Verb, photos: Path, test_set: ImageSet, tmp_path: Path
) -> None:
    for index in range(5):
        photo = ImageOps.invert(Image.fromarray(test_set.images[index, 0].numpy()))
        photo.save(tmp_path / f"{index}.png")
    status, _, messages = predict(tmp_path / "?.png")
    assert status == 0
    assert messages.count("warning: ") == 1
    assert "0.png and 4 more: the training images are light on dark" in messages
    assert "--invert" in messages

    Image.fromarray(test_set.images[0, 0].numpy()).save(photos / "original.png")
    inverted = json.loads(predict(tmp_path / "0.png", "--invert", "--json")[1])["predictions"][0]
    original = json.loads(predict(photos / "original.png", "--json")[1])["predictions"][0]
    assert inverted["classes"] == original["classes"]
    assert inverted["warning"] is None


def test_a_damaged_photo_among_many(predict: Verb, photos: Path, test_set: ImageSet) -> None:
    whole = (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").write_bytes(whole[: len(whole) // 2])
    status, output, messages = predict(photos, "--json")
    assert status == 2
    assert sources(output) == ["b.PNG", "c.png"]
    assert "a.jpg cannot be decoded" in messages


def test_nothing_to_predict(predict: Verb) -> None:
    with pytest.raises(UserError, match="name at least one image"):
        predict()


def test_an_unknown_run(runs_dir: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="there is no run 'tinny'"):
        main(["tinny", str(photos), "--runs-dir", str(runs_dir)])


def test_changed_weights_are_refused(runs_dir: Path, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "copy"
    run.mkdir()
    for file in (runs_dir / "tiny").glob("*.*"):
        (run / file.name).write_bytes(file.read_bytes())
    (run / "checkpoints").mkdir()
    weights = bytearray((runs_dir / "tiny" / "checkpoints" / "best.safetensors").read_bytes())
    weights[-1] ^= 1
    (run / "checkpoints" / "best.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match="not the ones that were saved"):
        main([str(run), str(photos)])


def test_answers_do_not_depend_on_the_number_of_images(predict: Verb, photos: Path) -> None:
    together = json.loads(predict(photos, "--json")[1])["predictions"]
    alone = json.loads(predict(photos / "more" / "c.png", "--json")[1])["predictions"]
    for (name, share), (other, other_share) in zip(together[2]["classes"], alone[0]["classes"], strict=True):
        assert name == other
        assert share == pytest.approx(other_share, abs=1e-5)


def test_many_images_are_told_how_fast_and_by_what(predict: Verb, test_set: ImageSet, tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", test_set.images[:200, 0].numpy())
    status, output, messages = predict(tmp_path / "many.npy", "--top-k", 1)
    assert status == 0
    lines = output.splitlines()
    assert lines[0].split() == ["image", "class", "probability"]
    assert [line.split()[0] for line in lines[1:]] == [f"{tmp_path / 'many.npy'}[{index}]" for index in range(200)]
    assert len({len(line) for line in lines}) == 1, "not as wide as one another"
    assert messages.startswith("200 images by pytorch-float32 in ")
    assert "images/s, after " in messages


def test_json_says_what_answered(predict: Verb, photos: Path) -> None:
    answer = json.loads(predict(photos, "--json", "--engine", "pytorch-float32")[1])
    assert answer["engine"] == "pytorch-float32"
    assert answer["images_per_second"] > 0
    assert answer["seconds"] > 0
    assert answer["start_seconds"] > 0
    assert json.loads(predict(photos / "notes.txt", "--json")[1])["predictions"] == []


def test_an_unknown_engine(predict: Verb, photos: Path) -> None:
    with pytest.raises(UserError, match="unknown engine 'torch'"):
        predict(photos, "--engine", "torch")


def test_names_cannot_steer_the_terminal(predict: Verb, photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "a\x1b[2J.jpg")
    output = predict(photos / "a\x1b[2J.jpg")[1]
    assert "\x1b" not in output
    assert r"a\x1b[2J.jpg" in output


def test_an_array_that_is_none_is_named(predict: Verb, photos: Path) -> None:
    (photos / "images.npy").write_bytes(b"no array")
    status, output, messages = predict(photos / "images.npy", photos / "a.jpg", "--json")
    assert status == 2
    assert sources(output) == ["a.jpg"]
    assert "images.npy cannot be read as an array" in messages
