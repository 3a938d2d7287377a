"""A listener that writes a training down for TensorBoard, and what is added when it is finished."""

import weakref
from contextlib import suppress

import torch
from tensorboard.compat.proto.summary_pb2 import Summary as Values
from torch import Tensor

from convscope.errors import UserError
from convscope.experiment import Plan
from convscope.experiment.session import Session
from convscope.interpret import filter_pictures, first_filters
from convscope.models import build_model
from convscope.models.layers import Classifier
from convscope.models.summary import summarise
from convscope.runs import Run
from convscope.tensorboard.events import EventFile, event_files
from convscope.tensorboard.graph import graph_of
from convscope.tensorboard.summaries import histogram, picture_file, scalars, session_end, session_start, sheet
from convscope.training.state import BatchRecord, EpochRecord

EVERY = 10
"""Steps between two that are written down; on a GPU those at which the loop itself waits for the loss."""
IMAGES = 32
"""Training images that are shown."""
FIGURES = ("confusion", "predictions", "mistakes")
"""Pictures of a finished run that are shown."""


class Recorder:
    """Writes events into the folder `tensorboard` of the run: an observer of `experiment.train` and `resume`.

    Steps are counted from the first epoch on, and what is said of an epoch stands at its last step. It draws no random
    numbers and changes nothing: a training comes to the same bits with it and without. When a stopped training goes on,
    what its earlier events say of steps that are taken once more no longer counts.
    """

    def on_start(self, plan: Plan, session: Session) -> None:
        """Write down the setting and the network, some training images and the first weights."""
        self._folder = plan.run.events
        self._file: EventFile | None = None  # a training that goes on tells only with its first step where it is
        self._session = weakref.ref(session)
        self._steps = len(session.train)
        self._every = max(EVERY, session.runtime.check_every)
        network, size = _without_weights(session), session.preprocessing.size
        shape = (session.preprocessing.channels, size, size)
        self._filters: tuple[str, torch.Size] | None = None
        with suppress(UserError):  # no layer of it looks at the image itself
            layer, weights = first_filters(network, shape)
            self._filters = layer, weights.shape
        if not event_files(self._folder):
            self._file = EventFile.begin(self._folder, first_step=0)
            self._file.write(0, [session_start(plan.config, plan.run.name)])
            self._file.write_graph(graph_of(summarise(network, shape)))
        if not plan.resumed:
            self._write(0, [sheet("images/training", _training_images(session)), *self._weights(gradients=False)])

    def on_batch(self, record: BatchRecord) -> None:
        """Write down one step in EVERY."""
        if record.step % self._every == 0:
            values = {"loss": record.loss.item(), "lr": record.lr, "grad_norm": record.grad_norm.item()}
            numbers = scalars({f"step/{name}": value for name, value in values.items()})
            self._write((record.epoch - 1) * self._steps + record.step, numbers)

    def on_epoch(self, record: EpochRecord) -> None:
        """Write down the row of history.csv, the weights, and the gradients of the last step."""
        numbers = {
            "loss/train": record.train_loss,
            "loss/val": record.val_loss,
            "accuracy/train": record.train_accuracy,
            "accuracy/val": record.val_accuracy,
            "epoch/lr": record.lr,
            "epoch/grad_norm": record.grad_norm,
            "epoch/images_per_second": record.images_per_second,
            "epoch/seconds": record.seconds,
        }
        self._write(record.epoch * self._steps, [*scalars(numbers), *self._weights(gradients=True)])

    def _write(self, step: int, values: list[Values.Value]) -> None:
        self._file = self._file or EventFile.begin(self._folder, first_step=step)
        self._file.write(step, values)

    def _weights(self, *, gradients: bool) -> list[Values.Value]:
        """Histograms of all weights, biases and norms left out, and a picture of the first layer's filters."""
        session = self._session()
        assert session is not None
        values = []
        for name, weight in session.model.named_parameters():
            if weight.ndim > 1:
                values += histogram(f"weights/{name}", weight)
                if gradients and weight.grad is not None:
                    values += histogram(f"gradients/{name}", weight.grad)
        if self._filters is not None:
            layer, shape = self._filters
            pictures, _ = filter_pictures(session.model.get_parameter(f"{layer}.weight").detach().view(shape))
            values.append(sheet(f"filters/{layer}", pictures))
        return values


def record_results(run: Run) -> None:
    """Add the final figures of a finished run to its events, and its pictures of right and wrong answers.

    Raises:
        ConvscopeError: the events cannot be written.
    """
    results, facts = run.results(), run.data_facts()
    assert facts is not None  # a run without is older than all events
    step = results["epochs"] * -(-facts["images"]["train"] // run.config().batch_size)
    numbers = {
        f"results/{split}_{name}": results[split][key]
        for split in ("val", "test")
        for name, key in (("accuracy", "top1"), ("loss", "loss"), ("macro_f1", "macro_f1"))
    }
    paths = {name: run.figures / f"{name}.png" for name in FIGURES}
    pictures = [picture_file(f"results/{name}", path) for name, path in paths.items() if path.exists()]
    # A step of their own after the last: these figures, told twice, then replace each other and nothing else.
    file = EventFile.begin(run.events, first_step=step + 1)
    file.write(step + 1, [*scalars(numbers), *pictures, session_end()])


def _without_weights(session: Session) -> Classifier:
    """The session's network as the catalogue has it: the runtime may have put other layers in the place of some."""
    header = session.header()
    shape = {key: header[key] for key in ("num_classes", "in_channels", "input_size")}
    with torch.device("meta"):
        return build_model(header["model"], **shape, **header["options"])


def _training_images(session: Session) -> Tensor:
    """The first images of the first batch as the network sees them, augmented, but in [0, 1]: (IMAGES, C, H, W)."""
    images = next(session.train.epoch(1))[0][:IMAGES]
    mean, std = (
        torch.tensor(values, device=images.device).view(1, -1, 1, 1)
        for values in (session.preprocessing.mean, session.preprocessing.std)
    )
    return images * std + mean
