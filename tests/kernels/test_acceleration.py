"""An accelerated network computes what the plain one does, and is what it was."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convscope.catalog import MODELS
from convscope.kernels import build, choice
from convscope.kernels.acceleration import accelerate, deaccelerate, is_accelerated, observing, why_not
from convscope.kernels.convolving import has_amx
from convscope.kernels.groups import Group
from convscope.models import build_model
from convscope.models.layers import Classifier, WithAuxiliary
from convscope.models.tracing import Step, Trace
from convscope.training.averaging import MovingAverage
from convscope.training.compiled import uncompiled
from convscope.training.freezing import build_freezing
from convscope.training.loss import CrossEntropy
from convscope.training.norms import share_norms
from convscope.training.runtime import Runtime

pytestmark = pytest.mark.usefixtures("operators")

SLIM: dict[str, dict[str, Any]] = {
    "AlexNet": {"width": 1 / 16},
    "VGG": {"width": 1 / 16},
    "ResNet": {"width": 1 / 8},
    "SENet": {"width": 1 / 8},
    "DenseNet": {"growth_rate": 4},
    "GoogLeNet": {"auxiliary": True},
}
PLAIN = ("linear", "lenet5")
"""Networks without norms, without pools that tile, and without convolutions of 3x3."""
DEEPER = ("vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet34", "resnet34_small", "resnet101")
DEEPER += ("resnet50", "densenet169", "densenet121", "se_resnet50")
"""More of the same layers as others."""


def build_slim(name: str, **options: Any) -> Classifier:
    """In channels-last order, as for training."""
    entry = MODELS[name]
    size = min(entry.input_size, max(entry.least_size, 32))
    shared = {"in_channels": entry.in_channels, "input_size": size, "seed": 0}
    torch.manual_seed(0)
    model = Runtime(torch.device("cpu")).prepare(build_model(name, **(shared | SLIM.get(entry.family, {}) | options)))
    with torch.no_grad():  # fresh norms and biases would hide some mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn(parameter.shape)
    return model


def draw(model: Classifier, count: int = 4) -> Tensor:
    entry = MODELS[model.name]
    size = min(entry.input_size, max(entry.least_size, 32))
    images = torch.randn(count, entry.in_channels, size, size, generator=torch.Generator().manual_seed(1))
    return images.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Group]]:
    """The groups that have run as one since, by our own ways wherever there are any."""
    monkeypatch.setattr(choice, "faster", lambda key, ways: [*ways][-1])
    ran: list[Group] = []
    for name in ("_after", "_by_amx"):
        ordinary = getattr(Group, name)

        def note(group: Group, *arguments: Any, ordinary: Callable[..., Any] = ordinary) -> Any:
            ran.append(group)
            return ordinary(group, *arguments)

        monkeypatch.setattr(Group, name, note)
    yield ran


def step(model: Classifier, images: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits and loss of a step of training, which leaves gradients."""
    torch.manual_seed(2)  # dropout
    model.zero_grad()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        output = model(images)
    logits, _, total = CrossEntropy(0.0)(output, torch.arange(len(images)) % 10)
    total.backward()
    return logits.detach(), total.detach()


