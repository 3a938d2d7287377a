"""From the weights of a run, or of a file, to another task."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from convscope import Config, Predictor, Preprocessing, Run, Splits, build_model, evaluate, resume, train
from convscope.data import write_idx
from convscope.errors import UserError
from convscope.experiment.session import Session
from convscope.training.checkpoint import load_state, load_weights, save_weights
from convscope.training.loop import Interrupted

State = dict[str, Tensor]
HIDDEN = {"hidden": 8}
PREPARED = Preprocessing(size=28, channels=1, mean=(0.25,), std=(0.5,), border=0.125, decode_size=28, resize="pad")


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def setting(fashion_slice: Path) -> Config:
    return Config(
        data=str(fashion_slice),
        model="tinyvgg_bn",
        model_options=HIDDEN,
        epochs=2,
        val_share=0.6,
        batch_size=80,  # three steps an epoch
        device="cpu",
        precision="float32",
        threads=1,
    )


@pytest.fixture
def write(tmp_path: Path, fashion_splits: Splits) -> Callable[..., Path]:
    """Writes weights as a training would that ended with them; answers with their path."""

    def run(state: State | None = None, **header: Any) -> Path:
        path = tmp_path / "weights.safetensors"
        header = {
            "model": "tinyvgg_bn",
            "options": HIDDEN,
            "classes": list(fashion_splits.train.classes),
            "preprocessing": PREPARED.to_dict(),
        } | header
        save_weights(path, state or network().state_dict(), header)
        return path

    return run


def network(**keywords: Any) -> Any:
    return build_model("tinyvgg_bn", **({"hidden": 8, "seed": 7} | keywords))


def equal(state: State, other: State) -> set[str]:
    """Of the layers with weights, those whose tensors are the same."""
    layers = {name.rpartition(".")[0] for name in state}
    differing = {name.rpartition(".")[0] for name in state if not torch.equal(state[name], other[name])}
    return layers - differing


def layers_of(state: State) -> set[str]:
    return {name.rpartition(".")[0] for name in state}


# What a network gets


def test_a_run_gives_its_best_weights_and_its_preprocessing(setting: Config, tmp_path: Path) -> None:
    # R-A12, R-B9
    source = train(replace(setting, scaling="signed"), runs_dir=tmp_path, name="source")
    session = Session.prepare(replace(setting, pretrained=str(source.path)))
    best, header = load_weights(source.best_weights)
    assert equal(session.model.state_dict(), best) == layers_of(best)
    assert session.drawn == ()
    assert session.preprocessing.to_dict() == header["preprocessing"]
    assert session.preprocessing.mean == (0.5,)


@pytest.mark.parametrize(
    ("classes", "same"), [([f"class {number}" for number in range(10)], False), (list("abc"), False), (None, True)]
)
def test_the_last_layer_starts_anew_unless_the_classes_are_the_same(
    classes: list[str] | None, same: bool, setting: Config, write: Callable[..., Path]
) -> None:
    state = network(num_classes=len(classes or range(10))).state_dict()
    path = write(state, **({"classes": classes} if classes else {}))
    session = Session.prepare(replace(setting, pretrained=str(path)))
    fresh = Session.prepare(setting).model.state_dict()
    own = session.model.state_dict()
    assert session.drawn == (() if same else ("output",))
    kept = {name: tensor for name, tensor in own.items() if same or not name.startswith("output")}
    assert equal(kept, state) == layers_of(kept)
    assert same or torch.equal(own["output.weight"], fresh["output.weight"])
    assert session.preprocessing.mean == (0.25,)
    assert session.preprocessing.border == Session.prepare(setting).preprocessing.border  # of these images


def test_for_another_input_size_all_fully_connected_layers_start_anew(
    setting: Config, write: Callable[..., Path]
) -> None:
    path = write()
    session = Session.prepare(replace(setting, pretrained=str(path), input_size=36))
    assert session.preprocessing.size == 36
    assert session.drawn == ("hidden.linear", "output")
    state = network().state_dict()
    own = session.model.state_dict()
    kept = {name: tensor for name, tensor in own.items() if name.startswith("block")}
    assert equal(kept, state) == layers_of(kept)


def test_grey_images_become_colour_for_weights_that_saw_colour(setting: Config, write: Callable[..., Path]) -> None:
    colour = replace(PREPARED, channels=3, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    path = write(network(in_channels=3).state_dict(), preprocessing=colour.to_dict())
    session = Session.prepare(replace(setting, pretrained=str(path)))
    images, _ = next(session.train.epoch(1))
    assert images.shape == (80, 3, 28, 28)
    assert session.preprocessing.mean == (0.1, 0.2, 0.3)


def test_a_file_of_tensors_is_fitted_to_the_images_channels(setting: Config, tmp_path: Path) -> None:
    """Nothing is known of how its images were prepared: the training images' own statistics are taken."""
    source = network(in_channels=3).state_dict()
    path = tmp_path / "weights.pt"
    torch.save(source, path)
    session = Session.prepare(replace(setting, pretrained=str(path)))
    own = session.model.state_dict()
    torch.testing.assert_close(own["block1.conv1.weight"], source["block1.conv1.weight"].sum(1, keepdim=True))
    assert session.preprocessing == Session.prepare(setting).preprocessing
    assert layers_of(own) - equal(own, {**source, "block1.conv1.weight": torch.zeros(0)}) == {"block1.conv1"}


