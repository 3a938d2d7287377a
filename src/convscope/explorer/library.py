"""The images that the explorer can show: those of the data set, and those that somebody gave it."""

import io
from collections.abc import Sequence
from hashlib import sha256
from threading import Lock

from torch import Tensor

from convscope.data import ImageSet, Preprocessing, Splits
from convscope.data.decoding import decode_square, open_image, quiet_pillow, undecodable
from convscope.explorer.recent import Recent
from convscope.web.answers import Refused

UPLOADS = 64
"""How many given images are kept; the ones not looked at for longest are forgotten."""


class Library:
    """Images by name: `test/12`, `train/7`, `upload/HEX`."""

    def __init__(self, splits: Splits | None, preprocessings: Sequence[Preprocessing]) -> None:
        """Show a data set, where there is one, to networks that expect photos as `preprocessings` say."""
        self._sets: dict[str, ImageSet] = {} if splits is None else {"test": splits.test, "train": splits.train}
        self._squares = {(preprocessing.decode_size, preprocessing.resize) for preprocessing in preprocessings}
        self._uploads: Recent[dict[tuple[int, str], Tensor]] = Recent(UPLOADS)
        self._decoding = Lock()  # Pillow's warnings are a matter of the whole process, and images may be large

    @property
    def sizes(self) -> dict[str, int]:
        """Number of images of each split, 0 where the data set is not to be had."""
        return {split: len(self._sets.get(split, ())) for split in ("test", "train")}

    def split(self, name: str) -> ImageSet:
        """The images to test, or to train."""
        if name not in self._sets:
            raise Refused("the data set of this run is not on this machine: give an image of your own.", 404)
        return self._sets[name]

    def pixels(self, image: str, preprocessing: Preprocessing) -> Tensor:
        """uint8 (C, H, W) of an image, as the data set has it, or decoded as a network expects photos."""
        split, _, number = image.partition("/")
        if split == "upload":
            try:
                return self._uploads[number][preprocessing.decode_size, preprocessing.resize]
            except KeyError:
                raise Refused(f"the image {image} is no longer there: give it once more.", 404) from None
        image_set, index = self.split(split), int(number)
        if index >= len(image_set):
            raise Refused(f"there is no image {image}: choose from {split}/0 to {split}/{len(image_set) - 1}.", 404)
        row = index if image_set.rows is None else int(image_set.rows[index])
        return image_set.images[row]

    def label(self, image: str) -> int | None:
        """Number of its class, where that is known."""
        split, _, number = image.partition("/")
        return None if split == "upload" else int(self.split(split).labels[int(number)])

    def add(self, content: bytes, name: str = "the image") -> str:
        """Take the bytes of an image file, of any kind that Convscope reads; its name here.

        Raises:
            Undecodable: it is no image, damaged, or too large.
        """
        # The same picture gets the same name, so that giving it twice takes the place of one.
        key = sha256(content).hexdigest()[:16]
        decoded = {}
        with self._decoding, quiet_pillow(), undecodable(name):
            for size, resize in self._squares:
                with open_image(io.BytesIO(content)) as opened:
                    decoded[size, str(resize)] = decode_square(opened, size=size, resize=resize)
        self._uploads[key] = decoded
        return f"upload/{key}"
