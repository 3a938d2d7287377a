"""The loop by itself: what it sums, what it keeps, when it stops."""

import math

import pytest
import torch
from torch import Tensor, nn, optim

from convscope.data import Batches, ImageSet, Preprocessing, Splits
from convscope.errors import UserError
from convscope.models.layers import WithAuxiliary
from convscope.training.averaging import MovingAverage
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.evaluate import evaluate, predict_logits
from convscope.training.loop import Diverged, add_gradients, fit, train_epoch
from convscope.training.loss import CrossEntropy
from convscope.training.processes import Alone
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule, build_schedule
from convscope.training.state import EpochRecord, TrainState
from convscope.training.stopping import EarlyStopping

CPU = Runtime(torch.device("cpu"))


class Spy(nn.Module):
    """A linear layer that notes the mode it was called in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(28 * 28, 10)
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def batches(images: ImageSet, batch_size: int, shuffle_seed: int | None = None) -> Batches:
    return Batches(images, Preprocessing.for_training(images), batch_size=batch_size, shuffle_seed=shuffle_seed)


def state_for(model: nn.Module, lr: float = 0.0) -> TrainState:
    optimizer = optim.SGD(model.parameters(), lr=lr)
    return TrainState(
        model, optimizer, Schedule(lambda step: 1.0), CPU, MovingAverage(model, decay=0.5), EarlyStopping()
    )


@pytest.mark.parametrize("batch_size", [7, 100, 540])
def test_training_loss_and_accuracy_are_averages_over_images(batch_size: int, fashion_splits: Splits) -> None:
    # R-E5: with a rate of 0 the sums must be those of one pass over the whole set, whatever the last batch's size.
    torch.manual_seed(0)
    model = Spy()
    train = batches(fashion_splits.train, batch_size, shuffle_seed=3)
    state = state_for(model)
    records = list(train_epoch(state, train, CrossEntropy()))
    assert len(records) == math.ceil(540 / batch_size)
    loss, accuracy = evaluate(model, batches(fashion_splits.train, 540), CPU)
    assert state.images == 540
    assert state.sums[0].item() / 540 == pytest.approx(loss, rel=1e-5)
    assert state.sums[1].item() / 540 == pytest.approx(accuracy)


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_evaluation_is_the_same_for_every_batch_size(batch_size: int, fashion_splits: Splits) -> None:
    torch.manual_seed(0)
    model = Spy()
    whole = evaluate(model, batches(fashion_splits.val, 60), CPU)
    assert evaluate(model, batches(fashion_splits.val, batch_size), CPU) == pytest.approx(whole, rel=1e-5)


def test_evaluation_leaves_the_model_in_the_mode_it_had(fashion_splits: Splits) -> None:
    model = Spy()
    for training in (True, False):
        model.train(training)
        logits, labels = predict_logits(model, batches(fashion_splits.val, 60), CPU)
        assert model.modes.pop() is False
        assert model.training is training
        assert logits.shape == (60, 10)
        assert torch.equal(labels, fashion_splits.val.labels)


def test_learning_rate_of_each_step_is_the_schedules(fashion_splits: Splits) -> None:
    model = Spy()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    train = batches(fashion_splits.train, 100, shuffle_seed=0)
    schedule = build_schedule("cosine", epochs=2, steps_per_epoch=len(train))
    state = TrainState(model, optimizer, schedule, CPU, MovingAverage(model, decay=0.5), EarlyStopping(), epoch=2)
    rates = [record.lr for record in train_epoch(state, train, CrossEntropy())]
    assert rates == [0.5 * schedule.factor(step) for step in range(6, 12)]


def test_groups_keep_their_share_of_the_learning_rate(fashion_splits: Splits) -> None:
    # R-A12: and the rate that is told is that of the head, the largest.
    model = Spy()
    groups = [{"params": [model.linear.weight], "lr_scale": 0.25}, {"params": [model.linear.bias]}]
    optimizer = optim.SGD(groups, lr=0.5)
    before = model.linear.weight.detach().clone(), model.linear.bias.detach().clone()
    train, val = batches(fashion_splits.train, 540, shuffle_seed=0), batches(fashion_splits.val, 60)
    (record,) = fit(
        model,
        train,
        val,
        optimizer,
        schedule=Schedule(lambda step: 0.5),
        runtime=CPU,
        epochs=1,
        checkpoints=MemoryCheckpoints(),
    )
    assert record.lr == 0.25
    for parameter, start, lr in zip((model.linear.weight, model.linear.bias), before, (0.0625, 0.25), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.detach(), start - lr * parameter.grad)


def fit_with(splits: Splits, model: nn.Module, **keywords: object) -> list[EpochRecord]:
    arguments: dict[str, object] = {
        "schedule": Schedule(lambda step: 1.0),
        "runtime": CPU,
        "epochs": 2,
        "checkpoints": MemoryCheckpoints(),
    }
    lr = keywords.pop("lr", 0.05)
    return fit(
        model,
        batches(splits.train, 60, shuffle_seed=0),
        batches(splits.val, 60),
        optim.SGD(model.parameters(), lr=lr),
        **(arguments | keywords),
    )


def test_fit_learns_and_leaves_the_best_weights(fashion_splits: Splits) -> None:
    # R-A6
    torch.manual_seed(0)
    model = Spy()
    history = fit_with(fashion_splits, model, epochs=6, lr=0.3)
    losses = [record.val_loss for record in history]
    assert history[-1].train_loss < history[0].train_loss
    val_loss, _ = evaluate(model, batches(fashion_splits.val, 60), CPU)
    assert val_loss == pytest.approx(min(losses), rel=1e-5)


def test_fit_validates_the_averaged_weights_and_keeps_them(fashion_splits: Splits) -> None:
    torch.manual_seed(0)
    model = Spy()
    average = MovingAverage(model, decay=0.99)
    history = fit_with(fashion_splits, model, averaging=average, epochs=1)
    loss, _ = evaluate(average.model, batches(fashion_splits.val, 60), CPU)
    assert history[0].val_loss == pytest.approx(loss, rel=1e-5)
    assert torch.equal(model.linear.weight, average.model.linear.weight)


def test_label_smoothing_changes_the_training_loss_alone(fashion_splits: Splits) -> None:
    torch.manual_seed(0)
    model = Spy()
    plain = fit_with(fashion_splits, model, epochs=1, lr=1e-9)[0]
    smooth = fit_with(fashion_splits, model, epochs=1, lr=1e-9, label_smoothing=0.3)[0]
    assert smooth.train_loss != pytest.approx(plain.train_loss, rel=1e-3)
    assert smooth.val_loss == pytest.approx(plain.val_loss, rel=1e-3)


def test_a_loss_that_is_no_number_stops_at_its_step(fashion_splits: Splits) -> None:
    class Breaks(Spy):
        def forward(self, images: Tensor) -> Tensor:
            logits = super().forward(images)
            return logits * math.nan if len(self.modes) == 4 else logits

    with pytest.raises(Diverged, match=r"nan at step 4 of epoch 1.*learning rate"):
        fit_with(fashion_splits, Breaks())


def test_gradient_norm_is_the_mean_over_steps(fashion_splits: Splits) -> None:
    # R-D7: with a rate of 0 and one batch an epoch the mean is that batch's gradient.
    torch.manual_seed(0)
    model = Spy()
    train = batches(fashion_splits.train, 540, shuffle_seed=0)
    state = state_for(model)
    list(train_epoch(state, train, CrossEntropy()))
    images, labels = next(train.epoch(1))
    model.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    expected = torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])
    assert state.sums[2].item() == pytest.approx(expected.norm().item(), rel=1e-4)


class Small(nn.Module):
    """A convolutional network without anything that looks at a batch as a whole."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10))
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        logits: Tensor = self.layers(images)
        return logits


