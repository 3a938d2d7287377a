"""Stopping and resuming gives the same bits as never stopping.  R-F6."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope.config import Config
from convscope.errors import UserError
from convscope.experiment import resume, session, train
from convscope.experiment.session import Session
from convscope.experiment.training import Plan
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.checkpoint import load_state, load_weights, save_state
from convscope.training.loop import Diverged, Interrupted
from convscope.training.state import BatchRecord, EpochRecord

# Everything that holds state or draws random numbers: dropout, BatchNorm, augmentation, moving average, plateau.
EVERYTHING = Config(
    model="tinyvgg_bn",
    model_options={"hidden": 16},
    input_size=16,  # quick
    dropout=0.3,
    epochs=3,
    batch_size=100,
    schedule="plateau",
    plateau_patience=0,
    warmup_epochs=0.5,
    ema=0.9,
    flip=True,
    shift=2,
    rotation=10,
    cutout=6,
    label_smoothing=0.1,
    clip_norm=1.0,
    weight_decay=0.01,
    patience=2,
    device="cpu",
    precision="float32",
    threads=1,
)
STEPS = 6  # an epoch: 540 images in batches of 100


class Watcher:
    """Counts what it is told, and asks to stop after so many steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after, self.batches, self.epochs = stop_after, list[BatchRecord](), list[EpochRecord]()
        self.plan: Plan | None = None

    def on_start(self, plan: Plan, session: Session) -> None:
        self.plan = plan

    def on_batch(self, record: BatchRecord) -> None:
        self.batches.append(record)

    def on_epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)

    def interrupted(self) -> bool:
        return len(self.batches) == self.stop_after


@pytest.fixture(scope="module")
def setting(fashion_slice: Path) -> Config:
    return replace(EVERYTHING, data=str(fashion_slice))


