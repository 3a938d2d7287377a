"""What every engine is: a runtime in which a finished network answers."""

from typing import Protocol

from torch import Tensor


class Engine(Protocol):
    """A finished network with its preprocessing; any number of threads may call it at once."""

    @property
    def name(self) -> str:
        """The runtime and its arithmetic, such as `openvino-bfloat16`."""

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes), on the CPU."""
