"""Branches as lanes beside the names of layers."""

import torch
from torch import Tensor, nn

from convscope.catalog import MODELS
from convscope.cli.lanes import MOST_ROWS, draw, fold
from convscope.models import build_model
from convscope.models.summary import Summary, summarise


def summary_of(name: str, size: int, **options: object) -> Summary:
    with torch.device("meta"):
        model = build_model(name, in_channels=3, input_size=size, **options)
    return summarise(model, (3, size, size))


def labels(summary: Summary, *, folded: bool = False) -> list[str]:
    return [line.label for line in draw(summary, fold(summary) if folded else summary.layers)]


def after(lines: list[str], heading: str, count: int) -> list[str]:
    start = lines.index(heading) + 1
    return lines[start : start + count]


def test_inception_has_four_lanes_that_are_concatenated() -> None:
    lines = after(labels(summary_of("googlenet", 64)), "inception3a", 14)
    assert lines == [
        *("├ branch1.conv", "│ branch1.act"),
        *("├ branch2.0.conv", "│ branch2.0.act", "│ branch2.1.conv", "│ branch2.1.act"),
        *("├ branch3.0.conv", "│ branch3.0.act", "│ branch3.1.conv", "│ branch3.1.act"),
        *("├ branch4.0", "│ branch4.1.conv", "│ branch4.1.act"),
        "└ concatenation",
    ]


def test_residual_blocks_have_a_main_path_and_a_shortcut() -> None:
    lines = labels(summary_of("resnet18_small", 32))
    main = ["├ conv1", "│ bn1", "│ act1", "│ conv2", "│ bn2"]
    assert after(lines, "layer1.0", 8) == [*main, "├ downsample", "└ sum", "  act2"]
    assert after(lines, "layer2.0", 9) == [*main, "├ downsample.0", "│ downsample.1", "└ sum", "  act2"]


def test_a_gate_is_a_branch_within_a_branch() -> None:
    lines = labels(summary_of("se_resnet18_small", 32))
    assert after(lines, "layer1.0", 14)[4:] == [
        "│ bn2",
        *("│ ├ rescale.squeeze", "│ │ rescale.flatten", "│ │ rescale.fc1", "│ │ rescale.relu"),
        *("│ │ rescale.fc2", "│ │ rescale.sigmoid", "│ └ rescale.product"),
        *("├ downsample", "└ sum"),
    ]


def test_dense_layers_are_concatenated_with_what_they_read() -> None:
    summary = summary_of("densenet121_small", 32)
    lines = draw(summary, fold(summary))
    block = [line for line in lines if line.layer.name.startswith("features.denseblock1")]
    assert [line.label for line in block][-4:] == [
        *("├ denselayer5", "└ concatenation"),
        *("├ denselayer6", "└ concatenation"),
    ]
    assert block[-1].kind == "with its input"
    assert block[0].label == "features.denseblock1" and block[0].layer.output_shape == (256, 32, 32)


def test_long_networks_are_folded_to_a_readable_length_and_lose_nothing() -> None:
    for name, entry in MODELS.items():
        with torch.device("meta"):
            model = build_model(name, in_channels=entry.in_channels, input_size=entry.input_size)
        summary = summarise(model, (entry.in_channels, entry.input_size, entry.input_size))
        rows = fold(summary)
        assert sum(row.parameters for row in rows) == summary.total_parameters
        assert sum(row.multiply_adds for row in rows) == summary.multiply_adds
        assert rows[-1].output_shape == (10,)
        known = {"image"} | {row.name for row in rows}
        assert all(known.issuperset(row.inputs) for row in rows)
        assert len(draw(summary, rows)) <= MOST_ROWS + 10 or len(rows) == len(summary.layers), name


def test_a_group_s_line_tells_of_all_of_it() -> None:
    summary = summary_of("resnet50", 64)
    lines = {line.label: line for line in draw(summary, summary.layers)}
    block = lines["layer1.0"]
    assert block.kind == "Bottleneck"
    assert block.layer.parameters == 75_008
    assert block.layer.output_shape == (256, 16, 16)
    folded = {line.label: line for line in draw(summary, fold(summary))}
    assert folded["layer1.0"].layer.parameters == 75_008
    assert folded["layer4"].layer.parameters == 14_964_736


class Crossing(nn.Module):
    """Ways that cross: what joins first goes on to both later joins."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(1, 1, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(a)
        c = self.c(b)
        return (a + b) * (b + c)


def test_ways_that_cross_are_listed_instead() -> None:
    summary = summarise(Crossing(), (1, 4, 4))
    lines = draw(summary, summary.layers)
    assert [line.label for line in lines][-1] == "product"
    assert lines[-1].kind == "of 2"
    assert len(lines) == len(summary.layers)
