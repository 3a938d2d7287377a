"""Everything a training needs, built from a setting."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import nn, optim

from convscope.catalog import Weights, weights_entry
from convscope.config import Config, Option
from convscope.data import Augmentation, Batches, ImageSet, Preprocessing, Splits, load_splits
from convscope.downloads import Progress
from convscope.models import build_model, check_options
from convscope.models.pretrained import load_pretrained
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule, build_schedule


@dataclass(frozen=True)
class Session:
    """Data, model and the objects that train it, on their device."""

    config: Config
    splits: Splits
    preprocessing: Preprocessing
    runtime: Runtime
    model: nn.Module
    train: Batches
    val: Batches
    optimizer: optim.Optimizer
    schedule: Schedule

    @classmethod
    def prepare(
        cls,
        config: Config,
        *,
        data_dir: Path | None = None,
        progress: Progress | None = None,
        resuming: bool = False,
    ) -> "Session":
        """Build all of it; raises UserError for whatever cannot be trained, before anything is written.

        When `resuming`, the model is about to be given the weights of a checkpoint, and needs no published ones.
        """
        check_options(config.model, model_options(config))  # told before a data set is fetched for a misspelt model
        weights = weights_entry(config.model, config.pretrained) if config.pretrained else None
        runtime = Runtime.choose(config.device, config.precision, config.threads)
        splits = load_splits(
            config.data, val_share=config.val_share, seed=config.split_seed, data_dir=data_dir, progress=progress
        )
        if weights is None:
            preprocessing = Preprocessing.for_training(splits.train, config.scaling, size=config.input_size)
        else:
            preprocessing = _as_published(splits.train, weights, size=config.input_size)
        network = build_model(
            config.model,
            num_classes=len(splits.train.classes),
            in_channels=preprocessing.channels,
            input_size=preprocessing.size,
            seed=config.seed,
            **model_options(config),
        )
        if weights is not None and not resuming:
            load_pretrained(network, weights.version, data_dir=data_dir, progress=progress)
        model = runtime.prepare(network)
        train = Batches(
            splits.train,
            preprocessing,
            batch_size=config.batch_size,
            device=runtime.device,
            shuffle_seed=config.seed,
            augmentation=Augmentation(
                flip=config.flip, shift=config.shift, rotation=config.rotation, cutout=config.cutout
            ),
        )
        optimizer = build_optimizer(
            config.optimizer,
            model,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            nesterov=config.nesterov,
            decay_norms_and_biases=config.decay_norms_and_biases,
        )
        schedule = build_schedule(
            config.schedule,
            epochs=config.epochs,
            steps_per_epoch=len(train),
            warmup_epochs=config.warmup_epochs,
            step_epochs=config.step_epochs,
            plateau_patience=config.plateau_patience,
            gamma=config.gamma,
            final=config.final_lr,
        )
        val = Batches(splits.val, preprocessing, batch_size=images_at_once(config), device=runtime.device)
        return cls(config, splits, preprocessing, runtime, model, train, val, optimizer, schedule)

    @property
    def parameters(self) -> int:
        """Trainable parameters of the model."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def header(self) -> dict[str, Any]:
        """What a reader of the weights must know to use them."""
        return {
            "model": self.config.model,
            "options": model_options(self.config),
            "data": self.config.data,
            "num_classes": len(self.splits.train.classes),
            "in_channels": self.preprocessing.channels,
            "input_size": self.preprocessing.size,
            "classes": list(self.splits.train.classes),
            "preprocessing": self.preprocessing.to_dict(),
        }


def _as_published(train: ImageSet, weights: Weights, *, size: int | None) -> Preprocessing:
    """The preprocessing that published weights expect, whatever the statistics of the training images.

    Images are brought to the network's input size as a whole, `weights.crop` where no `size` is given. The published
    accuracy was measured on the middle of larger photographs, resized to `weights.resize`; that is another task.
    Grey images, whose pixel is red, green and blue in one, take the average of the three means and of the three
    standard deviations.
    """
    preprocessing = Preprocessing.for_training(train, "unit", size=size or weights.crop)
    mean, std = weights.mean, weights.std
    if preprocessing.channels == len(mean):
        return replace(preprocessing, mean=mean, std=std)
    channels = preprocessing.channels
    return replace(preprocessing, mean=(fmean(mean),) * channels, std=(fmean(std),) * channels)


def model_options(config: Config) -> dict[str, Option]:
    """Keywords for the model's builder; dropout, which most networks have, is a field of its own in the setting."""
    return config.model_options | ({} if config.dropout is None else {"dropout": config.dropout})


def images_at_once(config: Config) -> int:
    """How many images the network takes at a time: evaluating must not need more memory than training."""
    return min(config.batch_size, config.micro_batch or config.batch_size)