@pytest.mark.parametrize("micro_batch", [1, 30, 64, 1000])
def test_a_batch_in_parts_gives_the_step_of_the_whole_batch(micro_batch: int, fashion_splits: Splits) -> None:
    # R-C6: clipped, smoothed, averaged, and with a last batch of 40 that is no multiple of the parts.
    runs = []
    for size in (None, micro_batch):
        model = Small()
        train = batches(fashion_splits.train, 100, shuffle_seed=0)
        optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
        average = MovingAverage(model, decay=0.5)
        state = TrainState(model, optimizer, Schedule(lambda step: 1 / (1 + step)), CPU, average, EarlyStopping())
        records = list(train_epoch(state, train, CrossEntropy(0.1), clip_norm=0.5, micro_batch=size))
        runs.append((model, state, records))
    (whole, whole_state, whole_records), (parts, parts_state, parts_records) = runs
    assert whole.seen == [100] * 5 + [40]
    assert max(parts.seen) == min(100, micro_batch) and sum(parts.seen) == 540
    for name, weight in parts.state_dict().items():
        torch.testing.assert_close(weight, whole.state_dict()[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            parts_state.averaging.model.state_dict()[name],
            whole_state.averaging.model.state_dict()[name],
            rtol=1e-4,
            atol=1e-5,
        )
    # The way was long enough that an unweighted sum, or clipping part by part, would show.
    assert all((parts.layers[n].weight - Small().layers[n].weight).abs().max() > 0.01 for n in (0, 3))
    torch.testing.assert_close(parts_state.sums, whole_state.sums, rtol=1e-4, atol=1e-3)
    assert [r.lr for r in parts_records] == [r.lr for r in whole_records]
    assert [r.loss.item() for r in parts_records] == pytest.approx([r.loss.item() for r in whole_records], rel=1e-4)


@pytest.mark.parametrize("micro_batch", [None, 7])
def test_of_an_image_made_of_two_the_larger_share_counts(micro_batch: int | None, fashion_splits: Splits) -> None:
    model = Small()
    images, _ = next(batches(fashion_splits.val, 60).epoch(1))
    with torch.no_grad():
        answers = model(images).argmax(dim=1)
    # Every third image is right in its larger share, every third in its smaller one, every third in neither.
    classes = torch.stack([answers, (answers + 1) % 10, (answers + 2) % 10])
    larger, smaller = torch.tensor([0, 1, 2]).repeat(20), torch.tensor([1, 0, 1]).repeat(20)
    everyone = torch.arange(60)
    targets = torch.zeros(60, 10)
    targets[everyone, classes[larger, everyone]] = 0.6
    targets[everyone, classes[smaller, everyone]] = 0.4
    loss, correct = add_gradients(model, images, targets, CrossEntropy(), CPU, micro_batch=micro_batch)
    assert correct.item() == 20
    expected = -(targets * model(images).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss, expected.detach())


def test_a_single_image_is_too_little_for_batchnorm_on_one_pixel(fashion_splits: Splits) -> None:
    # 540 images in batches of 77 leave a single one.
    model = nn.Sequential(nn.Conv2d(1, 4, 28), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10))
    state, train = state_for(model), batches(fashion_splits.train, 77, shuffle_seed=0)
    with pytest.raises(UserError, match=r"a single image.*choose a batch size that leaves more for the last"):
        list(train_epoch(state, train, CrossEntropy()))
    assert state.step == 7


