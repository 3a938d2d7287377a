"""Learning one batch by heart."""

import torch
from torch import nn

from convscope.data import Batches, ImageSet, Preprocessing, Splits
from convscope.doctor.training.overfit import BY_HEART, STEPS, few_images, find_too_little, overfit
from convscope.training.lr_finder import Trial
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime


def batches(image_set: ImageSet) -> Batches:
    return Batches(image_set, Preprocessing.for_training(image_set), batch_size=32, shuffle_seed=0)


def test_images_of_all_classes(fashion_splits: Splits) -> None:
    images, labels = few_images(batches(fashion_splits.train))
    assert images.shape == (32, 1, 28, 28)
    assert torch.bincount(labels, minlength=10).tolist() == [4, 4, *[3] * 8]


def test_few_images_and_a_class_without_any() -> None:
    pixels = torch.randint(0, 256, (9, 1, 6, 6), dtype=torch.uint8)
    train = batches_of(ImageSet(pixels, torch.tensor([2, 2, 2, 2, 0, 2, 0, 2, 2]), ("a", "b", "c")))
    images, labels = few_images(train, 5)
    assert labels.tolist() == [0, 2, 0, 2, 2]
    expected = train.preprocessing(pixels[[4, 0, 6, 1, 2]])
    torch.testing.assert_close(images, expected)
    assert len(few_images(train)[1]) == 9


def batches_of(image_set: ImageSet) -> Batches:
    return Batches(image_set, Preprocessing.for_training(image_set), batch_size=4, shuffle_seed=0)


def tried(model: nn.Module, labels: torch.Tensor, **options: float) -> tuple[float, ...]:
    torch.manual_seed(0)
    trial = Trial(model, build_optimizer("adamw", model, lr=1.0, **options), Runtime(torch.device("cpu")))
    images = torch.randn(16, 1, 4, 4) if len(labels) == 16 else torch.ones(len(labels), 1, 4, 4)
    return tuple(overfit(trial, (images, labels), lr=0.05, guessing=0.69))


def test_a_network_that_can_ends_early_whatever_dropout_and_decay_would_do() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.9), nn.Linear(64, 2))
    losses = tried(model, torch.arange(16) % 2, weight_decay=20.0)
    assert len(losses) < STEPS and losses[-1] < BY_HEART * 0.69
    assert [*find_too_little(losses, 16, 0.05, 0.69)] == []


def test_contradicting_labels_cannot_be_learnt() -> None:
    torch.manual_seed(0)
    losses = tried(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), torch.arange(6) % 2)
    assert len(losses) == STEPS
    (finding,) = find_too_little(losses, 6, 0.05, 0.69)
    assert finding.kind == "cannot learn one batch" and "the same 6 images" in finding.what


def test_a_loss_that_is_no_number_counts_as_not_learnt() -> None:
    assert len([*find_too_little((0.69, 0.1, float("nan")), 6, 0.05, 0.69)]) == 1
