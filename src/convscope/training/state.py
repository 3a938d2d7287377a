"""Where a training stands: what it has seen, and everything that decides its next step."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn, optim

from convscope.errors import UserError
from convscope.training.averaging import Averaging
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule
from convscope.training.stopping import EarlyStopping


@dataclass(frozen=True)
class BatchRecord:
    """One training step, for listeners. `loss` and `grad_norm` stay on the device until somebody reads them."""

    epoch: int
    step: int
    steps: int
    """Steps in the epoch."""
    images_per_second: float
    """Since the epoch began."""
    lr: float
    loss: Tensor
    grad_norm: Tensor
    """Of all parameters together, before clipping."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: a row of history.csv. Losses and accuracies are averages over images."""

    epoch: int
    train_loss: float
    """Of the training steps themselves: with augmentation, dropout, label smoothing and mixed labels."""
    train_accuracy: float
    """Of the training steps too; in an image made of two by mixup or cutmix the class with the larger share counts."""
    val_loss: float
    val_accuracy: float
    lr: float
    """Of the last step."""
    grad_norm: float
    """Mean over the steps, before clipping."""
    images_per_second: float
    """Training alone."""
    seconds: float
    """Training and validation."""


@dataclass
class TrainState:
    """Everything that decides the next step."""

    model: nn.Module
    optimizer: optim.Optimizer
    schedule: Schedule
    runtime: Runtime
    averaging: Averaging
    stopping: EarlyStopping
    epoch: int = 1
    """The epoch under way, from 1."""
    step: int = 0
    """Steps done in it."""
    seconds: float = 0.0
    """Training time spent on them."""
    images: int = 0
    """Images seen in them."""
    sums: Tensor = field(init=False)
    """Sums over them, on the device (3,): loss and correct answers over images, gradient norm over steps."""
    history: list[EpochRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = torch.zeros(3, device=self.runtime.device)

    def end_epoch(self, record: EpochRecord) -> None:
        """Close the epoch under way and stand at the beginning of the next."""
        self.history.append(record)
        self.epoch, self.step, self.seconds, self.images = self.epoch + 1, 0, 0.0, 0
        self.sums.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state_dict` goes on to the same bits."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.runtime.scaler.state_dict(),
            "averaging": self.averaging.state_dict(),
            "stopping": self.stopping.state_dict(),
            "random": self.runtime.random_state(),
            "position": {
                "epoch": self.epoch,
                "step": self.step,
                "seconds": self.seconds,
                "images": self.images,
                "sums": self.sums,
            },
            "history": [asdict(record) for record in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; a UserError when it is of another training, or of none."""
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise UserError(
                f"the saved state does not fit this training ({type(error).__name__}: {reason}): restore the "
                "checkpoint from a copy, or train anew."
            ) from error

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        needed = [set(group) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        if not all(names <= set(group) for names, group in zip(needed, self.optimizer.param_groups, strict=True)):
            raise ValueError("it is of another optimizer")
        self.schedule.load_state_dict(state["schedule"])
        self.runtime.scaler.load_state_dict(state["scaler"])
        self.averaging.load_state_dict(state["averaging"])
        self.stopping.load_state_dict(state["stopping"])
        self.runtime.restore_random_state(state["random"])
        position = state["position"]
        self.epoch, self.step = position["epoch"], position["step"]
        self.seconds, self.images = position["seconds"], position["images"]
        self.sums = position["sums"].to(self.runtime.device)
        self.history = [EpochRecord(**record) for record in state["history"]]
        if self.epoch != len(self.history) + 1 or self.step < 0:
            raise ValueError(f"epoch {self.epoch}, step {self.step} after {len(self.history)} epochs")
