"""A folder of photos as a data set in three parts.

Parts that the folder or its table names stay as they are. What is missing is cut off the rest by the content of the
files: a photo is for testing if a hash of the seed and of its bytes falls below the share. A shuffled list would be as
random, but a file added to it would send others into other parts, so that a network trained before would be tested on
photos it has learnt from. By content, each photo keeps its part whatever is added, removed, renamed or moved, and
identical copies never fall into two parts. The price is that the shares hold on average only, in each class as in all.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from convscope.catalog import DATA
from convscope.data.decoded import Decoded, DecodedFile, decode
from convscope.data.decoding import Resize
from convscope.data.folder import Listing, Part, list_images
from convscope.data.imageset import ImageSet
from convscope.data.sources import fetch
from convscope.data.splits import Splits
from convscope.data.statistics import Statistics
from convscope.downloads import Progress
from convscope.errors import ConvscopeError, UserError
from convscope.files import write_text
from convscope.shapes import misfit, read_json

_STATISTICS = {"mean": [float], "std": [float], "border": float}


@dataclass(frozen=True, eq=False)
class Photos:
    """A folder of photos, decoded and divided."""

    listing: Listing
    decoded: Decoded
    resize: Resize
    """How they became squares."""
    parts: dict[Part, Tensor]
    """Of each part the rows of `decoded`, int64, in ascending order."""

    def splits(self, name: str) -> Splits:
        """The three parts under the name of the data set; no pixel is copied."""
        labels = torch.tensor([file.label for file in self.decoded.files])
        sets = {
            part: ImageSet(self.decoded.pixels, labels[rows], self.listing.classes, rows)
            for part, rows in self.parts.items()
        }
        return Splits(
            name=name,
            train=sets["train"],
            val=sets["val"],
            test=sets["test"],
            statistics=cached_statistics(self, sets["train"]),
            resize=self.resize,
            skipped=self.listing.skipped + self.decoded.skipped,
        )


def load_photos(
    name_or_folder: str | Path,
    *,
    size: int,
    resize: Resize = "crop",
    val_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Photos:
    """List, decode and divide the photos of a data set.

    Args:
        name_or_folder: a name from the catalogue, or a folder that is laid out as `list_images` understands.
        size: height and width of the pixels.
        resize: how photos of other shapes become squares.
        val_share: part of the photos not for testing that is held out, where the folder says nothing of it.
        test_share: part of the photos that is kept for testing, where the folder says nothing of it.
        seed: decides which photos these are.
        data_dir: where named data sets and decoded photos are kept; see `data_directory`.
        progress: told how far a download or the decoding is.

    Raises:
        UserError: `list_images` refuses the folder, or too few of its photos can be decoded to fill each part, or to
            train each class.
        ConvscopeError: a named data set could not be fetched, or decoded photos cannot be kept.
    """
    entry = DATA.get(str(name_or_folder))
    root = Path(name_or_folder) if entry is None else fetch(entry, data_dir=data_dir, progress=progress)
    listing = list_images(root, classes=entry.classes if entry else None)
    decoded = decode(listing, size=size, resize=resize, data_dir=data_dir, progress=progress)
    part_of = divide(decoded.files, val_share=val_share, test_share=test_share, seed=seed)
    _check_parts(listing, decoded, part_of)
    rows: dict[Part, list[int]] = {"train": [], "val": [], "test": []}
    for row, part in enumerate(part_of):
        rows[part].append(row)
    return Photos(listing, decoded, resize, {part: torch.tensor(chosen) for part, chosen in rows.items()})


def divide(files: Sequence[DecodedFile], *, val_share: float, test_share: float, seed: int) -> list[Part]:
    """The part of each file: the one that it was given, else one by its content, as the module explains."""
    given = {file.part for file in files}
    shares: dict[Part, float] = {"test": test_share, "val": val_share}
    missing = {part: share for part, share in shares.items() if part not in given}
    free = [file for file in files if file.part in (None, "train")]
    part_of: dict[str, Part] = {}  # by the digest of the content
    contents: defaultdict[int, set[str]] = defaultdict(set)  # digests by class
    for file in free:
        drawn = (part for part, share in missing.items() if _draw(seed, part, file.digest) < share)
        part_of[file.digest] = next(drawn, "train")
        contents[file.label].add(file.digest)
    for _, digests in sorted(contents.items()):
        _leave_none_empty(part_of, digests, ("train", *missing), seed)
    return [part_of[file.digest] if file.part in (None, "train") else file.part for file in files]


def _draw(seed: int, part: Part, digest: str) -> float:
    """A number in [0, 1) that is random but always the same for this content."""
    drawn = blake2b(f"{seed} {part} {digest}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64


def _leave_none_empty(part_of: dict[str, Part], digests: set[str], parts: tuple[Part, ...], seed: int) -> None:
    """Give each part at least one content of a class, or train all where there are too few for that.

    This alone can move a photo when others are added, and only in a class so small that a share of it is no photo.
    """
    if len(digests) < len(parts):
        part_of.update(dict.fromkeys(digests, "train"))
        return
    for part in parts:
        counts = Counter(part_of[digest] for digest in digests)
        if not counts[part]:
            spare = (digest for digest in digests if counts[part_of[digest]] > 1)
            part_of[min(spare, key=lambda digest: _draw(seed, part, digest))] = part


def _check_parts(listing: Listing, decoded: Decoded, part_of: Sequence[Part]) -> None:
    """Refuse a class without photos to train on, and a part without photos."""
    trained = {file.label for file, part in zip(decoded.files, part_of, strict=True) if part == "train"}
    for label, name in enumerate(listing.classes):
        if label not in trained:
            of_class = {file.path for file in listing.files if file.label == label and file.part in (None, "train")}
            reasons = [f"{file.path} {file.reason}" for file in decoded.skipped if file.path in of_class]
            more = f", and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
            raise UserError(
                f"the class {name} in {listing.root} has no image left to train on ({', '.join(reasons[:3])}{more}): "
                "replace these files, or remove the class."
            )
    for part in ("val", "test"):
        if part not in part_of:
            raise UserError(
                f"{listing.root} has too few images to set some aside for {part}: add some, so that one class at least "
                "has three different ones."
            )


def cached_statistics(photos: Photos, train: ImageSet) -> Statistics:
    """The statistics of the training photos, which are kept beside their pixels and computed only once."""
    digests = "".join(photos.decoded.files[row].digest for row in photos.parts["train"].tolist())
    key = blake2b(digests.encode(), digest_size=8).hexdigest()
    path = photos.decoded.folder / f"statistics-{key}.json"
    with suppress(OSError, ValueError):
        kept = read_json(path)
        channels = train.shape[0]
        if not misfit(kept, _STATISTICS) and len(kept["mean"]) == len(kept["std"]) == channels:
            return Statistics(mean=tuple(kept["mean"]), std=tuple(kept["std"]), border=kept["border"])
    statistics = Statistics.of(train)
    with suppress(ConvscopeError):  # a cache that we may only read; then they are computed each time
        write_text(path, json.dumps(asdict(statistics)))
    return statistics
