"""Measuring engines: what is measured, compared and written, not how fast anything is."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from convscope.bench import Inference, bench_inference
from convscope.bench import inference as module
from convscope.data import Splits
from convscope.engines.choice import REFERENCE
from convscope.engines.finished import Finished
from convscope.engines.measured import machine, read_measured
from convscope.errors import ConvscopeError, UserError
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.shapes import INFERENCE, misfit


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run("linear")


@pytest.fixture
def pytorch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    obstacles = {REFERENCE: None, "openvino-float32": "needs openvino"}
    monkeypatch.setattr(module, "present", lambda device: obstacles)


def bench(run: Run, **changes: Any) -> Inference:
    return bench_inference(run, **({"batch_sizes": (1, 3), "seconds": 0.001, "rounds": 2, "device": "cpu"} | changes))


@pytest.mark.usefixtures("pytorch_alone")
def test_what_is_measured_is_written_and_read_back(run: Run) -> None:
    # R-B8
    inference = bench(run)
    predictor = Predictor.from_run(run, "cpu")
    assert inference.weights == predictor.digest
    assert inference.images == 60
    assert inference.left_out == {"openvino-float32": "needs openvino"}
    (row,) = inference.engines
    assert (row.name, row.top1_agreement, row.largest_difference, row.suffices) == (REFERENCE, 1.0, 0.0, True)
    assert [speed.batch_size for speed in row.speeds] == [1, 3]
    for speed in row.speeds:
        assert 0 < speed.seconds <= speed.seconds_95
        assert speed.images_per_second == pytest.approx(speed.batch_size / speed.seconds)
        assert speed.ratio == 1.0

    written = run.read_json("inference.json")
    assert misfit(written, INFERENCE) is None
    assert {key: written[key] for key in inference.to_dict()} == json.loads(json.dumps(inference.to_dict()))
    assert written["machine"] == machine(torch.device("cpu"))
    finished = Finished(predictor.model, predictor.preprocessing, predictor.digest, run.path)
    (read,) = read_measured(finished, torch.device("cpu"))
    assert read.name == REFERENCE
    assert read.agreement.suffices
    assert read.images_per_second == max(speed.images_per_second for speed in row.speeds)


class Wrong:
    """An engine that takes every image for one of the first class."""

    name = "openvino-float32"

    def __call__(self, images: Tensor) -> Tensor:
        return torch.tensor([[9.0] + [0.0] * 9]).repeat(len(images), 1)


def test_engines_are_compared_with_the_network_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = {REFERENCE: Predictor.from_run(run, "cpu").engine, "openvino-float32": Wrong()}
    monkeypatch.setattr(module, "present", lambda device: dict.fromkeys(engines))
    monkeypatch.setattr(module, "open_engine", lambda name, finished, device: engines[name])
    converted: list[tuple[str, int]] = []
    monkeypatch.setattr(Finished, "convert", lambda self, precision, images: converted.append((precision, len(images))))
    wrong = bench(run).engines[1]
    assert wrong.top1_agreement < 0.5
    assert wrong.largest_difference > 0.5
    assert not wrong.suffices
    assert converted == [("float32", 256)]


def test_what_cannot_be_opened_is_left_out_with_the_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "present", lambda device: dict.fromkeys((REFERENCE, "openvino-float32")))

    def fail(*arguments: object) -> None:
        raise ConvscopeError("this network cannot be converted: use another.")

    monkeypatch.setattr(Finished, "convert", fail)
    inference = bench(run)
    assert [row.name for row in inference.engines] == [REFERENCE]
    assert inference.left_out == {"openvino-float32": "this network cannot be converted: use another."}


@pytest.mark.usefixtures("pytorch_alone")
def test_test_images_are_not_looked_at(run: Run, fashion_splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    # R-F5
    without = SimpleNamespace(train=fashion_splits.train, val=fashion_splits.val)
    monkeypatch.setattr(module, "splits_of", lambda *arguments, **keywords: without)
    assert bench(run).images == len(fashion_splits.val)


def test_images_from_everywhere_in_a_set(fashion_splits: Any) -> None:
    images = fashion_splits.train
    assert torch.equal(module._spread(images, 3), images.take(torch.tensor([0, 269, 539])))
    assert len(module._spread(images, 10_000)) == 540


@pytest.mark.usefixtures("pytorch_alone")
def test_how_far_it_is(run: Run) -> None:
    told: list[tuple[str, int, int]] = []
    bench(run, progress=lambda name, done, total: told.append((name, done, total)))
    names = list(dict.fromkeys(name for name, _, _ in told))
    assert names[-3:] == ["warming up with batches of 1", "warming up with batches of 3", "measuring"]
    assert all(told[max(i for i, row in enumerate(told) if row[0] == name)][1:] != (0, 0) for name in names)
    assert told[-1][1] == told[-1][2] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_sizes": ()}, "a batch size is below 1"),
        ({"batch_sizes": (1, 0)}, "a batch size is below 1"),
        ({"seconds": 0.0}, "seconds is 0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"rounds": 0}, "rounds is 0"),
    ],
)
def test_numbers_out_of_range(changes: dict[str, Any], words: str, run: Run) -> None:
    with pytest.raises(UserError, match=words):
        bench(run, **changes)


@pytest.mark.usefixtures("pytorch_alone")
def test_slow_networks_are_compared_on_fewer_images(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPARING", 0.0)
    assert bench(run).images == 32
