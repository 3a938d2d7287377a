"""Exercises of the chapter on overfitting and its remedies."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_dropout(answer: Callable[..., Any]) -> None:
    import torch

    values = torch.tensor([[2.0, 4.0, 6.0, 8.0], [1.0, 1.0, 3.0, -1.0]])
    keep = torch.tensor([[True, False, True, False], [False, True, True, True]])
    kept = values * keep
    given = values.clone()
    got = answer(given, keep.clone(), p=0.2)
    call = "dropout([[2, 4, 6, 8], [1, 1, 3, -1]], [[True, False, True, False], [False, True, True, True]], p=0.2)"
    if not torch.equal(given, values):
        raise Wrong(f"{call} changed the values it was given: compute with a new tensor, without in-place operations.")
    if isinstance(got, torch.Tensor) and got.shape == values.shape and (got == 0).any():
        zeros = (got == 0).tolist()
        if zeros not in (keep.tolist(), (~keep).tolist()):
            raise Wrong(f"{call} drops other values than `keep` says: it is given, and nothing is to be drawn here.")
    expect_equal(
        got,
        kept / 0.8,
        call=call,
        hints={
            kept: "what is kept must be divided by 1 - p, or else the sum is smaller in training than in evaluation",
            kept * 0.8: "multiplied by 1 - p: that makes the sum smaller still, and dividing brings it back",
            kept / keep.float().mean(): "divided by the share that stays in this very mask: divide by 1 - p, the share "
            "that stays on average",
            kept / 0.2: "divided by p, the share that is dropped: divide by the share that is kept, 1 - p",
            values * ~keep / 0.8: "the wrong ones were dropped: True in `keep` means that a value stays",
            values / 0.8: "nothing was dropped: where `keep` is False the value becomes 0",
        },
    )
    expect_equal(
        answer(values.clone(), torch.ones(2, 4, dtype=torch.bool), p=0.0),
        values,
        call="dropout(..., keep=all True, p=0)",
    )


def _check_decayed_step(answer: Callable[..., Any]) -> None:
    import torch

    weight, gradient = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([0.5, 0.0, 1.0])
    given = weight.clone(), gradient.clone()
    got = answer(*given, lr=0.1, weight_decay=0.1)
    call = "decayed_step([2, -1, 0], [0.5, 0, 1], lr=0.1, weight_decay=0.1)"
    for name, now, before in zip(("weight", "gradient"), given, (weight, gradient), strict=True):
        if not torch.equal(now, before):
            raise Wrong(f"{call} changed the {name} it was given: compute a new tensor, without in-place operations.")
    expect_equal(
        got,
        weight - 0.1 * (gradient + 0.1 * weight),
        call=call,
        hints={
            weight - 0.1 * gradient: "that is the step without decay: the penalty adds weight_decay * weight to it",
            weight - 0.1 * (gradient - 0.1 * weight): "the decay has the wrong sign, and the weights grow",
            weight + 0.1 * (gradient + 0.1 * weight): "that climbs: a step goes against the gradient",
            weight - 0.1 * gradient - 0.1 * weight: "the learning rate is missing from the decay",
            weight - 0.1 * (gradient + 0.1): "the same for all weights: the penalty's derivative is weight_decay times "
            "the weight itself",
            weight - 0.1 * (gradient + 0.1 * weight.square()): "the penalty is weight_decay / 2 times the square, and "
            "its derivative weight_decay times the weight",
            weight
            - 0.1 * (gradient + 0.05 * weight): "half the decay: the derivative of the square is twice the weight, "
            "which cancels the penalty's factor of one half",
            weight - 0.1 * (gradient + 0.05 * weight.square()): "that takes the penalty itself: the step takes its "
            "derivative, weight_decay times the weight",
            0.1 * (gradient + 0.1 * weight): "that is what the step takes away: subtract it from the weight",
            gradient
            + 0.1 * weight: "that is the gradient of loss and penalty: the step subtracts lr times it from the weight",
            weight - 0.1 * (gradient + 0.2 * weight): "twice the decay: the penalty has a factor of one half, which "
            "cancels the 2 of the square's derivative",
            weight - 0.1 * (gradient + 0.1 * weight.sign()): "that is the derivative of the weight's magnitude (L1): "
            "of its square it is the weight itself",
        },
    )


# Losses, patience, (epochs done, best epoch), and what typical mistakes make of them.
_LOSSES: tuple[tuple[list[float], int, tuple[int, int], dict[tuple[int, int], str]], ...] = (
    (
        [0.9, 0.7, 0.6, 0.65, 0.62, 0.7, 0.64],
        3,
        (6, 3),
        {
            (
                7,
                3,
            ): "after epoch 6 three epochs in a row have brought no new lowest loss, and that is the end. It comes "
            "at `patience`, not one later, and an epoch that is better than the one before sets nothing back",
            (4, 3): "it stopped at the first epoch that was no better, without patience",
            (5, 2): "epochs are counted from 1, not from 0",
            (6, 2): "epochs are counted from 1, not from 0",
            (6, 5): "epoch 5 is better than the one before it, but the best is the lowest of all",
            (6, 6): "the weights of the best epoch are kept, not those of the last",
            (5, 3): "patience 3 is at its end after three epochs in a row without a new lowest loss, not after two",
        },
    ),
    (
        [1.0, 0.8, 0.9, 0.85, 0.7, 0.75, 0.72, 0.71, 0.5],
        3,
        (8, 5),
        {
            (9, 9): "after epoch 8 three epochs in a row have brought no new lowest loss, and what comes later is "
            "never seen",
            (6, 5): "a new lowest loss sets the waiting back to 0",
        },
    ),
    ([0.9, 0.8, 0.7], 2, (3, 3), {}),
    (
        [0.5, 0.5, 0.5, 0.4],
        2,
        (3, 1),
        {
            (4, 4): "a loss that equals the lowest is no better: only a lower one counts",
            (3, 3): "of equal losses the first one counts: only a lower one is better",
            (4, 3): "of equal losses the first one counts: only a lower one is better",
        },
    ),
)


def _check_stop_after(answer: Callable[..., Any]) -> None:
    for losses, patience, wanted, hints in _LOSSES:
        expect_equal(
            answer(list(losses), patience=patience),
            wanted,
            call=f"stop_after({losses}, patience={patience})",
            hints={**hints, wanted[::-1]: "in the other order: first how many epochs are done, then the best one"},
        )


EXERCISES = (
    Exercise(
        name="dropout",
        task="What dropout makes of values float32 (N, F) in training. `keep`, bool (N, F), says which of them stay; "
        "the others become 0. What stays is scaled so that on average nothing changes; `p` is the share that is "
        "dropped. dropout([[2, 4]], [[True, False]], p=0.5) is [[4, 0]].",
        stub="def dropout(values: Tensor, keep: Tensor, *, p: float) -> Tensor:",
        check=_check_dropout,
    ),
    Exercise(
        name="decayed_step",
        task="The weight after one step of plain SGD with weight decay: beside the loss, whose `gradient` is given, "
        "there is a penalty of weight_decay / 2 times the square of each weight. "
        "decayed_step([2], [0.5], lr=0.1, weight_decay=0.1) is [1.93].",
        stub="def decayed_step(weight: Tensor, gradient: Tensor, *, lr: float, weight_decay: float) -> Tensor:",
        check=_check_decayed_step,
    ),
    Exercise(
        name="stop_after",
        task="Early stopping, from the validation losses of the epochs. Answer two numbers: how many epochs are done, "
        "and which is the best, counted from 1. The training ends when `patience` epochs in a row have brought no new "
        "lowest loss, or with the last loss. stop_after([0.9, 0.7, 0.8, 0.75, 0.6], patience=2) is (4, 2).",
        stub="def stop_after(val_losses: list[float], *, patience: int) -> tuple[int, int]:",
        check=_check_stop_after,
    ),
)