@pytest.fixture(scope="module")
def uninterrupted(setting: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(setting, runs_dir=tmp_path_factory.mktemp("runs"), name="whole")


def assert_same_bits(first: Any, second: Any, place: str = "state") -> None:
    """Equal values, tensors bit for bit; times are left out."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in first.keys() - {"seconds", "images_per_second"}:
            assert_same_bits(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), place
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_same_bits(*pair, f"{place}[{index}]")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    else:
        assert first == second, place


def assert_same_runs(run: Run, other: Run) -> None:
    assert_same_bits(load_state(run.last_state), load_state(other.last_state))
    assert_same_bits(load_weights(run.best_weights)[0], load_weights(other.best_weights)[0])
    assert_same_bits(run.history(), other.history())
    assert_same_bits(run.metrics()["test"], other.metrics()["test"])


@pytest.mark.parametrize("stop_after", [1, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS + 3, 3 * STEPS])
@pytest.mark.usefixtures("no_pictures")
def test_stopping_after_any_step_and_resuming_gives_the_same_bits(
    stop_after: int, setting: Config, uninterrupted: Run, tmp_path: Path
) -> None:
    watcher = Watcher(stop_after)
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="stopped", observers=[watcher], interrupted=watcher.interrupted)
    run = Run.open("stopped", tmp_path)
    assert run.status == "interrupted"
    assert len(watcher.batches) == stop_after

    torch.manual_seed(12345)  # whatever else happened in between must not matter
    resume(run)
    assert run.status == "finished"
    assert_same_runs(run, uninterrupted)


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"micro_batch": 30}], ids=str)
@pytest.mark.usefixtures("no_pictures")
def test_other_ways_of_computing_resume_to_the_same_bits_too(
    change: dict[str, Any], setting: Config, tmp_path: Path
) -> None:
    setting = replace(setting, **change, epochs=2)
    whole = train(setting, runs_dir=tmp_path, name="whole")
    watcher = Watcher(STEPS + 2)
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="stopped", observers=[watcher], interrupted=watcher.interrupted)
    assert_same_runs(resume(Run.open("stopped", tmp_path)), whole)


def test_killed_at_random_moments_and_resumed_gives_the_same_bits(
    setting: Config, uninterrupted: Run, tmp_path: Path
) -> None:
    # Checkpoints as often as possible, so that kills hit writes too.
    path = tmp_path / "setting.yaml"
    path.write_text(replace(setting, checkpoint_every=1e-6).to_yaml(), encoding="utf-8")
    run = Run(tmp_path / "killed")
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "convscope.cli.main", "train", "--runs-dir", str(tmp_path)]
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    kills = 0
    for arguments in (["--config", str(path), "--name", "killed"], *[["--resume", "killed"]] * 20):
        process = subprocess.Popen(
            [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if kills < 3 and line.split()[:1] == ["epoch"]:  # the head of the table: training begins
                time.sleep(moments.uniform(0, 0.3))
                process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            assert run.status == "killed"
            assert not any((run.path / "checkpoints").glob("last.pt.*"))
        else:
            assert process.returncode == 0, f"{errors} (kill seed {seed})"
            break
    assert kills >= 1, "the training was over before it could be killed"
    assert run.status == "finished", f"kill seed {seed}"
    for name in ("best.safetensors", "last.pt"):
        assert (run.path / "checkpoints" / name).exists()
    assert_same_runs(run, uninterrupted)


@pytest.mark.usefixtures("no_pictures")
def test_same_setting_same_bits_and_another_seed_others(setting: Config, uninterrupted: Run, tmp_path: Path) -> None:
    # The resolved setting in the run directory repeats the run.
    again = train(uninterrupted.config(), runs_dir=tmp_path, name="again")
    assert_same_runs(again, uninterrupted)
    other = train(replace(setting, seed=1, epochs=1), runs_dir=tmp_path, name="other")
    assert other.history()[0]["train_loss"] != uninterrupted.history()[0]["train_loss"]


@pytest.mark.usefixtures("no_pictures")
def test_observers_see_every_step_and_epoch(setting: Config, uninterrupted: Run, tmp_path: Path) -> None:
    watcher = Watcher()
    run = train(replace(setting, epochs=2), runs_dir=tmp_path, name="watched", observers=[watcher])
    assert [(record.epoch, record.step) for record in watcher.batches] == [
        (epoch, step) for epoch in (1, 2) for step in range(1, STEPS + 1)
    ]
    assert [asdict(record) for record in watcher.epochs] == run.history()
    assert watcher.plan is not None
    assert (watcher.plan.train_images, watcher.plan.val_images) == (540, 60)


def test_finished_run_has_everything_and_cannot_be_resumed(uninterrupted: Run) -> None:
    metrics = uninterrupted.metrics()
    assert metrics["status"] == "finished"
    assert metrics["test"]["images"] == 200
    assert metrics["val"]["images"] == 60
    best = min(uninterrupted.history(), key=lambda row: row["val_loss"])
    assert metrics["best_epoch"] == best["epoch"]
    # The weights kept are those of the best epoch: evaluated again they give its figures.  R-A6
    assert metrics["val"]["loss"] == pytest.approx(best["val_loss"], rel=1e-5)
    assert metrics["val"]["top1"] == pytest.approx(best["val_accuracy"])
    for name in ("curves", "confusion", "predictions", "mistakes"):
        assert (uninterrupted.figures / f"{name}.png").stat().st_size > 1000
    predictions = uninterrupted.predictions()
    accuracy = (predictions["logits"].argmax(axis=1) == predictions["labels"]).mean()
    assert accuracy == pytest.approx(metrics["test"]["top1"])
    with pytest.raises(UserError, match="finished"):
        resume(uninterrupted)


@pytest.mark.parametrize(("micro_batch", "most"), [(None, 100), (30, 30), (500, 100)])
@pytest.mark.usefixtures("no_pictures")
def test_no_pass_takes_more_images_than_asked_for(
    micro_batch: int | None, most: int, setting: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-C6: neither in training nor in validation nor in the test.
    sizes: list[tuple[bool, int]] = []
    build = session.build_model

    def spied(*arguments: Any, **keywords: Any) -> torch.nn.Module:
        model = build(*arguments, **keywords)
        model.register_forward_pre_hook(lambda model, inputs: sizes.append((model.training, len(inputs[0]))))
        return model

    monkeypatch.setattr(session, "build_model", spied)
    config = replace(setting, model="linear", model_options={}, dropout=None, epochs=1, ema=0.0)
    train(replace(config, micro_batch=micro_batch), runs_dir=tmp_path)
    assert sum(size for training, size in sizes if training) == 540
    assert sum(size for training, size in sizes if not training) == 60 + 60 + 200
    assert max(size for training, size in sizes if training) == most
    assert max(size for training, size in sizes if not training) == most


@pytest.mark.usefixtures("no_pictures")
def test_early_stopping_ends_the_training(setting: Config, tmp_path: Path) -> None:
    # At this rate the loss soon stops falling; without patience it would go on for 50 epochs.
    config = replace(setting, model="linear", model_options={}, dropout=None, epochs=50, lr=1.0, patience=1, ema=0.0)
    run = train(config, runs_dir=tmp_path, name="stopping")
    rows = run.history()
    assert len(rows) < 50
    best = min(rows, key=lambda row: row["val_loss"])["epoch"]
    assert len(rows) == best + 1


@pytest.mark.usefixtures("no_pictures")
def test_divergence_stops_keeps_the_best_weights_and_says_where(setting: Config, tmp_path: Path) -> None:
    watcher = Watcher()
    config = replace(
        setting, model="tinyvgg", optimizer="sgd", lr=1e9, schedule="constant", warmup_epochs=0, clip_norm=None, ema=0.0
    )
    with pytest.raises(Diverged, match=r"step \d+ of epoch 1") as caught:
        train(config, runs_dir=tmp_path, name="diverged", observers=[watcher])
    assert "learning rate" in str(caught.value)
    run = Run.open("diverged", tmp_path)
    assert run.status == "diverged"
    # The state saved last is from before the divergence: only finite numbers.
    assert all(value.isfinite().all() for value in load_state(run.last_state)["model"].values())


def test_nothing_is_written_when_the_setting_cannot_be_trained(setting: Config, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for config in (
        replace(setting, model="tinyvg"),
        replace(setting, model_options={"hiden": 3}),
        replace(setting, data="fashion-mist"),
        replace(setting, batch_size=541),
        replace(setting, device="tpu7"),
        replace(setting, input_size=4),
    ):
        with pytest.raises(UserError):
            train(config, runs_dir=runs)
    assert not runs.exists()


@pytest.mark.usefixtures("no_pictures")
def test_test_split_is_not_read_before_the_end(
    setting: Config, uninterrupted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-F5: with a test split of noise the training must come out the same.
    load = session.load_splits

    def noisy(*arguments: Any, **keywords: Any) -> Any:
        splits = load(*arguments, **keywords)
        noise = torch.randint_like(splits.test.images, 256)
        return replace(splits, test=replace(splits.test, images=noise))

    monkeypatch.setattr(session, "load_splits", noisy)
    blind = train(setting, runs_dir=tmp_path, name="blind")
    assert_same_bits(load_state(blind.last_state), load_state(uninterrupted.last_state))
    assert blind.metrics()["test"] != uninterrupted.metrics()["test"]


@pytest.mark.usefixtures("no_pictures")
def test_a_run_under_way_is_not_trained_twice(setting: Config, tmp_path: Path) -> None:
    watcher = Watcher(1)
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="shared", observers=[watcher], interrupted=watcher.interrupted)
    run = Run.open("shared", tmp_path)
    with run.training(), pytest.raises(UserError, match="shared is being trained by process"):
        resume(run)
    assert resume(run).status == "finished"


@pytest.mark.usefixtures("no_pictures")
def test_a_checkpoint_with_anything_else_in_it_is_refused(setting: Config, tmp_path: Path) -> None:
    """Written with its checksum, as by a hostile hand."""
    watcher = Watcher(1)
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="shared", observers=[watcher], interrupted=watcher.interrupted)
    run = Run.open("shared", tmp_path)
    good = load_state(run.last_state)
    wrong: tuple[object, ...] = ("text", 3, [], {}, {"cpu": torch.zeros(3)}, [{}], None)
    changed = [good | {key: value} for key in good for value in wrong if type(value) is not type(good[key]) or value]
    # The scaler is at work in float16 alone, and else reads nothing.
    changed = [state for state in changed if not (isinstance(state["scaler"], dict) and state["scaler"])]
    changed += [good | {"position": good["position"] | {key: "text"}} for key in good["position"]]
    changed += [good | {"position": good["position"] | {key: -1}} for key in ("epoch", "step")]
    changed += [good | {"model": dict.fromkeys(good["model"], value)} for value in wrong]
    for state in changed:
        save_state(run.last_state, state)
        with pytest.raises(UserError, match=r"last\.pt|the saved state"):
            resume(run)
    save_state(run.last_state, good)
    assert resume(run).status == "finished"


@pytest.mark.usefixtures("no_pictures")
def test_resuming_takes_the_number_of_threads_of_the_beginning(setting: Config, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    watcher = Watcher(1)
    config = replace(setting, model="linear", model_options={}, dropout=None, threads=None, epochs=1)
    try:
        torch.set_num_threads(2)
        with pytest.raises(Interrupted):
            train(config, runs_dir=tmp_path, name="stopped", observers=[watcher], interrupted=watcher.interrupted)
        torch.set_num_threads(1)
        resume(Run.open("stopped", tmp_path), observers=[watcher])
        assert watcher.plan is not None
        assert watcher.plan.threads == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("no_pictures")
def test_a_setting_changed_to_another_network_or_optimizer_cannot_be_resumed(setting: Config, tmp_path: Path) -> None:
    watcher = Watcher(1)
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="changed", observers=[watcher], interrupted=watcher.interrupted)
    run = Run.open("changed", tmp_path)
    path = run.path / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("hidden: 16", "hidden: 17"), encoding="utf-8")
    with pytest.raises(UserError, match=r"another network than .*config\.yaml says"):
        resume(run)
    assert run.status == "interrupted"
    path.write_text(replace(setting, optimizer="sgd").to_yaml(), encoding="utf-8")
    with pytest.raises(UserError, match=r"the saved state does not fit this training .*another optimizer"):
        resume(run)


@pytest.mark.usefixtures("no_pictures")
def test_snapshots_hold_the_weights_of_every_epoch_and_change_nothing(
    setting: Config, uninterrupted: Run, tmp_path: Path
) -> None:
    # R-F1
    watcher = Watcher(STEPS + 2)
    setting = replace(setting, snapshots=True)
    with pytest.raises(Interrupted):
        train(setting, runs_dir=tmp_path, name="kept", observers=[watcher], interrupted=watcher.interrupted)
    run = Run.open("kept", tmp_path)
    assert list(run.snapshots()) == [0, 1]
    resume(run)
    assert_same_runs(run, uninterrupted)
    snapshots = run.snapshots()
    assert list(snapshots) == list(range(setting.epochs + 1))
    weights = {epoch: Predictor.from_weights(path).model.state_dict() for epoch, path in snapshots.items()}
    best = load_weights(run.best_weights)[0]
    assert_same_bits(weights[run.results()["best_epoch"]], best)
    assert not any(torch.equal(weights[0][name], best[name]) for name in best if name.endswith("weight"))
    assert uninterrupted.snapshots() == {}
