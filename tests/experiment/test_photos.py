"""Training, evaluating and predicting on a folder of photos."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope import Config, Predictor, Run, evaluate, plots, resume, train
from convscope.data import Preprocessing, load_photos
from convscope.errors import UserError
from convscope.experiment import session as sessions
from convscope.experiment.session import Session
from convscope.experiment.training import Plan
from convscope.training.checkpoint import load_state
from convscope.training.loop import Interrupted
from convscope.training.state import BatchRecord


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Decoded photos go into the test's own folder, and no figure is drawn."""
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: None)


@pytest.fixture
def setting(photo_folder: Path) -> Config:
    return Config(
        data=str(photo_folder),
        model="tinyvgg_explainer",
        input_size=32,
        decode_size=40,
        test_share=0.2,
        val_share=0.2,
        epochs=3,
        batch_size=16,
        lr=1e-2,
        device="cpu",
        precision="float32",
        threads=1,
    )


def interrupt_after(steps: int) -> Callable[[], bool]:
    """Says so after that many questions, which come one a step."""
    asked = iter(range(1, steps + 1))
    return lambda: next(asked, steps) == steps


def weights(run: Run) -> dict[str, Any]:
    """The weights at the end of a training."""
    return load_state(run.last_state)["model"]


def test_a_folder_is_trained_evaluated_and_predicted(setting: Config, photo_folder: Path, tmp_path: Path) -> None:
    # R-C7, R-F8
    plans: list[Plan] = []

    class Watcher:
        def on_start(self, plan: Plan, session: Session) -> None:
            plans.append(plan)

        def on_batch(self, record: BatchRecord) -> None: ...

        def on_epoch(self, record: object) -> None: ...

    # Without compiled kernels, which round otherwise than the network that is evaluated afterwards.
    run = train(replace(setting, kernels=False), runs_dir=tmp_path, name="fruits", observers=[Watcher()])
    assert run.metrics()["test"]["top1"] == 1  # three colours
    assert {file.path: file.reason for file in plans[0].skipped}.keys() == {"lemon/notes.txt", "plum/cut short.jpg"}

    predictor = Predictor.from_run(run)
    assert (predictor.preprocessing.decode_size, predictor.preprocessing.size) == (40, 32)
    assert predictor.preprocessing.resize == "crop"
    assert predictor.classes == ("apple", "lemon", "plum")
    answers = predictor.predict([photo_folder / name / "4.png" for name in predictor.classes])
    assert [answer.classes[0][0] for answer in answers] == list(predictor.classes)

    before = run.metrics()["test"]
    assert evaluate(run) == before
    assert evaluate(run, "val")["images"] == plans[0].val_images


def test_a_prediction_sees_the_pixels_that_the_training_saw(
    setting: Config, photo_folder: Path, tmp_path: Path
) -> None:
    run = train(replace(setting, epochs=1), runs_dir=tmp_path, name="fruits")
    predictor = Predictor.from_run(run)
    photos = load_photos(photo_folder, size=40)
    inputs = predictor.preprocessing(photos.decoded.pixels[:12])
    with torch.inference_mode():
        expected = predictor.model(inputs).softmax(dim=1)
    answers = predictor.predict([photo_folder / file.path for file in photos.decoded.files[:12]], top_k=3)
    for answer, row in zip(answers, expected.tolist(), strict=True):
        assert dict(answer.classes) == pytest.approx(dict(zip(predictor.classes, row, strict=True)), abs=1e-6)


def test_statistics_are_those_of_the_training_photos(setting: Config, photo_folder: Path) -> None:  # R-C7
    session = Session.prepare(setting)
    photos = load_photos(photo_folder, size=40, val_share=0.2, test_share=0.2)
    pixels = photos.decoded.pixels[photos.parts["train"]].double() / 255
    assert session.preprocessing.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist())
    assert session.preprocessing.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist(), rel=1e-6)


