"""What changes when a channel is switched off."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convscope.errors import UserError
from convscope.interpret import channel_effects, without_channels
from convscope.models import build_model


def images(count=6, channels=1, size=28):
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def state_of(model):
    """Everything that must be the same afterwards, but for the weights."""
    return [
        (name, module, module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in model.named_modules()
    ]


def test_a_channel_off_is_a_weight_of_zero_in_the_next_layer():
    model = build_model("tinyvgg", seed=0).eval()
    by_hand = copy.deepcopy(model)
    with torch.no_grad():
        by_hand.block1.conv2.weight[:, [3, 30]] = 0
        with without_channels(model, "block1.act1", [3, 30]):
            silenced = model(images())
        torch.testing.assert_close(silenced, by_hand(images()))
        assert not torch.allclose(silenced, model(images()))


def test_a_junction_can_be_silenced_too():
    model = build_model("resnet18_small", seed=0, width=0.125).eval()
    with torch.no_grad(), without_channels(model, "layer2.0", range(16)):
        silent = model(images())
    torch.testing.assert_close(silent, silent[:1].expand(6, -1))  # nothing of the images is left


def test_the_network_is_the_same_afterwards_even_after_an_error():
    model = build_model("tinyvgg_bn", seed=0).train()
    model.block1.eval()
    before, weights = state_of(model), copy.deepcopy(model.state_dict())
    with pytest.raises(KeyboardInterrupt), without_channels(model, "block1.conv1", [0]):
        raise KeyboardInterrupt
    assert state_of(model) == before
    labels = torch.zeros(6, dtype=torch.int64)

    def interrupt(*_):
        raise KeyboardInterrupt

    channel_effects(model, images(), labels, "block2.act")
    with pytest.raises(KeyboardInterrupt):
        channel_effects(model, images(), labels, "block2.act", batch_size=2, progress=interrupt)
    assert state_of(model) == before
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


def test_unknown_layers_and_channels_are_refused():
    model = build_model("tinyvgg", seed=0).eval()
    with pytest.raises(UserError, match=r"unknown layer 'block1\.con1'"), without_channels(model, "block1.con1", [0]):
        model(images())
    with pytest.raises(UserError, match="no channel 32:"), without_channels(model, "block1.conv1", [32]):
        model(images())
    labels = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(UserError, match="unknown layer 'deep'"):
        channel_effects(model, images(), labels, "deep")
    with pytest.raises(UserError, match="has 64 channels and no channel 99:"):
        channel_effects(model, images(), labels, "block2.act", channels=[99])


@pytest.mark.parametrize(
    ("name", "size", "options", "layer"),
    [
        ("tinyvgg", 28, {}, "block2.conv1"),
        ("tinyvgg", 28, {}, "hidden.linear"),
        ("tinyvgg_bn", 28, {"activation": "gelu"}, "block3.act"),
        ("resnet18_small", 28, {"width": 0.125}, "layer2.0.conv1"),
        ("resnet18_small", 28, {"width": 0.125}, "layer3.1"),  # a sum
        ("se_resnet18_small", 28, {"width": 0.125}, "layer2.0.rescale.sigmoid"),
        ("densenet121_small", 28, {"growth_rate": 4}, "features.denseblock2.denselayer3.conv1"),
        ("googlenet_bn", 64, {}, "inception4b.branch2.0.conv"),
    ],
)
def test_effects_are_those_of_the_whole_network_with_the_channel_off(name, size, options, layer):
    """What is computed only once must be what never changes, whatever branches there are."""
    model = build_model(name, input_size=size, seed=0, **options)
    inputs, labels = images(4, size=size), torch.tensor([0, 1, 2, 3])
    effects = channel_effects(model, inputs, labels, layer, channels=[2, 0], batch_size=3)
    model.eval()
    for place, channel in enumerate((2, 0)):
        with torch.no_grad(), without_channels(model, layer, [channel]):
            logits = model(inputs)
        probability = logits.softmax(dim=1)[range(4), labels]
        torch.testing.assert_close(effects.probability_without[place], probability, rtol=1e-4, atol=1e-6)
        assert torch.equal(effects.right_without[place], logits.argmax(dim=1) == labels)
    with torch.no_grad():
        torch.testing.assert_close(effects.probability, model(inputs).softmax(dim=1)[range(4), labels])


class Shared(nn.Module):
    """Asks one layer twice, and joins what comes before the first time with what comes after the second."""

    def __init__(self):
        super().__init__()
        self.stem, self.shared, self.norm = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.act, self.output = nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x):
        x = self.norm(self.stem(x))
        y = self.act(self.shared(x))
        return self.output((self.shared(y) + x).mean(dim=(2, 3)))


@pytest.mark.parametrize("layer", ["stem", "norm", "shared", "act", "shared:2", "network", "output"])
def test_a_layer_that_is_asked_twice(layer):
    torch.manual_seed(0)
    model, labels = Shared().eval(), torch.tensor([0, 1, 2, 0, 1, 2])
    effects = channel_effects(model, images(), labels, layer, channels=[1])
    with torch.no_grad(), without_channels(model, layer, [1]):
        probability = model(images()).softmax(dim=1)[range(6), labels]
    torch.testing.assert_close(effects.probability_without[0], probability)
    assert not torch.allclose(effects.probability, probability)


def test_what_comes_before_the_layer_is_computed_once():
    model = build_model("tinyvgg", seed=0)
    asked = []
    for name in ("block1.conv1", "block2.conv2", "output"):
        # A summary sends images without pixels through a copy of the network.
        model.get_submodule(name).register_forward_hook(
            lambda _, x, y, name=name: None if y.is_meta else asked.append(name)
        )
    channel_effects(model, images(), torch.zeros(6, dtype=torch.int64), "block2.act", channels=range(5))
    assert (asked.count("block1.conv1"), asked.count("block2.conv2"), asked.count("output")) == (1, 1, 6)


def test_effects_class_by_class():
    model = build_model("tinyvgg", seed=0)
    inputs, labels = images(5), torch.tensor([0, 0, 3, 3, 3])
    effects = channel_effects(model, inputs, labels, "block2.act")
    assert effects.channels == tuple(range(64))
    change = effects.probability_without - effects.probability
    by_class = effects.by_class(10)
    assert by_class.shape == (64, 10)
    torch.testing.assert_close(by_class[:, 0], change[:, :2].mean(dim=1))
    torch.testing.assert_close(by_class[:, 3], change[:, 2:].mean(dim=1))
    assert by_class[:, [1, 2, *range(4, 10)]].isnan().all()
    torch.testing.assert_close(effects.probability_change, change.mean(dim=1))
    right = effects.right.float().mean()
    assert effects.accuracy == right
    torch.testing.assert_close(effects.accuracy_change, effects.right_without.float().mean(dim=1) - right)
    with torch.no_grad():
        own = F.softmax(model.eval()(inputs), dim=1)[range(5), labels]
    torch.testing.assert_close(effects.probability, own)
