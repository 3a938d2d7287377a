"""The data doctor: faults of a data set that are better found before a training than after it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convscope.config import Config
from convscope.data.decoding import Resize
from convscope.doctor.data.balance import describe, find_differences, find_few, find_imbalance, find_names_alike
from convscope.doctor.data.copies import find_copies
from convscope.doctor.data.duplicates import group_copies, identical, thumbnails
from convscope.doctor.data.labels import find_wrong_labels, only_guesses, validation_logits
from convscope.doctor.data.normalisation import Numbers, find_wrong_statistics
from convscope.doctor.data.photos import find_flat, find_modes, find_shapes, find_skipped
from convscope.doctor.data.subject import Subject, load_subject
from convscope.doctor.findings import Finding
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.predict import Predictor
from convscope.runs import Run

_ORDER = ("severe", "warning", "note")


@dataclass(frozen=True, eq=False)
class DataReport:
    """What was found in a data set, the worst first, and what it is like."""

    name: str
    findings: tuple[Finding, ...]
    facts: dict[str, Any]
    """As JSON types: `images` (part -> class -> count), `shape`, `mean`, `std`; of photos `modes` and `sizes` too."""
    not_examined: tuple[str, ...]
    """What was not looked for, and how to have it looked for: a sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """All of it but the pixels, as JSON types."""
        return {
            "data": self.name,
            "findings": [finding.to_dict() for finding in self.findings],
            "facts": self.facts,
            "not_examined": list(self.not_examined),
        }


def examine(
    data: str | Path,
    *,
    size: int = 128,
    resize: Resize = "crop",
    mean: Numbers | None = None,
    std: Numbers | None = None,
    run: Run | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Look for every fault that this package knows.

    Args:
        data: a name of the catalogue or a folder, as for `data.load_splits`.
        size: height and width at which photos are looked at; that of the run, if there is one.
        resize: how photos become squares; as in the run, if there is one.
        mean: of each channel, for pixels from 0 to 1, to be compared with the right one.
        std: likewise, the standard deviation.
        run: a run on these data, whose division into parts is taken, whose mean and deviation are compared if none are
            given, and whose network says which labels of its validation images it doubts.
        data_dir: where named data sets and decoded photos are kept.
        progress: told how far everything that may take long is.

    Raises:
        UserError: one of `mean` and `std` without the other, or not one for each channel; a run without weights or for
            other classes; otherwise as for `data.load_splits`.
    """
    if (mean is None) != (std is None):
        raise UserError("mean and std belong together: give both, or none.")
    config = Config(resize=resize)
    predictor = None
    if run is not None:
        config, predictor = run.config(), Predictor.from_run(run)
        size = predictor.preprocessing.decode_size
        # Other scalings, and the weights of others, bring numbers that are not meant to be the data's.
        if mean is None and config.scaling == "standardise" and config.pretrained is None:
            mean, std = predictor.preprocessing.mean, predictor.preprocessing.std
    subject = load_subject(data, config, size=size, data_dir=data_dir, progress=progress)
    if run is not None and predictor is not None and predictor.classes != subject.classes:
        raise UserError(
            f"the run {run.name} was trained for other classes than {data} has: give the data it was trained on, or "
            "another --run."
        )
    findings = list(_findings(subject, mean, std, progress))
    not_examined = list(_not_examined(mean, run))
    if run is not None and predictor is not None:
        logits = validation_logits(subject, run, predictor)
        if only_guesses(logits, subject.splits.val.labels):
            not_examined.append(
                f"Wrong labels were not looked for, because the run {run.name} is hardly better on the validation "
                "images than if it always named the commonest class: name a better one with --run."
            )
        else:
            findings += find_wrong_labels(subject, logits, run.name)
    return DataReport(
        name=str(data),
        findings=tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity))),
        facts=_facts(subject),
        not_examined=tuple(not_examined),
    )


def _findings(
    subject: Subject, mean: Numbers | None, std: Numbers | None, progress: Progress | None
) -> Iterator[Finding]:
    if mean is not None and std is not None:
        yield from find_wrong_statistics(subject, mean, std)
    small, brightness, deviations = _look(subject, progress)
    same = identical(subject.digests())
    yield from find_copies(subject, same, group_copies(small, same, progress))
    yield from find_skipped(subject)
    yield from find_flat(subject, deviations)
    yield from find_imbalance(subject)
    yield from find_few(subject)
    yield from find_names_alike(subject.classes)
    yield from find_differences(subject, brightness)
    if subject.files is not None:
        yield from find_shapes(subject, subject.files)
        yield from find_modes(subject, subject.files)


def _look(subject: Subject, progress: Progress | None) -> tuple[Tensor, Tensor, Tensor]:
    """Read all pixels once: thumbnails uint8 (N, 32, 32); mean, 0 to 1, and deviation, of 255, of brightness (N,)."""
    small, means, deviations = [], [], []
    done = 0
    for images in subject.pieces():
        small.append(thumbnails(images))
        grey = images.to(torch.float32).mean(dim=1).flatten(start_dim=1)  # (n, H W)
        means.append(grey.mean(dim=1) / 255)
        deviations.append(grey.std(dim=1, correction=0))
        done += images.nbytes
        if progress:
            progress("looking at all images", done, images[0].nbytes * len(subject))
    return torch.cat(small), torch.cat(means), torch.cat(deviations)


def _facts(subject: Subject) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "images": describe(subject),
        "shape": list(subject.splits.train.shape),
        "mean": list(subject.statistics.mean),
        "std": list(subject.statistics.std),
    }
    if subject.files is not None:
        sides = sorted((min(file.width, file.height), max(file.width, file.height)) for file in subject.files)
        facts["modes"] = dict(Counter(file.mode for file in subject.files).most_common())
        facts["sizes"] = {
            "smallest": list(sides[0]),
            "middle": list(sides[len(sides) // 2]),
            "largest": list(sides[-1]),
        }
    return facts


def _not_examined(mean: Numbers | None, run: Run | None) -> Iterator[str]:
    if run is None:
        yield (
            "Wrong labels were not looked for, because that takes a trained network: name a run on these data "
            "with --run."
        )
    if mean is None:
        yield "No mean and deviation were compared: give those you normalise with as --mean and --std."
