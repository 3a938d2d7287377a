"""The per-layer table and its graph, against independent counts and the gradients of the networks themselves."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.catalog import MODELS, ModelEntry
from convscope.models import build_model
from convscope.models.summary import Field, Layer, Summary, summarise


def rows_of(summary: Summary) -> dict[str, Layer]:
    rows = {layer.name: layer for layer in summary.layers}
    assert len(rows) == len(summary.layers)
    return rows


def summary_of(name: str, size: int | None = None, **keywords: object) -> Summary:
    entry = MODELS[name]
    shared = {
        "in_channels": entry.in_channels,
        "num_classes": entry.num_classes,
        "input_size": size or entry.input_size,
    }
    with torch.device("meta"):
        model = build_model(name, **(shared | keywords))
    return summarise(model, (shared["in_channels"], shared["input_size"], shared["input_size"]))


def test_simplenet_s_table() -> None:
    # R-D1
    summary = summarise(build_model("simplenet", in_channels=3, input_size=32), (3, 32, 32))
    rows = list(summary.layers)
    conv1, conv2 = (row for row in rows if row.kind == "Conv2d")
    head = rows[-1]
    assert [row.kind for row in rows] == [
        *("Conv2d", "MaxPool2d", "ReLU", "Conv2d", "MaxPool2d", "ReLU", "Flatten", "Linear")
    ]
    assert [row.inputs for row in rows] == [("image",), *((row.name,) for row in rows[:-1])]
    assert (conv1.formula, conv1.parameters) == ("3·3·3·16 + 16", 448)
    assert conv1.multiply_adds == 3 * 3 * 3 * 16 * 32 * 32
    assert (conv2.parameters, conv2.output_shape) == (4_640, (32, 16, 16))
    assert rows[1].formula == ""
    assert (head.formula, head.parameters) == ("2048·10 + 10", 20_490)
    assert head.share == pytest.approx(0.80, abs=0.005)
    assert summary.total_parameters == 25_578


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_totals_and_graph(entry: ModelEntry) -> None:
    summary = summary_of(entry.name)
    assert summary.total_parameters == sum(layer.parameters for layer in summary.layers) == entry.parameters
    assert summary.multiply_adds == entry.multiply_adds
    assert sum(layer.share for layer in summary.layers) == pytest.approx(1)
    known = {"image"}
    for layer in summary.layers:
        assert eval(layer.formula.replace("·", "*") or "0") == layer.parameters  # it calculates to the number beside it
        assert layer.inputs and known.issuperset(layer.inputs)  # every row reads what came before it
        assert layer.receptive_field is not None
        assert not layer.training_only
        known.add(layer.name)
    read = {name for layer in summary.layers for name in layer.inputs}
    assert known - read == {summary.layers[-1].name}  # every row is read by another, but for the logits


def test_multiply_adds_are_those_that_pytorch_counts() -> None:
    model = build_model("googlenet_bn", in_channels=3, input_size=64, auxiliary=True).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 64, 64))
    assert 2 * summarise(model, (3, 64, 64)).multiply_adds == counter.get_total_flops()  # a multiply-add counts two


def test_inception_s_branches() -> None:
    rows = rows_of(summary_of("googlenet", 64))
    module = rows["inception3a"]
    assert module.kind == "concatenation"
    assert [name.split(".")[1] for name in module.inputs] == ["branch1", "branch2", "branch3", "branch4"]
    assert module.output_shape == (256, 8, 8)
    assert module.parameters == module.multiply_adds == 0
    starts = {rows[f"inception3a.branch{n}.{rest}"].inputs for n, rest in ((1, "conv"), (2, "0.conv"), (4, "0"))}
    assert starts == {("maxpool2",)}
    assert rows["inception3b.branch1.conv"].inputs == ("inception3a",)


def test_residual_dense_and_gated_junctions() -> None:
    residual = rows_of(summary_of("resnet18_small"))
    assert residual["layer2.0"].kind == "sum"
    assert set(residual["layer2.0"].inputs) == {"layer2.0.rescale", "layer2.0.downsample.1"}
    assert residual["layer2.0.act2"].inputs == ("layer2.0",)
    dense = rows_of(summary_of("densenet121_small"))
    block = "features.denseblock1"
    assert dense[f"{block}.denselayer1.norm1"].inputs == dense[block].inputs[:1]
    assert dense[block].kind == "concatenation"
    assert dense[f"{block}:2"].inputs == (block, f"{block}.denselayer2.dropout")
    gated = rows_of(summary_of("se_resnet18_small"))
    assert gated["layer1.0.rescale"].kind == "product"
    assert gated["layer1.0.rescale"].inputs == ("layer1.0.bn2", "layer1.0.rescale.sigmoid")


def test_auxiliary_classifiers_are_for_training_only() -> None:
    plain, whole = summary_of("googlenet"), summary_of("googlenet", auxiliary=True)
    extra = [layer for layer in whole.layers if layer.training_only]
    assert {layer.name.split(".")[0] for layer in extra} == {"aux1", "aux2"}
    assert whole.multiply_adds == plain.multiply_adds
    assert whole.total_parameters == plain.total_parameters + sum(layer.parameters for layer in extra)


def test_known_receptive_fields() -> None:
    # R-C3: two 3x3 convolutions see 5x5.
    tiny = [row.receptive_field for row in summary_of("tinyvgg").layers]
    assert tiny[0] == Field(start=(-1, -1), size=(3, 3), stride=(1, 1))
    assert Field(start=(-2, -2), size=(5, 5), stride=(1, 1)) in tiny
    assert tiny[-1] == Field(start=(0, 0), size=(28, 28), stride=(0, 0), everything=True)
    vgg = rows_of(summary_of("vgg16"))
    assert vgg["features.30"].receptive_field == Field(start=(-90, -90), size=(212, 212), stride=(32, 32))
    # Araujo et al. give 483 for ResNet-50 with the stride in the first 1x1 convolution of a block; in the 3x3 one,
    # where published weights have it, each stage sees less of the image.
    resnet = rows_of(summary_of("resnet50"))
    assert resnet["layer4.2"].receptive_field == Field(start=(-213, -213), size=(427, 427), stride=(32, 32))


class Join(nn.Module):
    """Branches, and what is made of their results."""

    def __init__(self, kind: str, branches: list[nn.Module]) -> None:
        super().__init__()
        self.kind, self.branches = kind, nn.ModuleList(branches)
        self.mix = nn.Conv2d(len(branches), 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ways = [branch(x) for branch in self.branches]
        if self.kind == "concatenation":
            return self.mix(torch.cat(ways, dim=1))
        result = ways[0] * 1
        for way in ways[1:]:
            if self.kind == "product":
                result = result * way
            else:
                result += way
        return result


def conv(kernel: int, stride: int, padding: int, dilation: int = 1) -> nn.Module:
    return nn.Conv2d(1, 1, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)


# Layers that keep the resolution, and layers that halve it: all of one kind have maps of one size, some look further
# to one side than to the other, so that branches see different places.
keeping = st.one_of(
    st.builds(lambda reach, d: conv(2 * reach + 1, 1, reach * d, d), st.integers(0, 2), st.integers(1, 2)),
    st.builds(lambda: nn.AvgPool2d(3, stride=1, padding=1)),
    st.builds(lambda inplace: nn.Sequential(conv(3, 1, 1), nn.ReLU(inplace)), st.booleans()),
    st.builds(nn.Identity),
)
halving = st.sampled_from([(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]).map(lambda k: conv(k[0], 2, k[1])) | st.builds(
    lambda: nn.AvgPool2d(2)
)
kinds = st.sampled_from(["concatenation", "sum", "product"])


def joined(part: st.SearchStrategy[nn.Module]) -> st.SearchStrategy[nn.Module]:
    return st.builds(Join, kinds, st.lists(part, min_size=2, max_size=3))


kept = st.recursive(
    keeping, lambda part: joined(part) | st.builds(lambda a, b: nn.Sequential(a, b), part, part), max_leaves=5
)
halved = halving | joined(st.builds(lambda a, b: nn.Sequential(a, b), kept, halving) | halving)


def light(model: nn.Module) -> nn.Module:
    """The network with weights through which the light of every pixel gets: positive ones, and no maximum."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            pool = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, ceil_mode=module.ceil_mode)
            model.set_submodule(name, pool)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model.double().eval()


