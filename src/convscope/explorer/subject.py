"""A run that is looked into: its networks, one for each epoch that was kept, and what they computed lately."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock

import torch
from torch import Tensor, nn

from convscope.explorer.recent import Recent
from convscope.interpret import default_layer, record
from convscope.models.summary import IMAGE, Layer, Summary, copy_with, summarise
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.web.answers import Refused

BEST = "best"
"""The epoch with the lowest validation loss."""

_MODEL_BYTES = 1 << 30
_RECORDED_BYTES = 512 << 20  # VGG16's activations for an image of 224 pixels are 110 MB


class Subject:
    """One run. Everything may be called from several threads; a network answers one of them at a time."""

    def __init__(self, run: Run, device: str) -> None:
        """Nothing is read yet."""
        self.run, self.name = run, run.name
        self._device = device
        self._lock = RLock()  # a network has hooks on it while it is looked into
        self._predictors: Recent[Predictor] = Recent(_MODEL_BYTES, lambda predictor: _model_bytes(predictor.model))
        self._summary: Summary | None = None
        self._last_maps: str | None = None
        self._recorded: Recent[dict[str, Tensor]] = Recent(_RECORDED_BYTES, _recorded_bytes)

    @property
    def epochs(self) -> list[int]:
        """Those of which the run kept snapshots."""
        return sorted(self.run.snapshots())

    def predictor(self, epoch: str = BEST) -> Predictor:
        """The network as it was after an epoch; use it within `alone`."""
        with self._lock:
            try:
                return self._predictors[epoch]
            except KeyError:
                path = self.run.best_weights if epoch == BEST else self.run.snapshots().get(int(epoch))
                if path is None:
                    raise Refused(
                        f"the run {self.name} kept no snapshot of epoch {epoch}: choose another.", 404
                    ) from None
                predictor = self._predictors[epoch] = Predictor.from_weights(path, self._device)
                return predictor

    @contextmanager
    def alone(self, epoch: str) -> Iterator[Predictor]:
        """The network of an epoch, for this thread alone."""
        with self._lock:
            yield self.predictor(epoch)

    def private(self, epoch: str) -> Predictor:
        """The same weights in a network of one's own, for long work that would keep others waiting."""
        with self.alone(epoch) as predictor:
            model = copy_with(predictor.model, lambda weight: weight.detach())
            return Predictor(model, predictor.preprocessing, predictor.classes, predictor.device)

    @property
    def summary(self) -> Summary:
        """The table of its layers, the same for all epochs."""
        with self.alone(BEST) as predictor:
            if self._summary is None:
                preprocessing = predictor.preprocessing
                shape = (preprocessing.channels, preprocessing.size, preprocessing.size)
                self._summary = summarise(predictor.model, shape)
            return self._summary

    @property
    def last_maps(self) -> str:
        """Name of the layer that Grad-CAM looks at unless told otherwise; raises UserError where none has maps."""
        with self.alone(BEST) as predictor:
            if self._last_maps is None:
                inputs = torch.zeros(1, *self.summary.input_shape, device=predictor.device)
                self._last_maps = default_layer(predictor.model, inputs)
            return self._last_maps

    @property
    def layers(self) -> dict[str, Layer]:
        """By name, those that an evaluation passes through."""
        return {layer.name: layer for layer in self.summary.layers if not layer.training_only}

    @property
    def output(self) -> str:
        """Name of the layer whose values are the logits: nothing reads them."""
        layers = self.layers
        read = {name for layer in layers.values() for name in layer.inputs}
        return next(name for name in layers if name not in read)

    def layer(self, name: str) -> Layer:
        """One of them."""
        layer = self.layers.get(name)
        if layer is None:
            raise Refused(
                f"the network of the run {self.name} has no layer '{name}': choose one that the page shows.", 404
            )
        return layer

    def recorded(self, epoch: str, image: str, pixels: Tensor) -> dict[str, Tensor]:
        """What every layer computes for an image uint8 (C, H, W), by name: (C, H, W) or (F,); `image`: what it sees."""
        with self.alone(epoch) as predictor:
            try:
                return self._recorded[epoch, image]
            except KeyError:
                inputs = predictor.preprocessing(pixels[None]).to(predictor.device)
                values = record(predictor.model, inputs)
                rows = {name: values[name][0].cpu() for name in (IMAGE, *self.layers) if name in values}
                self._recorded[epoch, image] = rows
                return rows


def module_of(model: nn.Module, layer: str) -> nn.Module:
    """The module that a layer is, or in whose forward a junction comes about."""
    with suppress(AttributeError):
        return model.get_submodule(layer.partition(":")[0])
    return model  # where no module but the network itself is under way


def _model_bytes(model: nn.Module) -> int:
    """Of its parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def _recorded_bytes(rows: dict[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in rows.values())
