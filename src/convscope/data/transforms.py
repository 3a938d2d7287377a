"""Changes of images that leave their class as it is: pure functions of a batch and of what was drawn for each image.

Nothing loops over images, and what was drawn may lie on the CPU whatever device the images are on.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from convscope.data.preprocessing import LUMA
from convscope.data.transfers import send


def crop(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box out of each image and bring it to `size` x `size` pixels: one bilinear resampling of the batch.

    Four pixels are read for each one of the result, so a box of more than twice its pixels would leave some out, and
    fine patterns would turn into coarse ones (aliasing). Images of more than twice `size` are therefore reduced first.

    Args:
        images: uint8 or float32 (N, C, H, W).
        boxes: float (N, 4): top, left, height and width, as shares of the image's height and width.
        size: height and width of the result.

    Returns:
        float32 (N, C, size, size) in the range of the images.
    """
    images = images.to(torch.float32)
    reduced = [min(side, 2 * size) for side in images.shape[-2:]]
    if reduced != list(images.shape[-2:]):
        images = F.interpolate(images, size=reduced, mode="bilinear", align_corners=False, antialias=True)
    centres = (torch.arange(size, device=images.device) + 0.5) / size
    top, left, height, width = send(boxes, images.device).to(images).unsqueeze(2).unbind(1)  # each (N, 1)
    # Where each pixel of the result is read, (N, size, size, 2): grid_sample counts from -1 to 1 between the image's
    # outer edges, x before y.
    y = 2 * (top + height * centres) - 1  # (N, size)
    x = 2 * (left + width * centres) - 1
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def jitter(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Multiply each image's brightness, contrast and saturation by factors of its own.

    A factor moves each pixel away from black, from the image's mean grey, or from its own grey; below 1, towards it.
    Each of the three is affine in red, green and blue and they may change places, so that together they are one
    product with a matrix for each image. Values are cut off at black and white once, at the end.

    Args:
        images: uint8 or float32 (N, C, H, W) in [0, 255]; where C is not 3, the mean over C counts as grey.
        brightness: float (N,), not negative; as are the others.
        contrast: float (N,).
        saturation: float (N,), without effect on images of one channel.

    Returns:
        float32 (N, C, H, W) in [0, 255].
    """
    images = images.to(torch.float32)
    channels = images.shape[1]
    luma = send(torch.tensor(LUMA if channels == 3 else [1 / channels] * channels), images.device)
    brightness, contrast, saturation = (
        send(factor, images.device).to(images).view(-1, 1, 1) for factor in (brightness, contrast, saturation)
    )
    to_grey = luma.expand(channels, channels)  # every row is the luma
    unchanged = torch.eye(channels, device=images.device)
    matrices = brightness * contrast * torch.lerp(to_grey, unchanged, saturation)  # (N, C, C)
    mean_grey = (images.mean(dim=(2, 3)) @ luma).view(-1, 1, 1)
    changed = torch.baddbmm(brightness * (1 - contrast) * mean_grey, matrices, images.flatten(2))
    return changed.clamp_(0, 255).view(images.shape)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the images (N, C, H, W) for which `chosen`, bool (N,), is true."""
    columns = torch.arange(images.shape[3], device=images.device)
    sources = torch.where(send(chosen, images.device).unsqueeze(1), columns.flip(0), columns)  # (N, W)
    # Choosing between the images and their mirrored copies would take half as long again.
    return images.gather(3, sources[:, None, None, :].expand_as(images))


def shift(images: Tensor, offsets: Tensor, most: int, fill: Sequence[float]) -> Tensor:
    """Move each image by its own number of pixels: a crop of the image padded by `most` pixels all round.

    Args:
        images: (N, C, H, W).
        offsets: int64 (N, 2) in [-most, most], down and to the right.
        most: the largest offset there is.
        fill: the padding's value, in each channel.
    """
    count, _, height, width = images.shape
    padded = _per_channel(fill, images).repeat(count, 1, height + 2 * most, width + 2 * most)
    padded[:, :, most : most + height, most : most + width] = images
    # A view of all crops, (N, C, 2 most + 1, 2 most + 1, H, W); indexing copies one of them for each image.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)
    top, left = send(most - offsets, images.device).unbind(1)
    return crops[torch.arange(count, device=images.device), :, top, left]


def rotate_and_shift(images: Tensor, degrees: Tensor, offsets: Tensor, fill: Sequence[float]) -> Tensor:
    """Turn each image about its centre, then move it: one bilinear resampling of the batch.

    Args:
        images: (N, C, H, W).
        degrees: float (N,), anticlockwise.
        offsets: int64 (N, 2), pixels down and to the right.
        fill: the value outside the image, in each channel.
    """
    height, width = images.shape[-2:]
    radians = send(torch.deg2rad(degrees), images.device).to(images)
    cosine, sine = radians.cos(), radians.sin()
    down, right = send(offsets, images.device).to(images).unbind(1)
    # Every pixel of the result asks where it comes from: back by the offset, then back by the angle, both seen
    # from the centre. One product of matrices answers for the batch (F.affine_grid takes ten times as long).
    y = torch.arange(height, dtype=images.dtype, device=images.device) - (height - 1) / 2
    x = torch.arange(width, dtype=images.dtype, device=images.device) - (width - 1) / 2
    points = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones_like(x).repeat(height)])
    matrices = torch.stack(
        [
            torch.stack([cosine, -sine, sine * down - cosine * right], dim=1) * (2 / width),
            torch.stack([sine, cosine, -sine * right - cosine * down], dim=1) * (2 / height),
        ],
        dim=1,
    )  # (N, 2, 3); 2 / width, because grid_sample counts from -1 to 1 between the image's outer edges, x before y
    sources = (matrices.view(-1, 3) @ points).view(-1, 2, height, width)
    # grid_sample puts zeros outside, so the fill is made zero meanwhile.
    outside = _per_channel(fill, images)
    return F.grid_sample(images - outside, sources.permute(0, 2, 3, 1), align_corners=False).add_(outside)


def cut_out(images: Tensor, rows: Tensor, columns: Tensor, side: int) -> Tensor:
    """Set a square of each image to 0, the mean of normalised images.

    DeVries and Taylor: Improved regularization of convolutional neural networks with cutout (arXiv 1708.04552),
    §3: the centre lies anywhere in the image, so that squares at the border lose a part.

    Args:
        images: (N, C, H, W).
        rows: int64 (N,), of the pixel at the centre, or just below it when the side is even.
        columns: int64 (N,), of the pixel at the centre, or just right of it when the side is even.
        side: of the square, in pixels.
    """
    height, width = images.shape[-2:]
    in_rows = _covered(send(rows, images.device), height, side).to(images)
    in_columns = _covered(send(columns, images.device), width, side).to(images)
    # Numbers instead of truth values, because a product broadcasts several times faster than a logical and.
    return images * (1 - in_rows[:, None, :, None] * in_columns[:, None, None, :])


def _covered(centres: Tensor, length: int, side: int) -> Tensor:
    """bool (N, length): which places a segment of `side` around each centre covers."""
    distance = torch.arange(length, device=centres.device) - (centres.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)


def _per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return send(torch.tensor(values, dtype=like.dtype), like.device).view(1, -1, 1, 1)
