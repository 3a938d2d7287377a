"""The same seed on the same machine gives the same bits: every network, every augmentation, in every process.

Run as a program, this file prints what it computed, for a test to compare with what it computes itself.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from convscope.catalog import MODELS
from convscope.data import Augmentation, Batches, ImageSet, Preprocessing
from convscope.models import build_model, takes_option
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.loop import fit
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime
from convscope.training.schedules import build_schedule

# Slimmer layers where the full network takes seconds: what could differ from one time to the next is the same in both.
SLIM = {"width": 1 / 8, "growth_rate": 8, "hidden": 16}
PRECISIONS = ("float32", "bfloat16")
AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "shift": Augmentation(shift=3),
    "rotation": Augmentation(rotation=20.0),
    "cutout": Augmentation(cutout=5),
    "crop": Augmentation(crop_scale=0.4),
    "jitter": Augmentation(jitter=0.4),
    "mixup": Augmentation(mixup=0.3),
    "cutmix": Augmentation(cutmix=1.0),
    "all": Augmentation(flip=True, shift=3, rotation=20.0, cutout=5, crop_scale=0.4, jitter=0.4, mixup=0.3, cutmix=1.0),
}


def digest(tensors: Iterable[Tensor]) -> str:
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def batches(size: int, channels: int, seed: int, augmentation: Augmentation) -> Batches:
    """Eight images of noise in batches of four."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, channels, size, size), dtype=torch.uint8, generator=generator)
    image_set = ImageSet(images, torch.arange(8) % 3, ("a", "b", "c"))
    return Batches(
        image_set,
        Preprocessing.for_training(image_set),
        batch_size=4,
        device=torch.device("cpu"),
        shuffle_seed=seed,
        augmentation=augmentation,
    )


def trained(name: str, precision: str, seed: int = 0) -> str:
    """The weights after an epoch of two steps, with dropout and augmentation."""
    entry = MODELS[name]
    size = min(entry.input_size, max(entry.least_size, 32))
    options = {option: value for option, value in SLIM.items() if takes_option(name, option)}
    network = build_model(name, num_classes=3, in_channels=entry.in_channels, input_size=size, seed=seed, **options)
    runtime = Runtime.choose("cpu", precision, 1)
    model = runtime.prepare(network)
    data = batches(size, entry.in_channels, seed, AUGMENTATIONS["all"])
    torch.manual_seed(seed)  # dropout draws from PyTorch's own generator
    fit(
        model,
        data,
        batches(size, entry.in_channels, seed, AUGMENTATIONS["none"]),
        build_optimizer("adamw", model, lr=1e-3),
        schedule=build_schedule("constant", epochs=1, steps_per_epoch=len(data)),
        runtime=runtime,
        epochs=1,
        checkpoints=MemoryCheckpoints(),
    )
    return digest(model.state_dict().values())


def augmented(kind: str, seed: int = 0) -> str:
    """The batches of two epochs."""
    data = batches(32, 3, seed, AUGMENTATIONS[kind])
    return digest(tensor for epoch in (1, 2) for batch in data.epoch(epoch) for tensor in batch)


def everything() -> dict[str, str]:
    networks = {f"{name} {precision}": trained(name, precision) for name in MODELS for precision in PRECISIONS}
    return networks | {kind: augmented(kind) for kind in AUGMENTATIONS}


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, str]:
    """What another process computed."""
    # Another seed for the hashes of texts, after which sets are ordered in another way.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    result = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(result.stdout)
    return found


@pytest.fixture
def one_thread() -> Iterable[None]:
    """Sums are taken in another order on another number of threads."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_to_the_same_bits(name: str, precision: str, elsewhere: dict[str, str]) -> None:
    # R-F6
    assert trained(name, precision) == elsewhere[f"{name} {precision}"]


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_every_augmentation_gives_the_same_bits(kind: str, elsewhere: dict[str, str]) -> None:
    # R-F6
    assert augmented(kind) == elsewhere[kind]


@pytest.mark.usefixtures("one_thread")
def test_another_seed_gives_other_bits() -> None:
    assert trained("tinyvgg_bn", "float32") != trained("tinyvgg_bn", "float32", seed=1)
    for kind in AUGMENTATIONS:
        assert augmented(kind) != augmented(kind, seed=1)
    assert len({augmented(kind) for kind in AUGMENTATIONS}) == len(AUGMENTATIONS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(everything()))
