"""Right solutions of the exercises on curves and confusion matrices, and mistakes that must be recognised."""

import torch


def confusion_counts(labels: torch.Tensor, predictions: torch.Tensor, *, num_classes: int) -> torch.Tensor:
    pairs = torch.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return pairs.view(num_classes, num_classes)


def recall_and_precision(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    right = matrix.diagonal()
    return right / matrix.sum(dim=1).clamp(min=1), right / matrix.sum(dim=0).clamp(min=1)


def most_confused_pair(matrix: torch.Tensor) -> tuple[int, int, int]:
    mistakes = matrix.clone().fill_diagonal_(0)
    true, predicted = divmod(int(mistakes.argmax()), len(matrix))
    return true, predicted, int(mistakes.max())


def _transposed(labels: torch.Tensor, predictions: torch.Tensor, *, num_classes: int) -> torch.Tensor:
    return confusion_counts(predictions, labels, num_classes=num_classes)


def _once_only(labels: torch.Tensor, predictions: torch.Tensor, *, num_classes: int) -> torch.Tensor:
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    matrix[labels, predictions] += 1
    return matrix


def _right_only(labels: torch.Tensor, predictions: torch.Tensor, *, num_classes: int) -> torch.Tensor:
    return torch.diag(confusion_counts(labels, predictions, num_classes=num_classes).diagonal())


def _too_small(labels: torch.Tensor, predictions: torch.Tensor, *, num_classes: int) -> torch.Tensor:
    size = int(max(labels.max(), predictions.max())) + 1
    return torch.bincount(labels * size + predictions, minlength=size**2).view(size, size)


def _floating(labels: torch.Tensor, predictions: torch.Tensor, *, num_classes: int) -> torch.Tensor:
    return confusion_counts(labels, predictions, num_classes=num_classes).float()


def _exchanged(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    recall, precision = recall_and_precision(matrix)
    return precision, recall


def _of_all(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return matrix.diagonal() / matrix.sum(), matrix.diagonal() / matrix.sum()


def _dividing_by_zero(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return matrix.diagonal() / matrix.sum(dim=1), matrix.diagonal() / matrix.sum(dim=0)


def _with_diagonal(matrix: torch.Tensor) -> tuple[int, int, int]:
    true, predicted = divmod(int(matrix.argmax()), len(matrix))
    return true, predicted, int(matrix.max())


def _in_place(matrix: torch.Tensor) -> tuple[int, int, int]:
    matrix.fill_diagonal_(0)
    return most_confused_pair(matrix)


def _predicted_first(matrix: torch.Tensor) -> tuple[int, int, int]:
    true, predicted, count = most_confused_pair(matrix)
    return predicted, true, count


def _both_ways(matrix: torch.Tensor) -> tuple[int, int, int]:
    return most_confused_pair((matrix + matrix.T).triu())


def _by_share(matrix: torch.Tensor) -> tuple[int, int, int]:
    mistakes = (matrix / matrix.sum(dim=1, keepdim=True)).fill_diagonal_(0)
    true, predicted = divmod(int(mistakes.argmax()), len(matrix))
    return true, predicted, int(matrix[true, predicted])


MISTAKES = [
    ("confusion_counts", _transposed, "exchanged"),
    ("confusion_counts", _once_only, "once"),
    ("confusion_counts", _right_only, "mistakes"),
    ("confusion_counts", _too_small, "shape"),
    ("confusion_counts", _floating, "integers"),
    ("recall_and_precision", _exchanged, "exchanged"),
    ("recall_and_precision", _of_all, "all images"),
    ("recall_and_precision", _dividing_by_zero, "nan"),
    ("recall_and_precision", lambda matrix: torch.stack(recall_and_precision(matrix)), "two tensors"),
    ("recall_and_precision", lambda matrix: tuple(100 * part for part in recall_and_precision(matrix)), "percentages"),
    ("most_confused_pair", _with_diagonal, "diagonal"),
    ("most_confused_pair", _in_place, "changed"),
    ("most_confused_pair", _predicted_first, "true class"),
    ("most_confused_pair", _both_ways, "added"),
    ("most_confused_pair", _by_share, "share"),
]
