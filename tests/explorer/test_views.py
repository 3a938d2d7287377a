"""The questions that the page asks, one by one, and those that are refused."""

import base64
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.data import Preprocessing, Splits
from convscope.errors import UserError
from convscope.explorer import maps
from convscope.explorer.explorer import Explorer
from convscope.explorer.images import upload
from convscope.explorer.library import UPLOADS
from convscope.explorer.recent import Recent
from convscope.interpret import explain, record
from convscope.interpret.ablation import without_channels
from convscope.interpret.features import features, nearest
from convscope.metrics import log_softmax
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.checkpoint import load_weights, save_weights

HERE = {"run": "tinyvgg_bn", "epoch": "best", "image": "test/5"}


def test_runs_say_what_can_be_asked(questions: Any, fashion_splits: Splits, tinyvgg: Run) -> None:
    said = questions.json("runs")
    (run,) = said.pop("runs")
    assert said == {
        "splits": {"test": 200, "train": 540},
        "image": "test/0",
        "can_upload": True,
        "upload_limit": 20 << 20,
    }
    assert run.pop("parameters") == sum(p.numel() for p in Predictor.from_run(tinyvgg, "cpu").model.parameters())
    assert run.pop("border") == Predictor.from_run(tinyvgg, "cpu").preprocessing.border
    assert run == {
        "name": "tinyvgg_bn",
        "model": "tinyvgg_bn",
        "data": tinyvgg.config().data,
        "classes": list(fashion_splits.test.classes),
        "channels": 1,
        "size": 28,
        "epochs": [0, 3],
        "test_accuracy": tinyvgg.reports()["test"]["top1"],
    }


def test_settings_are_those_of_the_layers(open_explorer: Any, make_run: Callable[..., Run]) -> None:
    settings = {}
    for model, options in (("googlenet", {}), ("densenet121", {"growth_rate": 4}), ("tinyvgg", {})):
        run = make_run(model, input_size=64, **options)
        for layer in open_explorer(run).json("network", run=run.name)["layers"]:
            settings[layer["kind"]] = layer["settings"]
    assert settings["Conv2d"].keys() == {"kernel", "stride", "padding", "dilation", "groups", "bias"}
    assert settings["MaxPool2d"].keys() == {"kernel", "stride", "padding", "dilation", "ceil"}
    assert settings["AvgPool2d"] == {
        "kernel": [2, 2],
        "stride": [2, 2],
        "padding": [0, 0],
        "ceil": False,
        "count_include_pad": True,
    }
    assert settings["BatchNorm2d"] == {"eps": 1e-5}
    assert settings["LocalResponseNorm"] == {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}
    assert settings["Dropout"].keys() == {"p"}
    assert settings["Linear"] == {"bias": True}
    assert settings["ReLU"] == {}


def test_the_channels_that_reach_highest_are_shown_small(questions: Any) -> None:
    said = questions.json("overview", top=3, **HERE)
    values = questions.tensor("activation", layer="block1.conv1", **HERE)
    glance = said["layers"]["block1.conv1"]
    peaks = values.amax(dim=(1, 2))
    assert glance["channels"] == sorted(peaks.topk(3).indices.tolist())
    assert glance["size"] == [28, 28]  # nothing to average
    levels = np.frombuffer(base64.b64decode(glance["maps"]), np.uint8).reshape(3, 28, 28)
    for channel, (low, high), level in zip(glance["channels"], glance["ranges"], levels, strict=True):
        expected = ((values[channel] - low) / (high - low) * 255).round()
        assert torch.equal(torch.from_numpy(level.copy()).float(), expected)


def test_large_maps_are_averaged(open_explorer: Any, make_run: Callable[..., Run]) -> None:
    run = make_run("lenet5", input_size=96)
    place = {"run": "lenet5", "epoch": "best", "image": "test/0"}
    questions = open_explorer(run)
    glance = questions.json("overview", **place)["layers"]["image"]
    values = questions.tensor("activation", layer="image", **place)[0]
    levels = np.frombuffer(base64.b64decode(glance["maps"]), np.uint8).reshape(48, 48)
    means = values.reshape(48, 2, 48, 2).mean(dim=(1, 3))
    expected = (means - values.min()) / (values.max() - values.min()) * 255
    assert np.abs(levels - expected.numpy()).max() <= 0.501


