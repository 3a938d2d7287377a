"""Events of real trainings, read back as TensorBoard reads them."""

import io
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS

from convscope.config import Config
from convscope.errors import ConvscopeError
from convscope.experiment import Plan, resume, train
from convscope.experiment.session import Session
from convscope.models import build_model
from convscope.runs import Run
from convscope.tensorboard import Recorder, record_results
from convscope.tensorboard.events import EventFile
from convscope.tensorboard.listener import EVERY
from convscope.tensorboard.summaries import scalars
from convscope.training.checkpoint import load_state
from convscope.training.loop import Interrupted
from convscope.training.state import BatchRecord, EpochRecord

STEPS = 17
"""Of an epoch: 540 images in batches of 32."""
SETTING = Config(model="tinyvgg_bn", model_options={"hidden": 16}, input_size=12, batch_size=32, epochs=2)
SETTING = replace(SETTING, flip=True, shift=1, ema=0.9, device="cpu", precision="float32", threads=1)
COLUMNS = {
    "loss/train": "train_loss",
    "loss/val": "val_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/val": "val_accuracy",
    "epoch/lr": "lr",
    "epoch/grad_norm": "grad_norm",
    "epoch/images_per_second": "images_per_second",
    "epoch/seconds": "seconds",
}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def read(run: Run) -> Any:
    events = EventAccumulator(str(run.events), size_guidance=dict.fromkeys(("scalars", "images", "histograms"), 0))
    return events.Reload()


def numbers(events: Any, tag: str) -> dict[int, float]:
    """Values by step; there must be one a step."""
    values = events.Scalars(tag)
    steps = [value.step for value in values]
    assert len(set(steps)) == len(steps), tag
    return {value.step: value.value for value in values}


def picture(events: Any, tag: str, step: int) -> Any:
    (found,) = [image for image in events.Images(tag) if image.step == step]
    with Image.open(io.BytesIO(found.encoded_image_string)) as opened:
        assert opened.size == (found.width, found.height)
        return np.asarray(opened)


@pytest.fixture(scope="module")
def setting(fashion_slice: Path) -> Config:
    return replace(SETTING, data=str(fashion_slice))


