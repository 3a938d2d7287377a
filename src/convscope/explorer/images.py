"""The images of the data set and what a run's network said of them; pictures; images that somebody gives."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convscope.explorer.encoding import png
from convscope.explorer.explorer import Explorer
from convscope.metrics import confusion_matrix, log_softmax
from convscope.predict import inverted
from convscope.web.answers import Answer, Refused, in_json

Order = Literal["index", "confident", "unsure"]

_THUMBNAIL = 64


@dataclass(frozen=True)
class Verdicts:
    """What a run's network said of the images to test."""

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    probability_of_label: NDArray[np.float64]


def verdicts(explorer: Explorer, run: str, split: str = "test") -> Verdicts:
    """From the run's last evaluation.

    Raises:
        Refused: there was none of these images.
    """
    if split != "test":
        raise Refused("images to train have no predictions: choose among them by their class alone.")
    subject = explorer.subject(run)
    if not (subject.run.path / "predictions.npz").exists():
        raise Refused(f"the run {run} has no predictions yet: run `convscope evaluate {run}`.", 404)
    arrays = subject.run.predictions()
    labels = arrays["labels"]
    if not np.array_equal(labels, explorer.images.split(split).labels.numpy()):
        raise Refused(
            f"the run {run} was tested on other images: run `convscope evaluate {run}`, or explore it by itself "
            f"if it was trained on other data.",
            404,
        )
    probabilities = np.exp(log_softmax(arrays["logits"]))
    predicted = probabilities.argmax(axis=1)
    each = np.arange(len(labels))
    return Verdicts(labels, predicted, probabilities[each, predicted], probabilities[each, labels])


def images(
    explorer: Explorer,
    *,
    run: str,
    split: str,
    offset: int = 0,
    limit: int = 60,
    order: Order = "index",
    true: int | None = None,
    predicted: int | None = None,
    wrong: int = 0,
) -> Answer:
    """A page of the images of one split, those that fit the filters."""
    labels = explorer.images.split(split).labels.numpy()
    said = None
    try:
        said = verdicts(explorer, run, split)
    except Refused:
        if predicted is not None or wrong or order != "index":
            raise
    keep = np.ones(len(labels), dtype=np.bool_)
    if true is not None:
        keep &= labels == true
    if said is not None:
        if predicted is not None:
            keep &= said.predicted == predicted
        if wrong:
            keep &= said.predicted != labels
    chosen = np.flatnonzero(keep)
    if said is not None and order != "index":
        confidence = said.confidence[chosen]
        chosen = chosen[np.argsort(confidence if order == "unsure" else -confidence, kind="stable")]
    rows = [_row(split, int(index), int(labels[index]), said) for index in chosen[offset : offset + limit]]
    return in_json({"total": len(chosen), "images": rows})


def _row(split: str, index: int, label: int, said: Verdicts | None) -> dict[str, Any]:
    return {
        "id": f"{split}/{index}",
        "label": label,
        "predicted": None if said is None else int(said.predicted[index]),
        "confidence": None if said is None else float(said.confidence[index]),
        "probability_of_label": None if said is None else float(said.probability_of_label[index]),
    }


def confusion(explorer: Explorer, *, run: str) -> Answer:
    """How often each class was taken for which, over the images to test."""
    said = verdicts(explorer, run)
    matrix = confusion_matrix(said.labels, said.predicted, len(explorer.classes))
    return in_json({"matrix": matrix.tolist()})


def picture(explorer: Explorer, *, image: str, run: str | None = None) -> Answer:
    """An image as the data set has it, or as it was decoded for a run's network."""
    subject = explorer.first if run is None else explorer.subject(run)
    return png(explorer.images.pixels(image, subject.predictor().preprocessing))


def thumbnail(explorer: Explorer, *, image: str) -> Answer:
    """The same, small."""
    return png(explorer.images.pixels(image, explorer.first.predictor().preprocessing), most=_THUMBNAIL)


def upload(explorer: Explorer, content: bytes) -> Answer:
    """Take the bytes of an image file."""
    image = explorer.images.add(content)
    preprocessing = explorer.first.predictor().preprocessing
    pixels = explorer.images.pixels(image, preprocessing)
    warning = None
    if pixels.amin() == pixels.amax():
        warning = "The image has the same brightness everywhere, so there is nothing in it to recognise."
    elif inverted(pixels, preprocessing.border):
        warning = "Light and dark are the other way round than in the training images: exchange them to be understood."
    return in_json({"id": image, "warning": warning})
