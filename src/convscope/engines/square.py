"""Images of any height and width made square by arithmetic alone, so that an exported network can do it by itself.

What `data.decoding.read_square` does with Pillow is here two products with matrices, rows · image · columnsᵀ, whose
entries are computed from the image's height and width. Every runtime multiplies matrices alike, while each has ideas of
its own about resizing. Pillow rounds after each product and we do not: a pixel may differ by one level of 255. An image
that is a square of the right size already stays as it is.
"""

import torch
from torch import Tensor, nn

from convscope.data.decoding import Resize


class ToSquare(nn.Module):
    """Images of any size to squares of `size` pixels, by the rule that photos are resized by.

    Height and width become tensors at once: what is recorded with one image must not remember that image's shape.
    """

    def __init__(self, size: int, resize: Resize) -> None:
        super().__init__()
        self.size = size
        self.resize: str = resize

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) -> float32 (N, C, size, size), from 0 to 255."""
        rows, top, height = self._axis(images.shape[2], images.shape[3])
        columns, left, width = self._axis(images.shape[3], images.shape[2])
        squares = rows @ images.to(torch.float32) @ columns.t()
        return self._fill(squares, top, height, left, width) if self.resize == "pad" else squares

    def _axis(self, length: int, other: int) -> tuple[Tensor, Tensor, Tensor]:
        """The matrix (size, length) along one axis; the first of the new pixels that show the image, and how many."""
        mine, its = torch.scalar_tensor(length), torch.scalar_tensor(other)
        shown = torch.minimum(mine, its) if self.resize == "crop" else mine
        across = torch.maximum(mine, its) if self.resize == "pad" else shown
        count = (shown * self.size / across).round().clamp(min=1)
        first = ((self.size - count) / 2).floor()
        places = torch.arange(self.size) - first
        return resampling(length, places, start=(mine - shown) / 2, scale=shown / count), first, count

    def _fill(self, squares: Tensor, top: Tensor, height: Tensor, left: Tensor, width: Tensor) -> Tensor:
        """Give the pixels around each image the median colour of its border."""
        places = torch.arange(self.size)
        in_rows = (places >= top) & (places < top + height)  # (size,)
        in_columns = (places >= left) & (places < left + width)
        top_and_bottom = squares.index_select(2, torch.stack([top, top + height - 1]).long())  # (N, C, 2, size)
        left_and_right = squares.index_select(3, torch.stack([left, left + width - 1]).long())  # (N, C, size, 2)
        border = torch.cat([top_and_bottom.flatten(2), left_and_right.flatten(2)], dim=2)  # (N, C, 4 size)
        shown = torch.cat([in_columns.repeat(2), in_rows[:, None].expand(-1, 2).flatten()])  # (4 size,)
        # What is not shown goes to the end of the order, so that the middle of the rest can be found by its number.
        ordered = torch.where(shown, border, 256.0).sort(dim=2).values
        median = ordered.index_select(2, ((shown.sum() - 1) // 2)[None])[..., None]  # (N, C, 1, 1)
        return torch.where(in_rows[:, None] & in_columns, squares, median)


def resampling(length: int, places: Tensor, *, start: Tensor, scale: Tensor) -> Tensor:
    """The matrix (len(places), length) that makes new pixels of a row of `length` old ones, bilinear with antialiasing.

    A new pixel weighs the old ones by a triangle around its centre, as wide as two new pixels, or as two old ones where
    the row is enlarged. So do Pillow and PyTorch's `interpolate(antialias=True)`.

    Args:
        length: old pixels.
        places: numbers of the new pixels, float32; those beyond the old ones become 0.
        start: where among the old pixels the new one with number 0 begins, float32 ().
        scale: old pixels to a new one, float32 ().
    """
    centres = start + (places + 0.5) * scale
    distances = (torch.arange(length) + 0.5 - centres[:, None]).abs() / scale.clamp(min=1)
    weights = (1 - distances).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-3)  # rows that see the image sum to 1/2 or more
