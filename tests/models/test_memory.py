"""The memory of a training step, against counts by hand and against what real tensors take."""

import weakref
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.models import build_model
from convscope.models.densenet import DenseNet
from convscope.models.memory import Precision, process_memory, training_memory


class Linear(nn.Module):
    """One layer, whose step can be followed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.head = nn.Flatten(), nn.Linear(64 * 64, 1000, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.flatten(images))


def test_by_hand() -> None:
    # R-C6. At the peak a batch is prepared while the one before, its logits and its gradients are still there; each
    # step of the preparation has the old images and the new.
    memory = training_memory(Linear(), (1, 64, 64), 256, optimizer="sgd")
    weights = 4 * 64 * 64 * 1000
    assert memory.weights == memory.gradients == memory.optimizer_state == memory.best_weights == weights
    images, logits = 4 * 256 * 64 * 64, 4 * 256 * 1000
    assert memory.activations == pytest.approx(3 * images + logits, rel=1e-3)
    assert memory.total == 4 * weights + memory.activations + memory.gaps


def test_what_optimizer_and_frozen_layers_cost() -> None:
    model = build_model("tinyvgg_bn", seed=0)
    statistics = 2 * (2 * 32 + 2 * 64 + 2 * 128)  # a mean and a variance for each channel
    sgd, adam, adamw = (training_memory(model, (1, 28, 28), 4, optimizer=name) for name in ("sgd", "adam", "adamw"))
    assert sgd.weights == 4 * (435_754 + statistics) + 8 * 6  # six counts of steps
    assert sgd.optimizer_state == sgd.gradients == 4 * 435_754
    assert adam.optimizer_state == adamw.optimizer_state == 2 * sgd.gradients
    for child in list(model.children())[:-1]:
        child.requires_grad_(False)
    frozen = training_memory(model, (1, 28, 28), 64)
    assert frozen.gradients == 4 * (128 * 10 + 10)
    assert frozen.optimizer_state == 2 * frozen.gradients
    model.requires_grad_(True)
    assert frozen.activations < training_memory(model, (1, 28, 28), 64).activations / 2


class RealStep(TorchDispatchMode):
    """The most that real tensors take together, by their own account."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.free, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def free(self, identity: int, size: int) -> None:
        self.known.remove(identity)
        self.now -= size


@pytest.mark.parametrize(
    ("build", "precision"),
    [
        (lambda: build_model("tinyvgg_bn", input_size=32), "float32"),
        (lambda: build_model("tinyvgg_bn", input_size=32), "bfloat16"),
        (lambda: build_model("googlenet", input_size=32, auxiliary=True), "bfloat16"),
        (lambda: build_model("se_resnet18_small", width=1 / 8), "bfloat16"),
        (lambda: DenseNet((2, 2, 2, 2), True, in_channels=1, num_classes=10, growth_rate=8), "float32"),
    ],
)
def test_real_steps_take_as_much(build: Callable[[], nn.Module], precision: Precision) -> None:
    model = build()
    estimate = training_memory(model, (1, 32, 32), 16, precision=precision, optimizer="sgd")
    model.to(memory_format=torch.channels_last).train()
    images, labels = torch.rand(16, 1, 32, 32), torch.arange(16) % 10
    with RealStep([*model.parameters(), *model.buffers()]) as real:
        images = images * 1
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            output = model(images)
        logits = [output.logits, *output.auxiliary] if isinstance(output, tuple) else [output]
        sum(F.cross_entropy(each.float(), labels) for each in logits).backward()
    assert estimate.activations + estimate.gradients == pytest.approx(real.peak, rel=0.02)


def test_parts_of_a_batch_take_less() -> None:
    # R-C6
    model = build_model("tinyvgg_bn")
    whole, parts = (training_memory(model, (1, 28, 28), 512, micro_batch=size) for size in (None, 64))
    small = training_memory(model, (1, 28, 28), 64)
    assert (whole.micro_batch, parts.micro_batch) == (512, 64)
    assert whole.total > 4 * parts.total
    # The images of the whole batch are prepared at once, and wait; beside them there is but one part.
    assert small.activations < parts.activations < small.activations + 5 * 4 * 512 * 28 * 28
    assert training_memory(model, (1, 28, 28), 8, micro_batch=64) == training_memory(model, (1, 28, 28), 8)


def test_bfloat16_takes_less_for_activations() -> None:
    model = build_model("tinyvgg_bn")
    full, half = (training_memory(model, (1, 28, 28), 128, precision=name) for name in ("float32", "bfloat16"))
    assert half.activations < 0.7 * full.activations
    assert half.weights == full.weights and half.gradients == full.gradients


def test_gaps_of_a_large_fully_connected_layer() -> None:
    # Measured: a training of VGG-11 holds 550 MiB that it has freed, because the gradient of its first fully connected
    # layer, 392 MiB, does not fit between what was allocated after the one of the step before.
    with torch.device("meta"):
        model = build_model("vgg11", in_channels=1, input_size=64)
    memory = training_memory(model, (1, 64, 64), 32, precision="bfloat16", optimizer="sgd")
    assert memory.gaps == pytest.approx(555 * 2**20, rel=0.05)


def test_it_is_that_of_training_in_whatever_mode_the_network_is() -> None:
    model = build_model("tinyvgg_bn")
    assert training_memory(model.eval(), (1, 28, 28), 8) == training_memory(model.train(), (1, 28, 28), 8)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    training_memory(model.eval(), (1, 28, 28), 8)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_largest_batch_takes_neither_time_nor_memory() -> None:
    one, many = (training_memory(build_model("tinyvgg"), (1, 28, 28), size) for size in (10_000, 10**9))
    assert many.activations / one.activations == pytest.approx(10**5, rel=0.02)


def test_process_memory_is_more_than_python_with_pytorch() -> None:
    assert 200 * 2**20 < process_memory() < 8 * 2**30


def test_parts_are_plain_numbers() -> None:
    assert all(type(value) is int for value in asdict(training_memory(build_model("linear"), (1, 28, 28), 8)).values())
