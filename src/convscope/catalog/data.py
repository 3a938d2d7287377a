"""The data sets."""

from dataclasses import dataclass, field

from convscope.errors import unknown


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


def data_entry(name: str) -> DataEntry:
    """The catalogue's row for a data set; a `UserError` names the nearest one when there is none."""
    if name not in DATA:
        raise unknown("data set", name, DATA)
    return DATA[name]
