"""Right solutions of the exercises on images as tensors, and mistakes that must be recognised."""

import torch
from torch import Tensor


def place(n: int, c: int, h: int, w: int, *, channels: int, height: int, width: int) -> int:
    return ((n * channels + c) * height + h) * width + w


def to_nchw(photo: Tensor) -> Tensor:
    return photo.permute(2, 0, 1).unsqueeze(0).float() / 255


def channel_mean_std(images: Tensor) -> tuple[Tensor, Tensor]:
    pixels = images.float() / 255
    return pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3), correction=0)


def standardise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (images / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


def _in_place(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    wanted = standardise(images, mean, std)
    images.zero_()
    return wanted


def _with(shape: tuple[int, ...]) -> object:
    """`standardise` with mean and deviation of another shape."""
    return lambda images, mean, std: (images / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def _means(images: Tensor) -> Tensor:
    return (images / 255).mean(dim=(0, 2, 3))


MISTAKES = [
    ("place", lambda n, c, h, w, *, channels, height, width: ((n * height + h) * width + w) * channels + c, "last"),
    ("place", lambda n, c, h, w, *, channels, height, width: ((n * channels + c) * width + w) * height + h, "fastest"),
    ("place", lambda n, c, h, w, *, channels, height, width: ((n * channels + c) * height + h) * height + w, "wide"),
    ("place", lambda n, c, h, w, *, channels, height, width: ((n * channels + c) * height + h) * width + w + 1, "0"),
    ("place", lambda n, c, h, w, *, channels, height, width: (c * height + h) * width + w, "images before"),
    ("to_nchw", lambda photo: photo.reshape(1, 3, *photo.shape[:2]).double() / 255, "scrambled"),
    ("to_nchw", lambda photo: (photo.permute(2, 0, 1)[None] // 255).float(), "fraction"),
    ("to_nchw", lambda photo: photo.reshape(1, 3, *photo.shape[:2]) / 255, "scrambled"),
    ("to_nchw", lambda photo: photo.permute(2, 0, 1) / 255, "first axis"),
    ("to_nchw", lambda photo: photo.permute(2, 0, 1)[None].float(), "255"),
    ("to_nchw", lambda photo: photo.permute(2, 0, 1)[None], "float32"),
    ("to_nchw", lambda photo: photo.permute(2, 0, 1)[None] / 256, "exactly"),
    ("to_nchw", lambda photo: photo.permute(2, 0, 1)[None] / photo.max(), "brightest"),
    ("to_nchw", lambda photo: photo.permute(2, 1, 0)[None] / 255, "rows"),
    ("to_nchw", lambda photo: photo[None] / 255, "last"),
    ("to_nchw", lambda photo: to_nchw(photo.zero_()), "changed"),
    ("channel_mean_std", lambda images: _means(images), "two"),
    ("channel_mean_std", lambda images: ((images / 255).mean(), (images / 255).std()), "channels"),
    ("channel_mean_std", lambda images: ((images / 255).mean(dim=0), None), "mean image"),
    ("channel_mean_std", lambda images: (_means(images), (images / 255).std(dim=(0, 2, 3))), "correction"),
    ("channel_mean_std", lambda images: (_means(images), (images / 255).var(dim=(0, 2, 3), correction=0)), "variance"),
    (
        "channel_mean_std",
        lambda images: (_means(images), (images / 255).std(dim=(2, 3), correction=0).mean(dim=0)),
        "average",
    ),
    ("channel_mean_std", lambda images: channel_mean_std(images)[::-1], "first"),
    ("channel_mean_std", lambda images: channel_mean_std(images.zero_()), "changed"),
    ("channel_mean_std", lambda images: (images.float().mean(dim=(0, 2, 3)), _means(images)), "bytes"),
    ("standardise", lambda images, mean, std: standardise(images.float() * 255, mean, std), "255"),
    ("standardise", lambda images, mean, std: standardise(images, mean[:1], std[:1]), "second"),
    ("standardise", lambda images, mean, std: standardise(images, std, mean), "places"),
    ("standardise", _with((-1, 1, 1, 1)), "first axis"),
    ("standardise", _with((-1,)), "last axis"),
    ("standardise", lambda images, mean, std: (images / 255 - images.float().mean() / 255) / 0.2, "gave"),
    ("standardise", _in_place, "changed"),
]
