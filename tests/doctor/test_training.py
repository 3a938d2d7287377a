"""A training that stands still is told of; one that learns is left in peace.  R-E5."""

import math
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from convscope import plots
from convscope.config import Config
from convscope.doctor.training import WINDOW, StallWatch, describe_stall, guessing_loss, is_stalled
from convscope.experiment import Plan, session, train
from convscope.runs import Run
from convscope.training.state import BatchRecord, EpochRecord

CHANCE = math.log(10)
SETTING = Config(model="vgg11", optimizer="sgd", lr=0.1, schedule="constant", epochs=9)


class Watched:
    """A watch that is told of losses, a step each."""

    def __init__(self, config: Config = SETTING, class_counts: tuple[int, ...] = (54,) * 10) -> None:
        self.said: list[str] = []
        self.watch = StallWatch(self.said.append)
        self.plan = Plan(
            run=Run(Path("runs/first")),
            config=config,
            parameters=1,
            class_counts=class_counts,
            val_images=60,
            skipped=(),
            device="cpu",
            precision="float32",
            threads=1,
            resumed=False,
            first_epoch=1,
        )
        self.watch.on_start(self.plan)
        self.step = 0

    def goes(self, *losses: float, lr: float = 0.1) -> "Watched":
        for loss in losses:
            self.step += 1
            self.watch.on_batch(BatchRecord(1, self.step, 1000, 100.0, lr, torch.tensor(loss)))
        return self


