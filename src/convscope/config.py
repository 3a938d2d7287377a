"""The setting of one experiment: its fields are the flags of the command and the keys of the YAML.

One flat list on purpose: `--lr 0.1` on the command line is `lr: 0.1` in a recipe and `Config(lr=0.1)` in Python.
"""

import math
import reprlib
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import yaml

from convscope.errors import UserError

Option = int | float | bool | str


@dataclass(frozen=True)
class Config:
    """Everything that decides the outcome of a run, together with the seed and the machine."""

    data: str = "fashion-mnist"
    """Data set: a name of `convscope data list`, or a folder: of photos, a folder for each class, or of data files laid
    out like FashionMNIST's or CIFAR-10's."""
    model: str = "tinyvgg_bn"
    """Network: a name of `convscope models`."""
    model_options: dict[str, Option] = field(default_factory=dict)
    """The network's own options, as KEY VALUE pairs: `--model-options hidden 256 block2_convs 1`."""
    dropout: float | None = None
    """Share of units dropped in training, for networks that have dropout; the network's own value by default."""
    pretrained: str | None = None
    """Start from weights learnt elsewhere: `imagenet` or `imagenet-v2` as published for the network, a run, or a file
    of weights. Images are then prepared as they were there, and layers that do not fit, such as the last one for other
    classes, start anew."""
    freeze: int | str | None = None
    """What keeps its pretrained weights: `all-but-head`, or how many stages of the network from the image on. The fewer
    the images, the more is best left alone. With all-but-head and no augmentation (no flip, shift, crop_scale and so
    on) each image goes through the network only once, and epochs take moments."""
    stage_lr_decay: float = 1.0
    """Factor on the learning rate from each stage of the network to the one before it, such as 0.4: layers near the
    image, whose features serve every task, then change least."""
    unfreeze_every: int | None = None
    """Epochs after which one more of the frozen stages, the last, begins to learn; never by default."""

    val_share: float = 0.1
    """Share of the training images held out for validation, the same share of every class."""
    test_share: float = 0.1
    """Share of a folder of photos kept for the final test, where the folder has no test part of its own."""
    split_seed: int = 0
    """Decides which images are held out; apart from `seed`, so that several seeds share one split."""
    scaling: Literal["standardise", "unit", "signed"] = "standardise"
    """Pixels to mean 0 and deviation 1 by the training split's statistics, to [0, 1], or to [-1, 1]."""
    input_size: int | None = None
    """Height and width in pixels to which images are resized; by default as they are, as published weights ask, or, for
    photos, as the network's paper has it."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """How a photo becomes a square: the middle of it, all of it out of shape, or all of it with a border."""
    decode_size: int | None = None
    """Side in pixels at which photos are decoded and kept; the input size by default. A quarter more, perhaps, gives
    random crops their detail."""

    flip: bool = False
    """Mirror each training image left to right with probability one half."""
    shift: int = 0
    """Move each training image by up to this many pixels along each axis."""
    rotation: float = 0.0
    """Turn each training image by up to this many degrees either way."""
    cutout: int = 0
    """Blank one square with this side in pixels at a random place of each training image (0: none)."""
    crop_scale: float = 1.0
    """Cut a random part with at least this share of the area out of each training image, stretched (1: keep all)."""
    jitter: float = 0.0
    """Change brightness, contrast and saturation of each training image by up to this share (0.4: by 0.6 to 1.4)."""
    mixup: float = 0.0
    """Blend training images in pairs, and their labels: alpha of the Beta distribution of the shares (0: none)."""
    cutmix: float = 0.0
    """Paste a box of one training image into another, and mix their labels by area: alpha as for mixup (0: none)."""

    epochs: int = 10
    """How often the network sees every training image."""
    batch_size: int = 128
    """Images per step."""
    micro_batch: int | None = None
    """Images of a batch that go through the network at a time, for batches too large for the memory; all of them by
    default. A step is the same but for rounding, except that BatchNorm takes the statistics of the part, and that
    dropout draws other numbers."""
    sync_batch_norm: bool = False
    """Let BatchNorm take mean and variance over the batch of all processes, where several train (`--devices`); by
    default each process takes those of its own images."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    """Rule that turns gradients into steps."""
    lr: float = 2e-3
    """Highest learning rate of the schedule."""
    momentum: float = 0.9
    """Momentum of SGD."""
    nesterov: bool = False
    """Nesterov's form of SGD's momentum."""
    weight_decay: float = 0.0
    """Decay of the weights: L2 penalty for sgd and adam, decoupled for adamw."""
    decay_norms_and_biases: bool = False
    """Let weight decay act on norms and biases too."""
    schedule: Literal["constant", "step", "plateau", "exponential", "cosine", "one-cycle"] = "one-cycle"
    """Course of the learning rate over the training."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate first rises from near 0; one-cycle takes 0 as 30% of the training."""
    step_epochs: int = 5
    """Schedule step: epochs between two decays."""
    plateau_patience: int = 2
    """Schedule plateau: epochs without a better validation loss before a decay."""
    gamma: float = 0.5
    """Factor of one decay: of schedule step and plateau at each decay, of exponential at each epoch."""
    final_lr: float = 0.0
    """Schedules cosine and one-cycle: learning rate at the end, as a share of `lr`."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""
    clip_norm: float | None = None
    """Largest norm of the gradient over all parameters; no limit by default."""
    ema: float = 0.0
    """Decay per step of a moving average of the weights, which is then evaluated and kept (0: none)."""
    patience: int | None = None
    """Stop after this many epochs without a better validation loss; never by default."""

    seed: int = 0
    """Decides initial weights, order of images, augmentation and dropout."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the device is faster in it. On NVIDIA GPUs float32
    multiplies in TF32, with 10 bits of fraction, as PyTorch's convolutions do by default."""
    compile: bool = False
    """Compile the network with torch.compile, on a GPU with CUDA graphs: it then waits minutes before the first step
    to take each faster. Needs a C++ compiler."""
    kernels: bool = True
    """On a CPU, run layers that follow one another as one, by kernels that are built for this machine at first use.
    Needs the compiler g++; without it, training takes PyTorch's way."""
    threads: int | None = None
    """CPU threads of each process; by default as many as PyTorch finds cores, shared out over the processes."""
    checkpoint_every: float | None = None
    """Minutes between checkpoints within an epoch; only at the end of each epoch by default."""
    snapshots: bool = False
    """Keep the weights of every epoch, and those it begins with, so that `convscope explore` shows filters forming."""

    def __post_init__(self) -> None:
        """Refuse values outside their range, whether they come from flags, a file or Python."""
        for name in _INTERVALS:
            check_range(name, getattr(self, name))
        if self.nesterov and not self.momentum:
            raise UserError("nesterov needs momentum: give momentum above 0, or leave nesterov out.")
        if self.pretrained and self.scaling != "standardise":
            raise UserError(
                f"scaling is {self.scaling}, but pretrained weights bring the scaling they were trained with: "
                f"leave scaling out, or pretrained."
            )
        if self.freeze is not None:
            if self.freeze != "all-but-head" and (isinstance(self.freeze, str) or self.freeze < 1):
                raise UserError(f"freeze is {self.freeze}: it must be all-but-head, or a number of stages, at least 1.")
            if self.pretrained is None:
                raise UserError(
                    f"freeze is {self.freeze}, but without pretrained weights these layers would stay as they were "
                    f"drawn: give pretrained too, or leave freeze out."
                )
        elif self.unfreeze_every is not None:
            raise UserError(
                f"unfreeze_every is {self.unfreeze_every}, but no stage is frozen: give freeze all-but-head too."
            )

    def to_yaml(self) -> str:
        """Every field with its value, one a line, in the order of the class."""
        return yaml.safe_dump(asdict(self), sort_keys=False)


