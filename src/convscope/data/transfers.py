"""The way of tensors to a GPU, for which the host does not wait."""

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; the tensor itself where it is there already.

    A copy from ordinary memory to a GPU makes the host wait until all that it has asked of the GPU is done, and the
    GPU then waits for the host in turn. Out of pinned memory, which the system never moves, the copy takes its place in
    the GPU's queue instead, and the host goes on; PyTorch keeps the pinned memory until the copy is over.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
