"""Right solutions of the exercises on looking inside, and mistakes that must be recognised."""

import torch
from torch import nn


def without_channel(maps: torch.Tensor, channel: int) -> torch.Tensor:
    keep = torch.ones(maps.shape[1])
    keep[channel] = 0
    return maps * keep[:, None, None]


def grad_cam_map(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).relu()


@torch.no_grad()
def occlusion_map(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    before = model(image[None]).softmax(dim=1)[0, label]
    rows, columns = image.shape[1] // patch, image.shape[2] // patch
    falls = torch.zeros(rows, columns)
    for row in range(rows):
        for column in range(columns):
            covered = image.clone()
            covered[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 0
            falls[row, column] = before - model(covered[None]).softmax(dim=1)[0, label]
    return falls


def _off_in_place(maps: torch.Tensor, channel: int) -> torch.Tensor:
    maps[:, channel] = 0
    return maps


def _image_off(maps: torch.Tensor, channel: int) -> torch.Tensor:
    maps = maps.clone()
    maps[channel] = 0
    return maps


def _taken_out(maps: torch.Tensor, channel: int) -> torch.Tensor:
    return torch.cat([maps[:, :channel], maps[:, channel + 1 :]], dim=1)


def _column_off(maps: torch.Tensor, channel: int) -> torch.Tensor:
    maps = maps.clone()
    maps[..., channel] = 0
    return maps


def _weighted(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return gradients.mean(dim=(2, 3), keepdim=True) * maps


def _batch_weights(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return (gradients.mean(dim=(0, 2, 3))[:, None, None] * maps).sum(dim=1).relu()


def _without_keepdim(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return (gradients.mean(dim=(2, 3)) * maps).sum(dim=1).relu()


@torch.no_grad()
def _one_pixel_apart(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    before = model(image[None]).softmax(dim=1)[0, label]
    falls = torch.zeros(image.shape[1] // patch, image.shape[2] // patch)
    for row, column in torch.ones_like(falls).nonzero().tolist():
        covered = image.clone()
        covered[:, row : row + patch, column : column + patch] = 0
        falls[row, column] = before - model(covered[None]).softmax(dim=1)[0, label]
    return falls


@torch.no_grad()
def _covering_more_and_more(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    before, covered = model(image[None]).softmax(dim=1)[0, label], image.clone()
    falls = torch.zeros(image.shape[1] // patch, image.shape[2] // patch)
    for row, column in torch.ones_like(falls).nonzero().tolist():
        covered[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 0
        falls[row, column] = before - model(covered[None]).softmax(dim=1)[0, label]
    return falls


@torch.no_grad()
def _in_place(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    falls = occlusion_map(model, image, label=label, patch=patch)
    image[:, :patch, :patch] = 0
    return falls


@torch.no_grad()
def _of_logits(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    before = model(image[None])[0, label]
    falls = torch.zeros(image.shape[1] // patch, image.shape[2] // patch)
    for row, column in torch.ones_like(falls).nonzero().tolist():
        covered = image.clone()
        covered[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 0
        falls[row, column] = before - model(covered[None])[0, label]
    return falls


def _predicted(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    return occlusion_map(model, image, label=int(model(image[None]).argmax()), patch=patch)


def _enlarged(model: nn.Module, image: torch.Tensor, *, label: int, patch: int) -> torch.Tensor:
    falls = occlusion_map(model, image, label=label, patch=patch)
    return falls.repeat_interleave(patch, 0).repeat_interleave(patch, 1)


MISTAKES = [
    ("without_channel", _off_in_place, "changed"),
    ("without_channel", _image_off, "second axis"),
    ("without_channel", _column_off, "column of pixels"),
    ("without_channel", _taken_out, "would not fit"),
    ("without_channel", lambda maps, channel: maps - without_channel(maps, channel), "other way round"),
    ("grad_cam_map", lambda maps, gradients: _weighted(maps, gradients).sum(dim=1), "ReLU"),
    ("grad_cam_map", lambda maps, gradients: _weighted(maps, gradients).relu().sum(dim=1), "after the sum"),
    ("grad_cam_map", lambda maps, gradients: _weighted(maps, gradients.relu()).sum(dim=1), "after the sum"),
    ("grad_cam_map", lambda maps, gradients: grad_cam_map(maps, 4 * gradients), "mean"),
    ("grad_cam_map", lambda maps, gradients: (maps * gradients).sum(dim=1).relu(), "each place"),
    ("grad_cam_map", lambda maps, gradients: _weighted(maps, gradients).mean(dim=1).relu(), "added up"),
    ("grad_cam_map", lambda maps, gradients: _weighted(maps, gradients).sum(dim=1, keepdim=True).relu(), "(N, h, w)"),
    ("grad_cam_map", lambda maps, gradients: grad_cam_map(gradients, maps), "exchanged"),
    ("grad_cam_map", _batch_weights, "batch"),
    ("grad_cam_map", _without_keepdim, "keepdim"),
    ("grad_cam_map", lambda maps, gradients: _weighted(maps, gradients).sum(dim=1).abs(), "becomes 0"),
    ("grad_cam_map", lambda maps, gradients: (c := grad_cam_map(maps, gradients)) / c.max(), "for drawing"),
    ("occlusion_map", _one_pixel_apart, "one pixel apart"),
    ("occlusion_map", _covering_more_and_more, "begin anew"),
    ("occlusion_map", _in_place, "changed"),
    ("occlusion_map", lambda *args, **kwargs: -occlusion_map(*args, **kwargs), "sign"),
    ("occlusion_map", _of_logits, "logit"),
    ("occlusion_map", _predicted, "class"),
    ("occlusion_map", _enlarged, "one value for each square"),
    ("occlusion_map", lambda *args, **kwargs: occlusion_map(*args, **kwargs).T, "rows"),
]
