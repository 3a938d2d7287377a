"""What a run's best weights are worth on a split, in figures and in pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convscope import plots
from convscope.data import Batches, ImageSet, Preprocessing, Splits, load_splits
from convscope.errors import UserError
from convscope.experiment.session import images_at_once, must_stream
from convscope.metrics import classification_report, log_softmax
from convscope.predict import Predictor
from convscope.runs import Run
from convscope.training.evaluate import predict_logits
from convscope.training.runtime import Runtime

SPLITS = ("train", "val", "test")
GRID = 32
"""Images in the grid of predictions, and at most in that of mistakes."""


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
    splits = load_splits(
        config.data,
        val_share=config.val_share,
        test_share=config.test_share,
        seed=config.split_seed,
        size=predictor.preprocessing.decode_size,
        resize=config.resize,
        data_dir=data_dir,
    )
    if splits.train.classes != predictor.classes:
        raise UserError(
            f"the data set {config.data} has other classes than the run was trained for: "
            f"give the data it was trained on with --data-dir."
        )
    runtime = Runtime.choose(device, config.precision, config.threads)
    model = runtime.prepare(predictor.model)
    report = evaluate_split(run, split, splits, model, predictor.preprocessing, runtime, top_k=top_k)
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
    """The report on one split; draws its pictures if asked to, and for the test split writes predictions.npz."""
    image_set: ImageSet = getattr(splits, split)
    batches = Batches(
        image_set,
        preprocessing,
        batch_size=images_at_once(run.config()),
        device=runtime.device,
        streamed=must_stream(image_set, runtime.device),
    )
    logits, labels = (tensor.cpu().numpy() for tensor in predict_logits(model, batches, runtime))
    report = classification_report(logits, labels, image_set.classes, top_k=top_k)
    if split == "test":
        run.write_predictions(logits=logits, labels=labels)
    if draw:
        _draw(run.figures, "" if split == "test" else f"-{split}", image_set, logits, labels, report)
    return report


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
    mistakes = np.flatnonzero(predictions != labels)
    if len(mistakes):
        draw_grid(mistakes[np.argsort(-confidences[mistakes], kind="stable")][:GRID], "mistakes")
    else:
        (figures / f"mistakes{suffix}.png").unlink(missing_ok=True)
