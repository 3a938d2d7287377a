"""What a finished model says about any image: prepares it as the training images were, and names its classes."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Self

import torch
from PIL.Image import Image
from torch import Tensor

from convscope.data.ahead import read_files
from convscope.data.arrays import ImageArray, is_array
from convscope.data.decoding import read_square
from convscope.data.preprocessing import Preprocessing
from convscope.engines.auto import choose_engine
from convscope.engines.choice import open_engine
from convscope.engines.eager import EagerFloat32
from convscope.engines.engine import Engine
from convscope.engines.finished import Finished
from convscope.errors import UserError
from convscope.models import build_model
from convscope.models.layers import Classifier
from convscope.predict.doubts import doubts
from convscope.predict.reading import Block, batches, one_ahead
from convscope.runs import Run
from convscope.training.checkpoint import load_weights
from convscope.training.runtime import choose_device

_BATCH = 128
"""Images at most that go through the network together."""
_BATCH_PIXELS = 1 << 21
"""Of their inputs at most: 41 photos of 224 pixels, whose maps in VGG take half a gigabyte in float32."""
_MOST_PIXELS = 4096
"""Side of an image, as in a setting."""


@dataclass(frozen=True)
class Prediction:
    """What the model sees in one image."""

    source: str
    """The image's path, with `[N]`, counted from 0, in a file of many; `image N`, counted from 1, if it is Pillow's."""
    classes: tuple[tuple[str, float], ...]
    """The likeliest classes with their probabilities in [0, 1], the best first."""
    warning: str | None = None
    """A reason to doubt them, as one sentence."""


class Predictor:
    """A trained model together with the preprocessing and the class names that belong to it."""

    def __init__(
        self,
        model: Classifier,
        preprocessing: Preprocessing,
        classes: tuple[str, ...],
        device: torch.device,
        *,
        digest: str = "",
    ) -> None:
        """Take a trained model; it moves to `device` and into evaluation mode. `digest` is of its weights."""
        self.model = model.to(device).eval()
        self.preprocessing = preprocessing
        self.classes = classes
        self.device = device
        self.digest = digest
        self.engine: Engine = EagerFloat32(model, preprocessing, device)
        """What answers, see `use_engine`."""
        self.at_once = min(_BATCH, max(1, _BATCH_PIXELS // preprocessing.size**2))
        """Images that go through the engine together."""

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
        return cls(model, preprocessing, classes, choose_device(device), digest=header["sha256"])

    def use_engine(self, name: str = "auto", *, run: Run, images: int | None = None) -> None:
        """Let another engine answer: one of `engines.choice.ENGINES`, or for `auto` see `engines.auto.choose_engine`.

        Args:
            name: of the engine.
            run: where the weights are from; what is converted is kept there.
            images: how many there will be; None for as many as come.

        Raises:
            UserError: there is no such engine, or not here.
            ConvscopeError: it cannot take this network.
        """
        finished = Finished(self.model, self.preprocessing, self.digest, run.path)
        if name == "auto":
            self.engine = choose_engine(finished, self.device, images=images)
        else:
            self.engine = open_engine(name, finished, self.device)

    def read(self, image: str | Path | Image, name: str | None = None, *, invert: bool = False) -> Tensor:
        """Decode an image to a square uint8 (channels, decode_size, decode_size), as the training images were.

        Errors call it `name`, by default its path. With `invert`, light and dark are exchanged.

        Raises:
            UserError: it cannot be read, see `data.decoding.read_square`.
        """
        known = self.preprocessing
        square = read_square(image, name, size=known.decode_size, resize=known.resize)
        square = known.to_channels(square[None])[0]
        return 255 - square if invert else square

    def probabilities(self, squares: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> float32 (N, classes), on the CPU; for any thread."""
        logits = self.engine(squares)
        # As `softmax` computes it; but in that PyTorch's threads join, which then spin for a while, waiting for more,
        # on the cores that another engine wants.
        shares = (logits - logits.amax(dim=1, keepdim=True)).exp()
        return shares / shares.sum(dim=1, keepdim=True)

    def predict(
        self,
        images: str | Path | Image | Iterable[str | Path | Image],
        *,
        top_k: int = 5,
        invert: bool = False,
        on_error: Callable[[UserError], None] | None = None,
    ) -> list[Prediction]:
        """Name the `top_k` likeliest classes of one or more images.

        Each is a path or a Pillow image; an .npy file may hold many (see `data.arrays`). With `invert`, light and dark
        are exchanged first. An image that cannot be read raises, unless `on_error` is given: that is called with the
        error then, and the image left out.

        Raises:
            UserError: `top_k` is below 1, or an image cannot be read (see `data.decoding.read_square`).
        """
        if isinstance(images, str | Path | Image):
            images = [images]
        return list(self.stream(images, top_k=top_k, invert=invert, on_error=on_error))

    def stream(
        self,
        images: Iterable[str | Path | Image],
        *,
        top_k: int = 5,
        invert: bool = False,
        on_error: Callable[[UserError], None] | None = None,
    ) -> Iterator[Prediction]:
        """The same one after another, for any number of images, of which few are in the memory at a time.

        Files are read ahead by threads, and the engine answers a batch while the predictions before it are used.
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}: ask for at least 1 class.")

        def answer(batch: Block) -> tuple[list[str], list[list[float]], list[list[int]], list[str | None]]:
            squares = 255 - batch.squares if invert else batch.squares
            probabilities, indices = self.probabilities(squares).topk(min(top_k, len(self.classes)))
            reasons = doubts(squares, self.preprocessing.border, exchanged=invert)
            return batch.sources, probabilities.tolist(), indices.tolist(), reasons

        with closing(self._read(images)) as blocks:  # its threads end with this, whatever happens
            for answers in one_ahead(answer, batches(blocks, self.at_once, on_error)):
                for source, probabilities, indices, reason in zip(*answers, strict=True):
                    names = map(self.classes.__getitem__, indices)
                    yield Prediction(source, tuple(zip(names, probabilities, strict=True)), reason)

    def _read(self, images: Iterable[str | Path | Image]) -> Generator[Block | UserError, None, None]:
        """The squares of images, and the errors of those that cannot be read, in their order."""

        def read(numbered: tuple[int, str | Path | Image]) -> Block | UserError:
            number, image = numbered
            source = f"image {number}" if isinstance(image, Image) else str(image)
            try:
                return Block([source], self.read(image, source)[None])
            except UserError as error:
                return error

        # What is in one array needs no decoding, hence no threads.
        for in_array, some in groupby(enumerate(images, start=1), key=lambda numbered: is_array(numbered[1])):
            if not in_array:
                yield from read_files(some, read, size=_bytes)
                continue
            for _, path in some:
                try:
                    yield from self._read_array(ImageArray.open(Path(str(path))))
                except UserError as error:
                    yield error

    def _read_array(self, array: ImageArray) -> Iterator[Block]:
        known, path = self.preprocessing, str(array.path)
        for start in range(0, len(array), self.at_once):
            stop = min(start + self.at_once, len(array))
            squares = array.squares(start, stop, size=known.decode_size, resize=known.resize)
            yield Block([f"{path}[{index}]" for index in range(start, stop)], known.to_channels(squares))


def _bytes(numbered: tuple[int, str | Path | Image]) -> int:
    """What there is to read of an image; 0 if it is not there, which is told when it is read."""
    image = numbered[1]
    if isinstance(image, Image):
        return image.width * image.height
    with suppress(OSError, ValueError):
        return Path(image).stat().st_size
    return 0
