"""What a finished model says about any image: prepares it as the training images were, and names its classes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import torch
from PIL.Image import Image
from torch import Tensor

from convscope.data.datasets import load_splits
from convscope.data.decoding import read_square
from convscope.data.imageset import ImageSet
from convscope.data.preprocessing import Preprocessing
from convscope.data.splits import Splits
from convscope.data.statistics import border_brightness
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.models import build_model
from convscope.models.layers import Classifier
from convscope.runs import Run
from convscope.training.checkpoint import load_weights
from convscope.training.runtime import choose_device

_BATCH = 128
"""Images that go through the network together."""
_MOST_PIXELS = 4096
"""Side of an image, as in a setting."""

# When an image looks like the negative of the training images. With FashionMNIST's border of 0.05 this flags
# none of its 70,000 images, and all but 2 of them once they are inverted.
_FAR = 0.5
"""Least distance of the image's border from that of the training images, in [0, 1]."""
_NEARER = 0.25
"""How much nearer to it the border of the inverted image has to be."""


@dataclass(frozen=True)
class Prediction:
    """What the model sees in one image."""

    source: str
    """The image's path, or `image N`, counted from 1, where it was given as a Pillow image."""
    classes: tuple[tuple[str, float], ...]
    """The likeliest classes with their probabilities in [0, 1], the best first."""
    warning: str | None = None
    """A reason to doubt them, as one sentence."""


class Predictor:
    """A trained model together with the preprocessing and the class names that belong to it."""

    def __init__(
        self, model: Classifier, preprocessing: Preprocessing, classes: tuple[str, ...], device: torch.device
    ) -> None:
        """Take a trained model; it moves to `device` and into evaluation mode."""
        self.model = model.to(device).eval()
        self.preprocessing = preprocessing
        self.classes = classes
        self.device = device

    @classmethod
    def from_run(cls, run: Run, device: str = "auto") -> Self:
        """Build the model of a run with its best weights; errors as in `from_weights`."""
        return cls.from_weights(run.best_weights, device)

    @classmethod
    def from_weights(cls, path: str | Path, device: str = "auto") -> Self:
        """Build the model that a file of weights describes in its header.

        Raises:
            UserError: the file is missing, damaged, changed or of another version; there is no such device.
        """
        state, header = load_weights(Path(path))
        try:
            with torch.device("meta"):  # no weights are drawn that the file's replace at once
                model = build_model(
                    header["model"],
                    num_classes=header["num_classes"],
                    in_channels=header["in_channels"],
                    input_size=header["input_size"],
                    **header["options"],
                )
            model.load_state_dict(state, assign=True)
            preprocessing = Preprocessing.from_dict(header["preprocessing"])
            classes = tuple(header["classes"])
            if len(classes) != header["num_classes"]:
                raise ValueError(f"{len(classes)} names for {header['num_classes']} classes")
            if (preprocessing.size, preprocessing.channels) != (header["input_size"], header["in_channels"]):
                raise ValueError("images are prepared for another network")
            if max(preprocessing.size, preprocessing.decode_size) > _MOST_PIXELS:
                raise ValueError(f"images of more than {_MOST_PIXELS} pixels a side")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0].rstrip(":")
            raise UserError(
                f"the header of {path} does not describe its weights ({reason}): the file was changed; "
                f"train the run again or restore the file from a copy."
            ) from error
        return cls(model, preprocessing, classes, choose_device(device))

    def predict(
        self,
        images: str | Path | Image | Iterable[str | Path | Image],
        *,
        top_k: int = 5,
        invert: bool = False,
        on_error: Callable[[UserError], None] | None = None,
    ) -> list[Prediction]:
        """Name the `top_k` likeliest classes of one or more images, each a path or a Pillow image.

        With `invert`, light and dark are exchanged first. An image that cannot be read raises, unless
        `on_error` is given: that is called with the error then, and the image left out.

        Raises:
            UserError: `top_k` is below 1, or an image cannot be read (see `data.decoding.read_square`).
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}: ask for at least 1 class.")
        if isinstance(images, str | Path | Image):
            images = [images]
        prepared = self._prepare(images, invert, on_error)
        predictions = []
        while batch := list(islice(prepared, _BATCH)):
            sources, inputs, warnings = zip(*batch, strict=True)
            probabilities, indices = self._probabilities(torch.cat(inputs)).topk(min(top_k, len(self.classes)))
            for source, row, best, warning in zip(
                sources, probabilities.tolist(), indices.tolist(), warnings, strict=True
            ):
                names = (self.classes[index] for index in best)
                predictions.append(Prediction(source, tuple(zip(names, row, strict=True)), warning))
        return predictions

    @torch.inference_mode()
    def _probabilities(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(inputs.to(self.device))
        return logits.softmax(dim=1).cpu()  # (N, classes)

    def _prepare(
        self,
        images: Iterable[str | Path | Image],
        invert: bool,
        on_error: Callable[[UserError], None] | None,
    ) -> Iterator[tuple[str, Tensor, str | None]]:
        """Yield of each image its source, the network's input (1, C, size, size), and a warning about it."""
        for number, image in enumerate(images, start=1):
            source = f"image {number}" if isinstance(image, Image) else str(image)
            try:
                pixels = read_square(
                    image, source, size=self.preprocessing.decode_size, resize=self.preprocessing.resize
                )
            except UserError as error:
                if on_error is None:
                    raise
                on_error(error)
                continue
            if invert:
                pixels = 255 - pixels
            warning = _warning(pixels, self.preprocessing.border, invert)
            yield source, self.preprocessing(pixels[None]), warning


def splits_of(
    run: Run, predictor: Predictor, *, data_dir: Path | None = None, progress: Progress | None = None
) -> Splits:
    """The data set of a run, divided as for its training.

    Raises:
        UserError: it has other classes than the run was trained for; otherwise as for `data.load_splits`.
    """
    config = run.config()
    splits = load_splits(
        config.data,
        val_share=config.val_share,
        test_share=config.test_share,
        seed=config.split_seed,
        size=predictor.preprocessing.decode_size,
        resize=config.resize,
        data_dir=data_dir,
        progress=progress,
    )
    if splits.train.classes != predictor.classes:
        raise UserError(
            f"the data set {config.data} has other classes than the run was trained for: "
            f"give the data it was trained on with --data-dir."
        )
    return splits


def _warning(pixels: Tensor, training_border: float, exchanged: bool) -> str | None:
    """Compare an image (C, H, W) with what the model was trained on; None when nothing speaks against it."""
    if pixels.amin() == pixels.amax():
        return "the image has the same brightness everywhere, so there is nothing in it to recognise."
    if not inverted(pixels, training_border):
        return None
    training = "light on dark" if training_border < 0.5 else "dark on light"
    remedy = "leave --invert out" if exchanged else "--invert exchanges light and dark"
    return f"the training images are {training}, and here it is the other way round: {remedy}."


def inverted(pixels: Tensor, training_border: float) -> bool:
    """Whether an image uint8 (C, H, W) looks like the negative of the training images."""
    border = border_brightness(ImageSet(pixels[None], torch.tensor([0]), ("the image",)))
    distance, inverted_distance = abs(border - training_border), abs(1 - border - training_border)
    return distance > _FAR and distance - inverted_distance > _NEARER
