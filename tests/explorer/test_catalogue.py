"""Every network of the catalogue: the explorer says bit for bit what PyTorch computed."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from convscope.catalog import MODELS, ModelEntry
from convscope.data import ImageSet, Splits
from convscope.interpret import explain, record
from convscope.models.summary import IMAGE
from convscope.runs import Run

# Slimmer layers and smaller images where the full network takes long, as in the contracts of the models.
SLIM: dict[str, dict[str, Any]] = {
    "AlexNet": {"width": 1 / 8},
    "VGG": {"width": 1 / 8},
    "ResNet": {"width": 1 / 4},
    "SENet": {"width": 1 / 4},
    "DenseNet": {"growth_rate": 4},
}


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_what_is_shown_is_what_was_computed(  # R-F1
    entry: ModelEntry, make_run: Callable[..., Run], open_explorer: Any, fashion_splits: Splits
) -> None:
    size = max(28, entry.least_size)
    run = make_run(entry.name, in_channels=entry.in_channels, input_size=size, **SLIM.get(entry.family, {}))
    questions, place = open_explorer(run), {"run": run.name, "epoch": "best", "image": "test/3"}
    subject = questions.explorer.subject(run.name)
    predictor = subject.predictor()
    inputs = predictor.preprocessing(pixels_of(fashion_splits.test, 3))
    expected = record(predictor.model, inputs)
    with torch.no_grad():
        logits = predictor.model(inputs)[0]

    network = questions.json("network", run=run.name)
    shape = (entry.in_channels, size, size)
    rows = [row for row in subject.summary.layers if not row.training_only]
    assert network["input_shape"] == list(shape)
    assert [layer["name"] for layer in network["layers"]] == [row.name for row in rows]
    assert [layer["inputs"] for layer in network["layers"]] == [list(row.inputs) for row in rows]
    assert [layer["shape"] for layer in network["layers"]] == [list(row.output_shape) for row in rows]
    assert network["output"] == rows[-1].name

    overview = questions.json("overview", **place)
    assert overview["image"] == {"label": int(fashion_splits.test.labels[3]), "shape": list(shape)}
    assert overview["logits"] == logits.tolist()
    assert overview["probabilities"] == logits.softmax(dim=0).tolist()
    assert list(overview["layers"]) == [IMAGE, *(row.name for row in rows)]
    for name, glance in overview["layers"].items():
        values = expected[name][0]
        assert torch.equal(questions.tensor("activation", layer=name, **place), values)
        assert glance["total"] == len(values)
        if values.ndim == 3:
            channels = values[glance["channels"]]
            assert glance["ranges"] == [[float(maps.min()), float(maps.max())] for maps in channels]
            count = len(channels) * int(np.prod(glance["size"]))
            assert len(base64.b64decode(glance["maps"])) == count
        else:
            assert glance["values"] == values[glance["channels"]].tolist()

    state = predictor.model.state_dict()
    shown = set()
    for layer in network["layers"]:
        if layer["parameters"]:
            for part, tensor in questions.parts("weights", run=run.name, epoch="best", layer=layer["name"]).items():
                assert torch.equal(tensor, state[f"{layer['name']}.{part}"])
                shown.add(f"{layer['name']}.{part}")
    left_out = {name for name in set(state) - shown if not name.endswith("num_batches_tracked")}
    assert all(name.startswith("aux") for name in left_out)  # heads that evaluation does without

    method = "grad-cam" if entry.name != "linear" else "occlusion"
    said = questions.json("explain", method=method, **place)
    maps = explain(predictor.model, inputs, method=method, layer=said["layer"])
    assert said["class"] == int(logits.argmax())
    assert said["range"] == [float(maps.min()), float(maps.max())]


def pixels_of(image_set: ImageSet, index: int) -> torch.Tensor:
    return image_set.take(torch.tensor([index]))
