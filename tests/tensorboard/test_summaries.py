"""What goes into events, by itself."""

import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convscope.catalog import MODELS
from convscope.models import build_model
from convscope.models.summary import summarise
from convscope.tensorboard.graph import graph_of
from convscope.tensorboard.summaries import BUCKETS, histogram, sheet

VALUES = st.floats(-1e6, 1e6, width=32)


@given(st.lists(VALUES, min_size=1, max_size=200))
def test_a_histogram_counts_as_numpy_does(values: list[float]) -> None:
    (found,) = histogram("h", torch.tensor(values))
    histo, array = found.histo, np.array(values, dtype=np.float32)
    assert sum(histo.bucket) == histo.num == len(array)
    assert (histo.min, histo.max) == (array.min(), array.max())
    assert list(histo.bucket_limit) == sorted(histo.bucket_limit)
    # A value on a limit may be rounded to either side: between limits, no more and no less.
    width = (histo.max - histo.min) / BUCKETS
    for limit, count in zip(histo.bucket_limit, np.cumsum(histo.bucket), strict=True):
        assert (array < limit - 1e-3 * width).sum() <= count <= (array <= limit + 1e-3 * width).sum()


@pytest.mark.parametrize(
    ("values", "kept"), [([1.0, float("inf"), float("nan"), 3.0], 2), ([float("nan")], 0), ([0.0, 0.0], 2)]
)
def test_what_is_infinite_is_left_out(values: list[float], kept: int) -> None:
    assert sum(sum(value.histo.bucket) for value in histogram("h", torch.tensor(values))) == kept


def test_many_values_are_counted_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from convscope.tensorboard import summaries

    monkeypatch.setattr(summaries, "_PIECE", 100)
    values = torch.randn(1234, generator=torch.Generator().manual_seed(0)).view(2, 617)
    (found,) = histogram("h", values)
    assert list(found.histo.bucket) == torch.histc(values, BUCKETS).tolist()
    assert found.histo.sum == pytest.approx(values.sum().item(), rel=1e-4)


@given(
    count=st.integers(1, 20),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_a_sheet_shows_every_picture(count: int, channels: int, height: int, width: int, seed: int) -> None:
    pictures = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))
    image = sheet("s", pictures).image
    with Image.open(io.BytesIO(image.encoded_image_string)) as opened:
        pixels = np.asarray(opened)
    assert pixels.shape == (image.height, image.width, 3)
    columns = min(8, count)
    rows = -(-count // columns)
    high, wide = image.height // rows, image.width // columns
    times = (wide - 4) // width
    for number in range(count):
        row, column = divmod(number, columns)
        cell = pixels[
            row * high + 2 : (row + 1) * high - 2 : times, column * wide + 2 : (column + 1) * wide - 2 : times
        ]
        expected = pictures[number].permute(1, 2, 0).expand(-1, -1, 3).mul(255).round().numpy()
        assert (cell == expected).all()


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_of_every_network(name: str) -> None:
    # R-A12
    size = MODELS[name].input_size
    with torch.device("meta"):
        network = build_model(name, in_channels=3, input_size=size)
    summary = summarise(network, (3, size, size))
    nodes = {node.name: node for node in graph_of(summary).node}
    assert len(nodes) == len(summary.layers) + 1  # no two of one name
    assert all(re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_./\\-]*", node) for node in nodes)
    assert all(source in nodes for node in nodes.values() for source in node.input)
    inside = {node[:place] for node in nodes for place in range(len(node)) if node[place] == "/"}
    assert not inside & set(nodes)  # TensorBoard cannot draw a node that others are in
    assert sum(node.attr["parameters"].i for node in nodes.values()) == summary.total_parameters
    first = nodes["image"].attr["_output_shapes"].list.shape[0]
    assert [dimension.size for dimension in first.dim] == [-1, 3, size, size]
