"""The images that a run was trained and tested on."""

from pathlib import Path

from convscope.data.datasets import load_splits
from convscope.data.splits import Splits
from convscope.downloads import Progress
from convscope.errors import UserError
from convscope.predict.predictor import Predictor
from convscope.runs import Run


def splits_of(
    run: Run, predictor: Predictor, *, data_dir: Path | None = None, progress: Progress | None = None
) -> Splits:
    """The data set of a run, divided as for its training.

    Raises:
        UserError: it has other classes than the run was trained for; otherwise as for `data.load_splits`.
    """
    config = run.config()
    splits = load_splits(
        config.data,
        val_share=config.val_share,
        test_share=config.test_share,
        seed=config.split_seed,
        size=predictor.preprocessing.decode_size,
        resize=config.resize,
        data_dir=data_dir,
        progress=progress,
    )
    if splits.train.classes != predictor.classes:
        raise UserError(
            f"the data set {config.data} has other classes than the run was trained for: "
            f"give the data it was trained on with --data-dir."
        )
    return splits
