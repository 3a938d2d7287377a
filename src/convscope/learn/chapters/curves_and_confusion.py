"""Exercises of the chapter on curves and confusion matrices."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_confusion_counts(answer: Callable[..., Any]) -> None:
    import torch

    labels, predictions = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 0, 0, 1, 2])
    wanted = torch.tensor([[3, 1, 0], [2, 1, 0], [0, 0, 1]])
    right = torch.diag(torch.tensor([3, 1, 1]))
    expect_equal(
        answer(labels.clone(), predictions.clone(), num_classes=3),
        wanted,
        call="confusion_counts([0, 0, 0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 0, 0, 1, 2], num_classes=3)",
        hints={
            wanted.T: "rows and columns are exchanged: the true class chooses the row, the predicted one the column",
            wanted.clamp(max=1): "each pair was counted once only. `matrix[labels, predictions] += 1` adds 1 to a cell "
            "however often it is named: count one image after the other, or use bincount or index_put_ with "
            "accumulate=True",
            right: "only right answers were counted: the mistakes belong there too",
            wanted - right: "only mistakes were counted: right answers stand on the diagonal",
        },
    )
    wanted = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    try:
        got = answer(torch.tensor([0]), torch.tensor([0]), num_classes=3)
    except (IndexError, RuntimeError) as error:
        raise Wrong(
            f"confusion_counts([0], [0], num_classes=3) raised {type(error).__name__}: classes that do not occur have "
            "a row and a column too, so the matrix is num_classes x num_classes."
        ) from error
    expect_equal(got, wanted, call="confusion_counts([0], [0], num_classes=3)")


def _check_recall_and_precision(answer: Callable[..., Any]) -> None:
    import torch

    matrix = torch.tensor([[3, 1, 0], [2, 1, 0], [0, 0, 3]])
    recall, precision = torch.tensor([3 / 4, 1 / 3, 1.0]), torch.tensor([3 / 5, 1 / 2, 1.0])
    shares = matrix.diagonal() / matrix.sum()
    got, call = answer(matrix.clone()), "recall_and_precision([[3, 1, 0], [2, 1, 0], [0, 0, 3]])"
    if isinstance(got, torch.Tensor) and got.shape == (2, 3):
        raise Wrong(f"{call} gave one tensor of shape (2, 3) instead of two tensors: `return recall, precision`.")
    expect_equal(
        got,
        (recall, precision),
        call=call,
        hints={
            (100 * recall, 100 * precision): "these are percentages: answer shares, from 0 to 1",
            (precision, recall): "the two are exchanged: recall is along the row of the true class, precision down the "
            "column of the predicted one",
            (shares, shares): "divided by all images: each class has its own row and its own column",
            (recall, recall): "both are recalls: precision divides by the sum of the column",
            (precision, precision): "both are precisions: recall divides by the sum of the row",
        },
    )
    matrix = torch.tensor([[2, 0, 0], [1, 0, 0], [0, 0, 0]])
    call = "recall_and_precision([[2, 0, 0], [1, 0, 0], [0, 0, 0]])"
    try:
        got = answer(matrix)
    except ZeroDivisionError as error:
        raise Wrong(f"{call} divided by 0: where a class has no images, or is never predicted, answer 0.") from error
    if isinstance(got, list | tuple) and any(isinstance(part, torch.Tensor) and part.isnan().any() for part in got):
        raise Wrong(
            f"{call} has nan in it, from 0 / 0: a class without images, or one that is never predicted, has 0. Divide "
            "by the sum, but by 1 where that is 0."
        )
    expect_equal(got, (torch.tensor([1.0, 0.0, 0.0]), torch.tensor([2 / 3, 0.0, 0.0])), call=call)


def _check_most_confused_pair(answer: Callable[..., Any]) -> None:
    import torch

    matrix = torch.tensor([[9, 1, 0], [4, 5, 1], [0, 2, 8]])
    given = matrix.clone()
    got = answer(given)
    call = "most_confused_pair([[9, 1, 0], [4, 5, 1], [0, 2, 8]])"
    if not torch.equal(given, matrix):
        raise Wrong(f"{call} changed the matrix that it was given: work on a copy, matrix.clone().")
    expect_equal(
        got,
        (1, 0, 4),
        call=call,
        hints={
            (0, 0, 9): "that is on the diagonal, where the right answers stand: leave it out",
            (0, 1, 4): "the true class comes first, and it is the row",
            (4, 1, 0): "in another order: true class, predicted class, count",
            (2, 1, 2): "the upper half of the matrix belongs to it as well as the lower",
            (0, 1, 5): "the two ways were added: shirts called coats and coats called shirts are two mistakes",
            (1, 0, 5): "the two ways were added: shirts called coats and coats called shirts are two mistakes",
        },
    )
    expect_equal(
        answer(torch.tensor([[50, 10, 0], [0, 2, 3], [0, 0, 5]])),
        (0, 1, 10),
        call="most_confused_pair([[50, 10, 0], [0, 2, 3], [0, 0, 5]])",
        hints={
            (1, 2, 3): "that is the largest share of its row; asked for is the largest number of images",
            (0, 0, 50): "that is on the diagonal, where the right answers stand: leave it out",
        },
    )


EXERCISES = (
    Exercise(
        name="confusion_counts",
        task="Count a confusion matrix, int64 (num_classes, num_classes): in row t and column p stands how many images "
        "of the true class t were predicted as p. `labels` and `predictions` are int64 (N,). "
        "confusion_counts([0, 1, 1], [0, 0, 1], num_classes=2) is [[1, 0], [1, 1]].",
        stub="def confusion_counts(labels: Tensor, predictions: Tensor, *, num_classes: int) -> Tensor:",
        check=_check_confusion_counts,
    ),
    Exercise(
        name="recall_and_precision",
        task="Recall and precision of each class, two tensors float32 (K,), in this order, from a confusion matrix "
        "int64 (K, K) with rows of true classes and columns of predicted ones. Where a class has no images, or is "
        "never predicted, the value is 0. Of [[1, 0], [1, 2]] recall is [1, 2/3], and precision [1/2, 1].",
        stub="def recall_and_precision(matrix: Tensor) -> tuple[Tensor, Tensor]:",
        check=_check_recall_and_precision,
    ),
    Exercise(
        name="most_confused_pair",
        task="The mistake that is made most often: true class, predicted class and count, three ints, from a confusion "
        "matrix int64 (K, K) with rows of true classes. Right answers do not count, and the matrix stays as it is. Of "
        "[[9, 1], [3, 7]] it is (1, 0, 3).",
        stub="def most_confused_pair(matrix: Tensor) -> tuple[int, int, int]:",
        check=_check_most_confused_pair,
    ),
)
