"""What exists: the models and data sets Convscope knows, as data. Nothing here imports torch, so lists are instant."""

from dataclasses import dataclass, field

from convscope.errors import unknown


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One network of the catalogue."""

    name: str
    builder: str
    """Where the builder function is, as `module:function`."""
    summary: str
    paper: str
    year: int
    in_channels: int
    """Channels of the images the paper, or the article that made the network known, gave it."""
    input_size: int
    """Height and width of those images, in pixels."""
    least_size: int
    """The smallest height and width that leaves the last layer something to see."""
    parameters: int
    """Trainable parameters for `in_channels`, `input_size` and ten classes, as published."""


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One published file of a data set."""

    name: str
    """Its name without the compression suffix; published and fetched as `name + '.gz'`."""
    md5: str
    """Checksum of the compressed file as published."""
    sha256: str | None = None
    """Checksum of the decompressed bytes, whoever compressed them."""


@dataclass(frozen=True, kw_only=True)
class DataEntry:
    """One named data set of the catalogue."""

    name: str
    summary: str
    classes: tuple[str, ...]
    in_channels: int
    input_size: int
    train_images: int
    test_images: int
    licence: str
    source: str
    """Who made it, for the reader."""
    addresses: tuple[str, ...] = ()
    """Published locations of the files, asked one after the other."""
    files: tuple[DataFile, ...] = field(default=(), repr=False)
    debian_package: str | None = None
    """The Debian package that carries the files, and the directory it puts them in."""
    debian_directory: str | None = None


_LENET = "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition"
_VGG = "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition (arXiv 1409.1556)"
_VGG_NORM = (
    "Ioffe, Szegedy: Batch normalization (arXiv 1502.03167), in the blocks of Simonyan, Zisserman (arXiv 1409.1556)"
)
_EXPLAINER = "Wang et al.: CNN Explainer (arXiv 2004.15004)"

MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="linear",
            builder="convscope.models.linear:linear",
            summary="one fully connected layer on the pixels: the baseline every network has to beat",
            paper="Cox: The regression analysis of binary sequences (logistic regression)",
            year=1958,
            in_channels=1,
            input_size=28,
            least_size=1,
            parameters=7_850,
        ),
        ModelEntry(
            name="lenet5",
            builder="convscope.models.lenet:lenet5",
            summary="two convolutions and three fully connected layers: the first to read cheques",
            paper=_LENET,
            year=1998,
            in_channels=1,
            input_size=28,
            least_size=12,
            parameters=61_706,
        ),
        ModelEntry(
            name="simplenet",
            builder="convscope.models.simplenet:simplenet",
            summary="two convolutions and one fully connected layer, small enough to compute by hand",
            paper="a teaching network for CIFAR-10",
            year=2020,
            in_channels=3,
            input_size=32,
            least_size=4,
            parameters=25_578,
        ),
        ModelEntry(
            name="tinyvgg",
            builder="convscope.models.tinyvgg:tinyvgg",
            summary="VGG's rules at the size of FashionMNIST: two blocks of convolutions, two fully connected layers",
            paper=_VGG,
            year=2014,
            in_channels=1,
            input_size=28,
            least_size=4,
            parameters=467_818,
        ),
        ModelEntry(
            name="tinyvgg_explainer",
            builder="convscope.models.tinyvgg:tinyvgg_explainer",
            summary="the ten-channel network that CNN Explainer shows",
            paper=_EXPLAINER,
            year=2020,
            in_channels=3,
            input_size=64,
            least_size=16,
            parameters=19_920,
        ),
        ModelEntry(
            name="tinyvgg_bn",
            builder="convscope.models.tinyvgg:tinyvgg_bn",
            summary="three blocks of two convolutions with batch normalisation, dropout before the last layer",
            paper=_VGG_NORM,
            year=2015,
            in_channels=1,
            input_size=28,
            least_size=8,
            parameters=435_754,
        ),
    )
}

_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_FASHION_SOURCE = "Xiao, Rasul, Vollgraf: Fashion-MNIST (arXiv 1708.07747), Zalando SE"

DATA: dict[str, DataEntry] = {
    entry.name: entry
    for entry in (
        DataEntry(
            name="fashion-mnist",
            summary="70,000 grey pictures of clothes from Zalando's shop",
            classes=_FASHION_CLASSES,
            in_channels=1,
            input_size=28,
            train_images=60_000,
            test_images=10_000,
            licence="MIT",
            source=_FASHION_SOURCE,
            addresses=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            ),
            files=(
                DataFile(
                    name="train-images-idx3-ubyte",
                    md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                ),
                DataFile(
                    name="train-labels-idx1-ubyte",
                    md5="25c81989df183df01b3e8a0aad5dffbe",
                    sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                ),
                DataFile(
                    name="t10k-images-idx3-ubyte",
                    md5="bef4ecab320f06d8554ea6380940ec79",
                    sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                ),
                DataFile(
                    name="t10k-labels-idx1-ubyte",
                    md5="bb300cfdad3c16e7a12a480ee83cd310",
                    sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ),
            ),
            debian_package="dataset-fashion-mnist",
            debian_directory="/usr/share/datasets/fashion-mnist",
        ),
        DataEntry(
            name="fashion-mnist-mini",
            summary="12,000 of FashionMNIST's pictures, shipped inside Convscope: needs no download",
            classes=_FASHION_CLASSES,
            in_channels=1,
            input_size=28,
            train_images=10_000,
            test_images=2_000,
            licence="MIT",
            source=_FASHION_SOURCE,
        ),
        DataEntry(
            name="mnist",
            summary="70,000 grey pictures of handwritten digits",
            classes=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
            in_channels=1,
            input_size=28,
            train_images=60_000,
            test_images=10_000,
            licence="CC BY-SA 3.0",
            source="LeCun, Cortes, Burges: The MNIST database of handwritten digits",
            addresses=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "http://yann.lecun.com/exdb/mnist/",
            ),
            files=(
                DataFile(name="train-images-idx3-ubyte", md5="f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                DataFile(name="train-labels-idx1-ubyte", md5="d53e105ee54ea40749a09fcbcd1e9432"),
                DataFile(name="t10k-images-idx3-ubyte", md5="9fb629c4189551a2d022fa330f9573f3"),
                DataFile(name="t10k-labels-idx1-ubyte", md5="ec29112dd5afa0611ce80d1b7f02629c"),
            ),
        ),
    )
}


def model_entry(name: str) -> ModelEntry:
    """The catalogue's row for a model; a `UserError` names the nearest model when there is none."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]


def data_entry(name: str) -> DataEntry:
    """The catalogue's row for a data set; a `UserError` names the nearest one when there is none."""
    if name not in DATA:
        raise unknown("data set", name, DATA)
    return DATA[name]
