"""A run to measure speed with: its network is as it was drawn, for training changes no time."""

from pathlib import Path
from typing import Any

from convscope.config import Config
from convscope.data import Preprocessing, load_splits
from convscope.models import build_model
from convscope.runs import Run, create_run
from convscope.training.checkpoint import save_weights

DATA = "fashion-mnist-mini"


def make_run(runs_dir: Path, model: str, *, channels: int, size: int) -> Run:
    """A run with the weights that a training begins with."""
    train = load_splits(DATA).train
    shape = {"num_classes": len(train.classes), "in_channels": channels, "input_size": size}
    preprocessing = Preprocessing.for_training(train, size=size, channels=channels)
    run = create_run(runs_dir, model, Config(data=DATA, model=model, input_size=size), {"started": ""})
    header: dict[str, Any] = {
        "model": model,
        "options": {},
        "data": DATA,
        **shape,
        "classes": list(train.classes),
        "train_images": len(train),
        "preprocessing": preprocessing.to_dict(),
    }
    save_weights(run.best_weights, build_model(model, seed=0, **shape).state_dict(), header)
    run.write_metrics({"status": "finished"})
    return run
