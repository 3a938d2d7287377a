"""The networks."""

from collections.abc import Iterator
from dataclasses import dataclass

from convscope.errors import unknown


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One network of the catalogue."""

    name: str
    family: str
    """The paper's word for networks of this kind."""
    builder: str
    """Where the builder is, as `module:name`."""
    summary: str
    paper: str
    year: int
    in_channels: int
    """Channels of the images the paper, or the article that made the network known, gave it."""
    input_size: int
    """Height and width of those images, in pixels."""
    num_classes: int
    """Classes they were of."""
    least_size: int
    """The smallest height and width that leaves the last layer something to see."""
    parameters: int
    """Trainable parameters for those images and classes, as published where they are."""
    multiply_adds: int
    """For one of those images, of convolutions and fully connected layers."""


def _rows(
    *rows: tuple[str, str, int, int, str],
    family: str,
    module: str,
    paper: str,
    year: int,
    least_size: int,
    in_channels: int = 3,
    input_size: int = 224,
    num_classes: int = 1000,
) -> Iterator[ModelEntry]:
    """Networks that share all but name, builder, parameters, multiply-adds and summary."""
    for name, builder, parameters, multiply_adds, summary in rows:
        yield ModelEntry(
            name=name,
            family=family,
            builder=f"convscope.models.{module}:{builder}",
            summary=summary,
            paper=paper,
            year=year,
            in_channels=in_channels,
            input_size=input_size,
            num_classes=num_classes,
            least_size=least_size,
            parameters=parameters,
            multiply_adds=multiply_adds,
        )


_VGG = "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition (arXiv 1409.1556)"
_WITH_NORM = "Ioffe, Szegedy: Batch normalization (arXiv 1502.03167), in the blocks of {}"
_RESNET = "He, Zhang, Ren, Sun: Deep residual learning for image recognition (arXiv 1512.03385)"
_DENSENET = "Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks (arXiv 1608.06993)"
_SENET = "Hu, Shen, Albanie, Sun, Wu: Squeeze-and-excitation networks (arXiv 1709.01507)"
_GOOGLENET = "Szegedy and others: Going deeper with convolutions (arXiv 1409.4842)"

