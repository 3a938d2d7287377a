"""A run in several hands: trained twice at once, looked at meanwhile, copied elsewhere; and a clock put back."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from convscope.config import Config
from convscope.errors import UserError
from convscope.experiment import evaluate, results, resume, train
from convscope.predict import Predictor
from convscope.report import write_report
from convscope.runs import Run, create_run, creation, list_runs, start_time
from convscope.training.loop import Interrupted

Training = Any  # of conftest.py
Command = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def setting(whole: Training) -> Config:
    return whole.run.config()


def after(steps: int, then: Callable[[], bool]) -> Callable[[], bool]:
    """An answer to whether to stop: no, but that of `then` after so many steps."""
    left = [steps]

    def answer() -> bool:
        left[0] -= 1
        return left[0] == 0 and then()

    return answer


def stopped(setting: Config, runs_dir: Path) -> Run:
    """A run that was stopped in its second epoch of two steps."""
    with pytest.raises(Interrupted):
        train(setting, runs_dir=runs_dir, name="first", interrupted=after(3, lambda: True))
    return Run(runs_dir / "first")


# Two at once


def test_of_two_that_resume_at_the_same_moment_one_does(
    setting: Config, whole: Training, training: Callable[[Path], Training], tmp_path: Path
) -> None:
    # Threads, to which the lock is the same as to processes.
    run, start = stopped(setting, tmp_path / "runs"), Barrier(2)

    def go() -> str:
        start.wait()
        try:
            return resume(run).status
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor() as pool:
        answers = [answer.result() for answer in [pool.submit(go), pool.submit(go)]]
    assert answers.count("finished") == 1
    refused = next(answer for answer in answers if answer != "finished")
    assert "is being trained by process" in refused or "is finished, there is nothing to resume" in refused
    training(tmp_path / "runs").assert_ends_like(whole, doctor=False)


def test_while_a_run_is_trained_all_else_can_be_done_but_train_it(
    setting: Config,
    command: Command,
    whole: Training,
    training: Callable[[Path], Training],
    photo_folder: Path,
    tmp_path: Path,
) -> None:
    run = Run(tmp_path / "runs" / "first")
    seen = []

    def look() -> bool:
        assert run.status == "running"
        for words in (("--resume", run.path), (whole.data, "linear", "--name", "first", "--runs-dir", run.path.parent)):
            seen.append(command("train", *words).sentence)
        assert evaluate(run)["images"] == 200
        assert run.metrics()["test"]["images"] == 200
        assert "running" in write_report(run).read_text(encoding="utf-8")
        assert [other.status for other in list_runs(run.path.parent)] == ["running"]
        assert len(Predictor.from_run(run).predict(photo_folder / "plum" / "0.jpg")) == 1
        return False

    train(setting, runs_dir=run.path.parent, name="first", interrupted=after(3, look))
    assert "first is being trained by process" in seen[0]
    assert "there is already a run at" in seen[1]
    training(run.path.parent).assert_ends_like(whole, doctor=False)
    assert run.metrics()["test"]["loss"] == whole.run.metrics()["test"]["loss"]


def test_an_evaluation_that_outlasts_the_training_is_done_again_with_its_weights(
    setting: Config, whole: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, evaluated = stopped(setting, tmp_path), []
    evaluate_split = results.evaluate_split

    def slow(*arguments: Any, **options: Any) -> Any:
        report = evaluate_split(*arguments, **options)
        evaluated.append(report["loss"])
        if len(evaluated) == 1:
            resume(run)
        return report

    monkeypatch.setattr(results, "evaluate_split", slow)
    report = evaluate(run)
    assert len(evaluated) == 2
    assert report["loss"] == run.metrics()["test"]["loss"] == whole.run.metrics()["test"]["loss"]
    assert run.status == "finished"


def test_of_many_that_take_a_name_at_the_same_moment_one_has_it(tmp_path: Path) -> None:
    start = Barrier(8)

    def take(number: int) -> int | None:
        start.wait()
        try:
            create_run(tmp_path, "first", Config(seed=number), {"started": str(number)})
        except UserError as error:
            assert "there is already a run at" in str(error) or "is being trained by process" in str(error)
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        taken = [number for number in pool.map(take, range(8)) if number is not None]
    run = Run(tmp_path / "first")
    assert taken == [run.config().seed]
    assert run.environment()["started"] == str(taken[0])
    assert sorted(path.name for path in run.path.iterdir()) == ["config.yaml", "environment.json", "metrics.json"]


def test_names_that_are_made_up_within_one_second_differ(
    setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convscope.experiment.training.datetime", clock(timedelta(0), still=True))
    monkeypatch.setattr("convscope.experiment.training._train", lambda run, *rest: run)
    names = [train(setting, runs_dir=tmp_path).name for _ in range(3)]
    assert names == [names[0], f"{names[0]}-2", f"{names[0]}-3"]


# The clock


def clock(ahead: timedelta, *, still: bool = False) -> type[datetime]:
    """A `datetime` whose clock is wrong, or stands still."""
    moment = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return ((moment if still else datetime.now(UTC)) + ahead).astimezone(tz)

    return Clock


def test_latest_is_the_run_begun_last_though_the_clock_was_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, days in (("b", 3), ("a", -3), ("c", 0), ("d", 0), ("e", 9)):
        monkeypatch.setattr(creation, "datetime", clock(timedelta(days=days)))
        create_run(tmp_path, name, Config(), {"started": start_time(tmp_path)})
    assert [run.name for run in list_runs(tmp_path)] == ["b", "a", "c", "d", "e"]


def test_a_training_takes_no_time_from_a_clock_that_jumps(
    setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = iter(range(10**9, 0, -(10**5)))
    monkeypatch.setattr(time, "time", lambda: float(next(shown)))
    run = train(replace(setting, checkpoint_every=1e-6), runs_dir=tmp_path, name="first")
    assert all(0 < row["seconds"] < 1000 and row["images_per_second"] > 0 for row in run.history())
    assert 0 < run.metrics()["train_seconds"] < 1000
    assert run.status == "finished"


# Another place


@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_a_copy_of_a_killed_run_goes_on_at_another_place(
    host: str, setting: Config, whole: Training, training: Callable[[Path], Training], command: Command, tmp_path: Path
) -> None:
    run = stopped(setting, tmp_path / "here")
    machine = {} if host == "here" else {"host": "elsewhere", "pid": 1}
    run.write_metrics({"status": "running", **machine})
    (run.path / ".convscope-training").touch()
    (tmp_path / "there").mkdir()
    shutil.copytree(run.path, tmp_path / "there" / "first")
    shutil.rmtree(tmp_path / "here")
    copied = training(tmp_path / "there")
    assert copied.run.status == ("killed" if host == "here" else "running")
    copied.assert_ends_like(whole)


def test_a_run_that_was_moved_is_used_there(command: Command, whole: Training, tmp_path: Path) -> None:
    moved = tmp_path / "another disk" / "renamed"
    moved.parent.mkdir()
    shutil.move(whole.run.path, moved)
    loss = Run(moved).metrics()["test"]["loss"]
    assert evaluate(Run(moved))["loss"] == pytest.approx(loss)
    assert command("report", moved).status == 0
    assert command("runs", "show", moved).status == 0
    assert "renamed" in command("runs", "--runs-dir", moved.parent).out
    assert "is finished" in command("train", "--resume", moved).sentence
    assert Predictor.from_run(Run(moved)).classes
