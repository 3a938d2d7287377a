"""What a run's best weights are worth on a split, in figures and in pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convscope import plots
from convscope.data import Batches, ImageSet, Preprocessing, Splits, class_counts
from convscope.errors import UserError
from convscope.experiment.session import images_at_once, must_stream
from convscope.metrics import classification_report, log_softmax
from convscope.predict import Predictor, splits_of
from convscope.runs import Run
from convscope.training.evaluate import predict_logits
from convscope.training.runtime import Runtime

SPLITS = ("train", "val", "test")
GRID = 32
"""Images in the grid of predictions, and at most in that of mistakes."""
PER_CELL = 12
"""Images at most that are kept of a cell of the confusion matrix."""
MOST_EXAMPLES = 1600
"""Images at most that are kept of all cells; a report with them all stays below 5 MB."""
EXAMPLE_SIZE = 64
"""Pixels of the longer side of a kept image, at most."""


def evaluate(
    run: Run, split: str = "test", *, device: str = "auto", data_dir: Path | None = None, top_k: int = 5
) -> dict[str, Any]:
    """Evaluate a run's best weights on the split train, val or test; figures and pictures go into the run directory.

    Returns:
        The report of `metrics.classification_report`.

    Raises:
        UserError: no such split, no weights yet, or the data set is not to be had.
    """
    if split not in SPLITS:
        raise UserError(f"there is no split '{split}': choose one of {', '.join(SPLITS)}.")
    config, status = run.config(), run.metrics().get("status")
    predictor = Predictor.from_run(run)
    splits = splits_of(run, predictor, data_dir=data_dir)
    runtime = Runtime.choose(device, config.precision, config.threads)
    model = runtime.prepare(predictor.model)
    report = evaluate_split(run, split, splits, model, predictor.preprocessing, runtime, top_k=top_k)
    run.write_json("data.json", data_facts(splits, predictor.preprocessing))
    if not run.add_metrics({split: report}, status=status):
        # A training began or ended meanwhile, and may have left other weights: what stays here is about those.
        return evaluate(run, split, device=device, data_dir=data_dir, top_k=top_k)
    return report


def evaluate_split(
    run: Run,
    split: str,
    splits: Splits,
    model: nn.Module,
    preprocessing: Preprocessing,
    runtime: Runtime,
    *,
    top_k: int = 5,
    draw: bool = True,
) -> dict[str, Any]:
    """The report on one split; draws its pictures if asked to; of the test split it keeps predictions and examples."""
    image_set: ImageSet = getattr(splits, split)
    size = images_at_once(run.config())
    logits, labels = answer(image_set, model, preprocessing, runtime, batch_size=size)
    report = classification_report(logits, labels, image_set.classes, top_k=top_k)
    if split == "test":
        run.write_predictions(logits=logits, labels=labels)
        run.write_examples(**_examples(image_set, logits, labels))
    if draw:
        _draw(run.figures, "" if split == "test" else f"-{split}", image_set, logits, labels, report)
    return report


def answer(
    image_set: ImageSet, model: nn.Module, preprocessing: Preprocessing, runtime: Runtime, *, batch_size: int
) -> tuple[Any, Any]:
    """Logits float32 (N, classes) and labels int64 (N,) of a set, as arrays; each process answers for its share."""
    batches = Batches(
        image_set,
        preprocessing,
        batch_size=batch_size,
        device=runtime.device,
        streamed=must_stream(image_set, runtime.device),
        share=runtime.processes.share,
    )
    logits, labels = predict_logits(model, batches, runtime)
    return logits.cpu().numpy(), labels.cpu().numpy()


def data_facts(splits: Splits, preprocessing: Preprocessing) -> dict[str, Any]:
    """What a report says about the data, in plain JSON types; it reads no test image."""
    return {
        "classes": list(splits.train.classes),
        "images": {split: len(getattr(splits, split)) for split in SPLITS},
        "train_images_per_class": class_counts(splits.train),
        "image_shape": list(splits.train.shape),
        "preprocessing": preprocessing.to_dict(),
    }


def choose_examples(labels: Any, predictions: Any, confidences: Any) -> Any:
    """Which images to keep: of each cell of the confusion matrix those answered with the most confidence, (K,)."""
    # Cell by cell, and in each the most confident first.
    order = np.lexsort((-confidences, predictions, labels))
    changes = (np.diff(labels[order]) != 0) | (np.diff(predictions[order]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    sizes = np.diff(np.concatenate([starts, [len(order)]]))
    ranks = np.arange(len(order)) - np.repeat(starts, sizes)
    # Where there are too many cells, none goes without its first image before another has its second.
    fair = np.argsort(ranks, kind="stable")
    return order[fair][ranks[fair] < PER_CELL][:MOST_EXAMPLES]


def _examples(image_set: ImageSet, logits: Any, labels: Any) -> dict[str, Any]:
    """What examples.npz holds: of every cell, the worst mistakes, and some drawn at random, the same for every run."""
    probabilities = np.exp(log_softmax(logits))
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    random = np.random.default_rng(0).permutation(len(labels))[:GRID]
    chosen = (random, _worst(labels, predictions, confidences), choose_examples(labels, predictions, confidences))
    indices = np.unique(np.concatenate(chosen))
    pieces = [_small(image_set.take(piece)) for piece in torch.split(torch.from_numpy(indices), 256)]
    return {"images": torch.cat(pieces).numpy(), "indices": indices, "random": random}


def _small(images: Tensor) -> Tensor:
    """Images uint8 (N, C, H, W) with sides of at most EXAMPLE_SIZE."""
    height, width = images.shape[2:]
    scale = EXAMPLE_SIZE / max(height, width)
    if scale >= 1:
        return images
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def _worst(labels: Any, predictions: Any, confidences: Any) -> Any:
    """The mistakes that the network was surest of, at most GRID, the surest first."""
    mistakes = np.flatnonzero(predictions != labels)
    return mistakes[np.argsort(-confidences[mistakes], kind="stable")][:GRID]


def _draw(figures: Path, suffix: str, image_set: ImageSet, logits: Any, labels: Any, report: dict[str, Any]) -> None:
    """Confusion matrix, a grid of random images, and the mistakes the model was surest of."""
    probabilities = np.exp(log_softmax(logits))
    predictions, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    plots.save_figure(
        plots.confusion_matrix(report["confusion"], image_set.classes), figures / f"confusion{suffix}.png"
    )

    def draw_grid(chosen: Any, name: str) -> None:
        grid = plots.prediction_grid(
            image_set.take(torch.from_numpy(chosen)).numpy(),
            labels[chosen],
            predictions[chosen],
            image_set.classes,
            confidences=confidences[chosen],
        )
        plots.save_figure(grid, figures / f"{name}{suffix}.png")

    # The same images for every run on this split, so that runs can be compared by eye.
    draw_grid(np.random.default_rng(0).permutation(len(labels))[:GRID], "predictions")
    worst = _worst(labels, predictions, confidences)
    if len(worst):
        draw_grid(worst, "mistakes")
    else:
        (figures / f"mistakes{suffix}.png").unlink(missing_ok=True)