def test_sizes_of_photos(setting: Config) -> None:
    def sizes(**changed: Any) -> tuple[int, int]:
        preprocessing = Session.prepare(replace(setting, **changed)).preprocessing
        return preprocessing.decode_size, preprocessing.size

    assert sizes(decode_size=None) == (32, 32)
    # The network was made for 28 pixels, in which a photo shows nothing.
    assert sizes(model="lenet5", input_size=None) == (40, 64)
    assert sizes(model="resnet18", input_size=None, decode_size=None, model_options={"width": 0.05}) == (224, 224)


@pytest.mark.parametrize(
    "augmentation",
    [{"crop_scale": 0.5, "jitter": 0.4, "flip": True}, {"mixup": 0.2}, {"cutmix": 1.0, "mixup": 0.2, "shift": 2}],
)
def test_a_training_with_augmentation_resumes_to_the_same_bits(
    augmentation: dict[str, Any], setting: Config, tmp_path: Path
) -> None:  # R-F6
    setting = replace(setting, **augmentation)
    whole = train(setting, runs_dir=tmp_path, name="whole")
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="parts", interrupted=interrupt_after(5))
    parts = resume(Run.open("parts", tmp_path))
    assert all(torch.equal(tensor, weights(parts)[name]) for name, tensor in weights(whole).items())
    assert parts.metrics()["test"] == whole.metrics()["test"]


def test_pixels_beyond_the_memory_are_streamed(
    setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R-B3
    assert not Session.prepare(setting).train.streamed
    monkeypatch.setattr(sessions, "memory_gib", lambda: 90 * 3 * 40 * 40 / 2**30)
    session = Session.prepare(setting)
    assert session.train.streamed
    assert session.val.streamed
    # The same command, to the end, and the same bits after a stop.
    whole = train(setting, runs_dir=tmp_path, name="whole")
    assert whole.metrics()["test"]["top1"] == 1
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="parts", interrupted=interrupt_after(5))
    parts = resume(Run.open("parts", tmp_path))
    assert all(torch.equal(tensor, weights(parts)[name]) for name, tensor in weights(whole).items())


def test_a_machine_that_does_not_tell_its_memory_keeps_pixels_in_it(
    setting: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "memory_gib", lambda: None)
    assert not Session.prepare(setting).train.streamed


def test_other_photos_than_the_run_was_trained_on(setting: Config, photo_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in ("apple", "lemon"):
        (copy / name).mkdir(parents=True)
        for file in (photo_folder / name).glob("*.png"):
            (copy / name / file.name).write_bytes(file.read_bytes())
    run = train(replace(setting, data=str(copy), epochs=1, batch_size=8), runs_dir=tmp_path, name="two")
    (copy / "apple").rename(copy / "pear")
    with pytest.raises(UserError, match="other classes than the run was trained for"):
        evaluate(run)


def test_photos_that_changed_since_the_training_stopped(setting: Config, photo_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(photo_folder, copy)
    setting = replace(setting, data=str(copy))
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="stopped", interrupted=interrupt_after(5))
    for file in (copy / "plum").glob("1*.png"):
        file.rename(tmp_path / file.name)
    with pytest.raises(UserError, match=r"was trained on \d\d images .* bring back what it had"):
        resume(Run.open("stopped", tmp_path))
    for file in tmp_path.glob("*.png"):
        file.rename(copy / "plum" / f"renamed {file.name}")  # what a photo is called does not matter
    assert resume(Run.open("stopped", tmp_path)).status == "finished"


def test_a_header_without_a_way_to_decode_is_refused(setting: Config) -> None:
    header = Session.prepare(setting).header()["preprocessing"]
    for name in ("decode_size", "resize"):
        with pytest.raises(UserError, match=f"lacks '{name}'"):
            Preprocessing.from_dict({key: value for key, value in header.items() if key != name})
    with pytest.raises(UserError, match="unknown resize 'stretch'"):
        Preprocessing.from_dict(header | {"resize": "stretch"})
    with pytest.raises(UserError, match="at least 1"):
        Preprocessing.from_dict(header | {"decode_size": 0})
