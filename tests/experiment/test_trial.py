"""A setting that is tried in memory: the same figures as a training gives, and no look at the test split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.config import Config
from convscope.data import Splits
from convscope.errors import UserError
from convscope.experiment import session, train
from convscope.experiment.trial import try_setting
from convscope.training.loop import Diverged, Interrupted
from convscope.training.state import EpochRecord


@pytest.fixture
def setting(fashion_slice: Path) -> Config:
    return Config(
        data=str(fashion_slice), model="tinyvgg", input_size=12, epochs=3, dropout=0.2, threads=1, device="cpu"
    )


def figures(history: Sequence[EpochRecord]) -> list[tuple[float, float, float]]:
    return [(record.train_loss, record.val_loss, record.val_accuracy) for record in history]


@pytest.mark.usefixtures("no_pictures")
def test_a_trial_gives_what_a_training_gives(setting: Config, tmp_path: Path) -> None:
    # To the bit: so the recipe that a search ends in gives what the search saw.
    trial = try_setting(setting)
    run = train(setting, runs_dir=tmp_path)
    assert figures(trial.history) == [
        (row["train_loss"], row["val_loss"], row["val_accuracy"]) for row in run.history()
    ]
    assert not trial.pruned


class Untouchable:
    """A test split that no one may look at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the test split was read: {name}")

    def __len__(self) -> int:
        raise AssertionError("the test split was counted")


def test_the_test_split_is_not_touched(
    setting: Config, fashion_splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-F5
    poisoned = replace(fashion_splits, test=Untouchable())
    monkeypatch.setattr(session, "load_splits", lambda *arguments, **options: poisoned)
    assert len(try_setting(setting).history) == 3
    with pytest.raises(AssertionError, match="the test split was"):  # the poison works
        train(setting, runs_dir=tmp_path)


def test_nothing_is_written(setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try_setting(replace(setting, snapshots=True, checkpoint_every=1e-9))
    assert list(tmp_path.iterdir()) == []


def test_a_hopeless_trial_ends_after_its_epoch(setting: Config) -> None:
    seen = []

    def hopeless(history: Sequence[EpochRecord]) -> bool:
        seen.append(len(history))
        return len(history) == 2

    trial = try_setting(setting, hopeless=hopeless)
    assert (seen, len(trial.history), trial.pruned) == ([1, 2], 2, True)
    assert figures(trial.history) == figures(try_setting(setting).history[:2])


def test_a_trial_that_is_hopeless_at_its_end_has_come_to_it(setting: Config) -> None:
    trial = try_setting(setting, hopeless=lambda history: len(history) == 3)
    assert (len(trial.history), trial.pruned) == (3, False)


def test_a_trial_can_be_interrupted(setting: Config) -> None:
    with pytest.raises(Interrupted):
        try_setting(setting, interrupted=lambda: True)


def test_what_cannot_be_trained_or_diverges_is_told(setting: Config) -> None:
    with pytest.raises(UserError, match="too small"):
        try_setting(replace(setting, input_size=1))
    with pytest.raises(Diverged):
        try_setting(replace(setting, optimizer="sgd", lr=1e30, schedule="constant", precision="float32"))
