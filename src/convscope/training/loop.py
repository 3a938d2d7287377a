"""The training loop: for each epoch train, evaluate, record, save, stop.

`fit` knows no setting and no device, and prints nothing. What varies comes as small objects whose neutral form does
nothing: schedule, averaging, early stopping, checkpoints, listeners.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn, optim

from convscope.errors import ConvscopeError, UserError
from convscope.training.averaging import Averaging, NoAverage
from convscope.training.evaluate import Loader, evaluate
from convscope.training.freezing import Freezing
from convscope.training.loss import CrossEntropy, main_classes
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule
from convscope.training.state import BatchRecord, EpochRecord, TrainState
from convscope.training.stopping import EarlyStopping


class Listener(Protocol):
    """Somebody who watches a training; it observes and never steers."""

    def on_batch(self, record: BatchRecord) -> None:
        """After each step."""

    def on_epoch(self, record: EpochRecord) -> None:
        """After each epoch."""


class Checkpoints(Protocol):
    """Where a training keeps its weights; `checkpoint.py` has one in memory and one on disk."""

    def save_best(self, model: nn.Module) -> None:
        """Keep the weights of the lowest validation loss."""

    def load_best(self, model: nn.Module) -> None:
        """Give `model` those weights."""

    def save_snapshot(self, model: nn.Module, epoch: int) -> None:
        """Keep the weights after `epoch` epochs, if every epoch's are wanted."""

    def save_last(self, state: dict[str, Any]) -> None:
        """Keep everything that decides the next step."""

    def due(self) -> bool:
        """Whether it is time to save within an epoch."""


class Interrupted(Exception):
    """Somebody asked the training to stop; its state was saved."""


class Diverged(ConvscopeError):
    """The loss is no longer a number."""


def fit(
    model: nn.Module,
    train: Loader,
    val: Loader,
    optimizer: optim.Optimizer,
    *,
    schedule: Schedule,
    runtime: Runtime,
    epochs: int,
    checkpoints: Checkpoints,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    micro_batch: int | None = None,
    averaging: Averaging | None = None,
    freezing: Freezing | None = None,
    stopping: EarlyStopping | None = None,
    resume_from: dict[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    interrupted: Callable[[], bool] = lambda: False,
) -> list[EpochRecord]:
    """Train `model`, which must be on the runtime's device, and leave it with its best weights.

    `micro_batch` is how many images of a batch go through the network at a time, all of them by default.
    `resume_from` is a state that `checkpoints` saved before; the same bits follow as if there had been no stop.
    `interrupted` is asked after each step.

    Raises:
        Interrupted: `interrupted` said so; the state is saved.
        Diverged: the loss is infinite or not a number; the best weights so far are kept.
    """
    criterion = CrossEntropy(label_smoothing)
    state = TrainState(model, optimizer, schedule, runtime, averaging or NoAverage(model), stopping or EarlyStopping())
    if resume_from is not None:
        with runtime.processes.all_well():
            state.load_state_dict(resume_from)
    if (state.epoch, state.step) == (1, 0):
        checkpoints.save_snapshot(state.averaging.model, 0)
    checkpoints.save_last(state.state_dict())

    while state.epoch <= epochs and not state.stopping.should_stop:
        steps = train_epoch(state, train, criterion, clip_norm=clip_norm, micro_batch=micro_batch, freezing=freezing)
        for batch in steps:
            for listener in listeners:
                listener.on_batch(batch)
            if state.step % runtime.check_every == 0:
                check_finite(state, batch.loss.item())
            stop, save = runtime.processes.agree(interrupted(), checkpoints.due())
            if stop or save:
                checkpoints.save_last(state.state_dict())
            if stop:
                raise Interrupted

        record = validate_epoch(state, val)
        schedule.observe(record.val_loss)
        if state.stopping.observe(state.epoch, record.val_loss):
            checkpoints.save_best(state.averaging.model)
        checkpoints.save_snapshot(state.averaging.model, state.epoch)
        state.end_epoch(record)
        checkpoints.save_last(state.state_dict())
        for listener in listeners:
            listener.on_epoch(record)

    checkpoints.load_best(model)
    runtime.processes.spread(model)
    return state.history


def train_epoch(
    state: TrainState,
    batches: Loader,
    criterion: CrossEntropy,
    *,
    clip_norm: float | None = None,
    micro_batch: int | None = None,
    freezing: Freezing | None = None,
) -> Iterator[BatchRecord]:
    """Take the steps that are left of the epoch under way, and tell of each."""
    model = (freezing or Freezing()).train(state.model, state.epoch)
    optimizer, runtime = state.optimizer, state.runtime
    network = runtime.processes.wrap(model)
    peak_lr = optimizer.defaults["lr"]
    started = time.perf_counter() - state.seconds
    for images, labels in batches.epoch(state.epoch, start=state.step):
        lr = peak_lr * state.schedule.factor((state.epoch - 1) * len(batches) + state.step)
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)

        optimizer.zero_grad()
        size = batches.size(state.step)
        loss, correct = add_gradients(network, images, labels, criterion, runtime, size=size, micro_batch=micro_batch)
        grad_norm = runtime.step(optimizer, clip_norm=clip_norm)
        state.averaging.update(model)

        state.sums += torch.stack((loss * size, correct, grad_norm))
        state.step += 1
        state.images += size
        state.seconds = time.perf_counter() - started
        yield BatchRecord(state.epoch, state.step, len(batches), state.images / state.seconds, lr, loss, grad_norm)


