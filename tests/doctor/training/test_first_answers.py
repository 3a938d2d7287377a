"""What a network sees and answers before it has learnt anything."""

import math

import pytest
import torch
from torch import Tensor, nn

from convscope.config import Config
from convscope.doctor.training.first_answers import describe_answers, find_wrong_answers
from convscope.doctor.training.inputs import describe_inputs, find_wrong_inputs
from convscope.training.lr_finder import Trial
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime


def batches(shift: float = 0.0, scale: float = 1.0, count: int = 2) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(shift + scale * torch.randn(12, 1, 6, 6, generator=generator), torch.arange(12) % 3) for _ in range(count)]


def answers(*layers: nn.Module) -> dict[str, float]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), *layers)
    trial = Trial(model, build_optimizer("sgd", model, lr=1.0), Runtime(torch.device("cpu")))
    return describe_answers(trial, batches(), (8, 8, 8), 0.0)


def kinds(facts: dict[str, float]) -> list[str]:
    return [finding.kind for finding in find_wrong_answers(facts)]


def test_a_healthy_network() -> None:
    facts = answers()
    assert facts["even_loss"] == math.log(3)
    assert facts["guessing_loss"] == pytest.approx(math.log(3))
    torch.manual_seed(0)
    same = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    losses = [nn.functional.cross_entropy(same(images), labels).item() for images, labels in batches()]
    assert facts["first_loss"] == pytest.approx(sum(losses) / 2)
    assert facts["differ"] > 0.1 and facts["unsteady"] < 1e-5 and not facts["probabilities"]
    assert kinds(facts) == []


def test_softmax() -> None:
    assert kinds(answers(nn.Softmax(dim=1))) == ["softmax before the loss"]
    assert kinds(answers(nn.LogSoftmax(dim=1))) == []  # a second one changes nothing
    assert kinds(answers(nn.Sigmoid())) == []  # none that sum to 1


class Always(nn.Module):
    """Does in evaluation what it does in training."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def train(self, mode: bool = True) -> "Always":
        return super().train(True)

    def forward(self, values: Tensor) -> Tensor:
        answer: Tensor = self.layer(values)
        return answer


class Noise(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values + torch.rand_like(values)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), Noise()])
def test_evaluation_that_depends_on_the_batch_or_on_chance(layer: nn.Module) -> None:
    assert kinds(answers(Always(layer))) == ["evaluation in training mode"]


def test_what_is_calm_in_evaluation_is_no_fault() -> None:
    assert kinds(answers(nn.BatchNorm1d(3), nn.Dropout(0.5))) == []


def test_a_first_loss_that_is_too_high_for_any_number_of_classes() -> None:
    facts = {"first_loss": 1.3, "even_loss": math.log(2), "probabilities": False, "unsteady": 0.0}
    assert kinds(facts) == []
    assert kinds(facts | {"first_loss": 1.5}) == ["first loss too high"]
    assert kinds(facts | {"first_loss": math.nan}) == ["first loss too high"]


def test_inputs_are_described() -> None:
    facts = describe_inputs(batches(shift=2.0, scale=3.0, count=40))
    assert facts["shape"] == [1, 6, 6]
    assert facts["mean"] == pytest.approx([2.0], abs=0.1)
    assert facts["std"] == pytest.approx([3.0], abs=0.1)
    assert facts["differ"] == pytest.approx(3.0, abs=0.1)
    assert facts["least"] < -5 and facts["largest"] > 9 and facts["not_finite"] == 0


def inputs(config: Config, *some: tuple[Tensor, Tensor]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.severity) for finding in find_wrong_inputs(describe_inputs(some), config)]


STANDARDISED, UNIT = Config(), Config(scaling="unit")


def test_normal_inputs() -> None:
    assert inputs(STANDARDISED, *batches()) == []
    assert inputs(UNIT, *batches(0.5, 0.1)) == []
    pretrained = Config(pretrained="imagenet")  # has the scaling of other images
    assert inputs(pretrained, *batches(-1.5, 0.3)) == []


def test_inputs_that_are_not() -> None:
    wrong = [("images not normalised", "warning")]
    assert inputs(STANDARDISED, *batches(0.5, 0.1)) == wrong
    assert inputs(STANDARDISED, *batches(3.0)) == wrong
    assert inputs(STANDARDISED, *batches(0.0, 3.0)) == wrong
    assert inputs(UNIT, *batches(120.0, 50.0)) == [("images not normalised", "severe")]
    same = (torch.randn(1, 1, 6, 6).expand(12, -1, -1, -1), torch.zeros(12, dtype=torch.int64))
    assert inputs(UNIT, same) == [("images all alike", "severe")]


def test_inputs_that_are_no_numbers() -> None:
    images, labels = batches(count=1)[0]
    images[0, 0, 0, 0] = torch.inf
    facts = describe_inputs([(images, labels)])
    assert facts["not_finite"] == pytest.approx(1 / 432)
    assert math.isfinite(facts["largest"])
    assert inputs(STANDARDISED, (images, labels)) == [("images not finite", "severe")]
    assert inputs(STANDARDISED, (images * torch.nan, labels)) == [("images not finite", "severe")]
