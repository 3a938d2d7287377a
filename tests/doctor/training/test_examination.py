"""The doctor before a training: it names planted faults and no others, and leaves the healthy in peace.  R-F2"""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from convscope.config import Config
from convscope.data import Batches
from convscope.doctor.training import TrainingReport, examine
from convscope.experiment.session import Session
from convscope.report import write_training_page
from convscope.training.checkpoint import DiskCheckpoints

# Small and quick: two convolutions on images of 14 pixels, 17 steps an epoch.
SMALL = Config(model="simplenet", input_size=14, batch_size=32, device="cpu", precision="float32", threads=1)


def session_of(config: Config, data: Path) -> Session:
    return Session.prepare(replace(config, data=str(data)))


def alarms(report: TrainingReport) -> list[str]:
    """Kinds of all findings above a note."""
    return [finding.kind for finding in report.findings if finding.severity != "note"]


def in_bytes(session: Session) -> Session:
    """The same images, but as 0 to 255."""
    return with_statistics(session, mean=0.0, std=1 / 255)


def from_zero_to_one(session: Session) -> Session:
    return with_statistics(session, mean=0.0, std=1.0)


def with_statistics(session: Session, *, mean: float, std: float) -> Session:
    preprocessing = replace(session.preprocessing, mean=(mean,), std=(std,))
    train = Batches(session.splits.train, preprocessing, batch_size=session.train.batch_size, shuffle_seed=0)
    return replace(session, train=train)


def all_black(session: Session) -> Session:
    return with_statistics(session, mean=0.0, std=1e6)


def zeroed(session: Session) -> Session:
    for parameter in session.model.get_submodule("block2.conv").parameters():
        nn.init.zeros_(parameter)
    return session


def softmax_before_the_loss(session: Session) -> Session:
    session.model.set_submodule("output", nn.Sequential(session.model.get_submodule("output"), nn.Softmax(dim=1)))
    return session


def frozen(session: Session) -> Session:
    for name in ("block1", "block2"):
        session.model.get_submodule(name).requires_grad_(False)
    return session


def forgotten_by_the_optimizer(session: Session) -> Session:
    session.optimizer.param_groups = [
        group | {"params": [p for p in group["params"] if p.ndim != 4]} for group in session.optimizer.param_groups
    ]
    return session


def dead(session: Session) -> Session:
    for name in ("block1.conv", "block2.conv"):
        nn.init.constant_(session.model.get_parameter(f"{name}.bias"), -100.0)
    return session


def detached(session: Session) -> Session:
    """The gradient ends before the head."""
    session.model.set_submodule("flatten", Detach())
    return session


class Detach(nn.Module):
    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.detach().flatten(start_dim=1)


def always_training(session: Session) -> Session:
    """Its eval() does nothing."""
    kind = type(session.model)
    session.model.__class__ = type(
        "Stubborn", (kind,), {"train": lambda self, mode=True: kind.train(self, True), "__module__": kind.__module__}
    )
    return session


def huge_last_layer(session: Session) -> Session:
    with torch.no_grad():
        session.model.get_parameter("output.weight").mul_(300)
    return session


@pytest.mark.parametrize(
    ("plant", "kind", "names"),
    [
        (in_bytes, "images not normalised", "from 0 to 248"),
        (from_zero_to_one, "images not normalised", "from 0 to 0.971"),
        (all_black, "images all alike", "differ"),
        (zeroed, "zeroed layer", "block2.conv"),
        (softmax_before_the_loss, "softmax before the loss", "probabilities"),
        (frozen, "frozen by mistake", "block1.conv, block2.conv"),
        (forgotten_by_the_optimizer, "frozen by mistake", "block1.conv, block2.conv"),
        (dead, "dead ReLUs", "block1.act, block2.act"),
        (detached, "no gradient", "block1.conv, block2.conv"),
        (huge_last_layer, "first loss too high", "2.3"),
    ],
)
def test_a_fault_in_the_network_or_its_images(
    plant: Callable[[Session], Session], kind: str, names: str, fashion_slice: Path
) -> None:
    report = examine(plant(session_of(SMALL, fashion_slice)))
    assert alarms(report) == [kind]
    assert names in report.findings[0].what
    # What may follow from it comes after it, and says so.
    assert all("consequence" in finding.why for finding in report.findings[1:])


