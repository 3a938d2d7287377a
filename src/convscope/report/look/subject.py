"""The network that is looked at, and where its pictures go."""

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convscope import plots
from convscope.errors import UserError
from convscope.experiment.session import images_at_once
from convscope.interpret.activations import record
from convscope.interpret.rows import check_channels, find_layer
from convscope.models.layers import Classifier
from convscope.models.summary import Layer, summarise
from convscope.predict import Predictor
from convscope.report.look.page import Picture
from convscope.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAPS = 10
"""Channels of a layer whose maps are drawn."""
_ROWS = 16
"""Layers in one picture."""
_BATCH_BYTES = 256 << 20
"""What a layer may give for a batch; several of them are in memory at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A run's network and the layer of it that somebody wants to see."""

    predictor: Predictor
    model: Classifier
    layers: tuple[Layer, ...]
    """Those that an image passes through in evaluation."""
    layer: str | None
    channels: tuple[int, ...] | None
    """Of this layer; None for all, or for those that are most active."""
    folder: Path
    batch_size: int
    """Images that go through the network at a time: no more than in training, and few where their maps are large."""

    @classmethod
    def open(
        cls, run: Run, *, layer: str | None, channels: tuple[int, ...] | None, output: Path | None, device: str
    ) -> "Subject":
        """The best weights of a run.

        Raises:
            UserError: there are none, or no such layer, channel or device.
        """
        predictor = Predictor.from_run(run, device)
        assert isinstance(predictor.model, Classifier)
        size = predictor.preprocessing.size
        table = summarise(predictor.model, (predictor.preprocessing.channels, size, size)).layers
        if layer is not None:
            check_channels(layer, find_layer(table, layer).output_shape[0], channels)
        elif channels is not None:
            raise UserError("channels are numbered layer by layer: say of which --layer they are.")
        layers = tuple(row for row in table if not row.training_only)
        largest = 4 * max(prod(row.output_shape) for row in layers)  # bytes, in float32
        return cls(
            predictor=predictor,
            model=predictor.model,
            layers=layers,
            layer=layer,
            channels=channels,
            folder=output or run.path / "look",
            batch_size=max(1, min(images_at_once(run.config()), _BATCH_BYTES // largest)),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the network's input."""
        prepared = self.predictor.preprocessing
        return prepared.channels, prepared.size, prepared.size

    @property
    def convolutions(self) -> list[str]:
        """Their names, from the image to the answer."""
        return [row.name for row in self.layers if row.kind == "Conv2d"]

    @property
    def layer_with_maps(self) -> str | None:
        """The wanted layer for methods that need places, where it has any."""
        return self.layer if self.layer is not None and len(self.row(self.layer).output_shape) == 3 else None

    @property
    def layer_to_silence(self) -> str:
        """The wanted layer; otherwise the last one with maps, on which the answer is built.

        Raises:
            UserError: no layer lies between the image and the answer.
        """
        if self.layer is not None:
            return self.layer
        maps = [row.name for row in self.layers if len(row.output_shape) == 3 and row.output_shape[1:] != (1, 1)]
        if not self.convolutions or not maps:
            raise UserError("no channel lies between the image and the answer: choose a network with convolutions.")
        return maps[-1]

    def row(self, name: str) -> Layer:
        """A layer by its name."""
        return find_layer(self.layers, name)

    def chosen(self, most: int) -> list[str]:
        """The wanted layer; else the deepest convolutions, at most so many, or the last layer where there are none."""
        if self.layer is not None:
            return [self.layer]
        return self.convolutions[-most:] or [self.layers[-1].name]

    def prepare(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 (N, C, H, W) as the network takes them, on its device."""
        return self.predictor.preprocessing(pixels.to(self.predictor.device))

    def seen(self, inputs: Tensor) -> Tensor:
        """What the network takes as an image again, float32 (N, C, H, W) in [0, 1]: at its size, in its channels."""
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1)
            for values in (self.predictor.preprocessing.mean, self.predictor.preprocessing.std)
        )
        return (inputs.cpu() * std + mean).clamp(0, 1)

    def save(self, figure: "Figure", name: str, description: str) -> Picture:
        """Write a figure into the folder; what a file cannot be called is left out of its name."""
        path = self.folder / (re.sub(r"[^A-Za-z0-9._-]+", "-", name) + ".png")
        plots.save_figure(figure, path)
        return Picture(path=path, description=description)

    def draw_activations(self, inputs: Tensor, name: str, of: str) -> tuple[Picture, ...]:
        """The maps of one image (1, C, H, W) in the wanted layer, or in all convolutions, some layers a picture.

        Raises:
            UserError: there are no maps.
        """
        wanted = self.convolutions if self.layer_with_maps is None else [self.layer_with_maps]
        if not wanted:
            raise UserError("the network has no convolutions, so it has no maps: choose another network.")
        maps = record(self.model, inputs, wanted)
        rows = {}
        for layer, values in maps.items():
            peaks = values[0].amax(dim=(1, 2))  # upwards: most networks cut off below zero next
            strongest = sorted(peaks.topk(min(_MAPS, len(peaks))).indices.tolist())
            rows[layer] = (strongest, values[0, strongest].cpu().numpy())
        image = self.seen(inputs)[0].numpy()
        drawn = []
        for start in range(0, len(rows), _ROWS):
            part = dict(list(rows.items())[start : start + _ROWS])
            suffix = f"-{start // _ROWS + 1}" if len(rows) > _ROWS else ""
            description = f"Activation maps of {of} in {', '.join(part)}."
            drawn.append(self.save(plots.activation_maps(image, part), f"{name}{suffix}", description))
        return tuple(drawn)
