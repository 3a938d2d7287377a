"""Training under Lightning: a setting as a LightningModule, for programs that have a `lightning.Trainer` already.

    from lightning import Trainer
    from convscope import Config
    from convscope.lightning import ClassifierModule

    module = ClassifierModule(Config(data="fashion-mnist-mini", model="tinyvgg_bn", epochs=3))
    Trainer(max_epochs=3, logger=False, enable_checkpointing=False).fit(module)
    run = module.save_run("from-lightning")  # for `convscope evaluate`, `predict`, `explore`, `export`

Network, images, augmentation, loss, optimizer, schedule, average and choice of the best epoch are those of
`convscope train`, step by step, so that a training comes to the same weights but for rounding; on one CPU in float32,
to the same losses. Device, precision, logging and its own checkpoints are the Trainer's; these know neither the
average nor the best epoch, so that a training which goes on from one begins both anew.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from convscope.config import Config
from convscope.data import Batches
from convscope.errors import UserError
from convscope.experiment.session import Session
from convscope.kernels.acceleration import accelerate
from convscope.models.layers import WithAuxiliary
from convscope.runs import Run, create_run, start_time
from convscope.training.averaging import Averaging, NoAverage, build_averaging
from convscope.training.checkpoint import MemoryCheckpoints, save_weights
from convscope.training.compiled import compile_network
from convscope.training.environment import environment
from convscope.training.loss import CrossEntropy, main_classes
from convscope.training.stopping import EarlyStopping

try:
    from lightning import LightningModule
    from lightning.pytorch.trainer.states import TrainerFn
except ModuleNotFoundError as error:
    raise UserError(
        "convscope.lightning needs the library lightning, which is not installed: "
        'run `pip install "convscope[lightning]"`.'
    ) from error

Batch = tuple[Tensor, Tensor]
"""What the network takes (B, channels, size, size), and labels int64 (B,) or their shares float32 (B, num_classes)."""


class Epochs:
    """A set of images as Lightning asks for it, again and again: at each time the batches of the epoch under way."""

    def __init__(self, batches: Batches, epoch: Callable[[], int]) -> None:
        self._batches, self._epoch = batches, epoch

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return self._batches.epoch(self._epoch())


class ClassifierModule(LightningModule):
    """A network of the catalogue with everything that trains it; it brings its own images.

    It logs `train_loss`, `train_accuracy`, `val_loss`, `val_accuracy` and `lr`, and has the best weights, those of the
    epoch with the lowest validation loss, once the Trainer is done.

    The Trainer gets `max_epochs` as the setting has it, because the schedule reaches its end then. Of the setting
    `precision` is not looked at, and `device` says where the images are kept; the Trainer moves each batch from there.

    Raises:
        UserError: the setting cannot be trained, or asks for micro-batches.
    """

    def __init__(self, config: Config, *, data_dir: Path | None = None) -> None:
        super().__init__()
        if config.micro_batch is not None:
            raise UserError(
                f"micro_batch is {config.micro_batch}, but under Lightning the Trainer divides batches: "
                f"give it accumulate_grad_batches, and a smaller batch_size here."
            )
        self.session = Session.prepare(config, data_dir=data_dir)
        self.model = self.session.model
        self._criterion = CrossEntropy(config.label_smoothing)
        self._stopping = EarlyStopping(config.patience)
        self._best = MemoryCheckpoints()
        self._averaging: Averaging = NoAverage(self.model)

    def forward(self, images: Tensor) -> Tensor | WithAuxiliary:
        """Normalised images (N, channels, size, size) -> logits (N, num_classes), in training auxiliary ones too."""
        output: Tensor | WithAuxiliary = self.model(images)
        return output

    def setup(self, stage: str) -> None:
        """Refuse several processes, each of which would train on all images, and clipping what is scaled."""
        clip_norm = self.session.config.clip_norm
        if clip_norm is not None and self.trainer.precision == "16-mixed":
            raise UserError(
                f"clip_norm is {clip_norm}, but with precision 16-mixed Lightning scales the gradients of a fused "
                f"optimizer until its step: give the Trainer precision bf16-mixed, or leave clip_norm out."
            )
        if self.trainer.world_size > 1:
            raise UserError(
                f"the Trainer has {self.trainer.world_size} processes, but this module's images are not divided among "
                f"them: give it devices=1, or train with `convscope train --devices`."
            )

    def train_dataloader(self) -> Epochs:
        """Training images, in an order and with changes that depend on the setting's seed and the epoch alone."""
        return Epochs(self.session.train, lambda: self.current_epoch + 1)

    def val_dataloader(self) -> Epochs:
        """Validation images in their own order."""
        return Epochs(self.session.val, lambda: 0)

    def test_dataloader(self) -> Epochs:
        """Test images in their own order; for `Trainer.test`, once all choices are made.  R-F5"""
        val = self.session.val
        test = Batches(self.session.splits.test, val.preprocessing, batch_size=val.batch_size, device=val.labels.device)
        return Epochs(test, lambda: 0)

    def configure_optimizers(self) -> optim.Optimizer:
        """The setting's optimizer, whose learning rate `on_train_batch_start` sets."""
        return self.session.optimizer

    def configure_gradient_clipping(
        self,
        optimizer: optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the Trainer says, or else the setting."""
        limit = self.session.config.clip_norm
        if gradient_clip_val is not None or limit is None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:  # not by Lightning, which in mixed precision refuses to for fused optimizers
            nn.utils.clip_grad_norm_(self.model.parameters(), limit)

    def on_fit_start(self) -> None:
        """What needs the network on its device."""
        config = self.session.config
        self._averaging = build_averaging(self.model, decay=config.ema)
        if config.compile:
            compile_network(self.model, self.device, in_parts=self.trainer.accumulate_grad_batches > 1)
        elif config.kernels and self.device.type == "cpu":
            accelerate(self.model)
            accelerate(self._averaging.model)

    def on_train_start(self) -> None:
        """Dropout draws from PyTorch's own generator."""
        torch.manual_seed(self.session.config.seed)

    def on_train_epoch_start(self) -> None:
        """Let the stages rest that are meant to."""
        self.session.freezing.train(self.model, self.current_epoch + 1)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate of the step, each group's with its own factor."""
        session = self.session
        step = self.current_epoch * len(session.train) + batch_idx
        lr = session.config.lr * session.schedule.factor(step)
        for group in session.optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        self.log("lr", lr)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """What is minimised, 0-d."""
        images, labels = batch
        logits, loss, total = self._criterion(self(images), labels)
        correct = (logits.detach().argmax(dim=1) == main_classes(labels)).float().mean()
        self._log({"train_loss": loss.detach(), "train_accuracy": correct}, labels)
        return total

    def optimizer_step(self, *arguments: Any, **keywords: Any) -> None:
        """Take each step into the average, which may come after several batches."""
        super().optimizer_step(*arguments, **keywords)
        self._averaging.update(self.model)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and accuracy of the weights that would be kept."""
        self._evaluate("val", self._averaging.model.eval(), batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and accuracy on test images."""
        self._evaluate("test", self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Keep the weights if they are the best so far, and stop where patience is at an end."""
        if self.trainer.sanity_checking or self.trainer.state.fn != TrainerFn.FITTING:
            return
        val_loss = self.trainer.callback_metrics["val_loss"].item()
        self.session.schedule.observe(val_loss)
        if self._stopping.observe(self.current_epoch + 1, val_loss):
            self._best.save_best(self._averaging.model)
        self.trainer.should_stop |= self._stopping.should_stop

    def on_fit_end(self) -> None:
        """Leave the network with its best weights, which are then the ones that count."""
        if self._stopping.best_epoch:
            self._best.load_best(self.model)
        self._averaging = NoAverage(self.model)

    def save_run(self, name: str, *, runs_dir: Path = Path("runs")) -> Run:
        """Write the weights and the setting as a run, for verbs of Convscope that need no more; it has no history.

        Raises:
            UserError: the name is taken, or is none.
            ConvscopeError: it cannot be written.
        """
        run = create_run(runs_dir, name, self.session.config, environment() | {"started": start_time(runs_dir)})
        save_weights(run.best_weights, self.model.state_dict(), self.session.header())
        run.write_metrics(
            {
                "status": "finished",
                "model": self.session.config.model,
                "data": self.session.config.data,
                "parameters": self.session.parameters,
                "epochs": self._stopping.best_epoch + self._stopping.waited,
                "best_epoch": self._stopping.best_epoch,
            }
        )
        return run

    def _evaluate(self, split: str, model: nn.Module, batch: Batch) -> None:
        images, labels = batch
        logits = model(images).float()
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        self._log({f"{split}_loss": F.cross_entropy(logits, labels), f"{split}_accuracy": accuracy}, labels)

    def _log(self, values: dict[str, Tensor], labels: Tensor) -> None:
        """Means over the images of an epoch: each batch counts by its size."""
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels), prog_bar=True)
