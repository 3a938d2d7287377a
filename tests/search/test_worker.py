"""Trials that are really trained."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from convscope.data import Splits, read_idx, write_idx
from convscope.errors import ConvscopeError
from convscope.experiment import session
from convscope.experiment.trial import Trial
from convscope.search import worker
from convscope.search.records import Outcome, Tried
from convscope.search.results import write_results
from convscope.search.study import Study
from convscope.search.worker import Terms, work
from convscope.training.loop import Interrupted
from convscope.training.state import BatchRecord, EpochRecord

Begin = Callable[..., Study]


class Notes:
    """Takes note of everything that is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.ended: list[Tried] = []
        self.epochs = 0

    def on_trial(self, number: int, epochs: int) -> None:
        self.begun.append((number, epochs))

    def on_batch(self, record: BatchRecord) -> None:
        """Too many to note."""

    def on_epoch(self, record: EpochRecord) -> None:
        self.epochs += 1

    def on_outcome(self, tried: Tried) -> None:
        self.ended.append(tried)


def outcomes(study: Study) -> list[Outcome]:
    """Without the seconds, which are never the same."""
    return [replace(trial.outcome, seconds=0.0) for trial in study.tried()]


def test_trials_are_trained_and_told_of(begin: Begin) -> None:
    # R-A12
    study, notes = begin("lr=1e-4..1e-1:log", "epochs=1,2"), Notes()
    work(study, Terms(trials=4), watcher=notes)
    tried = study.tried()
    assert tried == notes.ended
    assert notes.begun == [(trial.number, trial.setting.epochs) for trial in tried]
    assert notes.epochs == sum(trial.outcome.epochs for trial in tried)
    assert all(trial.outcome.status == "finished" and trial.outcome.seconds > 0 for trial in tried)
    assert len({trial.outcome.val_loss for trial in tried}) == 4


def test_other_test_images_change_nothing(begin: Begin, fashion_slice: Path, tmp_path: Path) -> None:
    # R-F5. What is in the test split has no influence on any figure, nor on what is tried.
    other = tmp_path / "other"
    other.mkdir()
    for path in fashion_slice.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    images = other / "t10k-images-idx3-ubyte"
    shape = read_idx(images).shape
    write_idx(images, torch.randint(256, shape, dtype=torch.uint8))
    studies = begin(folder="one"), begin(folder="two", base={"data": str(other)})
    for study in studies:
        work(study, Terms(trials=7), watcher=Notes())
    one, two = studies
    assert outcomes(one) == outcomes(two)
    assert [trial.values for trial in one.tried()] == [trial.values for trial in two.tried()]


def test_a_whole_search_leaves_the_test_split_alone(
    begin: Begin, fashion_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-F5
    class Untouchable:
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"the test split was read: {name}")

    poisoned = replace(fashion_splits, test=Untouchable())
    monkeypatch.setattr(session, "load_splits", lambda *arguments, **options: poisoned)
    study = begin()
    work(study, Terms(trials=2), watcher=Notes())
    write_results(study)
    assert [outcome.status for outcome in outcomes(study)] == ["finished"] * 2


def test_settings_that_cannot_be_trained_do_not_end_the_search(begin: Begin) -> None:
    study = begin("model=linear,lenet5", "lr=0.01,0.02", method="grid")  # eight pixels are too few for lenet5
    work(study, Terms(trials=4), watcher=Notes())
    assert sorted(outcome.status for outcome in outcomes(study)) == ["failed", "failed", "finished", "finished"]
    reasons = {outcome.reason for outcome in outcomes(study)} - {""}
    assert len(reasons) == 1 and reasons.pop().startswith("images of 8 pixels are too small for 'lenet5'")


def test_neither_do_those_that_exclude_each_other(begin: Begin) -> None:
    study, notes = begin("nesterov=true,false", "momentum=0,0.9", base={"optimizer": "sgd"}, method="grid"), Notes()
    work(study, Terms(trials=4), watcher=notes)
    (failed,) = [trial for trial in study.tried() if trial.outcome.status == "failed"]
    assert failed.values == {"nesterov": True, "momentum": 0.0}
    assert failed.outcome.reason.startswith("nesterov needs momentum")
    assert len(notes.begun) == 3 and len(notes.ended) == 4