def add_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    criterion: CrossEntropy,
    runtime: Runtime,
    *,
    size: int | None = None,
    micro_batch: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Forward and backward pass of a batch, `micro_batch` images at a time; answers mean loss and correct answers, 0-d.

    `size` is how many images the batch has in all processes together, if there are several; the answers are about it.

    The gradient of a mean over the batch is the mean of the parts' gradients, each weighted by its share of the images,
    so the step hardly depends on how many parts there are. Three things do: BatchNorm, which normalises by the
    statistics of the part; dropout, which draws its numbers part by part; and sums that are rounded in another order.
    """
    processes, size = runtime.processes, size or len(labels)
    # As many parts in each process, though some have an image less than others, or none.
    most = -(-size // processes.count)
    firsts = range(0, most, micro_batch or most)
    loss = correct = torch.zeros((), device=labels.device)
    for first, after in zip(firsts, (*firsts[1:], most), strict=True):
        part, part_labels = images[first:after], labels[first:after]
        share = len(part_labels) / size
        with processes.accumulate(model, last=after == most):
            with runtime.autocast():
                output = _answer(model, part)
            logits, part_loss, total = criterion(output, part_labels)
            runtime.backward(total, weight=share * processes.count)  # the processes' gradients are averaged
        if share:  # a mean over no images is no number
            loss = loss.add(part_loss.detach(), alpha=share)
            correct = correct + (logits.detach().argmax(dim=1) == main_classes(part_labels)).sum()
    loss, correct = processes.add(torch.stack((loss, correct)))
    return loss, correct


def _answer(model: nn.Module, images: Tensor) -> Any:
    """What the model answers to a part of a batch (B, ...); a UserError where that is too small for its BatchNorm."""
    try:
        return model(images)
    except ValueError as error:
        if len(images) != 1 or "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "a batch, or what a process or a micro-batch has of it, is a single image, and BatchNorm takes no mean and "
            "variance over one pixel: choose a batch size that leaves more for the last batch of an epoch, or larger "
            "images."
        ) from error


def validate_epoch(state: TrainState, val: Loader) -> EpochRecord:
    """Evaluate the weights that would be kept, and sum up the epoch."""
    started = time.perf_counter()
    loss_sum, correct, grad_norms = state.sums.tolist()
    trained = time.perf_counter()
    state.seconds += trained - started  # a GPU takes its last steps only now
    check_finite(state, loss_sum)
    state.runtime.processes.spread(state.averaging.model)
    val_loss, val_accuracy = evaluate(state.averaging.model, val, state.runtime)
    check_finite(state, val_loss)
    return EpochRecord(
        epoch=state.epoch,
        train_loss=loss_sum / state.images,
        train_accuracy=correct / state.images,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        lr=max(group["lr"] for group in state.optimizer.param_groups),
        grad_norm=grad_norms / state.step,
        images_per_second=state.images / state.seconds,
        seconds=state.seconds + time.perf_counter() - trained,
    )


def check_finite(state: TrainState, loss: float) -> None:
    """Raise Diverged when the loss is infinite or not a number."""
    if not math.isfinite(loss):
        raise Diverged(
            f"the loss became {loss} at step {state.step} of epoch {state.epoch}, so the training stopped; "
            f"{'the best weights so far are kept' if state.history else 'no epoch was over, so no weights are kept'}: "
            f"try a learning rate ten times smaller, or limit the gradient with clip_norm 1, or train in float32."
        )
