"""What the data doctor says of copies: leaks between the parts, contradicting labels, and mere repetition."""

from collections.abc import Iterator
from itertools import groupby

from torch import Tensor

from convscope.doctor.data.duplicates import members
from convscope.doctor.data.subject import PARTS, Subject
from convscope.doctor.findings import PICTURES, Example, Finding
from convscope.numbers import counted

_SHOWN = 4
"""Pictures of one group."""


def find_copies(subject: Subject, same: Tensor, groups: Tensor) -> Iterator[Finding]:
    """The findings about copies.

    Args:
        subject: the images.
        same: for each image the first that is identical to it, int64 (N,); see `duplicates.identical`.
        groups: for each image the first of which it is a copy, int64 (N,); see `duplicates.group_copies`.
    """
    parts, labels, contents = subject.parts.tolist(), subject.labels.tolist(), same.tolist()
    leaked, contradicting, identical, similar = [], [], [], []
    for group in members(groups):
        if parts[group[0]] != parts[group[-1]]:  # a group is in order, and so are the parts
            leaked.append(group)
        if len({labels[index] for index in group}) > 1:
            contradicting.append(group)
        for _, within in groupby(group, key=parts.__getitem__):
            by_content: dict[int, list[int]] = {}
            for index in within:
                by_content.setdefault(contents[index], []).append(index)
            identical += [images for images in by_content.values() if len(images) > 1]
            if len(by_content) > 1:
                similar.append([images[0] for images in by_content.values()])
    if leaked:
        yield _leak(subject, leaked, parts, contents)
    if contradicting:
        count = sum(map(len, contradicting))
        yield Finding(
            kind="contradicting labels",
            severity="severe",
            what=f"{count:,} images in {counted(len(contradicting), 'group')} of copies have different labels.",
            why="One of the labels is wrong, or both are right and the classes overlap. In training they pull the "
            "network both ways, and in testing one answer is always counted as an error.",
            remedy="Decide which label is right, and remove the other copies.",
            count=count,
            share=count / len(subject),
            examples=_pictures(subject, contradicting),
        )
    if identical:
        count = sum(len(group) - 1 for group in identical)
        yield Finding(
            kind="duplicates",
            severity="warning",
            what=f"{counted(count, 'image is an exact copy', 'images are exact copies')} of another one in its part.",
            why="A copy counts twice, in learning as in measuring, and brings nothing new.",
            remedy="Keep one of each.",
            count=count,
            share=count / len(subject),
            examples=_pictures(subject, identical),
        )
    if similar:
        count = sum(len(group) - 1 for group in similar)
        yield Finding(
            kind="near duplicates",
            severity="warning",
            what=f"{counted(count, 'image is nearly the same', 'images are nearly the same')} as another one in its "
            "part: compressed, scaled or brightened, or taken a moment later.",
            why="Nearly the same image brings nearly nothing new, and what it shows weighs more than the rest. Where "
            "no test part is given, such images also fall into different parts by chance.",
            remedy="Look at the pictures, and keep one of each where they are indeed the same.",
            count=count,
            share=count / len(subject),
            examples=_pictures(subject, similar),
        )


def _leak(subject: Subject, groups: list[list[int]], parts: list[int], contents: list[int]) -> Finding:
    """Of groups that reach over several parts."""
    held_out = [(index, group) for group in groups for index in group if parts[index] > parts[group[0]]]
    exact = sum(
        any(contents[other] == contents[index] and parts[other] < parts[index] for other in group)
        for index, group in held_out
    )
    where = [f"{sum(parts[index] == part for index, _ in held_out):,} of {PARTS[part]}" for part in (1, 2)]
    looked_at = len(subject) - len(subject.splits.train)
    return Finding(
        kind="leak",
        severity="severe",
        what=f"{counted(len(held_out), 'held-out image is a copy', 'held-out images are copies')} of an image in an "
        f"earlier part ({', '.join(where)}; {exact:,} exact, the others nearly so).",
        why="What a network has seen in training it can know by heart: on these images its figures say nothing about "
        "new ones, and accuracy comes out too high.",
        remedy="Remove the copies from the training images, or put all images of a group into one part: with folders "
        "train, val and test, or with the column split of a table labels.csv.",
        count=len(held_out),
        share=len(held_out) / looked_at,
        # Of a large group those that make it a leak: one of each part first.
        examples=_pictures(
            subject, [sorted(group, key=lambda index: (_turn(group, index, parts), index)) for group in groups]
        ),
    )


def _turn(group: list[int], index: int, parts: list[int]) -> int:
    """How many images of the group in the same part come before this one."""
    return sum(parts[other] == parts[index] and other < index for other in group)


def _pictures(subject: Subject, groups: list[list[int]]) -> tuple[tuple[Example, ...], ...]:
    """The first groups, of each as many pictures as are shown."""
    shown: list[tuple[Example, ...]] = []
    for group in groups:
        images = group[:_SHOWN]
        if sum(map(len, shown)) + len(images) > PICTURES:
            break
        left = len(group) - len(images)
        notes = [""] * (len(images) - 1) + [f"and {left:,} more" if left else ""]
        shown.append(tuple(subject.example(index, note) for index, note in zip(images, notes, strict=True)))
    return tuple(shown)
