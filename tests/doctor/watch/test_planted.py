"""Faults planted in real trainings: the watch names each and no other, and its advice helps.  R-D7, R-E5, R-F2.

And trainings in which nothing is wrong, which it leaves in peace.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convscope.config import Config
from convscope.doctor.guessing import guessing_loss
from convscope.doctor.watch import Watch
from convscope.doctor.watch.alarms import Alarm
from convscope.experiment import train
from convscope.experiment.session import Session
from convscope.training.loop import Diverged

pytestmark = pytest.mark.usefixtures("no_pictures")

Plant = Callable[[Session], None]

SHORT = Config(batch_size=16, epochs=3, device="cpu", precision="float32", threads=1)  # 34 steps an epoch
TINYVGG = replace(SHORT, model="tinyvgg", input_size=8, model_options={"hidden": 32})
SIMPLENET = replace(SHORT, model="simplenet", input_size=20)
LENET = replace(SHORT, model="lenet5", optimizer="sgd", lr=0.1)
VGG = replace(SHORT, model="vgg11", model_options={"width": 0.0625}, input_size=32, optimizer="sgd", lr=0.1)


class Watched:
    """Trains with a watch, and with a fault where one is planted in what the setting has built."""

    def __init__(self, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._data, self._folder, self._monkeypatch = data, folder, monkeypatch

    def __call__(self, config: Config, plant: Plant = lambda session: None) -> tuple[list[Alarm], float]:
        """The alarms raised, and the last epoch's training loss as a share of that of guessing."""
        prepare = Session.prepare.__func__  # type: ignore[attr-defined]

        def planted(cls: type[Session], *arguments: object, **keywords: object) -> Session:
            session: Session = prepare(cls, *arguments, **keywords)
            plant(session)
            return session

        watch = Watch(print)
        with self._monkeypatch.context() as patches:
            patches.setattr(Session, "prepare", classmethod(planted))
            try:
                run = train(replace(config, data=str(self._data)), runs_dir=self._folder, observers=[watch])
            except Diverged:
                return watch.alarms, float("nan")
        return watch.alarms, run.history()[-1]["train_loss"] / guessing_loss((1,) * 10)