def test_evaluation_in_training_mode(fashion_slice: Path) -> None:
    config = replace(SMALL, model="tinyvgg_bn", input_size=8, model_options={"hidden": 16})
    assert alarms(examine(always_training(session_of(config, fashion_slice)))) == ["evaluation in training mode"]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (replace(SMALL, lr=0.3), "learning rate too high"),
        (replace(SMALL, lr=3e-6), "learning rate too low"),
        (replace(SMALL, optimizer="sgd", lr=5.0, schedule="constant"), "learning rate too high"),
        (replace(SMALL, weight_decay=50.0), "weight decay too strong"),
        (replace(SMALL, optimizer="sgd", lr=0.05, weight_decay=1.0), "weight decay too strong"),
    ],
)
def test_a_fault_in_the_setting_and_its_remedy(config: Config, kind: str, fashion_slice: Path) -> None:
    report = examine(session_of(config, fashion_slice))
    assert alarms(report) == [kind]
    flag, value = re.findall(r"--(lr|weight-decay) (\S+?)\.?(?: |$)", report.findings[0].remedy)[0]
    mended = replace(config, **{flag.replace("-", "_"): float(value)})
    again = examine(session_of(mended, fashion_slice))
    assert alarms(again) == []
    assert again.facts["rates"]["short_trainings"][0]["end"] < 0.75 * again.facts["answers"]["guessing_loss"]


def test_vgg11_with_sgd_at_a_tenth_does_not_learn(fashion_slice: Path) -> None:  # R-E5
    config = replace(
        SMALL,
        model="vgg11",
        model_options={"width": 0.125},
        input_size=32,
        optimizer="sgd",
        lr=0.1,
        schedule="constant",
    )
    report = examine(session_of(config, fashion_slice))
    assert alarms(report) == ["stuck at chance"]
    remedy = report.findings[0].remedy
    places = [remedy.index(word) for word in ("vgg11_bn", "--optimizer adamw --lr 0.0005", "--warmup-epochs 1")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, model="linear"),
        replace(SMALL, model="linear", optimizer="sgd", lr=0.02, weight_decay=5e-4),
        replace(SMALL, model="lenet5", label_smoothing=0.1, mixup=0.4, flip=True, shift=2),
        replace(SMALL, model="lenet5", optimizer="sgd", lr=0.1, schedule="cosine", batch_size=64),
        replace(SMALL, model="tinyvgg", model_options={"hidden": 16}, dropout=0.5, weight_decay=0.05),
        replace(
            SMALL, model="tinyvgg_bn", model_options={"hidden": 16}, input_size=8, lr=4e-3, weight_decay=0.05, cutout=2
        ),
        replace(SMALL, model="tinyvgg_explainer", input_size=20),
        replace(SMALL, jitter=0.4, crop_scale=0.5, cutmix=1.0),
        replace(SMALL, scaling="signed"),
        replace(SMALL, model="resnet18_small", model_options={"width": 0.125}, optimizer="sgd", lr=0.05),
    ],
    ids=lambda config: f"{config.model}-{config.optimizer}-{config.scaling}",
)
def test_healthy_trainings_raise_no_alarm(config: Config, fashion_slice: Path) -> None:
    assert alarms(examine(session_of(config, fashion_slice))) == []


def test_weights_that_are_no_numbers_are_told_of_too(fashion_slice: Path, tmp_path: Path) -> None:
    session = session_of(replace(SMALL, model="linear"), fashion_slice)
    nn.init.constant_(session.model.get_parameter("output.weight"), torch.nan)
    report = examine(session)
    assert "first loss too high" in alarms(report)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["facts"]["answers"]["first_loss"] is None
    assert write_training_page(tmp_path / "page.html", report).is_file()


def test_a_body_frozen_on_purpose_is_no_fault(fashion_slice: Path, tmp_path: Path) -> None:
    first = session_of(SMALL, fashion_slice)
    DiskCheckpoints(tmp_path, header=first.header()).save_best(first.model)
    weights = str(tmp_path / "best.safetensors")
    config = replace(SMALL, pretrained=weights, freeze="all-but-head")
    report = examine(session_of(config, fashion_slice))
    assert "frozen by mistake" not in [finding.kind for finding in report.findings]


def test_the_session_is_as_it_was(fashion_slice: Path) -> None:
    session = session_of(replace(SMALL, model="tinyvgg_bn", input_size=8, dropout=0.5), fashion_slice)
    session.model.eval()
    weights = copy.deepcopy(session.model.state_dict())
    groups = copy.deepcopy([{k: v for k, v in g.items() if k != "params"} for g in session.optimizer.param_groups])
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    asked: list[tuple[str, int, int]] = []
    report = examine(session, progress=lambda *step: asked.append(step))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in session.model.state_dict().items())
    assert all(parameter.grad is None for parameter in session.model.parameters())
    assert not any(module.training for module in session.model.modules())
    assert [layer.p for layer in session.model.modules() if isinstance(layer, nn.Dropout)] == [0.5]
    assert session.optimizer.state_dict()["state"] == {}
    assert [{k: v for k, v in g.items() if k != "params"} for g in session.optimizer.param_groups] == groups
    assert {name for name, _, _ in asked} == {"range of learning rates", "short trainings", "learning one batch"}
    assert all(0 < done <= total for _, done, total in asked)
    # A second look sees the same, but for the clock and for what the process holds by now.
    again = examine(session)
    assert again.layers == report.layers
    assert {k: v for k, v in again.facts.items() if k not in ("time", "memory")} == {
        k: v for k, v in report.facts.items() if k not in ("time", "memory")
    }