def test_one_channel_is_a_part_of_all(questions: Any) -> None:
    place = HERE | {"layer": "block2.conv1"}
    assert torch.equal(questions.tensor("activation", channel=7, **place), questions.tensor("activation", **place)[7:8])
    weights = {"run": "tinyvgg_bn", "epoch": "best", "layer": "block2.norm1"}
    every, one = questions.parts("weights", **weights), questions.parts("weights", channel=7, **weights)
    assert list(every) == ["weight", "bias", "running_mean", "running_var"]
    assert {name: part.tolist() for name, part in one.items()} == {
        name: part[7:8].tolist() for name, part in every.items()
    }
    weights["layer"] = "block2.conv1"
    kernel = questions.parts("weights", channel=7, **weights)["weight"]
    assert torch.equal(kernel, questions.parts("weights", **weights)["weight"][7])


def test_snapshots_are_networks_of_their_own(questions: Any, tinyvgg: Run) -> None:
    logits = {}
    for epoch, path in (("0", tinyvgg.snapshots()[0]), ("3", tinyvgg.snapshots()[3]), ("best", tinyvgg.best_weights)):
        logits[epoch] = questions.json("overview", **(HERE | {"epoch": epoch}))["logits"]
        model = Predictor.from_weights(path, "cpu").model
        inputs = questions.tensor("activation", layer="image", **HERE)[None]
        with torch.no_grad():
            assert logits[epoch] == model(inputs)[0].tolist()
    assert len({tuple(values) for values in logits.values()}) == 3
    assert "no snapshot of epoch 2" in questions.refused("overview", 404, **(HERE | {"epoch": 2}))


def test_the_gallery_filters_and_orders(questions: Any, tinyvgg: Run, fashion_splits: Splits) -> None:  # R-F3
    arrays = tinyvgg.predictions()
    probabilities = np.exp(log_softmax(arrays["logits"]))
    predicted, labels = probabilities.argmax(axis=1), arrays["labels"]
    where = {"run": "tinyvgg_bn", "split": "test", "limit": 200}

    def indices(**filters: object) -> list[int]:
        said = questions.json("images", **where, **filters)
        assert said["total"] == len(said["images"])
        return [int(image["id"].removeprefix("test/")) for image in said["images"]]

    assert indices() == list(range(200))
    assert indices(wrong=1) == np.flatnonzero(predicted != labels).tolist()
    assert indices(true=3) == np.flatnonzero(labels == 3).tolist()
    common = int(np.bincount(predicted).argmax())
    assert indices(predicted=common, true=3) == np.flatnonzero((predicted == common) & (labels == 3)).tolist()
    confident = indices(order="confident")
    assert (np.diff(probabilities.max(axis=1)[confident]) <= 0).all()
    assert (np.diff(probabilities.max(axis=1)[indices(order="unsure")]) >= 0).all()
    page = questions.json("images", run="tinyvgg_bn", split="test", limit=7, offset=195, order="confident")
    assert page["total"] == 200
    assert [image["id"] for image in page["images"]] == [f"test/{index}" for index in confident[195:]]
    first = page["images"][0]
    index = confident[195]
    assert (first["label"], first["predicted"]) == (labels[index], predicted[index])
    assert first["confidence"] == probabilities[index].max()
    assert first["probability_of_label"] == probabilities[index, labels[index]]
    assert questions.json("images", run="tinyvgg_bn", split="train", true=2)["images"][0] == {
        "id": f"train/{int((fashion_splits.train.labels == 2).nonzero()[0])}",
        "label": 2,
        "predicted": None,
        "confidence": None,
        "probability_of_label": None,
    }


def test_confusions_are_the_images_behind_them(questions: Any) -> None:  # R-F3
    matrix = questions.json("confusion", run="tinyvgg_bn")["matrix"]
    for true, row in enumerate(matrix):
        for predicted, count in enumerate(row):
            found = questions.json("images", run="tinyvgg_bn", split="test", true=true, predicted=predicted)
            assert found["total"] == count


def test_without_predictions_the_gallery_has_images_alone(open_explorer: Any, make_run: Callable[..., Run]) -> None:
    questions = open_explorer(make_run("linear"))
    where = {"run": "linear", "split": "test"}
    assert questions.json("images", **where)["images"][0]["predicted"] is None
    for filters in ({"wrong": 1}, {"predicted": 1}, {"order": "unsure"}):
        assert "convscope evaluate linear" in questions.refused("images", 404, **where, **filters)
    assert "convscope evaluate linear" in questions.refused("confusion", 404, run="linear")