def lit(gradient: Tensor) -> tuple[list[int], list[int]]:
    """First row and column that get a gradient, and those after the last."""
    pixels = gradient[0].sum(dim=0).nonzero()
    return pixels.amin(dim=0).tolist(), (pixels.amax(dim=0) + 1).tolist()


def expected(field: Field, row: int, column: int) -> tuple[list[int], list[int]]:
    start = [field.start[0] + row * field.stride[0], field.start[1] + column * field.stride[1]]
    return start, [start[0] + field.size[0], start[1] + field.size[1]]


@settings(max_examples=60)
@given(stages=st.lists(kept | halved, min_size=1, max_size=3))
def test_receptive_field_is_where_gradients_arrive(stages: list[nn.Module]) -> None:
    model = light(nn.Sequential(*stages))
    size = 96
    images = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    output = model(images)
    field = summarise(model, (1, size, size)).layers[-1].receptive_field
    assert field is not None
    row = output.shape[2] // 2
    start, end = expected(field, row, row)
    assume(min(start) >= 0 and max(end) <= size)
    (gradient,) = torch.autograd.grad(output[0, 0, row, row], images)
    assert lit(gradient) == (start, end)


@pytest.mark.parametrize(
    ("name", "size", "options", "layers"),
    [
        (
            "resnet18_small",
            144,
            {"width": 1 / 64},
            ("layer1.0.act2", "layer2.0.act2", "layer3.1.act2", "layer4.1.act2"),
        ),
        ("resnet50", 480, {"width": 1 / 64}, ("layer2.0.act3", "layer4.2.act3")),
        ("densenet121_small", 80, {"growth_rate": 1}, ("features.transition1.pool", "features.transition2.conv")),
        ("googlenet", 128, {}, ("inception3a", "inception3b", "maxpool3")),
        ("vgg16", 240, {"width": 1 / 64}, ("features.16", "features.30")),
        ("alexnet", 240, {"width": 1 / 64}, ("features.5", "features.12")),
    ],
)
def test_gradients_through_the_networks(
    name: str, size: int, options: dict[str, object], layers: tuple[str, ...]
) -> None:
    model = light(build_model(name, in_channels=1, input_size=size, **options))
    rows = rows_of(summarise(model, (1, size, size)))
    images = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    outputs: dict[str, Tensor] = {}
    for layer in layers:
        model.get_submodule(layer).register_forward_hook(lambda _, x, y, layer=layer: outputs.update({layer: y}))
    model.features(images)
    for layer in layers:
        field = rows[layer].receptive_field
        assert field is not None
        place = -(field.start[0] // field.stride[0])  # the first that sees no padding
        start, end = expected(field, place, place)
        assert min(start) >= 0 and max(end) <= size  # else the border would hide a mistake
        (gradient,) = torch.autograd.grad(outputs[layer][0, :, place, place].sum(), images, retain_graph=True)
        assert lit(gradient) == (start, end), layer


def test_behind_a_gate_the_whole_image_is_seen() -> None:
    model = light(build_model("se_resnet18_small", in_channels=1, input_size=32, width=1 / 4))
    row = rows_of(summarise(model, (1, 32, 32)))["layer1.0.act2"]
    assert row.receptive_field == Field(start=(-3, -3), size=(7, 7), stride=(1, 1), everything=True)
    images = torch.ones(1, 1, 32, 32, dtype=torch.float64, requires_grad=True)
    outputs: list[Tensor] = []
    model.layer1[0].register_forward_hook(lambda _, x, y: outputs.append(y))
    model.features(images)
    (gradient,) = torch.autograd.grad(outputs[0][0, :, 16, 16].sum(), images)
    assert lit(gradient) == ([0, 0], [32, 32])
    assert gradient[0, 0, 16, 16] > 10 * gradient[0, 0, 0, 0]  # the maps themselves still see only what is near


@pytest.mark.parametrize(
    ("there", "wanted", "size", "stride"),
    [(6, 3, 2, 2), (7, 3, 3, 2), (5, 5, 1, 1), (8, 3, None, None), (1, 7, 1, 0), (6, 1, 6, None)],
)
def test_adaptive_pools(there: int, wanted: int, size: int | None, stride: int | None) -> None:
    summary = summarise(nn.Sequential(nn.AdaptiveAvgPool2d((wanted, there)), nn.ReLU()), (1, there, there))
    field = summary.layers[-1].receptive_field
    if size is None:
        assert field is None
    else:
        assert field is not None
        assert field.size == (size, 1)
        assert stride is None or field.stride == (stride, 1)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    class Cropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.second(torch.roll(self.first(images)[:, :, 1:], 1, dims=2))

    rows = rows_of(summarise(Cropped(), (1, 9, 9)))
    assert rows["first"].receptive_field is not None
    assert rows["second"].receptive_field is None
    assert rows["second"].inputs == ("network:2",)
    assert rows["network:2"].kind == "roll"


def test_a_layer_used_twice_is_counted_once_and_read_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, images: Tensor) -> Tensor:
            y = self.conv(images)
            y += self.conv(torch.relu(y))
            return y

    summary = summarise(Twice(), (1, 8, 8))
    rows = rows_of(summary)
    assert list(rows) == ["conv", "network", "conv:2", "network:2"]
    assert rows["network:2"].kind == "sum" and rows["network:2"].inputs == ("conv", "conv:2")
    assert rows["conv:2"].parameters == 0 and rows["conv:2"].multiply_adds == 9 * 64
    assert summary.total_parameters == 10
    assert rows["network:2"].receptive_field == Field(start=(-2, -2), size=(5, 5), stride=(1, 1))


def test_the_network_itself_is_left_alone() -> None:
    model = build_model("tinyvgg_bn", seed=0).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    summarise(model, (1, 28, 28))
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
