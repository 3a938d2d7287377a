"""Under Lightning a training comes to what `convscope train` comes to, and its module refuses what it cannot do."""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from convscope.catalog import MODELS, ModelEntry
from convscope.config import Config
from convscope.errors import UserError
from convscope.experiment import evaluate, train
from convscope.lightning import ClassifierModule
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.averaging import MovingAverage

# Lightning asks torch in a way that torch has declared outdated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*script_method.* is deprecated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lightning would leave folders behind in the working directory; it is not to."""
    folder = tmp_path / "working-directory"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert [*folder.iterdir()] == []


def fit(module: ClassifierModule, **keywords: Any) -> Any:
    from lightning import Trainer

    trainer = Trainer(
        **{
            "max_epochs": module.session.config.epochs,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **keywords,
        }
    )
    trainer.fit(module)
    return trainer


class Metrics:
    """What Lightning logged, epoch by epoch."""

    def __new__(cls) -> Any:
        from lightning import Callback

        class Epochs(Callback):
            def __init__(self) -> None:
                self.rows: list[dict[str, float]] = []

            def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
                self.rows.append({name: float(value) for name, value in trainer.callback_metrics.items()})

        return Epochs()


PLAIN = {"optimizer": "sgd", "lr": 0.05, "schedule": "cosine", "warmup_epochs": 1.0}
ALL_AT_ONCE = {
    "model": "tinyvgg",  # which drops out
    "flip": True,
    "shift": 1,
    "mixup": 0.2,
    "label_smoothing": 0.1,
    "clip_norm": 0.5,
    "ema": 0.9,
    "schedule": "plateau",
    "plateau_patience": 0,
    "lr": 0.01,
    "stage_lr_decay": 0.5,
    "weight_decay": 0.01,
}


@pytest.mark.parametrize("options", [PLAIN, ALL_AT_ONCE], ids=["plain", "all at once"])
@pytest.mark.usefixtures("no_pictures")
def test_a_training_comes_to_the_same(fashion_slice: Path, tmp_path: Path, options: dict[str, Any]) -> None:  # R-A12
    shared = {"model": "simplenet", "epochs": 3, "batch_size": 200, "seed": 5, "precision": "float32", "device": "cpu"}
    config = Config(data=str(fashion_slice), **(shared | options))
    run = train(config, runs_dir=tmp_path / "runs", name="ours")
    module, metrics = ClassifierModule(config), Metrics()
    trainer = fit(module, callbacks=[metrics])

    for ours, theirs in zip(run.history(), metrics.rows, strict=True):
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-5), name
    kept = Predictor.from_run(run).model.state_dict()
    for name, weights in module.model.state_dict().items():
        torch.testing.assert_close(weights, kept[name], rtol=1e-4, atol=1e-5)

    (validated,) = trainer.validate(module, verbose=False)
    assert validated["val_loss"] == pytest.approx(min(row["val_loss"] for row in metrics.rows), rel=1e-5)

    # Tested by Lightning, and as a run by Convscope: the same again.  R-F5
    (tested,) = trainer.test(module, verbose=False)
    made = module.save_run("theirs", runs_dir=tmp_path / "runs")
    report = evaluate(made, device="cpu")
    assert report["top1"] == pytest.approx(tested["test_accuracy"]) == pytest.approx(run.metrics()["test"]["top1"])
    assert made.config() == config and made.status == "finished"
    figures = ("model", "data", "parameters", "epochs", "best_epoch")
    assert [made.metrics()[name] for name in figures] == [run.metrics()[name] for name in figures]
    np.testing.assert_allclose(made.predictions()["logits"], run.predictions()["logits"], rtol=1e-3, atol=1e-4)


def test_it_stops_when_patience_is_at_an_end_and_has_the_best_weights(fashion_slice: Path) -> None:  # R-A6
    config = Config(
        data=str(fashion_slice), model="linear", epochs=30, lr=3.0, schedule="constant", patience=2, device="cpu"
    )
    module, metrics = ClassifierModule(config), Metrics()
    trainer = fit(module, callbacks=[metrics])
    losses = [row["val_loss"] for row in metrics.rows]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 30
    (after,) = trainer.validate(module, verbose=False)
    assert after["val_loss"] == pytest.approx(losses[best], rel=1e-5)


SLIM: dict[str, dict[str, Any]] = {
    "AlexNet": {"width": 1 / 8},
    "VGG": {"width": 1 / 8},
    "ResNet": {"width": 1 / 8},
    "SENet": {"width": 1 / 8},
    "DenseNet": {"growth_rate": 4},
}
"""Families whose full networks take long for a test."""
AUXILIARY = replace(MODELS["googlenet"], family="with auxiliary classifiers")