def test_dropout_may_be_another(setting: Config, write: Callable[..., Path]) -> None:
    path = write(options=HIDDEN | {"dropout": 0.1})
    assert Session.prepare(replace(setting, pretrained=str(path), dropout=0.6)).drawn == ()


# What is refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "tinyvgg", "model_options": {}}, "are of tinyvgg_bn with hidden 8, not of tinyvgg: take the same"),
        ({"model_options": {"hidden": 9}}, "of tinyvgg_bn with hidden 8, not of tinyvgg_bn with hidden 9"),
        ({"model_options": HIDDEN | {"activation": "silu"}}, "not of tinyvgg_bn with activation silu with hidden 8"),
    ],
)
def test_weights_of_another_network_are_refused_before_data_are_looked_for(
    change: dict[str, Any], words: str, setting: Config, write: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=words):
        Session.prepare(replace(setting, data="nowhere", pretrained=str(write()), **change))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"model": "os:system"}, "are of os:system with hidden 8, not of tinyvgg_bn"),
        ({"model": ["a"], "options": {"hidden": "!!python/object"}}, "not of tinyvgg_bn with hidden 8"),
        ({"options": 3}, "does not describe its weights"),
        ({"classes": None}, "does not describe its weights"),
        ({"preprocessing": {"size": 28}}, "the preprocessing lacks"),
    ],
    ids=str,
)
def test_a_strangers_header_is_read_as_words_and_numbers(
    header: dict[str, Any], words: str, setting: Config, write: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=words):
        Session.prepare(replace(setting, pretrained=str(write(**header))))


def test_tensors_that_do_not_fit_their_header_are_refused(setting: Config, write: Callable[..., Path]) -> None:
    path = write(network(hidden=9).state_dict() | {"block1.conv1.weight": torch.zeros(2, 1, 3, 3)})
    with pytest.raises(UserError, match=r"block1\.conv1\.weight is 2x1x3x3 in the file and 32x1x3x3 here"):
        Session.prepare(replace(setting, pretrained=str(path)))


def test_weights_of_which_nothing_would_be_left_are_refused(setting: Config, write: Callable[..., Path]) -> None:
    state = build_model("linear", num_classes=3).state_dict()
    path = write(state, model="linear", options={}, classes=list("abc"))
    setting = replace(setting, model="linear", model_options={}, pretrained=str(path))
    with pytest.raises(UserError, match=r"nothing of the weights in .*all layers of 'linear' depend on the classes"):
        Session.prepare(setting)