def test_pictures_are_the_images(questions: Any, fashion_splits: Splits) -> None:
    for image, image_set in (("test/7", fashion_splits.test), ("train/7", fashion_splits.train)):
        said = questions.ask("picture", image=image)
        assert said.type == "image/png"
        pixels = np.asarray(Image.open(io.BytesIO(said.body)))
        assert np.array_equal(pixels, image_set.take(torch.tensor([7]))[0, 0].numpy())


def test_thumbnails_are_small(open_explorer: Any, make_run: Callable[..., Run]) -> None:
    questions = open_explorer(make_run("linear"))
    image = questions.explorer.images.add(picture(Image.new("L", (28, 28), 30)))
    assert Image.open(io.BytesIO(questions.ask("thumbnail", image=image).body)).size == (28, 28)


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "guided", "guided-grad-cam", "occlusion"])
def test_attribution_maps(questions: Any, tinyvgg: Run, method: Any) -> None:
    predictor = Predictor.from_run(tinyvgg, "cpu")
    inputs = questions.tensor("activation", layer="image", **HERE)[None]
    for options, classes in (({}, None), ({"class_": 4}, torch.tensor([4]))):
        said = questions.json("explain", method=method, **HERE, **options)
        maps = explain(predictor.model, inputs, method=method, classes=classes)[0]
        assert said["size"] == [28, 28]
        assert said["range"] == [float(maps.min()), float(maps.max())]
        assert len(base64.b64decode(said["map"])) == 28 * 28
        assert ("grad-cam" in method) == (said["layer"] is not None)


def test_a_channel_left_out(questions: Any, tinyvgg: Run) -> None:
    model = Predictor.from_run(tinyvgg, "cpu").model
    inputs = questions.tensor("activation", layer="image", **HERE)[None]
    said = questions.json("without", layer="block2.conv2", channel=5, **HERE)
    with torch.no_grad(), without_channels(model, "block2.conv2", [5]):
        logits = model(inputs)[0]
    assert said == {"logits": logits.tolist(), "probabilities": logits.softmax(dim=0).tolist()}
    assert said["logits"] != questions.json("overview", **HERE)["logits"]


def until_ready(questions: Any, name: str, **parameters: object) -> Any:
    """Ask again and again, as the page does."""
    for _ in range(600):
        said = questions.json(name, **parameters)
        if said["state"] == "ready":
            return said
        assert said["state"] == "computing" and 0 <= said["progress"] <= 1
        time.sleep(0.1)
    raise AssertionError("it takes more than a minute")


def test_neighbours_are_the_nearest_of_all(questions: Any, tinyvgg: Run, fashion_splits: Splits) -> None:
    predictor = Predictor.from_run(tinyvgg, "cpu")
    said = until_ready(questions, "neighbours", **HERE)
    train = features(predictor.model, predictor.preprocessing, fashion_splits.train)
    query = features(predictor.model, predictor.preprocessing, fashion_splits.test, indices=torch.tensor([5]))[0]
    indices, similarities = nearest(train, query, 12)
    assert said["searched"] == 540
    assert [image["id"] for image in said["images"]] == [f"train/{index}" for index in indices.tolist()]
    assert [image["similarity"] for image in said["images"]] == pytest.approx(similarities.tolist(), abs=1e-5)
    own = questions.json("neighbours", **(HERE | {"image": "train/8"}))["images"]
    assert len(own) == 12 and "train/8" not in {image["id"] for image in own}


def test_patches_excite_a_channel(questions: Any, fashion_splits: Splits, tinyvgg: Run) -> None:
    predictor = Predictor.from_run(tinyvgg, "cpu")
    place = {"run": "tinyvgg_bn", "epoch": "best", "layer": "block2.conv1", "channel": 2}
    patches = until_ready(questions, "patches", **place)["patches"]
    inputs = predictor.preprocessing(fashion_splits.test.take(torch.arange(200)))
    peaks = record(predictor.model, inputs, ["block2.conv1"])["block2.conv1"][:, 2].amax(dim=(1, 2))
    best = peaks.topk(9)
    assert [patch["id"] for patch in patches] == [f"test/{index}" for index in best.indices.tolist()]
    assert [patch["value"] for patch in patches] == pytest.approx(best.values.tolist(), abs=1e-5)
    assert all(patch["size"] == 28 and len(patch["box"]) == 4 for patch in patches)


