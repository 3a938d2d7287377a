"""What is minimised, and what of it is recorded."""

import pytest
import torch
from torch.nn import functional as F

from convscope.models.layers import WithAuxiliary
from convscope.training.loss import CrossEntropy, main_classes

LABELS = torch.tensor([0, 3, 3, 1])


def logits(seed: int) -> torch.Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_plain_logits_is_their_cross_entropy(smoothing: float) -> None:
    answer = logits(0)
    loss = CrossEntropy(smoothing)(answer, LABELS)
    targets = F.one_hot(LABELS, 5) * (1 - smoothing) + smoothing / 5
    expected = -(targets * answer.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss.main, expected)
    assert loss.logits is answer
    assert loss.total is loss.main


def test_auxiliary_classifiers_weigh_three_tenths_each_and_are_not_recorded() -> None:
    # GoogLeNet, §5.  R-C4
    answer, first, second = logits(0), logits(1), logits(2)
    loss = CrossEntropy(0.1)(WithAuxiliary(answer, (first, second)), LABELS)
    plain = CrossEntropy(0.1)(answer, LABELS)
    assert loss.logits is answer
    assert torch.equal(loss.main, plain.main)

    loss.total.backward()
    for given, weight in ((answer, 1.0), (first, 0.3), (second, 0.3)):
        alone = given.detach().requires_grad_()
        CrossEntropy(0.1)(alone, LABELS).total.backward()
        torch.testing.assert_close(given.grad, weight * alone.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_targets_may_be_shares_of_classes(smoothing: float) -> None:
    answer, helper = logits(0), logits(1)
    criterion = CrossEntropy(smoothing)
    hard = criterion(WithAuxiliary(answer, (helper,)), LABELS)
    whole = criterion(WithAuxiliary(answer, (helper,)), F.one_hot(LABELS, 5).float())
    torch.testing.assert_close(whole.main, hard.main)
    torch.testing.assert_close(whole.total, hard.total)

    # The loss is linear in the targets: of a mixture it is the mixture of the losses.
    others = LABELS.roll(1)
    mixed = 0.7 * F.one_hot(LABELS, 5) + 0.3 * F.one_hot(others, 5)
    expected = 0.7 * criterion(answer, LABELS).main + 0.3 * criterion(answer, others).main
    torch.testing.assert_close(criterion(answer, mixed).main, expected)
    smooth = mixed * (1 - smoothing) + smoothing / 5
    torch.testing.assert_close(expected, -(smooth * answer.log_softmax(dim=1)).sum(dim=1).mean())


def test_main_class_is_the_one_with_the_larger_share() -> None:
    targets = torch.tensor([[0.3, 0.7, 0.0], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]])
    assert main_classes(targets).tolist() == [1, 2, 0]
    assert main_classes(LABELS) is LABELS


def test_losses_are_computed_in_float32() -> None:
    # In bfloat16, with its 8 bits, the loss of 1,000 classes would be off in its third digit.
    half = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(64)
    loss = CrossEntropy()(WithAuxiliary(half, (half,)), labels)
    exact = F.cross_entropy(half.double(), labels).item()
    assert loss.main.dtype == loss.total.dtype == torch.float32
    assert loss.main.item() == pytest.approx(exact, rel=1e-5)
    assert loss.total.item() == pytest.approx(1.3 * exact, rel=1e-5)