def test_what_is_not_there_is_told_with_what_could_be(setting: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights 'imagenet-v3': give imagenet or imagenet-v2, a run, or a file"):
        Session.prepare(replace(setting, pretrained="imagenet-v3"))
    with pytest.raises(UserError, match="is not a run"):
        Session.prepare(replace(setting, pretrained=str(tmp_path)))
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(UserError, match="cannot be read as weights"):
        Session.prepare(replace(setting, pretrained=str(tmp_path / "text.safetensors")))


def test_frozen_without_weights_and_thawed_without_frozen_make_no_sense(setting: Config) -> None:
    for freeze in ("all-but-head", 2):
        with pytest.raises(UserError, match=f"freeze is {freeze}, but without pretrained weights"):
            replace(setting, freeze=freeze)
    with pytest.raises(UserError, match="unfreeze_every is 2, but no stage is frozen: give freeze"):
        replace(setting, pretrained="imagenet", unfreeze_every=2)
    for freeze in ("head", 0, -1):
        with pytest.raises(UserError, match=f"freeze is {freeze}: it must be all-but-head, or a number of stages"):
            replace(setting, pretrained="imagenet", freeze=freeze)


# The source may go


def test_stopped_and_resumed_after_its_source_is_gone_it_gives_the_same_bits(
    setting: Config, write: Callable[..., Path], tmp_path: Path
) -> None:
    # R-F6: with all that a transfer adds to the state, while stages thaw at other rates.
    source = write()
    setting = replace(
        setting,
        pretrained=str(source),
        freeze=3,
        unfreeze_every=1,
        stage_lr_decay=0.5,
        flip=True,
        ema=0.9,
        weight_decay=0.1,
        dropout=0.3,
        epochs=3,
    )
    whole = train(setting, runs_dir=tmp_path, name="whole")
    for steps in (1, 5):  # three an epoch
        answers = iter([False] * (steps - 1) + [True])
        with pytest.raises(Interrupted):
            train(
                setting, runs_dir=tmp_path, name=f"stopped {steps}", interrupted=lambda answers=answers: next(answers)
            )
    source.unlink()

    expected = load_state(whole.last_state)
    for steps in (1, 5):
        stopped = resume(Run.open(f"stopped {steps}", tmp_path))
        state = load_state(stopped.last_state)
        assert state["header"] == expected["header"]
        assert equal(state["model"], expected["model"]) == layers_of(expected["model"])
        averages = state["averaging"]["model"], expected["averaging"]["model"]
        assert equal(*averages) == layers_of(averages[0])
        moments, others = state["optimizer"]["state"], expected["optimizer"]["state"]
        assert moments.keys() == others.keys()
        assert all(torch.equal(moments[key][name], others[key][name]) for key in others for name in others[key])
    # Nothing else needs it either: neither evaluation nor prediction.
    assert evaluate(stopped)["top1"] == whole.metrics()["test"]["top1"]
    assert Predictor.from_run(stopped, "cpu").preprocessing.mean == (0.25,)


def test_other_classes_of_another_data_set_are_learnt_from_a_run(setting: Config, tmp_path: Path) -> None:
    # R-A12, R-F5: the whole way, from ten classes to three.
    source = train(setting, runs_dir=tmp_path, name="source")
    folder = tmp_path / "data"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for prefix, count in (("train", 60), ("t10k", 30)):
        labels = torch.arange(count) % 3
        noise = torch.randint(0, 90, (count, 28, 28), generator=generator, dtype=torch.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", noise + (80 * labels[:, None, None]).to(torch.uint8))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels.to(torch.uint8))
    task = replace(
        setting, data=str(folder), pretrained=str(source.path), freeze="all-but-head", batch_size=20, epochs=20
    )
    run = train(task, runs_dir=tmp_path, name="three")
    given, learnt = load_weights(source.best_weights)[0], load_weights(run.best_weights)[0]
    assert learnt["output.weight"].shape == (3, 8)
    assert equal({n: t for n, t in learnt.items() if not n.startswith("output")}, given) == layers_of(given) - {
        "output"
    }
    assert run.metrics()["test"]["top1"] > 0.6
