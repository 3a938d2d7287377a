"""What pretraining is worth: accuracy on Cats vs Dogs over the number of photos, from scratch and from CIFAR-10.

    convscope train --recipe cifar10-best --name cifar10
    python benchmarks/transfer.py runs/cifar10            writes results/transfer.csv and ../docs/figures/transfer.png
    python benchmarks/transfer.py runs/cifar10 --images 100 --dry-run

Trainings on as many photos have the network, the size of photos and the number of epochs in common, and but for the
head alone the augmentation; what they start from differs, and the learning rate with it. Fewer photos are a part of
more. All choose their best epoch on the same validation photos and are tested once on the same test photos. Validation
photos are not counted: who has 100 photos of each class has no 450 to validate on, so the left end is flattered, for
all alike.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from convscope import Config, plots, train
from convscope.data import load_photos
from convscope.data.photos import Photos
from convscope.numbers import duration
from convscope.plots.style import LOOK, colours
from convscope.runs import Run
from figures import HERE, describe, write_lines

RESULTS = HERE / "results" / "transfer.csv"
PICTURE = HERE.parent / "docs" / "figures" / "transfer.png"

COMMON = Config(
    model_options={"width": 0.5},
    model="resnet18_small",
    input_size=64,
    decode_size=80,
    crop_scale=0.4,
    flip=True,
    optimizer="sgd",
    nesterov=True,
    weight_decay=5e-4,
    label_smoothing=0.1,
    batch_size=32,
)
STARTS: dict[str, dict[str, Any]] = {
    "from scratch": {"lr": 0.05},
    "pretrained, all stages": {"lr": 0.02, "stage_lr_decay": 0.7},
    # Without augmentation each photo goes through the frozen stages once.
    "pretrained, head alone": {
        "lr": 0.02,
        "freeze": "all-but-head",
        "crop_scale": 1.0,
        "flip": False,
        "decode_size": 64,
    },
}
EPOCHS = {100: 60, 1000: 30}
"""By photos of each class; ALL_EPOCHS for all."""
ALL_EPOCHS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure accuracy over training photos, with and without pretraining.")
    parser.add_argument("run", type=Path, help="the run directory of the pretraining")
    parser.add_argument("--data", default="cats-vs-dogs", help="a data set of photos, by name or folder")
    parser.add_argument(
        "--images", type=int, nargs="*", default=None, help="photos of each class (default: 100 1000 all)"
    )
    parser.add_argument("--threads", type=int, default=None, help="PyTorch's threads (default: its own choice)")
    parser.add_argument("--runs-dir", type=Path, default=None, help="keep the runs (default: a temporary directory)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()

    photos = load_photos(options.data, size=COMMON.input_size or 0)
    largest = min(len(rows) for rows in by_class(photos))
    rows = []
    with tempfile.TemporaryDirectory(prefix="convscope-transfer-") as scratch:
        for count in options.images or [*EPOCHS, largest]:
            folder = subset(photos, count, Path(scratch) / str(count))
            for start, changes in STARTS.items():
                config = replace(
                    COMMON,
                    **changes,
                    data=str(folder),
                    pretrained=str(options.run) if start != "from scratch" else None,
                    epochs=EPOCHS.get(count, ALL_EPOCHS),
                    threads=options.threads,
                )
                name = f"{count}-{start.replace(', ', '-').replace(' ', '-')}"
                run = train(config, runs_dir=options.runs_dir or Path(scratch) / "runs", name=name)
                rows.append(result(count, start, run))
                print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if not options.dry_run:
        machine = describe(run.environment())
        write_lines(RESULTS, [row | machine for row in rows])
        plots.save_figure(draw(rows), PICTURE)
        print(f"written: {RESULTS}, {PICTURE}")


def by_class(photos: Photos) -> list[list[int]]:
    """The training photos of each class, as rows of the decoded ones, which are in an order that is random."""
    rows = photos.parts["train"].tolist()
    return [
        [row for row in rows if photos.decoded.files[row].label == label]
        for label in range(len(photos.listing.classes))
    ]


def subset(photos: Photos, count: int, folder: Path) -> Path:
    """A folder with links to `count` training photos of each class, and to all validation and test photos."""
    chosen = {part: rows.tolist() for part, rows in photos.parts.items()}
    chosen["train"] = [row for rows in by_class(photos) for row in rows[:count]]
    for part, rows in chosen.items():
        for row in rows:
            file = photos.decoded.files[row]
            link = folder / part / photos.listing.classes[file.label] / f"{row}{Path(file.path).suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((photos.listing.root / file.path).resolve())
    return folder


def result(count: int, start: str, run: Run) -> dict[str, Any]:
    metrics = run.metrics()
    return {
        "photos_of_each_class": count,
        "start": start,
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "val_accuracy": round(metrics["val"]["top1"], 4),
        "test_accuracy": round(metrics["test"]["top1"], 4),
        "test_low": round(metrics["test"]["top1_low"], 4),
        "test_high": round(metrics["test"]["top1_high"], 4),
        "time": duration(metrics["train_seconds"]),
    }


@style.context(["default", LOOK])
def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Test accuracy over training photos, a line for each start, with its 95% intervals."""
    figure = Figure(figsize=(7, 4.5))
    axes = figure.subplots()
    for start, colour in zip(STARTS, colours(len(STARTS)), strict=True):
        points = [row for row in rows if row["start"] == start]
        counts, accuracies = ([row[key] for row in points] for key in ("photos_of_each_class", "test_accuracy"))
        below = [row["test_accuracy"] - row["test_low"] for row in points]
        above = [row["test_high"] - row["test_accuracy"] for row in points]
        axes.errorbar(counts, accuracies, (below, above), color=colour, marker="o", capsize=3, label=start)
    axes.set(xscale="log", xlabel="training photos of each class", ylabel="test accuracy")
    axes.set_xticks(sorted({row["photos_of_each_class"] for row in rows}))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_title("Cats vs Dogs, with and without CIFAR-10")
    axes.grid(True)
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main()
