"""What a setting with published weights is built into. All else about sessions is tested through `train`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from convscope import Config, Preprocessing, Run, build_model, evaluate, load_splits, plots, resume, train
from convscope.catalog import WEIGHTS
from convscope.data import ImageSet, Splits
from convscope.errors import ConvscopeError, UserError
from convscope.experiment import session as sessions
from convscope.experiment.session import Session
from convscope.predict import Predictor
from convscope.runs import create_run
from convscope.training.loop import Interrupted

Publish = Callable[..., Any]
NARROW = {"width": 0.0625}


@pytest.fixture(autouse=True)
def data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "cache"))


@pytest.fixture
def file() -> dict[str, torch.Tensor]:
    """Weights of a narrow network, as if published."""
    return build_model("resnet18", num_classes=1000, in_channels=3, input_size=32, seed=5, **NARROW).state_dict()


@pytest.fixture
def setting(fashion_slice: Path) -> Config:
    return Config(
        data=str(fashion_slice),
        model="resnet18",
        model_options=NARROW,
        pretrained="imagenet",
        input_size=32,
        epochs=2,
        ema=0.9,
        device="cpu",
        precision="float32",
        threads=1,
    )


def coloured(splits: Splits) -> Splits:
    """The same images with three channels, red the brightest."""

    def colour(images: ImageSet) -> ImageSet:
        red = images.images
        return replace(images, images=torch.cat([red, red // 2, red // 3], dim=1))

    return replace(splits, **{name: colour(getattr(splits, name)) for name in ("train", "val", "test")})


def test_the_network_starts_from_the_file_and_elsewhere_from_the_seed(
    publish: Publish, file: dict[str, torch.Tensor], setting: Config
) -> None:
    publish("resnet18", file)
    pretrained = Session.prepare(setting).model.state_dict()
    drawn = Session.prepare(replace(setting, pretrained=None)).model.state_dict()
    for name, tensor in pretrained.items():
        if name.startswith("fc."):
            assert torch.equal(tensor, drawn[name])
        elif name == "conv1.weight":
            torch.testing.assert_close(tensor, file[name].sum(dim=1, keepdim=True))
        else:
            assert torch.equal(tensor, file[name])


@pytest.mark.parametrize("input_size", [None, 48])
def test_images_are_prepared_as_the_files_were(
    publish: Publish,
    file: dict[str, torch.Tensor],
    setting: Config,
    monkeypatch: pytest.MonkeyPatch,
    input_size: int | None,
) -> None:
    publish("resnet18", file)
    row = WEIGHTS["resnet18", "imagenet"]
    setting = replace(setting, input_size=input_size)
    size = input_size or 224
    grey = Session.prepare(setting)
    mean, std = (fmean(row.mean),), (fmean(row.std),)
    border = grey.preprocessing.border
    assert grey.preprocessing == Preprocessing(
        size=size, channels=1, mean=mean, std=std, border=border, decode_size=28, resize="pad"
    )

    splits = coloured(load_splits(setting.data))
    monkeypatch.setattr(sessions, "load_splits", lambda *arguments, **keywords: splits)
    colour = Session.prepare(setting)
    border = colour.preprocessing.border
    assert colour.preprocessing == Preprocessing(
        size=size, channels=3, mean=row.mean, std=row.std, border=border, decode_size=28, resize="pad"
    )
    assert torch.equal(colour.model.state_dict()["conv1.weight"], file["conv1.weight"])
    header = colour.header()
    assert (header["input_size"], header["in_channels"]) == (size, 3)
    assert header["preprocessing"] == colour.preprocessing.to_dict()


def test_a_setting_that_cannot_be_is_refused_before_anything_is_fetched(
    publish: Publish, file: dict[str, torch.Tensor], setting: Config
) -> None:
    mirror = publish("resnet18", file)
    with pytest.raises(UserError, match="no weights 'imagenet' for 'linear'"):
        # The data set is not here either, and would be told later.
        Session.prepare(replace(setting, data="nowhere", model="linear", model_options={}))
    for scaling in ("unit", "signed"):
        with pytest.raises(UserError, match=f"scaling is {scaling}, but pretrained weights bring"):
            replace(setting, scaling=scaling)
    assert mirror.asked == []


def test_without_the_file_no_run_is_begun(
    publish: Publish, file: dict[str, torch.Tensor], setting: Config, tmp_path: Path
) -> None:
    publish("resnet18", file).files.clear()
    with pytest.raises(ConvscopeError, match="answered 404"):
        train(setting, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_what_was_begun_needs_the_file_no_more(
    publish: Publish,
    file: dict[str, torch.Tensor],
    setting: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Resumed without the file a run ends in the same weights, which then serve without it."""
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: None)
    mirror = publish("resnet18", file)
    whole = train(setting, runs_dir=tmp_path, name="whole")
    answers = iter([False, False, False, False, False, True])  # five steps an epoch: in the second
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="stopped", interrupted=lambda: next(answers))
    assert len(mirror.asked) == 1
    mirror.files.clear()
    (tmp_path / "cache" / "weights" / WEIGHTS["resnet18", "imagenet"].file).unlink()

    stopped = resume(Run.open(str(tmp_path / "stopped")))
    models = [Predictor.from_run(run, "cpu").model.state_dict() for run in (stopped, whole)]
    assert all(torch.equal(models[0][name], tensor) for name, tensor in models[1].items())
    assert evaluate(stopped)["top1"] == whole.metrics()["test"]["top1"]
    assert len(mirror.asked) == 1


def test_stopped_before_its_first_checkpoint_a_run_starts_from_the_file_again(
    publish: Publish, file: dict[str, torch.Tensor], setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: None)
    publish("resnet18", file)
    whole = train(replace(setting, epochs=1), runs_dir=tmp_path, name="whole")
    config = replace(setting, epochs=1)

    run = create_run(tmp_path, "empty", config, whole.environment())
    assert resume(run).history()[0]["val_loss"] == whole.history()[0]["val_loss"]