# Allowed values, in the notation of mathematics: "[0, 1)" is from 0, included, to 1, excluded.
_INTERVALS = {
    "dropout": "[0, 1)",
    "val_share": "(0, 1)",
    "test_share": "(0, 1)",
    "split_seed": "[0, 9223372036854775808)",
    "stage_lr_decay": "(0, 1]",
    "unfreeze_every": "[1, inf)",
    "input_size": "[1, 4096]",
    "decode_size": "[1, 4096]",
    "shift": "[0, 4096]",
    "rotation": "[0, 180]",
    "cutout": "[0, 4096]",
    "crop_scale": "(0, 1]",
    "jitter": "[0, 1]",
    "mixup": "[0, inf)",
    "cutmix": "[0, inf)",
    "epochs": "[1, inf)",
    "batch_size": "[1, inf)",
    "micro_batch": "[1, inf)",
    "lr": "(0, inf)",
    "momentum": "[0, 1)",
    "weight_decay": "[0, inf)",
    "warmup_epochs": "[0, inf)",
    "step_epochs": "[1, inf)",
    "plateau_patience": "[0, inf)",
    "gamma": "(0, 1]",
    "final_lr": "[0, 1]",
    "label_smoothing": "[0, 1)",
    "clip_norm": "(0, inf)",
    "ema": "[0, 1)",
    "patience": "[1, inf)",
    "seed": "[0, 9223372036854775808)",
    "threads": "[1, 4096]",
    "checkpoint_every": "(0, inf)",
}


def check_range(name: str, value: Any) -> None:
    """Refuse a number outside of the interval that the field of this name has, if it has one; None is no number."""
    interval = _INTERVALS.get(name)
    if interval is not None and value is not None and not _inside(value, interval):
        words = _in_words(interval) if abs(value) < math.inf else "a finite number"
        raise UserError(f"{name} is {reprlib.repr(value)}: it must be {words}.")


def _bounds(interval: str) -> tuple[float, float]:
    low, high = interval[1:-1].split(",")
    return float(low), float(high)


def _inside(value: float, interval: str) -> bool:
    low, high = _bounds(interval)
    above = value > low if interval[0] == "(" else value >= low
    below = value < high if interval[-1] == ")" else value <= high
    return above and below  # both are False for NaN


def _in_words(interval: str) -> str:
    low, high = _bounds(interval)
    words = f"{'greater than' if interval[0] == '(' else 'at least'} {low:g}"
    if high != math.inf:
        words += f" and {'less than' if interval[-1] == ')' else 'at most'} {high:g}"
    return words