def distance(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Between all numbers together, as a share of their size."""
    a, b = (torch.cat([tensor.detach().double().flatten() for tensor in tensors]) for tensors in (ours, theirs))
    return float((a - b).norm() / b.norm().clamp(min=1e-12))


def gradients(model: nn.Module) -> list[Tensor]:
    """Of all parameters that have one; auxiliary classifiers have none in evaluation."""
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("name", [name for name in MODELS if name not in DEEPER])
def test_a_step_in_float32_is_as_exact(name: str, calls: list[Group]) -> None:
    plain = build_slim(name)
    exact, ours = copy.deepcopy(plain).double(), copy.deepcopy(plain)
    assert accelerate(ours) == (name not in PLAIN or (name == "lenet5" and has_amx()))
    models = (ours, plain, exact)
    images = draw(plain, 8)
    for training in (True, False):  # evaluation with gradients is what resting layers do
        calls.clear()
        answers = [[*step(model.train(training), images.to(next(model.parameters()).dtype))] for model in models]
        assert bool(calls) == (name not in PLAIN)
        assert distance(answers[0], answers[2]) < 3 * distance(answers[1], answers[2]) + 1e-5
        # A value that is rounded to the other side of zero has another gradient, here and in all layers before.
        ours_off, plain_off = (distance(gradients(model), gradients(exact)) for model in models[:2])
        assert ours_off < 3 * plain_off + 0.01
    with torch.no_grad():
        assert distance([ours(images)], [plain(images)]) < 1e-3
    assert [*ours.state_dict()] == [*plain.state_dict()]
    for key, expected in plain.state_dict().items():
        assert distance([ours.state_dict()[key]], [expected]) < 1e-3, key


@pytest.mark.parametrize(
    "name",
    [
        "tinyvgg",
        "tinyvgg_bn",
        "vgg11_bn",
        "googlenet_bn",
        "resnet18",
        "resnet50_small",
        "densenet121_small",
        "se_resnet18",
    ],
)
def test_a_step_in_bfloat16_is_as_exact(name: str, calls: list[Group]) -> None:
    exact = build_slim(name)
    plain, ours, images = copy.deepcopy(exact), copy.deepcopy(exact), draw(exact, 8)
    accelerate(ours)
    for model in (exact, plain, ours):
        model.train()
    wanted = step(exact, images)
    results = {name: step(model, images, torch.bfloat16) for name, model in (("plain", plain), ("ours", ours))}
    assert calls and results["ours"][0].dtype == results["plain"][0].dtype
    assert distance([*results["ours"]], [*wanted]) < 1.5 * distance([*results["plain"]], [*wanted]) + 0.01
    assert distance(gradients(ours), gradients(exact)) < 1.5 * distance(gradients(plain), gradients(exact)) + 0.02
    for model in (exact, plain, ours):
        model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        answers = [model(images).float() for model in (plain, ours)]
    with torch.no_grad():
        wanted = [exact(images)]
    assert distance(answers[1:], wanted) < 1.5 * distance(answers[:1], wanted) + 0.01


def test_networks_of_one_mode_each(calls: list[Group]) -> None:
    model = build_slim("googlenet_bn", transform_input=True).train()
    assert accelerate(model)
    images = draw(model)
    assert isinstance(model(images), WithAuxiliary)
    assert isinstance(model.eval()(images), Tensor)
    assert isinstance(model.train()(images), WithAuxiliary)
    assert calls


def test_resting_stages_use_their_statistics(calls: list[Group]) -> None:
    plain = build_slim("resnet18_small")
    ours, images = copy.deepcopy(plain), draw(plain)
    accelerate(ours)
    for epoch in (1, 2, 3):
        for model in (ours, plain):
            build_freezing(model, 2, unfreeze_every=1).train(model, epoch)
        calls.clear()
        step(ours, images)
        step(plain, images)
        assert calls
        for ours_now, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
            assert (ours_now.grad is None) == (theirs.grad is None)
        ours.load_state_dict(plain.state_dict())
        for name, expected in plain.state_dict().items():
            assert distance([ours.state_dict()[name]], [expected]) < 1e-3, name
    assert plain.bn1.num_batches_tracked == 1  # it rested twice


def test_it_stays_what_it_was() -> None:
    model, same = build_slim("resnet18_small"), build_slim("resnet18_small")
    assert accelerate(model) and accelerate(model) and is_accelerated(model)
    model(draw(model))
    assert type(model) is type(same)
    assert [*model.state_dict()] == [*same.state_dict()]
    assert [name for name, _ in model.named_modules()] == [name for name, _ in same.named_modules()]
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in same.named_parameters()]
    assert vars(model).keys() - vars(same).keys() == {"_compiled_call_impl"}
    copies = [
        copy.deepcopy(model),
        copy.copy(model),
        pickle.loads(pickle.dumps(model)),
        MovingAverage(model, decay=0.9).model,
    ]
    assert not any(is_accelerated(other) for other in copies)
    deaccelerate(model)
    assert not is_accelerated(model) and model._compiled_call_impl is None


def test_whoever_listens_sees_the_layers(calls: list[Group]) -> None:
    model = build_slim("tinyvgg_bn", activation="silu").eval()
    accelerate(model)
    images, seen = draw(model), list[Step]()
    with torch.no_grad(), Trace(model, seen.append):
        model(images)
    assert "block1.act1" in [step.name for step in seen] and not calls
    heard: list[str] = []
    layers = {"": model, "block1.norm1": model.block1.norm1, "block2": model.block2}
    for name, layer in layers.items():
        handles = [
            layer.register_forward_hook(lambda *_, name=name: heard.append(name)),
            layer.register_full_backward_hook(lambda *_, name=name: heard.append(f"back to {name}")),  # type: ignore[misc]
        ]
        model(images.requires_grad_()).sum().backward()
        for handle in handles:
            handle.remove()
        assert heard == [name, f"back to {name}"] and not calls
        heard.clear()
    handle = nn.modules.module.register_module_forward_hook(lambda *_: heard.append("any"))
    model(images)
    handle.remove()
    assert "any" in heard and not calls
    model(images)
    assert calls


@pytest.mark.parametrize("look", [observing, uncompiled])
def test_who_only_looks_sees_each_layer_and_changes_no_bit(
    look: Callable[[nn.Module], Any], calls: list[Group]
) -> None:
    alone = build_slim("tinyvgg_bn").train()
    seen = copy.deepcopy(alone)
    images, heard = draw(alone), []
    for model in (alone, seen):
        accelerate(model)
    with look(seen):
        handle = seen.block1.norm1.register_forward_hook(lambda layer, x, y: heard.append(y.shape))
        answers = [step(model, images) for model in (alone, seen)]
        handle.remove()
    assert heard == [(4, 32, 28, 28)] and len(calls) == 12
    assert all(map(torch.equal, *answers)) and all(map(torch.equal, gradients(alone), gradients(seen)))
    for name, value in alone.state_dict().items():
        assert torch.equal(value, seen.state_dict()[name]), name
    assert torch.equal(*(step(model, images)[0] for model in (alone, seen))) and len(heard) == 1


def test_norms_that_talk_to_other_processes_are_run_once() -> None:
    model = build_slim("tinyvgg_bn").eval()
    share_norms(model)
    assert accelerate(model)
    with observing(model):
        assert not is_accelerated(model)
    assert is_accelerated(model)


def test_exports_see_the_layers(calls: list[Group]) -> None:
    model, images = Undecided().eval(), torch.rand(2, 1, 4, 4)
    assert accelerate(model)
    program = torch.export.export(model, (images,))
    assert not [node for node in program.graph.nodes if "convscope" in str(node.target)]
    assert not calls


def test_layers_that_are_replaced_or_changed_are_used(calls: list[Group]) -> None:
    model = build_slim("tinyvgg_bn").eval()
    accelerate(model)
    images = draw(model)
    with torch.no_grad():
        model(images)
        model.reset_head(3)
        assert model(images).shape == (4, 3)
        model.set_submodule("block1.act1", nn.SiLU())
        for change in (
            lambda: None,
            lambda: model.block2.norm2.weight.mul_(2),
            lambda: model.load_state_dict({name: 0.9 * value for name, value in model.state_dict().items()}),
            lambda: setattr(model.block2.conv1, "weight", nn.Parameter(-model.block2.conv1.weight)),
            lambda: setattr(model.block3.norm1, "__class__", Doubled),
        ):
            change()
            calls.clear()
            ours = model(images)
            assert calls
            assert distance([ours], [model.forward(images)]) < 1e-4
    assert model.block3.norm1 not in [group.norm for group in calls]
    double = images.double()
    assert model.double()(double).dtype == torch.float64


class Doubled(nn.BatchNorm2d):
    """A norm of somebody else's."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) as before."""
        return 2 * super().forward(x)


class Undecided(nn.Module):
    """Goes by what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(1, 2, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 2, H - 2, W - 2)."""
        if not self.training or x.sum() > 0:
            return self.act(self.conv(x))
        return self.conv(x)


class Shifted(Undecided):
    """Has a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 2, H - 2, W - 2)."""
        return self.act(self.conv(x)) + self.shift


def test_what_cannot_be_accelerated_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, calls: list[Group]) -> None:
    images = torch.rand(2, 1, 4, 4)
    for model, reason in (
        (Undecided(), "control flow"),
        (Shifted(), "outside of its layers"),
        (nn.Sequential(nn.Linear(1, 1)), "no layers"),
    ):
        attributes = {*vars(model)}
        assert not accelerate(model) and not is_accelerated(model)
        assert reason in str(why_not(model))
        assert {*vars(model)} == attributes
    model = Undecided().eval()
    assert accelerate(model) and why_not(model) is None
    torch.testing.assert_close(model(images), model.act(model.conv(images)))
    assert torch.equal(model.train()(-images), model.conv(-images))  # a mode of which no program can be made
    assert torch.equal(model(x=images), model(images))
    compiled = Undecided().eval()
    compiled._compiled_call_impl = compiled.forward
    assert not accelerate(compiled) and compiled._compiled_call_impl is not None
    monkeypatch.setattr(build, "load", lambda: False)
    monkeypatch.setattr(build, "obstacle", lambda: "no compiler")
    assert not accelerate(Undecided().eval()) and why_not(model) == "no compiler"