def picture(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_an_image_of_ones_own(questions: Any, tinyvgg: Run) -> None:
    random = np.random.default_rng(0).integers(0, 60, (40, 60), dtype=np.uint8)
    image = Image.fromarray(random)
    said = json.loads(upload(questions.explorer, picture(image)).body)
    assert said["warning"] is None
    place = HERE | {"image": said["id"]}
    overview = questions.json("overview", **place)
    expected = Predictor.from_run(tinyvgg, "cpu").predict(image, top_k=10)[0].classes
    classes = questions.explorer.classes
    assert overview["image"]["label"] is None
    assert {classes[i]: value for i, value in enumerate(overview["probabilities"])} == pytest.approx(dict(expected))
    again = json.loads(upload(questions.explorer, picture(image)).body)
    assert again == said  # it is kept once


def test_warnings_about_an_image(questions: Any) -> None:
    for image, word in (
        (Image.new("L", (28, 28), "white"), "same brightness"),
        (Image.fromarray(np.where(np.eye(28), 0, 255).astype(np.uint8)), "Light and dark"),
    ):
        assert word in json.loads(upload(questions.explorer, picture(image)).body)["warning"]


def test_images_not_looked_at_are_forgotten(questions: Any) -> None:
    library = questions.explorer.images
    names = [library.add(picture(Image.new("L", (28, 28), grey))) for grey in range(UPLOADS + 1)]
    assert "give it once more" in questions.refused("picture", 404, image=names[0])
    assert questions.ask("picture", image=names[1]).status == 200


def test_without_its_data_set_a_run_shows_images_that_are_given(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run("linear", name="elsewhere")
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace(run.config().data, str(tmp_path / "gone")))
    explorer, trouble = Explorer.open([run], device="cpu")
    assert "gone" in str(trouble)
    from convscope.explorer.views import answer

    said = json.loads(answer(lambda: explorer, "runs", []).body)
    assert said["splits"] == {"test": 0, "train": 0}
    image = explorer.images.add(picture(Image.new("L", (28, 28), 30)))
    place = {"run": "elsewhere", "epoch": "best"}
    assert answer(lambda: explorer, "overview", [*(place | {"image": image}).items()]).status == 200
    refused = answer(lambda: explorer, "overview", [*(place | {"image": "test/0"}).items()])
    assert refused.status == 404 and b"not on this machine" in refused.body


def test_runs_side_by_side(open_explorer: Any, make_run: Callable[..., Run], tinyvgg: Run) -> None:
    questions = open_explorer(tinyvgg, make_run("lenet5", input_size=32))
    assert [run["name"] for run in questions.json("runs")["runs"]] == ["tinyvgg_bn", "lenet5"]
    image = questions.explorer.images.add(picture(Image.new("RGB", (50, 40), "red")))
    shapes = {}
    for run in ("tinyvgg_bn", "lenet5"):
        overview = questions.json("overview", run=run, epoch="best", image=image)
        shapes[run] = overview["image"]["shape"]
    assert shapes == {"tinyvgg_bn": [1, 28, 28], "lenet5": [1, 32, 32]}


def test_runs_that_do_not_suit_each_other(make_run: Callable[..., Run], tinyvgg: Run) -> None:
    with pytest.raises(UserError, match="same name"):
        Explorer.open([tinyvgg, make_run("linear", name="tinyvgg_bn")], device="cpu")
    other = make_run("linear", name="other")
    state, header = load_weights(other.best_weights)
    save_weights(other.best_weights, state, header | {"classes": [f"class {k}" for k in range(10)]})
    with pytest.raises(UserError, match="tinyvgg_bn and other know different classes"):
        Explorer.open([tinyvgg, other], device="cpu")


BAD = [
    ("overview", {}, 400),
    ("overview", HERE | {"colour": "red"}, 400),
    ("overview", HERE | {"epoch": "last"}, 400),
    ("overview", HERE | {"epoch": "07"}, 400),
    ("overview", HERE | {"epoch": "-1"}, 400),
    ("overview", HERE | {"top": "0"}, 400),
    ("overview", HERE | {"top": "1e9"}, 400),
    ("overview", HERE | {"top": "nan"}, 400),
    ("overview", HERE | {"top": "\u0663"}, 400),  # a digit, but not an ASCII one
    ("overview", HERE | {"image": "val/3"}, 400),
    ("overview", HERE | {"image": "test/-1"}, 400),
    ("overview", HERE | {"image": "test/007"}, 400),
    ("overview", HERE | {"image": "test/../../etc/passwd"}, 400),
    ("overview", HERE | {"image": "upload/ABC"}, 400),
    ("overview", HERE | {"image": "test/200"}, 404),
    ("overview", HERE | {"image": "upload/0123456789abcdef"}, 404),
    ("overview", HERE | {"run": "../tinyvgg_bn"}, 404),
    ("overview", HERE | {"run": ""}, 400),
    ("overview", HERE | {"run": "x\x00"}, 400),
    ("overview", HERE | {"run": "x" * 1000}, 400),
    ("activation", HERE | {"layer": "block9.conv1"}, 404),
    ("activation", HERE | {"layer": "__class__"}, 404),
    ("activation", HERE | {"layer": "block1.conv1", "channel": 32}, 404),
    ("weights", {"run": "tinyvgg_bn", "epoch": "best", "layer": "block1.act1"}, 404),
    ("weights", {"run": "tinyvgg_bn", "epoch": "best", "layer": "image"}, 404),
    ("weights", {"run": "tinyvgg_bn", "epoch": "best", "layer": "block1.conv1", "channel": 32}, 404),
    ("images", {"run": "tinyvgg_bn", "split": "val"}, 400),
    ("images", {"run": "tinyvgg_bn", "split": "test", "limit": 0}, 400),
    ("images", {"run": "tinyvgg_bn", "split": "test", "limit": 501}, 400),
    ("images", {"run": "tinyvgg_bn", "split": "test", "wrong": 2}, 400),
    ("images", {"run": "tinyvgg_bn", "split": "train", "wrong": 1}, 400),
    ("explain", HERE | {"method": "magic"}, 400),
    ("explain", HERE | {"method": "grad-cam", "class_": 10}, 400),
    ("explain", HERE | {"method": "grad-cam", "layer": "output"}, 400),
    ("explain", HERE | {"method": "grad-cam", "layer": "nowhere"}, 404),
    ("without", HERE | {"layer": "block1.conv1", "channel": 32}, 404),
    ("patches", {"run": "tinyvgg_bn", "epoch": "best", "layer": "block1.conv1", "channel": 32}, 404),
    ("neighbours", HERE | {"run": "nobody"}, 404),
    ("__init__", {}, 404),
]


@pytest.mark.parametrize(("name", "parameters", "status"), BAD)
def test_what_there_is_not_is_refused_in_one_sentence(
    questions: Any, name: str, parameters: dict[str, object], status: int
) -> None:
    questions.refused(name, status, **parameters)


def test_what_was_not_foreseen_is_told_in_the_terminal_alone(
    questions: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/home/somebody/secret")

    monkeypatch.setattr(Preprocessing, "__call__", fail)
    sentence = questions.refused("overview", 500, **HERE)
    assert "RuntimeError" in sentence and "secret" not in sentence
    assert "secret" in caplog.text


def test_many_questions_at_once_have_the_same_answers(
    open_explorer: Any, tinyvgg: Run, make_run: Callable[..., Run]
) -> None:
    runs = [tinyvgg, make_run("lenet5", input_size=32)]
    asked = [
        (name, {"run": run.name, "epoch": "best", "image": f"test/{index}"} | options)
        for index in range(4)
        for run in runs
        for name, options in (("overview", {}), ("explain", {"method": "grad-cam"}), ("without", SILENT[run.name]))
    ] + [("network", {"run": run.name}) for run in runs] * 4
    alone = open_explorer(*runs)
    expected = [alone.ask(name, **parameters).body for name, parameters in asked]
    together = open_explorer(*runs)
    with ThreadPoolExecutor(8) as executor:
        answers = [executor.submit(together.ask, name, **parameters) for name, parameters in asked]
        assert [answer.result(timeout=60).body for answer in answers] == expected


SILENT = {"tinyvgg_bn": {"layer": "block1.conv1", "channel": 3}, "lenet5": {"layer": "conv1", "channel": 3}}


def test_the_largest_weights_are_given_channel_by_channel(questions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "_WEIGHTS_LIMIT", 2000)
    place = {"run": "tinyvgg_bn", "epoch": "best", "layer": "block2.conv1"}
    assert "one channel" in questions.refused("weights", 413, **place)
    assert questions.parts("weights", channel=0, **place)["weight"].shape == (32, 3, 3)


def test_what_was_computed_is_forgotten_before_memory_ends() -> None:
    kept: Recent[int] = Recent(10, size=lambda value: value)
    for key, value in (("a", 4), ("b", 5), ("a", 4), ("c", 3)):
        kept[key] = value
    assert len(kept) == 2 and kept["a"] == 4 and kept["c"] == 3  # b was not used for longest
    with pytest.raises(KeyError):
        kept["b"]
    kept["d"] = 100
    assert len(kept) == 1 and kept["d"] == 100  # the newest is kept whatever its size
