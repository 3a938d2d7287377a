"""Right solutions of the exercises on overfitting, and mistakes that must be recognised."""

import math

import torch


def dropout(values: torch.Tensor, keep: torch.Tensor, *, p: float) -> torch.Tensor:
    return values * keep / (1 - p)


def decayed_step(weight: torch.Tensor, gradient: torch.Tensor, *, lr: float, weight_decay: float) -> torch.Tensor:
    return weight - lr * (gradient + weight_decay * weight)


def stop_after(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    lowest, best, epoch = math.inf, 0, 0
    for epoch, loss in enumerate(val_losses, start=1):
        if loss < lowest:
            lowest, best = loss, epoch
        if epoch - best >= patience:
            break
    return epoch, best


def _in_place(values: torch.Tensor, keep: torch.Tensor, *, p: float) -> torch.Tensor:
    values *= keep
    return values / (1 - p)


def _drawn(values: torch.Tensor, keep: torch.Tensor, *, p: float) -> torch.Tensor:
    drawn = values / (1 - p)
    drawn[0, :2] = 0
    return drawn


def _gradient_in_place(w: torch.Tensor, g: torch.Tensor, *, lr: float, weight_decay: float) -> torch.Tensor:
    g += weight_decay * w
    return w - lr * g


def _first_rise(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    for epoch in range(1, len(val_losses)):
        if val_losses[epoch] >= val_losses[epoch - 1]:
            return epoch + 1, epoch
    return len(val_losses), len(val_losses)


def _against_the_last(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    waited = 0
    for epoch in range(1, len(val_losses)):
        waited = waited + 1 if val_losses[epoch] >= val_losses[epoch - 1] else 0
        if waited == patience:
            return epoch + 1, epoch + 1 - patience
    return len(val_losses), val_losses.index(min(val_losses)) + 1


def _one_too_late(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    return stop_after(val_losses, patience=patience + 1)


def _from_zero(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    done, best = stop_after(val_losses, patience=patience)
    return done, best - 1


def _never_reset(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    lowest, best, waited = math.inf, 0, 0
    for epoch, loss in enumerate(val_losses, start=1):
        if loss < lowest:
            lowest, best = loss, epoch
        else:
            waited += 1
        if waited == patience:
            return epoch, best
    return len(val_losses), best


def _equal_counts(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    lowest, best, epoch = math.inf, 0, 0
    for epoch, loss in enumerate(val_losses, start=1):
        if loss <= lowest:
            lowest, best = loss, epoch
        if epoch - best >= patience:
            break
    return epoch, best


def _reversed(val_losses: list[float], *, patience: int) -> tuple[int, int]:
    done, best = stop_after(val_losses, patience=patience)
    return best, done


MISTAKES = [
    ("dropout", lambda values, keep, *, p: values * keep, "1 - p"),
    ("dropout", lambda values, keep, *, p: values * keep * (1 - p), "multiplied"),
    ("dropout", lambda values, keep, *, p: values * keep / p, "share that is kept"),
    ("dropout", lambda values, keep, *, p: values * ~keep / (1 - p), "stays"),
    ("dropout", lambda values, keep, *, p: values / (1 - p), "nothing was dropped"),
    ("dropout", _in_place, "changed"),
    ("dropout", _drawn, "nothing is to be drawn"),
    ("dropout", lambda values, keep, *, p: values * keep / keep.float().mean(), "on average"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * g, "without decay"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * (g - weight_decay * w), "sign"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w + lr * (g + weight_decay * w), "climbs"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * g - weight_decay * w, "learning rate"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * (g + weight_decay), "weight itself"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * (g + weight_decay * w**2), "square"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * (g + 2 * weight_decay * w), "half"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * (g + weight_decay * w.sign()), "L1"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w.sub_(lr * (g + weight_decay * w)), "changed"),
    ("decayed_step", _gradient_in_place, "changed the gradient"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: w - lr * (g + weight_decay / 2 * w), "half the decay"),
    ("decayed_step", lambda w, g, *, lr, weight_decay: lr * (g + weight_decay * w), "subtract it"),
    ("stop_after", _one_too_late, "not one later"),
    ("stop_after", _first_rise, "without patience"),
    ("stop_after", _against_the_last, "lowest"),
    ("stop_after", _from_zero, "from 1"),
    ("stop_after", _never_reset, "waiting back to 0"),
    ("stop_after", _equal_counts, "equals"),
    ("stop_after", _reversed, "order"),
]
