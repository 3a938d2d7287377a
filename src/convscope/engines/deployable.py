"""A finished network as it leaves the house: an image goes in as it comes, and what it shows comes out."""

import torch
from torch import Tensor, nn
from torch.export import Dim

from convscope.data.preprocessing import Preprocessing
from convscope.engines.square import ToSquare, resampling
from convscope.models.layers import Classifier


class Deployable(nn.Module):
    """A network together with its preprocessing, as one module in float32.

    What `data.Preprocessing` does is written here once more, as arithmetic that every runtime has.

    Args:
        model: a trained network; it goes into evaluation mode.
        preprocessing: what belongs to it.
        softmax: whether probabilities come out, or logits.
        any_size: whether images may have any height and width; without, they are squares of `decode_size`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, model: Classifier, preprocessing: Preprocessing, *, softmax: bool, any_size: bool = False
    ) -> None:
        super().__init__()
        known = preprocessing
        self.channels, self.decode_size, self.any_size = known.channels, known.decode_size, any_size
        self.square: nn.Module = ToSquare(known.decode_size, known.resize) if any_size else nn.Identity()
        self.scaled: nn.Module = nn.Identity() if known.decode_size == known.size else _Scaled(known)
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", torch.tensor([1 / (255 * std) for std in known.std]).view(-1, 1, 1))
        self.register_buffer("shift", torch.tensor(known.black).view(-1, 1, 1))
        self.network = model
        self.answer: nn.Module = nn.Softmax(dim=1) if softmax else nn.Identity()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, H, W) -> float32 (N, num_classes): logits, or probabilities."""
        pixels = self.scaled(self.square(images).to(torch.float32))  # (N, channels, size, size)
        answers: Tensor = self.answer(self.network(pixels * self.scale + self.shift))
        return answers

    @property
    def output(self) -> str:
        """What comes out: logits or probabilities."""
        return "logits" if isinstance(self.answer, nn.Identity) else "probabilities"

    def dynamic_shapes(self) -> dict[int, Dim]:
        """Which of the dimensions of `images` may be anything, by their numbers, with their names."""
        free = {0: Dim("batch", min=1)}
        return free | {2: Dim("height", min=1), 3: Dim("width", min=1)} if self.any_size else free

    def examples(self) -> Tensor:
        """Black images that the network takes, to follow their way through it: uint8 (2, channels, H, W)."""
        more = int(self.any_size)  # no square, where none is asked for
        return torch.zeros(2, self.channels, self.decode_size + more, self.decode_size + 2 * more, dtype=torch.uint8)


class _Scaled(nn.Module):
    """Squares of the size that images are kept at to the size that the network takes."""

    weights: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        kept, size = preprocessing.decode_size, preprocessing.size
        scale = torch.tensor(kept / size)
        self.register_buffer("weights", resampling(kept, torch.arange(size), start=torch.tensor(0.0), scale=scale))

    def forward(self, squares: Tensor) -> Tensor:
        """float32 (N, C, decode_size, decode_size) -> (N, C, size, size)."""
        return self.weights @ squares @ self.weights.t()