@pytest.mark.parametrize("entry", [*MODELS.values(), AUXILIARY], ids=[*MODELS, "googlenet-auxiliary"])
def test_every_network_takes_a_step(entry: ModelEntry, fashion_slice: Path) -> None:  # R-A12
    config = Config(
        data=str(fashion_slice),
        model=entry.name,
        model_options={"auxiliary": True} if entry is AUXILIARY else SLIM.get(entry.family, {}),
        input_size=max(entry.least_size, 28),
        batch_size=8,
        epochs=1,
        device="cpu",
    )
    module = ClassifierModule(config)
    before = [parameter.detach().clone() for parameter in module.model.parameters()]
    trainer = fit(module, limit_train_batches=1, limit_val_batches=1, num_sanity_val_steps=0)
    assert trainer.global_step == 1
    assert all(np.isfinite(float(trainer.callback_metrics[name])) for name in ("train_loss", "val_loss"))
    assert any(not torch.equal(one, two) for one, two in zip(before, module.model.parameters(), strict=True))
    assert module.eval()(torch.zeros(2, 1, config.input_size, config.input_size)).shape == (2, 10)


def test_frozen_stages_rest(fashion_slice: Path, make_run: Callable[..., Run]) -> None:
    start = make_run("lenet5", input_size=32)
    config = Config(
        data=str(fashion_slice), model="lenet5", pretrained=str(start.path), freeze="all-but-head", epochs=1, flip=True
    )
    module = ClassifierModule(config)
    fit(module)
    *body, head = module.model.stages()
    given = Predictor.from_run(start).model.state_dict()
    moved = {name.split(".")[0] for name, value in module.model.state_dict().items() if not value.equal(given[name])}
    assert head in moved and not moved & set(body)


def test_what_it_cannot_do_is_refused(fashion_slice: Path) -> None:
    config = Config(data=str(fashion_slice), model="linear", epochs=1)
    with pytest.raises(UserError, match=r"micro_batch is 8, but .*accumulate_grad_batches"):
        ClassifierModule(replace(config, micro_batch=8))
    module = ClassifierModule(config)
    module._trainer = SimpleNamespace(world_size=2, precision="32-true")
    with pytest.raises(UserError, match=r"2 processes.*devices=1, or train with `convscope train --devices`"):
        module.setup("fit")
    module = ClassifierModule(replace(config, clip_norm=1.0))
    module._trainer = SimpleNamespace(world_size=1, precision="16-mixed")
    with pytest.raises(UserError, match=r"clip_norm is 1\.0, but with precision 16-mixed.*bf16-mixed"):
        module.setup("fit")


@pytest.mark.parametrize(
    ("precision", "of_the_setting", "of_the_trainer"), [("bf16-mixed", 0.001, None), ("32-true", 5.0, 0.001)]
)
def test_gradients_are_clipped(
    fashion_slice: Path, precision: Any, of_the_setting: float, of_the_trainer: float | None
) -> None:
    config = Config(
        data=str(fashion_slice),
        model="linear",
        optimizer="sgd",
        momentum=0.0,
        lr=1.0,
        schedule="constant",
        clip_norm=of_the_setting,
        epochs=1,
        device="cpu",
    )
    module = ClassifierModule(config)
    before = torch.nn.utils.parameters_to_vector(module.model.parameters()).clone()
    fit(module, precision=precision, gradient_clip_val=of_the_trainer, limit_train_batches=1, limit_val_batches=0)
    after = torch.nn.utils.parameters_to_vector(module.model.parameters())
    assert (after - before).norm().item() == pytest.approx(0.001, rel=1e-3)


def test_the_average_takes_one_share_of_each_step(fashion_slice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of each batch, of which the Trainer may gather several into a step."""
    updates = []
    monkeypatch.setattr(MovingAverage, "update", lambda average, model: updates.append(model))
    config = Config(data=str(fashion_slice), model="linear", epochs=1, batch_size=200, ema=0.9, device="cpu")
    trainer = fit(ClassifierModule(config), accumulate_grad_batches=2)  # of three batches
    assert len(updates) == trainer.global_step == 2


def test_without_lightning_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.delitem(sys.modules, "convscope.lightning")
    with pytest.raises(UserError, match=r'pip install "convscope\[lightning\]"'):
        importlib.import_module("convscope.lightning")
