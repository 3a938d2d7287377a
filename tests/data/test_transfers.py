"""Copies to a GPU, as far as a machine without one can tell: which are asked for, and that no other ones are."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, optim
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.data import Augmentation, Batches, ImageSet, Preprocessing, Splits, preprocessing, transforms
from convscope.data import batches as batches_module
from convscope.data.transfers import send
from convscope.models import build_model
from convscope.training.loop import add_gradients
from convscope.training.loss import CrossEntropy
from convscope.training.runtime import Runtime

EVERYTHING = Augmentation(flip=True, shift=2, rotation=10.0, cutout=8, crop_scale=0.5, jitter=0.2, mixup=0.2)


class Waits(TorchDispatchMode):
    """Notes what would make the host of a GPU wait; the meta device, which has no numbers, stands for the GPU.

    That is a copy to it that does not say `non_blocking`. Asking it for a number, or for places chosen by truth values,
    is an error there anyway.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.sent = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), keywords: Any = None
    ) -> Any:
        result = function(*args, **(keywords or {}))
        there = {argument.device.type for argument in args if isinstance(argument, Tensor)}
        if isinstance(result, Tensor) and result.is_meta:
            if "cpu" in there and (keywords or {}).get("non_blocking"):
                self.sent += 1
            elif "cpu" in there:
                self.seen.append(str(function))
        return result


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinned memory cannot be had without a GPU; the rest of `send` is as there."""
    for module in (batches_module, preprocessing, transforms):
        monkeypatch.setattr(module, "send", lambda tensor, device: tensor.to(device, non_blocking=True))
    made = torch.tensor

    def tensor(values: Any, *, device: torch.device | str | None = None, **keywords: Any) -> Tensor:
        assert str(device or "cpu") == "cpu", "a copy of Python's numbers, which makes the host wait"
        return made(values, device=device, **keywords)

    monkeypatch.setattr(torch, "tensor", tensor)


def test_nothing_happens_on_the_cpu() -> None:
    tensor = torch.ones(3)
    assert send(tensor, torch.device("cpu")) is tensor


def test_a_gpu_copies_out_of_pinned_memory_by_itself() -> None:
    asked: list[object] = []

    def to(device: torch.device, non_blocking: bool = False) -> str:
        asked.append(("to", device.type, non_blocking))
        return "there"

    pinned = SimpleNamespace(to=to)
    tensor: Any = SimpleNamespace(device=torch.device("cpu"), pin_memory=lambda: asked.append("pin") or pinned)
    assert send(tensor, torch.device("cuda:0")) == "there"
    assert asked == ["pin", ("to", "cuda", True)]


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("augmentation", [None, Augmentation(shift=2, flip=True), EVERYTHING])
def test_no_step_makes_the_host_wait(fashion_splits: Splits, augmentation: Augmentation | None) -> None:
    train = fashion_splits.train
    batches = Batches(
        train,
        Preprocessing.for_training(train),
        batch_size=128,
        device="meta",
        shuffle_seed=0,
        augmentation=augmentation,
    )
    model = build_model("tinyvgg_bn", seed=0).to("meta")
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    runtime = Runtime(torch.device("cpu"))
    with Waits() as waits:
        for images, labels in batches.epoch(1):
            assert images.is_meta and labels.is_meta
            loss, correct = add_gradients(model, images, labels, CrossEntropy(0.1), runtime, micro_batch=50)
            norm = runtime.step(optimizer, clip_norm=1.0)
            assert loss.is_meta and correct.is_meta and norm.is_meta
    assert waits.seen == [] and waits.sent > 0
    with Waits() as waits:
        torch.ones(2).to("meta")
    assert waits.seen  # so that a copy which makes the host wait would have been noticed


@pytest.mark.usefixtures("as_on_a_gpu")
def test_streamed_pixels_are_sent_without_waiting_too(tmp_path: Path) -> None:
    pixels = torch.from_file(str(tmp_path / "pixels"), shared=True, size=40 * 36, dtype=torch.uint8)
    train = ImageSet(pixels.view(40, 1, 6, 6), torch.arange(40) % 2, ("even", "odd"))
    unit = Preprocessing.for_training(train, "unit")
    with Waits() as waits:
        for images, labels in Batches(train, unit, batch_size=16, device="meta", shuffle_seed=0, streamed=True).epoch(
            1
        ):
            assert images.is_meta and labels.is_meta
    assert len(waits.seen) == 1  # the labels, when it is made
