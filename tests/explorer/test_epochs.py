"""What an overview shows of a run's snapshots."""

from collections.abc import Callable
from typing import Any

import torch

from convscope.data import Splits
from convscope.interpret import record
from convscope.predict import Predictor
from convscope.runs import Run


# R-F1: one watches the filters form
def test_the_best_epoch_chooses_the_channels(
    make_run: Callable[..., Run], open_explorer: Callable[..., Any], fashion_splits: Splits
) -> None:
    """Each channel keeps its place while the epochs pass by, and shows its values of that epoch."""
    run = make_run("tinyvgg", hidden=16, snapshots=(0,))
    questions = open_explorer(run)
    best, other = (
        questions.json("overview", run=run.name, epoch=epoch, image="test/3")["layers"] for epoch in ("best", 0)
    )
    predictor = Predictor.from_weights(run.snapshots()[0], device="cpu")
    values = record(predictor.model, predictor.preprocessing(fashion_splits.test.take(torch.tensor([3]))))
    for name, layer in other.items():
        assert layer["channels"] == best[name]["channels"]
        here = values[name][0][layer["channels"]]
        if here.ndim == 3:
            assert layer["ranges"] == [[float(maps.min()), float(maps.max())] for maps in here]
        else:
            assert layer["values"] == here.tolist()
    own = values["block1.conv1"][0].amax(dim=(1, 2)).topk(12).indices.sort().values
    assert own.tolist() != other["block1.conv1"]["channels"]
