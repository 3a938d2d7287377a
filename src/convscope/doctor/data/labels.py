"""Labels that are probably wrong, by what a trained network says of images it was not trained on.

Curtis G. Northcutt, Lu Jiang, Isaac L. Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, Journal of
Artificial Intelligence Research, 2021, arXiv 1911.00068. Realised is the counting of section 3.1 (the confident joint)
with the ranking by normalised margin.

**Departures.** 1. The probabilities are those of one network for its validation images; the paper trains several, each
without a part of the images, so that every image is judged.

Shapes: N images, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.data import Batches
from convscope.doctor.data.subject import Subject
from convscope.doctor.findings import PICTURES, Finding
from convscope.experiment.session import images_at_once
from convscope.metrics import wilson_interval
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.evaluate import predict_logits
from convscope.training.runtime import Runtime


@dataclass(frozen=True)
class Suspect:
    """An image that the network confidently gives another class."""

    index: int
    predicted: int
    confidence: float
    """Probability of the predicted class."""
    given: float
    """Probability of the class that the label names."""


def find_suspects(logits: Tensor, labels: Tensor) -> list[Suspect]:
    """The images whose labels are probably wrong, the worst first.

    A network is confident that an image is of a class if it gives the class at least the probability that it gives it
    on average to the images labelled so. Such averages make up for a network that is too sure, or too little, of some
    class. If it is confident of several classes, the likeliest counts.

    Args:
        logits: float32 (N, K) of images that the network was not trained on.
        labels: int64 (N,).
    """
    probabilities = logits.softmax(dim=1)
    members = torch.nn.functional.one_hot(labels, logits.shape[1]).to(torch.float32)
    # (K,); above every probability for a class without images, of which nobody knows what confidence means.
    thresholds = torch.where(members.any(dim=0), (probabilities * members).sum(dim=0) / members.sum(dim=0), 2.0)
    confident = torch.where(probabilities >= thresholds, probabilities, 0.0)
    confidence, predicted = confident.max(dim=1)
    given = probabilities.gather(1, labels[:, None])[:, 0]
    chosen = ((confidence > 0) & (predicted != labels)).nonzero()[:, 0]
    worst_first = chosen[(given - confidence)[chosen].argsort(stable=True)]
    return [
        Suspect(index, int(predicted[index]), float(confidence[index]), float(given[index]))
        for index in worst_first.tolist()
    ]


def validation_logits(subject: Subject, run: Run, predictor: Predictor) -> Tensor:
    """What a run's network, the `predictor`, says of the validation images: float32 (N, K)."""
    config = run.config()
    runtime = Runtime.choose("auto", config.precision, config.threads)
    size = images_at_once(config)
    batches = Batches(subject.splits.val, predictor.preprocessing, batch_size=size, device=runtime.device)
    return predict_logits(runtime.prepare(predictor.model), batches, runtime)[0].cpu()


def only_guesses(logits: Tensor, labels: Tensor) -> bool:
    """Whether a network may be no better than one that always names the commonest class.

    Args:
        logits: float32 (N, K).
        labels: int64 (N,).
    """
    low, _ = wilson_interval(int((logits.argmax(dim=1) == labels).sum()), len(labels))
    return low <= int(labels.bincount().max()) / len(labels)


def find_wrong_labels(subject: Subject, logits: Tensor, name: str) -> Iterator[Finding]:
    """What the network of the run `name` says of the validation images' labels by its `logits`, float32 (N, K).

    Test images are left alone: whoever corrects them by what a network says tests it on its own opinions.  R-F5.
    """
    val = subject.splits.val
    suspects = find_suspects(logits, val.labels)
    if not suspects:
        return
    accuracy = float((logits.argmax(dim=1) == val.labels).float().mean())
    first = len(subject.splits.train)
    notes = {
        suspect.index: f"{suspect.confidence:.0%} {subject.classes[suspect.predicted]}, "
        f"{suspect.given:.0%} {subject.classes[int(val.labels[suspect.index])]}"
        for suspect in suspects[:PICTURES]
    }
    yield Finding(
        kind="suspicious labels",
        severity="warning",
        what=f"up to {len(suspects):,} of the {len(val):,} validation images may have a wrong label: there the run "
        f"{name} is confident of another class.",
        why="Wrong labels teach the network errors, and in validation count right answers as wrong. But the "
        f"network errs too, for it is right on {accuracy:.1%} of these images: the better it is, the more of these "
        "labels are wrong.",
        remedy="Look at the pictures, the worst first, and correct the labels that are wrong. The test images were "
        "not looked at, because correcting them by a network's answers would test it on its own opinions; for the "
        "training images take runs with another --split-seed, which validate on others.",
        count=len(suspects),
        share=len(suspects) / len(val),
        examples=tuple((subject.example(first + index, note),) for index, note in notes.items()),
    )
