"""What the data doctor says of classes and parts: sizes, names, and parts that differ from one another."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from convscope.doctor.data.subject import PARTS, Subject
from convscope.doctor.findings import Finding

UNEVEN, VERY_UNEVEN = 2.0, 10.0
"""Images of the largest class over images of the smallest, above which it is said, and said loudly."""
FEW_TRAINED, FEW_MEASURED = 20, 5
"""Images of a class below which a network hardly learns it, or nobody can tell whether it did."""
OFF = 0.05
"""Difference between parts, in the share of a class or in brightness from 0 to 1, that matters."""
SURE = 4.0
"""How many standard errors it must be, so that chance does not make it: one case in 10,000."""


def find_imbalance(subject: Subject) -> Iterator[Finding]:
    """Classes of very different sizes in the training part."""
    counts = _counts(subject)[0]
    if int(counts.min()) == 0 or counts.max() / counts.min() < UNEVEN:
        return
    ratio, largest = float(counts.max() / counts.min()), float(counts.max() / counts.sum())
    names = [subject.classes[index] for index in (int(counts.argmax()), int(counts.argmin()))]
    small = int((counts * UNEVEN < counts.max()).sum())
    yield Finding(
        kind="class imbalance",
        severity="severe" if ratio >= VERY_UNEVEN else "warning",
        what=f"the largest class, {names[0]}, has {ratio:.1f} times as many training images as the smallest, "
        f"{names[1]} ({int(counts.max()):,} to {int(counts.min()):,}).",
        why=f"A network that always says {names[0]} is right on {largest:.1%} of such images: accuracy says little, "
        "and small classes are learnt last.",
        remedy="Judge by macro F1 and by the recall of each class, not by accuracy; add images to the small classes.",
        count=small,
        share=small / len(counts),
    )


def find_few(subject: Subject) -> Iterator[Finding]:
    """Classes with very few images in a part."""
    few = [
        f"{subject.classes[label]} has {int(count)} in {PARTS[part]}"
        for part, counts in enumerate(_counts(subject))
        for label, count in enumerate(counts)
        if count < (FEW_TRAINED if part == 0 else FEW_MEASURED)
    ]
    if few:
        more = f", and {len(few) - 6:,} more such" if len(few) > 6 else ""
        yield Finding(
            kind="few images",
            severity="warning",
            what=f"some classes have very few images: {', '.join(few[:6])}{more}.",
            why=f"From fewer than {FEW_TRAINED} images a network hardly learns a class, and on fewer than "
            f"{FEW_MEASURED} one error more or less changes its recall by 20 points.",
            remedy="Add images, join classes, or hold out larger shares (--val-share, --test-share).",
            count=len(few),
            share=len(few) / (len(PARTS) * len(subject.classes)),
        )


def find_names_alike(classes: Sequence[str]) -> Iterator[Finding]:
    """Classes whose names differ only in capitals, spaces, hyphens or underscores."""
    by_letters: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        by_letters[re.sub(r"[\s_-]", "", name.casefold()) or name].append(name)
    alike = [names for names in by_letters.values() if len(names) > 1]
    if alike:
        count = sum(map(len, alike))
        yield Finding(
            kind="names alike",
            severity="warning",
            what=f"{count} classes differ in name by no more than capitals, spaces, hyphens or underscores: "
            f"{'; '.join(' and '.join(names) for names in alike[:6])}.",
            why="If these are one class, the network is asked to tell apart what is the same, and half of its right "
            "answers count as errors.",
            remedy="Put what belongs together into one folder, or under one label in the table.",
            count=count,
            share=count / len(classes),
        )


def find_differences(subject: Subject, brightness: Tensor) -> Iterator[Finding]:
    """Parts that differ in classes or in brightness; `brightness` float32 (N,), of each image, from 0 to 1."""
    parts, counts = subject.parts, _counts(subject)
    train = brightness[parts == 0]
    for part in (1, 2):
        here, size = brightness[parts == part], counts[part].sum()
        differences = []
        shares, expected = counts[part] / size, counts[0] / counts[0].sum()
        # The share of a class in a random part of n images is off by sqrt(p (1 - p) / n) typically.
        typical = (expected * (1 - expected) * (1 / size + 1 / counts[0].sum())).sqrt()
        off = (shares - expected).abs()
        off *= (off > OFF) & (off > SURE * typical)
        if off.any():
            label = int(off.argmax())
            differences.append(
                f"{shares[label]:.1%} of its images are {subject.classes[label]}, but {expected[label]:.1%} of train's"
            )
        error = (train.var(correction=0) / len(train) + here.var(correction=0) / len(here)).sqrt()
        change = here.mean() - train.mean()
        if abs(change) > max(OFF, SURE * float(error)):
            differences.append(f"its images are {'brighter' if change > 0 else 'darker'} by {abs(change):.0%} of white")
        if differences:
            yield Finding(
                kind="different parts",
                severity="warning",
                what=f"{PARTS[part]} differs from train: {', and '.join(differences)}.",
                why="Figures hold for images like those they were measured on, and these are not like those the "
                "network learns from. That is right only if the images it will meet differ in the same way.",
                remedy="Divide the images at random, unless the difference is intended (a later day, another camera).",
                count=len(here),
                share=len(here) / len(subject),
            )


def describe(subject: Subject) -> dict[str, dict[str, int]]:
    """Images of each class in each part: part -> class -> count."""
    return {
        part: dict(zip(subject.classes, map(int, counts), strict=True))
        for part, counts in zip(PARTS, _counts(subject), strict=True)
    }


def _counts(subject: Subject) -> list[Tensor]:
    """Of each part the images of each class, int64 (K,)."""
    return [torch.bincount(image_set.labels, minlength=len(subject.classes)) for image_set in subject.sets]
