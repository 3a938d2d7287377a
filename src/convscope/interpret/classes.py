"""Which class of each image is to be explained."""

from torch import Tensor

from convscope.errors import UserError


def choose_classes(logits: Tensor, classes: Tensor | None) -> Tensor:
    """The classes asked for, or those predicted: int64 (N, 1), to gather from `logits` (N, num_classes).

    Raises:
        UserError: there is not one class for each image, or it is not among the network's.
    """
    count, num_classes = logits.shape
    chosen = logits.argmax(dim=1) if classes is None else classes.to(logits.device)
    if chosen.shape != (count,) or not all(0 <= number < num_classes for number in chosen.tolist()):
        raise UserError(
            f"the classes to explain are {chosen.tolist()}: give one for each of the {count} images, "
            f"from 0 to {num_classes - 1}."
        )
    return chosen[:, None]