@pytest.mark.parametrize(
    ("counts", "smoothing"), [((7,) * 10, 0.0), ((7,) * 10, 0.1), ((90, 9, 1), 0.0), ((90, 9, 1), 0.2), ((5, 0), 0.0)]
)
def test_loss_of_guessing_is_the_least_that_one_answer_for_all_images_can_have(
    counts: tuple[int, ...], smoothing: float
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    targets = F.one_hot(labels, len(counts)).float().mean(dim=0) * (1 - smoothing) + smoothing / len(counts)
    answer = targets.clamp(min=1e-30).log().requires_grad_()
    loss = F.cross_entropy(answer.expand(len(labels), -1), labels, label_smoothing=smoothing)
    loss.backward()
    assert answer.grad is not None and answer.grad.abs().max() < 1e-6  # convex: flat means least
    assert guessing_loss(counts, smoothing) == pytest.approx(loss.item(), abs=1e-6)


def test_a_stall_is_told_after_the_first_window_and_only_once() -> None:
    watched = Watched().goes(*[CHANCE] * (WINDOW - 1))
    assert watched.said == []
    watched.goes(CHANCE)
    assert len(watched.said) == 1
    assert watched.said[0].startswith(f"epoch 1, batch {WINDOW}/1000: the loss, 2.303, is that of guessing among 10 ")
    assert "\n" not in watched.said[0]
    assert len(watched.goes(*[CHANCE] * 5 * WINDOW).said) == 1


def test_leaving_the_plateau_is_told_once() -> None:
    watched = Watched().goes(*[CHANCE] * 2 * WINDOW)
    watched.goes(*[1.9] * WINDOW)
    assert watched.said[1:] == [
        "epoch 1, batch 300/1000: the loss, 1.900, is now below that of guessing: the network begins to learn"
    ]
    assert len(watched.goes(*[CHANCE] * WINDOW, *[1.0] * WINDOW).said) == 2


def test_an_epochs_end_is_a_moment_to_look_too() -> None:
    end = EpochRecord(1, 2.3, 0.1, 2.3, 0.1, 0.1, 0.0, 100.0, 1.0)
    watched = Watched().goes(*[CHANCE] * (WINDOW - 1))
    watched.watch.on_epoch(end)
    assert watched.said == []  # too few steps to tell
    watched = Watched().goes(*[1.0] * (WINDOW // 2), *[CHANCE] * (WINDOW + WINDOW // 4))
    assert watched.said == []
    watched.watch.on_epoch(end)
    assert [line.partition(":")[0] for line in watched.said] == ["epoch 1"]


def test_the_window_is_looked_at_in_its_order() -> None:
    # Falling within the window, which by now begins in the middle of where the losses are kept.
    falling = [CHANCE * (1.01 - 0.0001 * step) for step in range(WINDOW)]
    watched = Watched().goes(*[1.0] * (WINDOW // 2), *falling)
    watched.watch.on_epoch(EpochRecord(1, 2.3, 0.1, 2.3, 0.1, 0.1, 0.0, 100.0, 1.0))
    assert watched.said == []


def test_no_loss_is_kept_alive() -> None:
    watch = Watched().watch
    losses = [torch.tensor(CHANCE) for _ in range(5)]
    alive = [weakref.ref(loss) for loss in losses]
    for step in range(5):
        watch.on_batch(BatchRecord(1, step + 1, 1000, 100.0, 0.1, losses[step]))
    del losses
    assert [loss() for loss in alive] == [None] * 5


def test_a_network_that_collapses_later_is_told_of_too() -> None:
    assert len(Watched().goes(*[1.5] * 3 * WINDOW, *[CHANCE] * WINDOW).said) == 1


def test_a_loss_that_falls_is_on_its_way() -> None:
    falling = [CHANCE * (1.01 - 0.0001 * step) for step in range(WINDOW)]
    assert Watched().goes(*falling).said == []
    assert is_stalled(CHANCE, CHANCE, CHANCE)
    assert not is_stalled(2.32, 2.30, CHANCE)
    assert not is_stalled(1.9, 1.9, CHANCE)
    assert not is_stalled(2.6, 2.6, CHANCE)


def test_a_warm_up_is_waited_for() -> None:
    # Rising, and below half of the highest rate: the steps are still too small to tell.
    watched = Watched().goes(*[CHANCE] * WINDOW, lr=0.01).goes(*[CHANCE] * WINDOW, lr=0.04)
    assert watched.said == []
    assert len(watched.goes(*[CHANCE] * WINDOW, lr=0.06).said) == 1
    # A rate that is small because it has decayed is no excuse.
    decayed = Watched().goes(*[1.0] * WINDOW, lr=0.1).goes(*[CHANCE] * WINDOW, lr=0.01)
    assert len(decayed.said) == 1


def test_uneven_classes_have_their_own_loss_of_guessing() -> None:
    guess = guessing_loss((90, 10))
    assert guess < 0.33
    assert len(Watched(class_counts=(90, 10)).goes(*[guess] * WINDOW).said) == 1
    assert Watched(class_counts=(90, 10)).goes(*[math.log(2)] * WINDOW).said == []


def test_each_training_is_watched_by_itself() -> None:
    watched = Watched().goes(*[CHANCE] * WINDOW)
    watched.watch.on_start(watched.plan)
    assert len(watched.goes(*[CHANCE] * (WINDOW - 1)).said) == 1
    assert len(watched.goes(CHANCE).said) == 2


def test_remedies_fit_the_setting_and_come_in_their_order() -> None:
    text = describe_stall(2.303, 10, SETTING)
    places = [text.index(word) for word in ("vgg11_bn", "--optimizer adamw", "--lr 0.01", "--warmup-epochs 1")]
    assert places == sorted(places)
    bare = describe_stall(2.303, 10, replace(SETTING, model="alexnet", optimizer="adam", schedule="one-cycle"))
    assert "--lr 0.01" in bare
    assert not any(word in bare for word in ("_bn", "--optimizer", "--warmup"))


def watch_training(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a watch says of a real training."""
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: None)
    said: list[str] = []
    train(config, runs_dir=folder, observers=[StallWatch(said.append)])
    return said


SHORT = Config(batch_size=16, epochs=3, device="cpu", precision="float32", threads=1)  # 34 steps an epoch


@pytest.mark.parametrize(
    "config",
    [
        replace(SHORT, model="linear"),
        replace(SHORT, model="lenet5", optimizer="sgd", lr=0.01, schedule="constant", label_smoothing=0.1),
        replace(SHORT, model="tinyvgg", model_options={"hidden": 16}, input_size=16),
    ],
    ids=lambda config: config.model,
)
def test_real_trainings_that_learn_are_left_in_peace(
    config: Config, fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch_training(replace(config, data=str(fashion_slice)), tmp_path, monkeypatch) == []


def test_a_real_training_that_cannot_learn_is_told_of(
    fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With all weights zero every gradient but that of the last bias is zero: the answer is the same for all images.
    build = session.build_model

    def zeroed(*arguments: object, **keywords: object) -> torch.nn.Module:
        model = build(*arguments, **keywords)  # type: ignore[arg-type]
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
        return model

    monkeypatch.setattr(session, "build_model", zeroed)
    config = replace(SHORT, data=str(fashion_slice), model="lenet5", optimizer="sgd", lr=0.01, schedule="constant")
    (line,) = watch_training(config, tmp_path, monkeypatch)
    assert "2.30" in line and "guessing among 10 classes" in line
