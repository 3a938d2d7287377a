"""Features computed once: the same training as without, but for the passes of images through the network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope import Batches, Config, Preprocessing, Run, Splits, build_model, resume, train
from convscope.experiment import features, session
from convscope.experiment.features import FeatureBatches, trains_head_alone, what_to_train
from convscope.experiment.session import Session
from convscope.training.checkpoint import load_state, load_weights
from convscope.training.loop import Interrupted

STEPS = 6  # an epoch: 540 images in batches of 100


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def setting(fashion_slice: Path, tmp_path: Path) -> Config:
    """A network with batch norm and dropout before its head, and all that holds a state while it trains."""
    path = tmp_path / "weights.pth"
    torch.save(build_model("tinyvgg_bn", num_classes=10, hidden=16, seed=7).state_dict(), path)
    return Config(
        data=str(fashion_slice),
        model="tinyvgg_bn",
        model_options={"hidden": 16},
        dropout=0.3,
        pretrained=str(path),
        freeze="all-but-head",
        epochs=2,
        batch_size=100,
        ema=0.9,
        weight_decay=0.1,
        clip_norm=1.0,
        label_smoothing=0.1,
        device="cpu",
        precision="float32",
        threads=1,
    )


def count_images(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images go through the network's first block, a number for each batch."""
    seen: list[int] = []
    build = session.build_model

    def spied(*arguments: Any, **keywords: Any) -> Any:
        model = build(*arguments, **keywords)
        model.get_submodule("block1").register_forward_pre_hook(lambda block, inputs: seen.append(len(inputs[0])))
        return model

    monkeypatch.setattr(session, "build_model", spied)
    return seen


def test_the_weights_are_those_of_the_ordinary_way_but_for_rounding(
    setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-A12
    seen = count_images(monkeypatch)
    quick = train(setting, runs_dir=tmp_path, name="quick")
    assert sum(seen) == (540 + 60) + (60 + 200)  # once to train on, and once to evaluate the whole network
    seen.clear()
    monkeypatch.setattr(features, "trains_head_alone", lambda session: False)
    ordinary = train(setting, runs_dir=tmp_path, name="ordinary")
    assert sum(seen) == 2 * (540 + 60) + (60 + 200)

    weights, expected = (load_weights(run.best_weights)[0] for run in (quick, ordinary))
    given = torch.load(setting.pretrained, weights_only=True)
    assert weights.keys() == expected.keys() == given.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
        assert torch.equal(tensor, given[name]) == (not name.startswith("output")), name
    for row, other in zip(quick.history(), ordinary.history(), strict=True):
        timed = ("seconds", "images_per_second")
        assert {k: v for k, v in row.items() if k not in timed} == pytest.approx(
            {k: v for k, v in other.items() if k not in timed}, rel=1e-4
        )
    assert quick.metrics()["test"]["top1"] == pytest.approx(ordinary.metrics()["test"]["top1"], abs=0.005)


@pytest.mark.parametrize("stop_after", [2, STEPS + 2])
def test_stopped_and_resumed_without_the_file_it_gives_the_same_bits(
    stop_after: int, setting: Config, tmp_path: Path
) -> None:
    # R-F6
    whole = train(setting, runs_dir=tmp_path, name="whole")
    # Asked after each batch: seven of features, then the steps.
    answers = iter([False] * (7 + stop_after - 1) + [True])
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="stopped", interrupted=lambda: next(answers))
    Path(str(setting.pretrained)).unlink()
    stopped = resume(Run.open("stopped", tmp_path))
    for read in (lambda run: load_weights(run.best_weights)[0], lambda run: load_state(run.last_state)["model"]):
        one, other = read(stopped), read(whole)
        assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    assert [row["val_loss"] for row in stopped.history()] == [row["val_loss"] for row in whole.history()]


def test_it_can_be_stopped_while_features_are_computed(setting: Config, tmp_path: Path) -> None:
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="stopped", interrupted=lambda: next(answers))
    run = Run.open("stopped", tmp_path)
    assert run.status == "interrupted"
    assert len(resume(run).history()) == 2


def test_progress_is_told_up_to_the_last_image(setting: Config) -> None:
    heard: list[tuple[str, int, int]] = []
    what_to_train(Session.prepare(setting), progress=lambda *report: heard.append(report))
    total = (540 + 60) * 28 * 28
    assert heard == [("computing features", done * 784, total) for done in (100, 200, 300, 400, 500, 540, 600)]


@pytest.mark.parametrize(
    "change",
    [
        {"flip": True},
        {"crop_scale": 0.5},
        {"mixup": 0.2},
        {"freeze": 3},
        {"unfreeze_every": 5},
        {"freeze": None},
    ],
    ids=str,
)
def test_other_trainings_take_the_ordinary_way(change: dict[str, Any], setting: Config) -> None:
    assert trains_head_alone(Session.prepare(setting))
    prepared = Session.prepare(replace(setting, **change))
    assert not trains_head_alone(prepared)
    assert what_to_train(prepared) == (prepared.model, prepared.train, prepared.val)


def test_so_do_too_many_features_and_auxiliary_classifiers(
    setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(build_model("googlenet", input_size=32, auxiliary=True).state_dict(), tmp_path / "weights.pth")
    setting = replace(setting, dropout=None, model="googlenet", model_options={}, input_size=32)
    assert trains_head_alone(Session.prepare(setting))
    assert not trains_head_alone(Session.prepare(replace(setting, model_options={"auxiliary": True})))
    monkeypatch.setattr(features, "MOST_BYTES", 4 * (540 + 60) * 1024 - 1)
    assert not trains_head_alone(Session.prepare(setting))


@pytest.mark.parametrize("shuffle_seed", [None, 3])
def test_features_come_in_the_order_of_their_images(shuffle_seed: int | None, fashion_splits: Splits) -> None:
    train = fashion_splits.train
    images = Batches(train, Preprocessing.for_training(train), batch_size=100, shuffle_seed=shuffle_seed)
    numbered = FeatureBatches(torch.arange(540.0)[:, None], train.labels, 100, shuffle_seed)
    assert (numbered.samples, len(numbered)) == (images.samples, len(images)) == (540, 6)
    for epoch, start in ((1, 0), (2, 0), (2, 4), (2, 6)):
        pairs = list(zip(numbered.epoch(epoch, start), images.epoch(epoch, start), strict=True))
        assert len(pairs) == 6 - start
        for (chosen, labels), (pixels, expected) in pairs:
            assert torch.equal(labels, expected)
            own = images.preprocessing(train.take(chosen[:, 0].long()))
            assert torch.equal(own, pixels)