def test_neither_do_those_that_diverge(begin: Begin) -> None:
    base = {"optimizer": "sgd", "schedule": "constant", "precision": "float32"}
    study = begin("lr=0.01,1e38", base=base, method="grid")
    work(study, Terms(trials=2), watcher=Notes())
    diverged = next(outcome for outcome in outcomes(study) if outcome.status == "diverged")
    assert diverged.reason.startswith("the loss became ")
    assert {outcome.status for outcome in outcomes(study)} == {"diverged", "finished"}


def failing(error: BaseException) -> Callable[..., Trial]:
    def fail(*arguments: object, **options: object) -> Trial:
        raise error

    return fail


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_neither_do_those_without_memory(error: Exception, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "try_setting", failing(error))
    study = begin()
    work(study, Terms(trials=2), watcher=Notes())
    assert [outcome.reason for outcome in outcomes(study)] == ["the memory does not suffice"] * 2


@pytest.mark.parametrize("error", [ConvscopeError("the disk is full: free some space."), RuntimeError("a mistake")])
def test_all_else_ends_it_and_the_trial_is_tried_again(
    error: Exception, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begin()
    with monkeypatch.context() as patch, pytest.raises(type(error), match=str(error)):
        patch.setattr(worker, "try_setting", failing(error))
        work(study, Terms(trials=2), watcher=Notes())
    work(study, Terms(trials=2), watcher=Notes())
    assert [outcome.status for outcome in outcomes(study)] == ["finished"] * 2
    assert study.tried()[0].setting == study.plan.base


def test_who_is_stopped_gives_the_trial_back(begin: Begin) -> None:
    study, answers = begin(), iter([False] * 4 + [True] * 99)
    with pytest.raises(Interrupted):
        work(study, Terms(trials=3), watcher=Notes(), interrupted=lambda: next(answers))
    assert study.tried() == []
    work(study, Terms(trials=2), watcher=Notes())
    assert study.tried()[0].setting == study.plan.base
    whole = begin(folder="whole")
    work(whole, Terms(trials=2), watcher=Notes())
    assert outcomes(study)[0] == outcomes(whole)[0]


def test_who_is_stopped_at_once_gives_it_back_too(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    study = begin()
    for _ in range(2):  # which, of a process that was killed, would be the last time
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(worker, "try_setting", failing(KeyboardInterrupt()))
            work(study, Terms(trials=1), watcher=Notes())
    work(study, Terms(trials=1), watcher=Notes())
    assert [outcome.status for outcome in outcomes(study)] == ["finished"]


def test_no_trial_begins_when_the_time_is_over(begin: Begin) -> None:
    study = begin()
    work(study, Terms(trials=3, deadline=0.0), watcher=Notes())
    assert study.tried() == []


def test_a_pruned_trial_keeps_the_figures_it_had(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    study = begin(base={"epochs": 5})

    def hopeless(self: object, history: Sequence[EpochRecord]) -> bool:
        return len(history) == 2

    monkeypatch.setattr("convscope.search.study.Claim.hopeless", hopeless)
    work(study, Terms(trials=1), watcher=Notes())
    (outcome,) = outcomes(study)
    assert (outcome.status, outcome.epochs) == ("pruned", 2)
    assert outcome.val_accuracy is not None


def test_threads_are_the_settings_own_or_those_given(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def note(setting: object, **options: object) -> Trial:
        seen.append(setting.threads)  # type: ignore[attr-defined]
        raise MemoryError

    monkeypatch.setattr(worker, "try_setting", note)
    work(begin(folder="one"), Terms(trials=1, threads=7), watcher=Notes())
    work(begin(folder="two", base={"threads": None}), Terms(trials=1, threads=7), watcher=Notes())
    assert seen == [1, 7]