def test_all_processes_decide_by_the_same_figures(fashion_splits: Splits) -> None:
    class Differs(Alone):
        """One of two; the other one has rounded in another way."""

        count = 2

        def add(self, tensor: Tensor) -> Tensor:
            return tensor + (tensor + 1e-3)

    val = batches(fashion_splits.val, 60)
    torch.manual_seed(0)
    model = Spy()
    alone = evaluate(model, val, CPU)
    shared = evaluate(model, val, Runtime(torch.device("cpu"), processes=Differs()))
    assert shared == pytest.approx([value + 5e-4 for value in alone], abs=1e-6)


class WithHelper(Spy):
    """A network with an auxiliary classifier, which answers in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.helper = nn.Linear(28 * 28, 10)

    def forward(self, images: Tensor) -> Tensor | WithAuxiliary:  # type: ignore[override]
        logits = super().forward(images)
        return WithAuxiliary(logits, (self.helper(images.flatten(1)),)) if self.training else logits


def test_auxiliary_classifiers_are_trained_and_not_recorded(fashion_splits: Splits) -> None:
    torch.manual_seed(0)
    model = WithHelper()
    before = model.helper.weight.detach().clone()
    plain = Spy()
    plain.linear.load_state_dict(model.linear.state_dict())
    record = fit_with(fashion_splits, model, epochs=1)[0]
    # What the helper learns must leave no trace in the figures of the main classifier, with which it shares nothing.
    expected = fit_with(fashion_splits, plain, epochs=1)[0]
    assert not torch.equal(model.helper.weight, before)
    assert record.train_loss == expected.train_loss
    assert (record.train_accuracy, record.val_loss) == (expected.train_accuracy, expected.val_loss)
