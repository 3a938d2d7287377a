"""Everything a training needs, built from a setting."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import optim

from convscope.catalog import model_entry
from convscope.config import Config, Option
from convscope.data import Augmentation, Batches, ImageSet, Preprocessing, Splits, is_photos, load_splits
from convscope.downloads import Progress
from convscope.experiment.weights import Source, find_source
from convscope.kernels import build
from convscope.models import build_model, check_options
from convscope.models.layers import Classifier
from convscope.training.compiled import check_compiler
from convscope.training.environment import memory_gib
from convscope.training.freezing import Freezing, build_freezing
from convscope.training.norms import share_norms
from convscope.training.optimizers import build_optimizer
from convscope.training.processes import ALONE, Alone
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule, build_schedule

LEAST_PHOTO = 64
"""Pixels to which photos are brought where nobody said otherwise and the network was made for less."""


@dataclass(frozen=True)
class Session:
    """Data, model and the objects that train it, on their device."""

    config: Config
    splits: Splits
    preprocessing: Preprocessing
    runtime: Runtime
    model: Classifier
    drawn: tuple[str, ...]
    """Layers that start anew although the setting names weights of a run or a file, because they do not fit."""
    freezing: Freezing
    train: Batches
    val: Batches
    optimizer: optim.Optimizer
    schedule: Schedule
    no_kernels: str | None
    """Why the compiled kernels are not to be had, where the setting wants them."""

    @classmethod
    def prepare(
        cls,
        config: Config,
        *,
        data_dir: Path | None = None,
        progress: Progress | None = None,
        checkpoint: dict[str, Any] | None = None,
        processes: Alone = ALONE,
    ) -> "Session":
        """Build all of it; raises UserError for whatever cannot be trained, before anything is written.

        `checkpoint` is the header of a checkpoint whose weights the model is about to be given: it then needs no
        other ones to start from, and its images are prepared as they were from the beginning.
        `processes` are those that train together; one on each machine fetches what is not there yet.
        """
        with processes.all_well():
            check_options(config.model, model_options(config))  # told before a data set is fetched for a misspelt model
            runtime = Runtime.choose(config.device, config.precision, config.threads, processes)
            if config.compile:
                check_compiler(runtime.device)
        with processes.all_well(), processes.one_first():
            fetched = _fetch(config, data_dir=data_dir, progress=progress, checkpoint=checkpoint)
            no_kernels = None if not wants_kernels(config, runtime) or build.load(progress) else build.obstacle()
        with processes.all_well():
            return cls._build(config, runtime, *fetched, no_kernels)

    @classmethod
    def _build(
        cls,
        config: Config,
        runtime: Runtime,
        source: Source,
        size: int | None,
        splits: Splits,
        no_kernels: str | None,
    ) -> "Session":
        processes = runtime.processes
        preprocessing = source.prepare(splits, config.scaling, size=size)
        network = build_model(
            config.model,
            num_classes=len(splits.train.classes),
            in_channels=preprocessing.channels,
            input_size=preprocessing.size,
            seed=config.seed,
            **model_options(config),
        )
        drawn = source.give(network, splits.train.classes)
        freezing = build_freezing(network, config.freeze, unfreeze_every=config.unfreeze_every)
        model = runtime.prepare(network)
        if config.sync_batch_norm and processes.count > 1:
            share_norms(model)
        streamed = must_stream(splits.train, runtime.device)
        train = Batches(
            splits.train,
            preprocessing,
            batch_size=config.batch_size,
            device=runtime.device,
            shuffle_seed=config.seed,
            augmentation=Augmentation(
                flip=config.flip,
                shift=config.shift,
                rotation=config.rotation,
                cutout=config.cutout,
                crop_scale=config.crop_scale,
                jitter=config.jitter,
                mixup=config.mixup,
                cutmix=config.cutmix,
            ),
            streamed=streamed,
            share=processes.share,
        )
        optimizer = build_optimizer(
            config.optimizer,
            model,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            nesterov=config.nesterov,
            decay_norms_and_biases=config.decay_norms_and_biases,
            stage_lr_decay=config.stage_lr_decay,
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
        val = Batches(
            splits.val,
            preprocessing,
            batch_size=images_at_once(config),
            device=runtime.device,
            streamed=streamed,
            share=processes.share,
        )
        return cls(
            config,
            splits,
            preprocessing,
            runtime,
            model,
            drawn,
            freezing,
            train,
            val,
            optimizer,
            schedule,
            no_kernels,
        )

    @property
    def kernels(self) -> bool:
        """Whether the network runs by the compiled kernels."""
        return wants_kernels(self.config, self.runtime) and self.no_kernels is None

    @property
    def parameters(self) -> int:
        """Parameters of the model, those that rest too."""
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
            "train_images": len(self.splits.train),
            "preprocessing": self.preprocessing.to_dict(),
        }


def _fetch(
    config: Config, *, data_dir: Path | None, progress: Progress | None, checkpoint: dict[str, Any] | None
) -> tuple[Source, int | None, Splits]:
    """What is read from outside: weights to start from, the size that images get, where that is decided, and images."""
    if checkpoint is None:
        source = find_source(config, model_options(config), data_dir=data_dir, progress=progress)
    else:
        source = Source.trained_with(Preprocessing.from_dict(checkpoint["preprocessing"]))
    size = config.input_size or source.size
    if size is None and is_photos(config.data):
        # Photos have no size of their own; a network for 28 pixels would see nothing in them.
        size = max(model_entry(config.model).input_size, LEAST_PHOTO)
    splits = load_splits(
        config.data,
        val_share=config.val_share,
        test_share=config.test_share,
        seed=config.split_seed,
        size=config.decode_size or size,
        resize=config.resize,
        data_dir=data_dir,
        progress=progress,
    )
    return source, size, splits


def wants_kernels(config: Config, runtime: Runtime) -> bool:
    """Whether the network is to run by compiled kernels, where they are to be had."""
    return config.kernels and not config.compile and runtime.device.type == "cpu"


def must_stream(image_set: ImageSet, device: torch.device) -> bool:
    """Whether the pixels take more than half of the memory that the device has, and are read as they are needed."""
    if device.type == "cuda":
        memory: float = torch.cuda.get_device_properties(device).total_memory
    else:
        memory = (memory_gib() or math.inf) * 2**30
    return image_set.images.nbytes > memory / 2


def model_options(config: Config) -> dict[str, Option]:
    """Keywords for the model's builder; dropout, which most networks have, is a field of its own in the setting."""
    return config.model_options | ({} if config.dropout is None else {"dropout": config.dropout})


def images_at_once(config: Config) -> int:
    """How many images the network takes at a time: evaluating must not need more memory than training."""
    return min(config.batch_size, config.micro_batch or config.batch_size)
