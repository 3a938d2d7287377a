"""Which test images a run keeps, and how."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convscope.config import Config
from convscope.data import ImageSet, Preprocessing, Splits
from convscope.experiment import results
from convscope.experiment.results import EXAMPLE_SIZE, GRID, PER_CELL, choose_examples, data_facts, evaluate_split
from convscope.runs import create_run
from convscope.training.runtime import Runtime


@given(st.integers(1, 300).flatmap(lambda n: arrays.arrays(np.int64, (3, n), elements=st.integers(0, 2))))
def test_of_each_cell_the_most_confident_are_kept(columns):  # R-F3
    labels, predictions, confidences = columns
    chosen = choose_examples(labels, predictions, confidences)
    assert len(set(chosen.tolist())) == len(chosen)
    for cell in {(label, prediction) for label, prediction in zip(labels.tolist(), predictions.tolist(), strict=True)}:
        members = np.flatnonzero((labels == cell[0]) & (predictions == cell[1]))
        kept = [index for index in chosen.tolist() if index in members]
        assert len(kept) == min(PER_CELL, len(members))
        best = sorted(confidences[members].tolist(), reverse=True)[:PER_CELL]
        assert confidences[kept].tolist() == best


def test_where_there_are_too_many_cells_each_gets_its_first(monkeypatch):
    monkeypatch.setattr(results, "MOST_EXAMPLES", 5)
    labels, predictions = np.repeat([0, 0, 1, 1], 10), np.repeat([0, 1, 0, 1], 10)
    chosen = choose_examples(labels, predictions, np.linspace(0, 1, 40))
    assert sorted(chosen[:4].tolist()) == [9, 19, 29, 39]
    assert chosen[4] == 8


class Constant(torch.nn.Module):
    """Takes everything for the first class, brighter images with more confidence."""

    def forward(self, images):
        logits = torch.zeros(len(images), 2)
        logits[:, 0] = images.mean(dim=(1, 2, 3))
        return logits


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(("size", "kept"), [((28, 28), (28, 28)), ((100, 50), (EXAMPLE_SIZE, EXAMPLE_SIZE // 2))])
def test_examples_lie_beside_the_predictions(size, kept, tmp_path):  # R-C9
    levels = torch.arange(100, dtype=torch.uint8)
    pixels = levels[:, None, None, None].expand(100, 1, *size).contiguous()
    image_set = ImageSet(pixels, torch.arange(100) % 2, ("cat", "dog"))
    preprocessing = Preprocessing(
        size=28, channels=1, mean=(0.0,), std=(1.0,), border=0.0, decode_size=28, resize="pad"
    )
    run = create_run(tmp_path, "first", Config(), {})
    splits = Splits(name="levels", train=image_set, val=image_set, test=image_set)
    evaluate_split(run, "test", splits, Constant(), preprocessing, Runtime.choose("cpu", "float32", 1))
    examples = run.examples()
    indices = examples["indices"].tolist()
    assert examples["images"].shape == (len(indices), 1, *kept)
    # Even after it was made smaller, an image of one brightness keeps it.
    assert [int(image.max()) for image in examples["images"]] == indices
    assert len(examples["random"]) == GRID
    assert {*examples["random"].tolist(), *range(76, 100)} <= set(indices)  # 12 of each of two cells
    assert set(range(99, 99 - 2 * GRID, -2)) <= set(indices)  # the worst mistakes
    facts = data_facts(splits, preprocessing)
    run.write_json("data.json", facts)
    assert run.data_facts() == facts | {"format": 1}
    assert facts["images"] == {"train": 100, "val": 100, "test": 100}
    assert facts["train_images_per_class"] == [50, 50]
    assert facts["image_shape"] == [1, *size]
