"""Weights trained on the 1000 classes of ImageNet (ILSVRC 2012), as torchvision publishes them."""

from dataclasses import dataclass

from convscope.errors import UserError

ADDRESS = "https://download.pytorch.org/models/"
"""Where the files are published."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One published file, and how the images of its training were prepared."""

    model: str
    """Name of the network in the catalogue."""
    version: str
    """`imagenet`, or `imagenet-v2` for a later and better training of the same network."""
    file: str
    top1: float
    """Published accuracy in % on ImageNet's validation images: the middle `crop` x `crop` pixels are looked at."""
    resize: int = 256
    """To how many pixels the shorter side of an image is brought for that."""
    crop: int = 224
    """Height and width of the network's input, in pixels."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from red, green and blue in [0, 1]."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What they are divided by then."""

    @property
    def digest(self) -> str:
        """The first eight hexadecimal digits of the file's SHA-256, which its name ends in."""
        return self.file.removesuffix(".pth").rpartition("-")[2]


_V1 = (
    Weights(model="alexnet", version="imagenet", file="alexnet-owt-7be5be79.pth", top1=56.522),
    Weights(model="vgg11", version="imagenet", file="vgg11-8a719046.pth", top1=69.02),
    Weights(model="vgg13", version="imagenet", file="vgg13-19584684.pth", top1=69.928),
    Weights(model="vgg16", version="imagenet", file="vgg16-397923af.pth", top1=71.592),
    Weights(model="vgg19", version="imagenet", file="vgg19-dcbb9e9d.pth", top1=72.376),
    Weights(model="vgg11_bn", version="imagenet", file="vgg11_bn-6002323d.pth", top1=70.37),
    Weights(model="vgg13_bn", version="imagenet", file="vgg13_bn-abd245e5.pth", top1=71.586),
    Weights(model="vgg16_bn", version="imagenet", file="vgg16_bn-6c64b313.pth", top1=73.36),
    Weights(model="vgg19_bn", version="imagenet", file="vgg19_bn-c79401a0.pth", top1=74.218),
    # Published under the name googlenet. The network was trained on images of mean 0.5 and standard deviation
    # 0.5. torchvision normalises to the usual mean m and deviation s first, x = (p - m) / s, and then has the
    # network transform its input: x * (s / 0.5) + (m - 0.5) / 0.5 = (p - 0.5) / 0.5. Here the latter is all.
    Weights(
        model="googlenet_bn",
        version="imagenet",
        file="googlenet-1378be20.pth",
        top1=69.778,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    Weights(model="resnet18", version="imagenet", file="resnet18-f37072fd.pth", top1=69.758),
    Weights(model="resnet34", version="imagenet", file="resnet34-b627a593.pth", top1=73.314),
    Weights(model="resnet50", version="imagenet", file="resnet50-0676ba61.pth", top1=76.13),
    Weights(model="resnet101", version="imagenet", file="resnet101-63fe2227.pth", top1=77.374),
    Weights(model="densenet121", version="imagenet", file="densenet121-a639ec97.pth", top1=74.434),
    Weights(model="densenet169", version="imagenet", file="densenet169-b2777c0a.pth", top1=75.6),
)
_V2 = (
    Weights(model="resnet50", version="imagenet-v2", file="resnet50-11ad3fa6.pth", top1=80.858, resize=232),
    Weights(model="resnet101", version="imagenet-v2", file="resnet101-cd907fc2.pth", top1=81.886, resize=232),
)

WEIGHTS: dict[tuple[str, str], Weights] = {(row.model, row.version): row for row in (*_V1, *_V2)}
"""The rows by model and version."""

VERSIONS = tuple(dict.fromkeys(version for _, version in WEIGHTS))
"""Those there are for some network."""


def weights_entry(model: str, version: str = "imagenet") -> Weights:
    """The row for a model and version; a `UserError` names what there is when there is none."""
    if (model, version) in WEIGHTS:
        return WEIGHTS[model, version]
    versions = [row.version for row in WEIGHTS.values() if row.model == model]
    models = [row.model for row in WEIGHTS.values() if row.version == version]
    if versions:
        remedy = f"take {' or '.join(versions)}."
    elif models:
        remedy = f"start without them, or choose one of: {', '.join(models)}."
    else:
        remedy = f"the versions are {', '.join(VERSIONS)}."
    raise UserError(f"there are no weights '{version}' for '{model}': {remedy}")