@pytest.fixture(scope="module")
def run(setting: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    trained = train(replace(setting, snapshots=True), runs_dir=tmp_path_factory.mktemp("runs"), observers=[Recorder()])
    record_results(trained)
    return trained


@pytest.fixture(scope="module")
def events(run: Run) -> Any:
    return read(run)


def test_an_epoch_has_the_numbers_of_the_history(run: Run, events: Any) -> None:
    # R-A12
    for tag, column in COLUMNS.items():
        expected = {row["epoch"] * STEPS: np.float32(row[column]) for row in run.history()}
        assert numbers(events, tag) == expected


def test_one_step_in_every_few_is_written_down(run: Run, events: Any) -> None:
    steps = [EVERY, STEPS + EVERY]
    for tag in ("step/loss", "step/lr", "step/grad_norm"):
        assert list(numbers(events, tag)) == steps
    assert all(0 < loss < 5 for loss in numbers(events, "step/loss").values())
    assert max(numbers(events, "step/lr").values()) <= run.config().lr


def test_training_images_are_those_of_the_first_batch(setting: Config, events: Any) -> None:
    session = Session.prepare(setting)
    first = next(session.train.epoch(1))[0][9]
    shown = picture(events, "images/training", 0)
    assert shown.shape == (4 * (36 + 4), 8 * (36 + 4), 3)
    # The tenth: in the second row the second; 12 pixels are three times as wide, and two of white are around.
    cell = shown[40 + 2 : 40 + 38, 40 + 2 : 40 + 38]
    pixels = (first * session.preprocessing.std[0] + session.preprocessing.mean[0]).clamp(0, 1).mul(255).round()
    assert (cell == np.kron(pixels[0], np.ones((3, 3)))[..., None]).all()
    assert (shown[0] == 255).all()


@pytest.mark.parametrize("epoch", [0, 2])
def test_histograms_and_filters_are_those_of_the_weights(epoch: int, setting: Config, run: Run, events: Any) -> None:
    state = load_state(run.last_state)["model"]
    if epoch == 0:
        first = build_model(setting.model, input_size=12, seed=setting.seed, **setting.model_options)
        state = first.state_dict()
    tags = {tag.removeprefix("weights/") for tag in events.Tags()["histograms"] if tag.startswith("weights/")}
    assert tags == {name for name, tensor in state.items() if tensor.ndim > 1}
    for name in tags:
        (found,) = [item for item in events.Histograms(f"weights/{name}") if item.step == epoch * STEPS]
        histogram, weights = found.histogram_value, state[name].double()
        assert histogram.num == weights.numel() == sum(histogram.bucket)
        assert histogram.min == weights.min() and histogram.bucket_limit[-1] == pytest.approx(weights.max().item())
        assert histogram.sum == pytest.approx(weights.sum().item(), rel=1e-4, abs=1e-4)
        assert histogram.sum_squares == pytest.approx(weights.square().sum().item(), rel=1e-4)
    shown = picture(events, "filters/block1.conv1", epoch * STEPS)
    weights = state["block1.conv1.weight"][:, 0]
    first = shown[2:35:11, 2:35:11, 0]  # nine weights of 11 pixels each
    assert (np.abs(first - (weights[0] / weights.abs().max() * 0.5 + 0.5).numpy() * 255) <= 1).all()


def test_gradients_are_those_of_the_last_step(events: Any) -> None:
    for name in ("block1.conv1", "output"):
        found = events.Histograms(f"gradients/{name}.weight")
        assert [item.step for item in found] == [STEPS, 2 * STEPS]
        assert all(item.histogram_value.sum_squares > 0 for item in found)


def test_the_setting_with_final_figures(run: Run, events: Any) -> None:
    # R-B8
    content = {tag: events.SummaryMetadata(tag).plugin_data.content for tag in events.Tags()["tensors"]}
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    told = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    setting = asdict(run.config())
    options = {f"model_options.{name}": value for name, value in setting.pop("model_options").items()}
    assert told == {name: value for name, value in (setting | options).items() if value is not None}
    assert isinstance(told["flip"], bool) and told["model_options.hidden"] == 16
    end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
    assert end.status == STATUS_SUCCESS and end.end_time_secs >= start.start_time_secs
    results = run.results()
    for split in ("val", "test"):
        for tag, key in (("accuracy", "top1"), ("loss", "loss"), ("macro_f1", "macro_f1")):
            assert numbers(events, f"results/{split}_{tag}") == {2 * STEPS + 1: np.float32(results[split][key])}


def test_pictures_of_the_finished_run(run: Run, events: Any) -> None:
    for name in ("confusion", "predictions", "mistakes"):
        with Image.open(run.figures / f"{name}.png") as drawn:
            assert (picture(events, f"results/{name}", 2 * STEPS + 1) == np.asarray(drawn)).all()


def test_the_graph_is_the_network_that_was_trained(events: Any) -> None:
    graph = {node.name: node for node in events.Graph().node}
    assert graph["output"].op == "Linear" and graph["output"].attr["parameters"].i == 16 * 10 + 10
    assert list(graph["block1/conv1"].input) == ["image"]


def test_results_told_twice_count_once(run: Run) -> None:
    before = read(run).Tags()
    record_results(run)
    after = read(run)
    assert after.Tags() == before
    assert len(numbers(after, "results/test_accuracy")) == 1 and len(numbers(after, "loss/val")) == 2


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("micro_batch", [None, 20])
def test_a_training_comes_to_the_same_bits_with_and_without(
    micro_batch: int | None, setting: Config, tmp_path: Path
) -> None:
    config = replace(setting, dropout=0.5, mixup=0.4, micro_batch=micro_batch)
    runs = [
        train(config, runs_dir=tmp_path, name=name, observers=observers)
        for name, observers in (("without", []), ("with", [Recorder()]))
    ]
    states = [load_state(run.last_state) for run in runs]
    for part in ("model", "random"):
        assert states[0][part].keys() == states[1][part].keys()
        assert all(torch.equal(value, states[1][part][name]) for name, value in states[0][part].items())
    assert runs[0].metrics()["test"] == runs[1].metrics()["test"]


class Counter:
    """Counts the steps of a training."""

    def __init__(self) -> None:
        self.steps = 0

    def on_start(self, plan: Plan, session: Session) -> None: ...

    def on_batch(self, record: BatchRecord) -> None:
        self.steps += 1

    def on_epoch(self, record: EpochRecord) -> None: ...


def stopped(config: Config, folder: Path, after: int, *observers: Any) -> Run:
    counter = Counter()
    with pytest.raises(Interrupted):
        train(
            config,
            runs_dir=folder,
            name="stopped",
            observers=[counter, *observers],
            interrupted=lambda: counter.steps == after,
        )
    return Run(folder / "stopped")


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("after", [3, STEPS, STEPS + 12])
def test_a_training_that_was_killed_and_goes_on_has_no_step_twice(
    after: int, setting: Config, events: Any, tmp_path: Path
) -> None:
    # R-F6
    halted = stopped(setting, tmp_path, after, Recorder())
    # A process that is killed has gone on from its last checkpoint; what it wrote then is of steps taken once more.
    for step in (STEPS + EVERY, 2 * STEPS, 3 * STEPS):
        if step > after:
            late = EventFile(max(halted.events.iterdir()))
            late.write(step, scalars(dict.fromkeys(("step/loss", "loss/val", "epoch/lr"), -1.0)))
    with max(halted.events.iterdir()).open("ab") as file:
        file.write(b"\x20\0\0")  # and was killed while it wrote
    again = read(resume(halted, observers=[Recorder()]))
    for tag in ("step/loss", "step/lr", "step/grad_norm", "loss/train", "loss/val", "epoch/lr"):
        assert numbers(again, tag) == numbers(events, tag), tag
    for tag in again.Tags()["histograms"]:
        assert again.Histograms(tag)[-1].histogram_value == events.Histograms(tag)[-1].histogram_value
        # Who is stopped after the last step of an epoch has no gradient of that step when it goes on.
        missing = after == STEPS and tag.startswith("gradients/")
        assert len(again.Histograms(tag)) == len(events.Histograms(tag)) - missing
    assert len(again.Images("filters/block1.conv1")) == 3
    assert metadata.SESSION_START_INFO_TAG in again.Tags()["tensors"] and again.Tags()["graph"]


@pytest.mark.usefixtures("no_pictures")
def test_events_may_begin_in_the_middle(setting: Config, tmp_path: Path) -> None:
    again = read(resume(stopped(setting, tmp_path, STEPS + 3), observers=[Recorder()]))
    assert list(numbers(again, "loss/val")) == [2 * STEPS]
    assert "images/training" not in again.Tags()["images"]
    assert metadata.SESSION_START_INFO_TAG in again.Tags()["tensors"] and again.Tags()["graph"]


@pytest.mark.usefixtures("no_pictures")
def test_each_of_several_trainings_has_its_own_events(setting: Config, tmp_path: Path) -> None:
    recorder = Recorder()
    settings = [replace(setting, epochs=1, model=model, model_options={}) for model in ("linear", "lenet5")]
    settings[1] = replace(settings[1], input_size=32)
    for config in settings:
        trained = train(config, runs_dir=tmp_path, name=config.model, observers=[recorder])
        found = read(trained)
        assert numbers(found, "loss/val") == {STEPS: np.float32(trained.history()[0]["val_loss"])}
    assert {path.name for path in tmp_path.iterdir()} == {"linear", "lenet5"}


@pytest.mark.usefixtures("no_pictures")
def test_bfloat16_and_a_head_trained_alone(setting: Config, run: Run, tmp_path: Path) -> None:
    config = replace(setting, pretrained=str(run.path), freeze="all-but-head", flip=False, shift=0, ema=0.0)
    trained = train(replace(config, precision="bfloat16"), runs_dir=tmp_path, observers=[Recorder()])
    found = read(trained)
    gradients = [tag for tag in found.Tags()["histograms"] if tag.startswith("gradients/")]
    assert gradients and all(tag.startswith(("gradients/output", "gradients/hidden")) for tag in gradients)
    assert found.Graph().node[-1].op == "Linear"  # as the catalogue has it, whatever the runtime made of it


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.usefixtures("no_pictures")
def test_no_room_for_events(setting: Config, tmp_path: Path) -> None:
    # R-F6
    class Full(Recorder):
        def on_epoch(self, record: EpochRecord) -> None:
            self._file = EventFile(Path("/dev/full"))
            super().on_epoch(record)

    with pytest.raises(ConvscopeError, match="free some space"):
        train(setting, runs_dir=tmp_path, name="first", observers=[Full()])
    assert Run(tmp_path / "first").status == "failed"
    assert resume(Run(tmp_path / "first"), observers=[Recorder()]).status == "finished"
