"""Early stopping: watches the validation loss and answers; it touches nothing."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class EarlyStopping:
    """Remembers the lowest validation loss (Prechelt, Early stopping - but when?, 1998)."""

    patience: int | None = None
    """Epochs without a better loss after which to stop; None never stops."""
    best_loss: float = math.inf
    best_epoch: int = 0
    waited: int = 0

    def observe(self, epoch: int, val_loss: float) -> bool:
        """Take note of an epoch's validation loss; True when it is the best so far."""
        if val_loss < self.best_loss:
            self.best_loss, self.best_epoch, self.waited = val_loss, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def should_stop(self) -> bool:
        """Whether patience is at an end."""
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here; patience is the setting's, not the state's."""
        return {name: value for name, value in asdict(self).items() if name != "patience"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.best_loss, self.best_epoch, self.waited = (
            state["best_loss"],
            state["best_epoch"],
            state["waited"],
        )