_ENTRIES = (
    *_rows(
        ("linear", "LinearClassifier", 7_850, 7_840, "one fully connected layer on the pixels: the baseline to beat"),
        family="linear",
        module="linear",
        paper="Cox: The regression analysis of binary sequences (logistic regression)",
        year=1958,
        in_channels=1,
        input_size=28,
        num_classes=10,
        least_size=1,
    ),
    *_rows(
        (
            "lenet5",
            "LeNet5",
            61_706,
            416_520,
            "two convolutions, three fully connected layers: the first to read cheques",
        ),
        family="LeNet",
        module="lenet",
        paper="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition",
        year=1998,
        in_channels=1,
        input_size=28,
        num_classes=10,
        least_size=12,
    ),
    *_rows(
        (
            "simplenet",
            "SimpleNet",
            25_578,
            1_642_496,
            "two convolutions, one fully connected layer: to compute by hand",
        ),
        family="SimpleNet",
        module="simplenet",
        paper="a teaching network for CIFAR-10",
        year=2020,
        input_size=32,
        num_classes=10,
        least_size=4,
    ),
    *_rows(
        (
            "tinyvgg",
            "TinyVGG",
            467_818,
            18_691_840,
            "VGG's rules at the size of FashionMNIST: two blocks, two fully connected layers",
        ),
        family="TinyVGG",
        module="tinyvgg",
        paper=_VGG,
        year=2014,
        in_channels=1,
        input_size=28,
        num_classes=10,
        least_size=4,
    ),
    *_rows(
        (
            "tinyvgg_explainer",
            "TinyVGGExplainer",
            19_920,
            5_608_780,
            "the ten-channel network that CNN Explainer shows",
        ),
        family="TinyVGG",
        module="tinyvgg",
        paper="Wang et al.: CNN Explainer (arXiv 2004.15004)",
        year=2020,
        input_size=64,
        num_classes=10,
        least_size=16,
    ),
    *_rows(
        (
            "tinyvgg_bn",
            "TinyVGGBatchNorm",
            435_754,
            29_275_904,
            "three blocks of two convolutions with batch normalisation",
        ),
        family="TinyVGG",
        module="tinyvgg",
        paper=_WITH_NORM.format("Simonyan, Zisserman (arXiv 1409.1556)"),
        year=2015,
        in_channels=1,
        input_size=28,
        num_classes=10,
        least_size=8,
    ),
    *_rows(
        (
            "alexnet",
            "AlexNet",
            61_100_840,
            714_188_480,
            "five convolutions, three fully connected layers: won ILSVRC 2012",
        ),
        family="AlexNet",
        module="alexnet",
        paper=(
            "Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks; "
            "Krizhevsky: One weird trick (arXiv 1404.5997)"
        ),
        year=2012,
        least_size=63,
    ),
    *_rows(
        ("vgg11", "vgg11", 132_863_336, 7_609_090_048, "eight 3x3 convolutions in five blocks (column A)"),
        ("vgg13", "vgg13", 133_047_848, 11_308_466_176, "ten 3x3 convolutions in five blocks (column B)"),
        ("vgg16", "vgg16", 138_357_544, 15_470_264_320, "thirteen 3x3 convolutions in five blocks (column D)"),
        ("vgg19", "vgg19", 143_667_240, 19_632_062_464, "sixteen 3x3 convolutions in five blocks (column E)"),
        family="VGG",
        module="vgg",
        paper=_VGG,
        year=2014,
        least_size=32,
    ),
    *_rows(
        (
            "vgg11_bn",
            "vgg11_bn",
            132_868_840,
            7_609_090_048,
            "vgg11 with batch normalisation, which lets it learn at once",
        ),
        ("vgg13_bn", "vgg13_bn", 133_053_736, 11_308_466_176, "vgg13 with batch normalisation"),
        ("vgg16_bn", "vgg16_bn", 138_365_992, 15_470_264_320, "vgg16 with batch normalisation"),
        ("vgg19_bn", "vgg19_bn", 143_678_248, 19_632_062_464, "vgg19 with batch normalisation"),
        family="VGG",
        module="vgg",
        paper=_WITH_NORM.format("Simonyan, Zisserman (arXiv 1409.1556)"),
        year=2015,
        least_size=32,
    ),
    *_rows(
        (
            "googlenet",
            "googlenet",
            6_998_552,
            1_582_671_872,
            "nine Inception modules, as the paper has them: won ILSVRC 2014",
        ),
        family="GoogLeNet",
        module="googlenet",
        paper=_GOOGLENET,
        year=2014,
        least_size=31,
    ),
    *_rows(
        (
            "googlenet_bn",
            "googlenet_bn",
            6_624_904,
            1_498_376_192,
            "GoogLeNet with batch normalisation, torchvision's variant",
        ),
        family="GoogLeNet",
        module="googlenet",
        paper=_WITH_NORM.format("Szegedy and others (arXiv 1409.4842)"),
        year=2015,
        least_size=15,
    ),
    *_rows(
        ("resnet18", "resnet18", 11_689_512, 1_814_073_344, "eight residual blocks of two 3x3 convolutions"),
        ("resnet34", "resnet34", 21_797_672, 3_663_761_408, "sixteen residual blocks of two 3x3 convolutions"),
        ("resnet50", "resnet50", 25_557_032, 4_089_184_256, "sixteen bottleneck blocks"),
        ("resnet101", "resnet101", 44_549_160, 7_801_405_440, "thirty-three bottleneck blocks"),
        family="ResNet",
        module="resnet",
        paper=_RESNET,
        year=2015,
        least_size=1,
    ),
    *_rows(
        ("resnet18_small", "resnet18_small", 11_173_962, 555_422_720, "resnet18 with a stem for 28 or 32 pixels"),
        ("resnet34_small", "resnet34_small", 21_282_122, 1_159_402_496, "resnet34 with a stem for 28 or 32 pixels"),
        ("resnet50_small", "resnet50_small", 23_520_842, 1_297_829_888, "resnet50 with a stem for 28 or 32 pixels"),
        family="ResNet",
        module="resnet",
        paper=_RESNET,
        year=2015,
        input_size=32,
        num_classes=10,
        least_size=1,
    ),
    *_rows(
        (
            "densenet121",
            "densenet121",
            7_978_856,
            2_834_161_664,
            "four blocks of 6, 12, 24, 16 densely connected layers",
        ),
        (
            "densenet169",
            "densenet169",
            14_149_480,
            3_359_843_328,
            "four blocks of 6, 12, 32, 32 densely connected layers",
        ),
        family="DenseNet",
        module="densenet",
        paper=_DENSENET,
        year=2016,
        least_size=29,
    ),
    *_rows(
        (
            "densenet121_small",
            "densenet121_small",
            6_956_426,
            888_350_720,
            "densenet121 with a stem for 28 or 32 pixels",
        ),
        family="DenseNet",
        module="densenet",
        paper=_DENSENET,
        year=2016,
        input_size=32,
        num_classes=10,
        least_size=8,
    ),
    *_rows(
        ("se_resnet18", "se_resnet18", 11_778_592, 1_814_160_384, "resnet18 that weighs its channels"),
        (
            "se_resnet50",
            "se_resnet50",
            28_088_024,
            4_091_699_200,
            "resnet50 that weighs its channels: SE blocks won ILSVRC 2017",
        ),
        family="SENet",
        module="senet",
        paper=_SENET,
        year=2017,
        least_size=1,
    ),
    *_rows(
        (
            "se_resnet18_small",
            "se_resnet18_small",
            11_263_042,
            555_509_760,
            "se_resnet18 with a stem for 28 or 32 pixels",
        ),
        family="SENet",
        module="senet",
        paper=_SENET,
        year=2017,
        input_size=32,
        num_classes=10,
        least_size=1,
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def model_entry(name: str) -> ModelEntry:
    """The catalogue's row for a model; a `UserError` names the nearest model when there is none."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]
