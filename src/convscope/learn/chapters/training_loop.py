"""Exercises of the chapter on the training loop."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_training_steps(answer: Callable[..., Any]) -> None:
    for images, batch_size, epochs in ((1000, 100, 3), (1050, 100, 3), (54_000, 128, 10), (5, 8, 2)):
        call = f"training_steps({images}, batch_size={batch_size}, epochs={epochs})"
        got = answer(images, batch_size=batch_size, epochs=epochs)
        expect_equal(
            got,
            -(-images // batch_size) * epochs,
            call=call,
            hints={
                images // batch_size * epochs: "the last batch of an epoch takes the images that are left; it is a "
                "step too",
                -(-images * epochs // batch_size): "each epoch ends with a batch of its own: round up before "
                "multiplying",
                images * epochs // batch_size: "each epoch ends with a batch of its own: round up before multiplying",
                images * epochs: "those are the images: a step takes batch_size of them",
                -(-images // batch_size): "these are the steps of one epoch",
                (images // batch_size + 1) * epochs: "where the batch size divides the images there is no batch left "
                "over",
            },
        )


def _check_batch_accuracy(answer: Callable[..., Any]) -> None:
    import torch

    logits = torch.tensor([[2.0, 1.0, 0.5], [3.0, -1.0, 0.0], [0.0, 4.0, -1.0]])
    labels = torch.tensor([0, 0, 2])
    got = answer(logits.clone(), labels.clone())
    call = "batch_accuracy([[2, 1, 0.5], [3, -1, 0], [0, 4, -1]], [0, 0, 2])"
    if type(got) is int and got == 0:
        raise Wrong(f"{call} gave 0, not 0.666667: `//` gives whole numbers, `/` any.")
    expect_equal(
        got,
        2 / 3,
        call=call,
        hints={
            0.0: "an image is a row, so its answer is argmax(dim=1); dim=0 looks down the columns, and without dim "
            "there is one answer for the whole batch",
            1 / 3: "that is the share of the wrong answers",
            4 / 9: "each answer was compared with every label, because (N, 1) and (N,) make (N, N): no keepdim",
            2: "the number of right answers: divide it by the number of images",
            200 / 3: "a percentage: a share lies between 0 and 1",
            2 / 9: "divided by the number of logits: divide by the number of images",
        },
    )
    logits = torch.tensor([[-3.0, -1.0], [-2.0, -7.0], [-0.5, -0.1], [9.0, 8.0]])
    expect_equal(
        answer(logits, torch.tensor([1, 0, 1, 1])),
        0.75,
        call="batch_accuracy([[-3, -1], [-2, -7], [-0.5, -0.1], [9, 8]], [1, 0, 1, 1])",
        hints={
            0.0: "logits may all be negative, or all be large: only which of a row is the largest counts",
            1.5: "divided by the number of classes: divide by the number of images",
        },
    )


def _check_mean_over_images(answer: Callable[..., Any]) -> None:
    for losses, sizes in (([1.0, 5.0], [3, 1]), ([0.5, 1.0, 3.0], [100, 100, 50])):
        total = sum(loss * size for loss, size in zip(losses, sizes, strict=True))
        expect_equal(
            answer(list(losses), list(sizes)),
            total / sum(sizes),
            call=f"mean_over_images({losses}, {sizes})",
            hints={
                sum(losses) / len(losses): "the mean over the batches: an image of the small last batch counts too "
                "much",
                total: "the sum over the images: divide it by their number",
                total / len(losses): "divide by the number of images, not of batches",
                total // sum(sizes): "`//` cuts off what is behind the point: divide with `/`",
                sum(losses) / sum(sizes): "a batch's loss is a mean already: multiply it by the size of the batch "
                "first",
            },
        )


def _check_training_step(answer: Callable[..., Any]) -> None:
    import torch
    from torch import nn
    from torch.nn import functional as F

    model = nn.Linear(2, 3)
    start = torch.tensor([[0.5, -0.25], [0.0, 0.75], [-0.5, 0.25]])
    images, labels, lr = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]), torch.tensor([0, 2, 1]), 0.5
    with torch.no_grad():
        model.weight.copy_(start)
        model.bias.zero_()
    loss = F.cross_entropy(model(images), labels)
    grad, bias_grad = torch.autograd.grad(loss, [model.weight, model.bias])
    twice = F.cross_entropy(model(images).softmax(dim=1), labels)
    (twice_grad,) = torch.autograd.grad(twice, [model.weight])
    # As a step before would have left it.
    old = torch.full_like(start, 0.125)
    model.weight.grad, model.bias.grad = old.clone(), torch.zeros(3)

    weight, bias = model.weight, model.bias
    got = answer(model, images.clone(), labels.clone(), lr=lr)
    call = "training_step(model, images, labels, lr=0.5)"
    if model.weight is not weight or model.bias is not bias or not model.weight.requires_grad:
        raise Wrong(
            f"{call} put other tensors in the place of the model's parameters, or froze them: change their values, "
            "inside torch.no_grad(), with `parameter -= lr * parameter.grad`."
        )
    mistakes = {
        start: "the weights did not move: change them in place, `parameter -= ...`, for all of model.parameters()",
        start + lr * grad: "they moved uphill: subtract the gradient",
        start - lr * (grad + old): "the gradient of the step before is still in it: backward adds to .grad, so clear "
        "it first",
        start - lr * old: "the gradient of the step before was used: call backward on this loss first",
        start - grad: "the gradient was not multiplied by lr",
        start - lr * twice_grad: "F.cross_entropy takes the logits as they are, without a softmax",
        start - lr * 3 * grad: "the loss is the mean over the images, not their sum",
    }
    expect_equal(model.weight.detach(), start - lr * grad, call=f"{call}; model.weight", hints=mistakes)
    expect_equal(
        model.bias.detach(),
        -lr * bias_grad,
        call=f"{call}; model.bias",
        hints={torch.zeros(3): "only the weight moved: go through all of model.parameters()"},
    )
    with torch.no_grad():
        after = F.cross_entropy(model(images), labels).item()
    hints = {after: "that is the loss after the step: answer the one from which the gradient came"}
    expect_equal(got, loss.item(), call=call, hints=hints)


EXERCISES = (
    Exercise(
        name="training_steps",
        task="How many steps does a training take that sees `images` images in each of `epochs` epochs, `batch_size` "
        "at a time? The last batch of an epoch takes what is left. 1050 images in batches of 100 are 11 steps an "
        "epoch.",
        stub="def training_steps(images: int, *, batch_size: int, epochs: int) -> int:",
        check=_check_training_steps,
    ),
    Exercise(
        name="batch_accuracy",
        task="The share of the images whose largest logit is that of the true class, as a Python float between 0 and "
        "1. `logits` are float32 (N, C), `labels` int64 (N,). With logits [[1, 2], [5, 0]] and labels [1, 1] it is "
        "0.5.",
        stub="def batch_accuracy(logits: Tensor, labels: Tensor) -> float:",
        check=_check_batch_accuracy,
    ),
    Exercise(
        name="mean_over_images",
        task="`losses` are the mean losses of an epoch's batches, `sizes` how many images each batch had. Answer the "
        "mean loss over all images. For losses [1.0, 5.0] and sizes [3, 1] it is 2.0.",
        stub="def mean_over_images(losses: list[float], sizes: list[int]) -> float:",
        check=_check_mean_over_images,
    ),
    Exercise(
        name="training_step",
        task="One step of plain gradient descent, without an optimizer: the cross-entropy of what `model` answers for "
        "`images` (F.cross_entropy), its gradient, and each parameter moved by lr times its gradient, downhill, which "
        "PyTorch allows within `with torch.no_grad():`. The parameters may still have gradients of a step before. "
        "Answer the loss before the step, as a float.",
        stub="def training_step(model: nn.Module, images: Tensor, labels: Tensor, *, lr: float) -> float:",
        check=_check_training_step,
    ),
)
