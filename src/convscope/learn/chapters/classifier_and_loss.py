"""Exercises of the chapter on the fully connected layer and the loss."""

import math
from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_linear_parameters(answer: Callable[..., Any]) -> None:
    shapes = ((8, 2, 3, 5), (32, 8, 8, 10), (64, 7, 7, 10), (1, 28, 28, 10), (512, 7, 7, 1000))
    for channels, height, width, num_classes in shapes:
        features = channels * height * width
        expect_equal(
            answer(channels, height, width, num_classes=num_classes),
            (features + 1) * num_classes,
            call=f"linear_parameters({channels}, {height}, {width}, num_classes={num_classes})",
            hints={
                features * num_classes: "the biases are missing: one for each class",
                features * num_classes + 1: "there is a bias for each class, not one for the whole layer",
                features * num_classes + features: "there is a bias for each class, not for each feature",
                features + 1: "those are the parameters of a single class",
                (channels + height + width + 1) * num_classes: "channels, height and width are multiplied, not added",
                (channels + 1) * num_classes: "every pixel of every channel is a feature of its own",
                (height * width + 1) * num_classes: "every channel has pixels of its own",
                (channels * height**2 + 1) * num_classes: "maps need not be square: height times width",
                (channels * width**2 + 1) * num_classes: "maps need not be square: height times width",
            },
        )


def _check_stable_softmax(answer: Callable[..., Any]) -> None:
    import torch

    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    given = logits.clone()
    got = answer(given)
    call = "stable_softmax([[2, 1, 0], [0, 0, 0]])"
    if not torch.equal(given, logits):
        raise Wrong(f"{call} changed the logits it was given: compute with new tensors, without in-place operations.")
    expect_equal(
        got,
        logits.softmax(dim=1),
        call=call,
        hints={
            logits.softmax(dim=0): "its columns sum to 1, but an image is a row: sum over dim=1",
            logits.exp() / logits.exp().sum(): "the whole batch sums to 1, but each image has its own sum, over dim=1",
            logits.log_softmax(dim=1): "these are logarithms of probabilities",
            logits.exp(): "these are the exponentials: divide them by their sum",
            (logits - logits.amax(dim=1, keepdim=True)).exp(): "these are the exponentials: divide them by their sum",
            logits.sigmoid(): "each logit was taken by itself, and no row sums to 1: divide by the sum of the row",
            logits / logits.sum(dim=1, keepdim=True): "the exponentials are missing: a logit may be negative or 0",
        },
    )

    large = torch.tensor([[1000.0, 999.0, 998.0]])
    got = answer(large)
    call = "stable_softmax([[1000, 999, 998]])"
    if isinstance(got, torch.Tensor) and got.isnan().any():
        raise Wrong(
            f"{call} is no number (nan): the exponential of 1000 is infinite in float32. Subtract the row's largest "
            "logit first; the result is the same."
        )
    hints = {
        torch.full(
            (1, 3), 1 / 3
        ): "the logits were cut off at a limit, and their differences are lost: subtract instead",
        torch.zeros(1, 3): "a nan was replaced: subtract the row's largest logit, and there is none",
    }
    expect_equal(got, large.softmax(dim=1), call=call, hints=hints)

    far = torch.tensor([[1000.0, 0.0, -1000.0]])
    got = answer(far)
    call = "stable_softmax([[1000, 0, -1000]])"
    if isinstance(got, torch.Tensor) and got.isnan().any():
        raise Wrong(
            f"{call} is no number (nan): what is left of the largest logit is still too large for the exponential. "
            "Subtract the row's largest logit, not its mean or its smallest."
        )
    expect_equal(got, far.softmax(dim=1), call=call)

    apart = torch.tensor([[500.0, 499.0], [-500.0, -501.0]])
    got = answer(apart)
    call = "stable_softmax([[500, 499], [-500, -501]])"
    if isinstance(got, torch.Tensor) and got.isnan().any():
        raise Wrong(
            f"{call} is no number (nan) in a row: the largest logit of the whole batch was subtracted, and all "
            "exponentials of the other row became 0. Subtract each row's own largest logit."
        )
    expect_equal(got, apart.softmax(dim=1), call=call)


