"""What the data doctor says of files and their pixels: those that cannot be used, and those that show little."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from convscope.data.decoded import DecodedFile
from convscope.data.decoding import Resize
from convscope.doctor.data.subject import Subject
from convscope.doctor.findings import PICTURES, Example, Finding
from convscope.numbers import counted

FLAT = 2.0
"""Standard deviation of brightness, of 255, below which an image shows nothing; compression alone makes as much."""
LONG = 2.0
"""Longer edge over shorter edge, beyond which a square keeps less than half of the photo."""
APART = 0.5
"""Difference between the shares of grey photos in two classes, beyond which grey alone tells the classes apart."""

_SQUARES: dict[Resize, str] = {
    "crop": "More than half of such a photo is cut off, and perhaps what it shows with it.",
    "squash": "Such a photo is squashed out of shape: the network sees thin things thick.",
    "pad": "More than half of the square that the network sees of such a photo is filled up.",
}


def find_skipped(subject: Subject) -> Iterator[Finding]:
    """Files in the folder that are in none of the parts."""
    skipped = subject.splits.skipped
    if not skipped:
        return
    reasons = Counter(file.reason.partition(" (")[0] for file in skipped)
    listed = "; ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(5))
    yield Finding(
        kind="unusable files",
        severity="warning",
        what=f"{counted(len(skipped), 'file')} cannot be used: {listed}.",
        why="They are left out of training and of every figure; a program that does not expect them stops at one.",
        remedy="Take new copies of those that should be images, and remove the others.",
        count=len(skipped),
        share=len(skipped) / (len(skipped) + len(subject)),
        examples=tuple((Example(file.path, "", "", file.reason, None),) for file in skipped[:PICTURES]),
    )


def find_flat(subject: Subject, deviations: Tensor) -> Iterator[Finding]:
    """Images of one colour; `deviations` float32 (N,), of each image's brightness, which goes to 255."""
    flat = (deviations < FLAT).nonzero()[:, 0].tolist()
    if flat:
        yield Finding(
            kind="constant images",
            severity="warning",
            what=f"{counted(len(flat), 'image')} {'has' if len(flat) == 1 else 'have'} the same brightness everywhere.",
            why="There is nothing in them to learn: the network can only guess their class, or learn that nothing is a "
            "class.",
            remedy="Remove them, and find out where they come from: often a download or a conversion went wrong.",
            count=len(flat),
            share=len(flat) / len(subject),
            examples=tuple((subject.example(index),) for index in flat[:PICTURES]),
        )


def find_shapes(subject: Subject, files: Sequence[DecodedFile]) -> Iterator[Finding]:
    """Photos that are smaller than asked for, or long."""
    small = [index for index, file in enumerate(files) if min(file.width, file.height) < subject.size]
    if small:
        yield Finding(
            kind="small images",
            severity="warning",
            what=f"{counted(len(small), 'photo is', 'photos are')} smaller than the {subject.size}x{subject.size} "
            "pixels asked for.",
            why="Enlarged, they are blurred. Where one class has more of them, the network learns the blur.",
            remedy="Take larger copies, or train at a smaller --input-size.",
            count=len(small),
            share=len(small) / len(files),
            examples=_with_sizes(subject, files, sorted(small, key=lambda index: files[index].width)),
        )
    long = [index for index, file in enumerate(files) if _ratio(file) > LONG]
    if long:
        yield Finding(
            kind="extreme shapes",
            severity="warning",
            what=f"{counted(len(long), 'photo is', 'photos are')} more than twice as long as wide, or as wide as long.",
            why=_SQUARES[subject.splits.resize],
            remedy="Look whether the squares below still show the thing; cut these photos by hand, or choose another "
            "--resize (crop, squash or pad).",
            count=len(long),
            share=len(long) / len(files),
            examples=_with_sizes(subject, files, sorted(long, key=lambda index: -_ratio(files[index]))),
        )


def find_modes(subject: Subject, files: Sequence[DecodedFile]) -> Iterator[Finding]:
    """Photos of another kind than most, and kinds that give the class away."""
    modes = [_mode(file) for file in files]
    counts = Counter(modes)
    usual = counts.most_common(1)[0][0]
    odd = [index for index, mode in enumerate(modes) if mode != usual]
    if not odd:
        return
    listed = ", ".join(f"{count:,} {mode}" for mode, count in counts.most_common())
    labels = subject.labels
    telling = {
        mode: shares
        for mode in counts
        if (shares := _shares(torch.tensor([other == mode for other in modes]), labels, len(subject.classes)))
        and max(shares) - min(shares) > APART
    }
    finding = Finding(
        kind="mixed kinds of photos",
        severity="note",
        what=f"the photos are of several kinds: {listed}.",
        why="All are brought to the same channels: grey is repeated, transparent ground becomes white. A network "
        "may learn the difference where one class has more of a kind.",
        remedy="Nothing, if the kinds occur in all classes and in all uses to come; else convert them.",
        count=len(odd),
        share=len(odd) / len(files),
        examples=tuple((subject.example(index, modes[index]),) for index in odd[:PICTURES]),
    )
    if telling:
        mode, shares = next(iter(telling.items()))
        most, least = (subject.classes[shares.index(pick(shares))] for pick in (max, min))
        finding = replace(
            finding,
            kind="kind of photo tells the class",
            severity="severe",
            what=f"{max(shares):.0%} of the photos of {most} are {mode}, but {min(shares):.0%} of those of {least}.",
            why="A network takes the easiest way: it will learn this difference instead of what the photos show, and "
            "fail on photos that do not have it.",
            remedy="Bring all photos to the same kind, for example all to grey, or take both classes from one source.",
        )
    yield finding


def _ratio(file: DecodedFile) -> float:
    return max(file.width, file.height) / min(file.width, file.height)


def _mode(file: DecodedFile) -> str:
    """The kind of a photo in a word or two, from Pillow's name of it."""
    if file.mode in ("1", "L") or file.mode.startswith(("I", "F")):
        return "grey"
    if file.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return "with transparency"
    return {"RGB": "colour", "P": "with a palette"}.get(file.mode, file.mode)


def _shares(chosen: Tensor, labels: Tensor, classes: int) -> list[float]:
    """Of each class the share of its images that are `chosen`, bool (N,); none where a class has no image."""
    counts = torch.bincount(labels, minlength=classes)
    if not counts.all():
        return []
    return (torch.bincount(labels[chosen], minlength=classes) / counts).tolist()


def _with_sizes(subject: Subject, files: Sequence[DecodedFile], indices: list[int]) -> tuple[tuple[Example, ...], ...]:
    return tuple(
        (subject.example(index, f"{files[index].width}x{files[index].height} pixels"),) for index in indices[:PICTURES]
    )
