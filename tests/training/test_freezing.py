"""Freezing: what rests does not change by a bit, and thaws when it should."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from convscope.data import Batches, Preprocessing, Splits
from convscope.errors import UserError
from convscope.models import build_model
from convscope.models.layers import Classifier
from convscope.training.averaging import MovingAverage
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.freezing import ALL_BUT_HEAD, Freezing, build_freezing
from convscope.training.loop import fit
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule
from convscope.training.state import BatchRecord, EpochRecord

State = dict[str, Tensor]
CPU = Runtime(torch.device("cpu"))


def network() -> Classifier:
    """Three blocks with batch norm, a hidden layer with dropout, the last layer."""
    return build_model("tinyvgg_bn", hidden=8, dropout=0.5, seed=0)


def copy(model: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed_stages(model: Classifier, before: State) -> set[str]:
    """Which stages differ; a stage of which only a part differs fails the test, for all of it learns or nothing."""
    after = model.state_dict()
    changed = set()
    for name in model.stages():
        keys = [key for key in before if key.startswith(f"{name}.")]
        assert keys
        differing = [key for key in keys if not torch.equal(before[key], after[key])]
        assert differing in ([], keys), name
        changed |= {name} if differing else set()
    return changed


class EachEpoch:
    """Calls a function after each epoch."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def on_batch(self, record: BatchRecord) -> None:
        pass

    def on_epoch(self, record: EpochRecord) -> None:
        self.call()


def train(
    model: Classifier,
    freezing: Freezing,
    splits: Splits,
    *,
    epochs: int = 1,
    optimizer: str = "sgd",
    after_epoch: Callable[[], None] = lambda: None,
) -> MovingAverage:
    """With everything that could move weights without a gradient: decay, momentum, clipping, an average."""
    preprocessing = Preprocessing.for_training(splits.train)
    few = splits.train.select(torch.arange(120))
    average = MovingAverage(model, decay=0.5)
    fit(
        model,
        Batches(few, preprocessing, batch_size=60, shuffle_seed=0),
        Batches(splits.val, preprocessing, batch_size=60),
        build_optimizer(optimizer, model, lr=0.01, weight_decay=0.1, decay_norms_and_biases=True),
        schedule=Schedule(lambda step: 1.0),
        runtime=CPU,
        epochs=epochs,
        checkpoints=MemoryCheckpoints(),
        clip_norm=1.0,
        averaging=average,
        freezing=freezing,
        listeners=[EachEpoch(after_epoch)],
    )
    return average


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(
    ("freeze", "learning"), [(ALL_BUT_HEAD, {"output"}), (2, {"block3", "hidden", "output"}), (4, {"output"})]
)
def test_what_rests_keeps_every_bit_also_of_batch_norms_statistics(
    freeze: int | str, learning: set[str], optimizer: str, fashion_splits: Splits
) -> None:
    # R-A12
    model = network()
    before = copy(model)
    average = train(model, build_freezing(model, freeze), fashion_splits, optimizer=optimizer)
    assert changed_stages(model, before) == learning
    resting = [key for key in before if key.split(".")[0] not in learning]
    assert any(key.endswith("running_var") for key in resting)
    assert any(key.endswith("num_batches_tracked") for key in resting)
    assert all(torch.equal(average.model.state_dict()[key], before[key]) for key in resting)


def test_a_resting_stage_drops_nothing_out_and_uses_the_statistics_it_has(fashion_splits: Splits) -> None:
    model = network()
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    expected = model.eval().features(images)
    build_freezing(model, ALL_BUT_HEAD).train(model, 1)
    assert torch.equal(model.features(images), expected)
    Freezing().train(model, 1)
    assert not torch.equal(model.features(images), expected)


def test_stages_thaw_one_after_the_other_from_the_head_on(fashion_splits: Splits) -> None:
    # R-A12: Howard & Ruder's gradual unfreezing.
    model = network()
    snapshots = [copy(model)]
    changes: list[set[str]] = []

    def after_epoch() -> None:
        changes.append(changed_stages(model, snapshots[-1]))
        snapshots.append(copy(model))

    freezing = build_freezing(model, 3, unfreeze_every=2)
    train(model, freezing, fashion_splits, epochs=7, optimizer="adamw", after_epoch=after_epoch)
    order = ["block1", "block2", "block3", "hidden", "output"]
    assert changes == [set(order[first:]) for first in (3, 3, 2, 2, 1, 1, 0)]


def test_the_neutral_form_trains_any_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval()
    assert Freezing().train(model, 1) is model
    assert all(module.training for module in model.modules())
    assert not Freezing().for_good
    assert build_freezing(network(), None) == Freezing()


@given(stages=st.integers(0, 9), every=st.none() | st.integers(1, 9), epoch=st.integers(1, 99))
def test_stages_rest_first_and_never_again(stages: int, every: int | None, epoch: int) -> None:
    freezing = Freezing({str(stage): nn.Identity() for stage in range(stages)}, every)
    assert freezing.resting(1) == stages
    assert 0 <= freezing.resting(epoch + 1) <= freezing.resting(epoch) <= freezing.resting(epoch + 1) + 1
    if every is None:
        assert freezing.resting(epoch) == stages
    else:
        assert freezing.resting(stages * every + 1) == 0
    assert freezing.for_good == (stages > 0 and every is None)


@pytest.mark.parametrize("freeze", [5, 99])
def test_more_stages_than_there_are_are_refused_with_their_names(freeze: int) -> None:
    with pytest.raises(
        UserError, match=rf"freeze is {freeze}, but 'tinyvgg_bn' has 4 .* block1, block2, block3, hidden: .* 1 to 4"
    ):
        build_freezing(network(), freeze)


@pytest.mark.parametrize("freeze", [1, ALL_BUT_HEAD])
def test_a_network_that_is_all_head_cannot_be_frozen(freeze: int | str) -> None:
    with pytest.raises(UserError, match="'linear' has nothing before its head 'output': leave it out"):
        build_freezing(build_model("linear"), freeze)