def _check_mean_cross_entropy(answer: Callable[..., Any]) -> None:
    import torch
    from torch.nn import functional as F

    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    labels = torch.tensor([0, 2])
    wanted = F.cross_entropy(logits, labels)
    chances = logits.softmax(dim=1)
    each = F.cross_entropy(logits, labels, reduction="none")
    expect_equal(
        answer(logits.clone(), labels.clone()),
        wanted,
        call="mean_cross_entropy([[2, 1, 0], [0, 3, 1]], [0, 2])",
        hints={
            each: "that is one loss for each image, and a batch has one: their mean",
            each.sum(): "that is the sum over the images; take their mean, so that the size of the batch does not "
            "count",
            wanted / 3: "that is a mean over images and classes, but of each image only the true class counts",
            -wanted: "the sign: the loss is minus the logarithm",
            wanted / math.log(10): "a logarithm to the base 10: torch.log is the natural one",
            wanted / math.log(2): "a logarithm to the base 2: torch.log is the natural one",
            -logits.log_softmax(dim=1)[:, labels].mean(): "each image was asked for the labels of all images: pair row "
            "and label, as in logits[torch.arange(N), labels]",
            F.nll_loss(logits.log_softmax(dim=0), labels): "the softmax ran down the columns, but an image is a row: "
            "dim=1",
            -chances[torch.arange(2), labels].mean().log(): "the logarithm of the mean: take each image's logarithm "
            "first, then the mean",
            F.cross_entropy(chances, labels): "the logits went through two softmaxes, one after the other",
            F.nll_loss(logits, labels): "that is minus the logits themselves: the softmax is missing",
            F.nll_loss(chances, labels): "that is minus the probabilities: the logarithm is missing",
        },
    )

    large = torch.tensor([[1000.0, 0.0], [-1000.0, 0.0]])
    got = answer(large, torch.tensor([1, 1]))
    call = "mean_cross_entropy([[1000, 0], [-1000, 0]], [1, 1])"
    if isinstance(got, torch.Tensor) and got.ndim == 0 and not got.isfinite():
        raise Wrong(
            f"{call} is {got.item()}, not 500: an exponential became infinite, or a probability 0, whose logarithm is "
            "infinite. Subtract each row's largest logit; then the loss is log(sum(exp)) - logit."
        )
    if isinstance(got, torch.Tensor) and got.ndim == 0 and 0 < got < 100:
        raise Wrong(
            f"{call} is {got.item():.6g}, not 500: something keeps the probability away from 0, perhaps a small number "
            "added to it, and so limits the loss. Subtract each row's largest logit; then it is log(sum(exp)) - logit."
        )
    expect_equal(got, torch.tensor(500.0), call=call)


def _check_constant_answer_loss(answer: Callable[..., Any]) -> None:
    expect_equal(
        answer([100, 100, 100, 100]),
        math.log(4),
        call="constant_answer_loss([100, 100, 100, 100])",
        hints={
            2.0: "a logarithm to the base 2: math.log is the natural one",
            -math.log(4): "the sign: the loss is minus the logarithm",
            4 * math.log(4): "the sum over the classes: weigh each class by its share of the images",
            400 * math.log(4): "the sum over the images: the loss is their mean",
        },
    )
    wanted = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    expect_equal(
        answer([90, 10]),
        wanted,
        call="constant_answer_loss([90, 10])",
        hints={
            math.log(2): "ln C, which holds only where all classes are as frequent: give each class its share",
            -(math.log(0.9) + math.log(0.1)) / 2: "a mean over the classes: nine of ten images are of the first one",
            -math.log(0.9): "the loss of the most frequent class alone: one image of ten is of the other",
            wanted / math.log(2): "a logarithm to the base 2: math.log is the natural one",
        },
    )
    try:
        got = answer([50, 0, 50])
    except (ValueError, ZeroDivisionError) as error:
        raise Wrong(
            f"constant_answer_loss([50, 0, 50]) raised {type(error).__name__}: a class without images has no "
            "logarithm and adds nothing, so leave it out."
        ) from error
    expect_equal(
        got,
        math.log(2),
        call="constant_answer_loss([50, 0, 50])",
        hints={
            math.log(3): "ln 3, but one of the three classes never occurs",
            math.nan: "0 times the logarithm of 0 is no number: leave out a class without images",
        },
    )


EXERCISES = (
    Exercise(
        name="linear_parameters",
        task="How many parameters, weights and biases, has a fully connected layer from feature maps to classes? The "
        "maps have `channels` channels of `height` times `width` values, and every value is a feature. SimpleNet's "
        "last layer, linear_parameters(32, 8, 8, num_classes=10), has 20490.",
        stub="def linear_parameters(channels: int, height: int, width: int, *, num_classes: int) -> int:",
        check=_check_linear_parameters,
    ),
    Exercise(
        name="stable_softmax",
        task="Turn logits, float32 (N, C), into probabilities of the same shape: each row sums to 1. Write it with "
        "`exp` and `sum`, not with PyTorch's softmax, and so that logits of 1000 give no nan. "
        "stable_softmax of [[0, 0]] is [[0.5, 0.5]].",
        stub="def stable_softmax(logits: Tensor) -> Tensor:",
        check=_check_stable_softmax,
    ),
    Exercise(
        name="mean_cross_entropy",
        task="The loss of a batch, a tensor of shape (): the mean over the images of minus the logarithm of the "
        "probability of the true class. `logits` are float32 (N, C), `labels` int64 (N,). Write it without PyTorch's "
        "cross_entropy. With logits [[0, 0]] and labels [1] it is ln 2. Logits of 1000 must not give inf or nan.",
        stub="def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:",
        check=_check_mean_cross_entropy,
    ),
    Exercise(
        name="constant_answer_loss",
        task="A network that does not look at the images does best when it gives every class its share of them. What "
        "is its mean cross-entropy on these very images? `class_counts` says how many images each class has. For "
        "[100, 100] it is ln 2; a class may have no images at all.",
        stub="def constant_answer_loss(class_counts: list[int]) -> float:",
        check=_check_constant_answer_loss,
    ),
)