@pytest.fixture
def watched(fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(fashion_slice, tmp_path, monkeypatch)


LEARNS = 0.8
"""Share of the loss of guessing below which a network has begun to learn in so short a training."""


@pytest.mark.parametrize(
    "config",
    [
        replace(SHORT, model="linear"),
        replace(SHORT, model="linear", schedule="constant", optimizer="sgd", lr=0.005),
        LENET,
        TINYVGG,
        SIMPLENET,
        replace(LENET, schedule="cosine", label_smoothing=0.1),
        replace(TINYVGG, optimizer="adam", lr=1e-3, schedule="constant", warmup_epochs=1),
        replace(TINYVGG, model="tinyvgg_bn", input_size=12, flip=True, shift=2, cutout=4),
        replace(TINYVGG, model="tinyvgg_bn", mixup=0.4, ema=0.95),
        replace(SIMPLENET, scaling="unit", weight_decay=0.05),
        replace(SIMPLENET, clip_norm=1.0, micro_batch=8, schedule="step", step_epochs=1),
        replace(
            SHORT, model="resnet18_small", model_options={"width": 0.0625}, input_size=12, optimizer="sgd", lr=0.05
        ),
        replace(VGG, optimizer="adamw", lr=1e-3, epochs=4),
    ],
    ids=lambda config: f"{config.model} {config.optimizer}",
)
def test_healthy_trainings_are_left_in_peace(config: Config, watched: Watched) -> None:
    alarms, loss = watched(config)
    assert alarms == []
    assert loss < LEARNS


def test_a_transfer_with_frozen_stages_is_left_in_peace(fashion_slice: Path, tmp_path: Path, watched: Watched) -> None:
    learnt = train(replace(TINYVGG, data=str(fashion_slice), epochs=1), runs_dir=tmp_path, name="first")
    transfer = replace(TINYVGG, pretrained=str(learnt.path))
    assert watched(replace(transfer, freeze="all-but-head"))[0] == []  # the head alone, on features
    assert watched(replace(transfer, freeze=2, unfreeze_every=1, flip=True))[0] == []


def test_uneven_classes_are_left_in_peace(watched: Watched) -> None:
    def uneven(session: Session) -> None:
        session.train.labels = (session.train.labels == 1).long()

    assert watched(replace(SHORT, model="linear"), uneven)[0] == []


def zero_a_layer(session: Session) -> None:
    nn.init.zeros_(session.model.get_submodule("hidden.linear").weight)  # type: ignore[arg-type]


def leave_pixels_as_they_are(session: Session) -> None:
    for batches in (session.train, session.val):

        def bytes_as_floats(images: Tensor, *random: object) -> Tensor:
            return nn.functional.interpolate(images.float(), session.preprocessing.size)

        batches._prepare = bytes_as_floats  # type: ignore[method-assign]
        batches.preprocessing = replace(batches.preprocessing, size=1)  # which no kernel can do


def shuffle_labels(session: Session) -> None:
    order = torch.randperm(session.train.samples, generator=torch.Generator().manual_seed(0))
    session.train.labels = session.train.labels[order]


def add_a_softmax(session: Session) -> None:
    logits = session.model.forward
    session.model.forward = lambda images: logits(images).softmax(dim=1)  # type: ignore[method-assign]


def freeze_the_body(session: Session) -> None:
    for name, parameter in session.model.named_parameters():
        parameter.requires_grad_(name.startswith("output"))


def kill_relus(session: Session) -> None:
    nn.init.constant_(session.model.get_submodule("hidden.linear").bias, -100)  # type: ignore[arg-type]


def stay_in_training(session: Session) -> None:
    session.model.train = lambda mode=True: nn.Module.train(session.model)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("plant", "config", "kind"),
    [
        (zero_a_layer, TINYVGG, "zeroed layer"),
        (leave_pixels_as_they_are, SIMPLENET, "images not normalised"),
        (leave_pixels_as_they_are, LENET, "images not normalised"),
        (shuffle_labels, replace(SIMPLENET, epochs=5), "labels look wrong"),
        (shuffle_labels, replace(LENET, epochs=5), "labels look wrong"),
        (add_a_softmax, SIMPLENET, "softmax before the loss"),
        (freeze_the_body, TINYVGG, "no gradient"),
        (kill_relus, TINYVGG, "dead ReLUs"),
        (stay_in_training, replace(TINYVGG, model="tinyvgg_bn"), "evaluation in training mode"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_fault_of_the_network_or_the_data_is_named(plant: Plant, config: Config, kind: str, watched: Watched) -> None:
    # That these networks learn without the fault is seen above.
    assert [alarm.kind for alarm in watched(config, plant)[0]] == [kind]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (replace(SHORT, model="linear", lr=0.2), "learning rate too high"),
        (replace(LENET, lr=10), "learning rate too high"),
        (replace(TINYVGG, lr=0.2), "learning rate too high"),
        (replace(LENET, lr=1e-4, schedule="constant", epochs=6), "learning rate too low"),
        (replace(SIMPLENET, lr=2e-6, schedule="constant"), "learning rate too low"),
    ],
    ids=lambda value: f"{value.model} {value.lr:g}" if isinstance(value, Config) else "",
)
def test_a_wrong_learning_rate_is_named_and_following_the_advice_makes_the_network_learn(
    config: Config, kind: str, watched: Watched
) -> None:
    alarms, _ = watched(config)
    assert [alarm.kind for alarm in alarms] == [kind]
    while alarms:
        assert alarms[0].kind == kind
        advised = re.search(r"--lr ([0-9.e+-]*[0-9])", alarms[0].remedy)
        assert advised is not None
        config = replace(config, lr=float(advised[1]))
        alarms, loss = watched(config)
    assert loss < LEARNS


@pytest.mark.parametrize(
    "config",
    [replace(SIMPLENET, weight_decay=100.0), replace(SIMPLENET, optimizer="sgd", lr=0.05, weight_decay=0.5)],
    ids=lambda config: config.optimizer,
)
def test_too_strong_weight_decay_is_named_and_a_weaker_one_learns(config: Config, watched: Watched) -> None:
    (alarm,), _ = watched(config)
    assert alarm.kind == "weight decay too strong"
    assert f"--weight-decay {config.weight_decay / 100:g}" in alarm.remedy
    alarms, loss = watched(replace(config, weight_decay=config.weight_decay / 100))
    assert alarms == [] and loss < LEARNS


def start_badly(session: Session) -> None:
    """As many a script draws the weights of every layer."""
    for parameter in session.model.parameters():
        nn.init.normal_(parameter, std=0.01)


@pytest.mark.parametrize(
    ("plant", "kind"), [(lambda session: None, "stuck at chance"), (start_badly, "vanishing gradients")]
)
def test_vgg11_that_gives_all_images_the_same_answer_is_told_of_and_learns_with_adamw(
    plant: Plant, kind: str, watched: Watched
) -> None:
    (alarm,), _ = watched(replace(VGG, schedule="constant"), plant)
    assert alarm.kind == kind
    assert "try the network vgg11_bn" in alarm.remedy and "--optimizer adamw --lr 0.0005" in alarm.remedy
    assert ("draw them by that rule (nn.init.kaiming_normal_)" in alarm.remedy) == (plant is start_badly)
    # Without the plant, the weights are drawn by that rule.
    alarms, loss = watched(replace(VGG, optimizer="adamw", lr=0.0005, epochs=5))
    assert alarms == [] and loss < LEARNS
