"""The data sets."""

from dataclasses import dataclass, field
from typing import Literal

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
class DataArchive:
    """The one archive in which a whole data set is published."""

    name: str
    algorithm: str
    """Of the checksum, as `hashlib` calls it."""
    digest: str
    """Checksum of the archive as published, in hexadecimal."""
    folder: str
    """What it is unpacked for: a folder of it, which is then found under the same name in the data directory."""
    contents: tuple[str, ...]
    """Files or folders without which that folder is not complete, in capitals or not."""
    most_bytes: int
    """More room than its files take: a bound, so that nothing else that unpacks can fill the disk."""


@dataclass(frozen=True, kw_only=True)
class DataEntry:
    """One named data set of the catalogue."""

    name: str
    summary: str
    classes: tuple[str, ...]
    in_channels: int
    input_size: int | None
    """Height and width of the images, in pixels; None for photos of many sizes."""
    train_images: int
    test_images: int | None
    """None where no test part is published, so that one is cut off the training images."""
    licence: str
    source: str
    """Who made it, for the reader."""
    layout: Literal["idx", "cifar", "folder"] = "idx"
    """How its folder is read: four IDX files, CIFAR-10's pickles, or a folder of photos for each class."""
    addresses: tuple[str, ...] = ()
    """Published locations of the files or the archive, asked one after the other."""
    files: tuple[DataFile, ...] = field(default=(), repr=False)
    archive: DataArchive | None = field(default=None, repr=False)
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
        DataEntry(
            name="cifar10",
            summary="60,000 small colour photos of animals and vehicles",
            classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            in_channels=3,
            input_size=32,
            train_images=50_000,
            test_images=10_000,
            licence="none stated",
            source="Krizhevsky: Learning multiple layers of features from tiny images (2009)",
            layout="cifar",
            addresses=("https://www.cs.toronto.edu/~kriz/",),
            archive=DataArchive(
                name="cifar-10-python.tar.gz",
                algorithm="md5",
                digest="c58f30108f718f92721af3b95e74349a",
                folder="cifar-10-batches-py",
                contents=(*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
                most_bytes=200_000_000,
            ),
        ),
        DataEntry(
            name="cats-vs-dogs",
            summary="25,000 photos of cats and dogs, of many sizes; a few are damaged",
            classes=("cat", "dog"),
            in_channels=3,
            input_size=None,
            train_images=25_000,
            test_images=None,
            licence="Microsoft Research, in the archive",
            source="Elson, Douceur, Howell, Saul: Asirra (2007), Microsoft Research and Petfinder.com",
            layout="folder",
            addresses=("https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/",),
            archive=DataArchive(
                name="kagglecatsanddogs_5340.zip",
                algorithm="sha256",
                digest="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
                folder="PetImages",
                contents=("cat", "dog"),
                most_bytes=2_000_000_000,
            ),
        ),
    )
}


def data_entry(name: str) -> DataEntry:
    """The catalogue's row for a data set; a `UserError` names the nearest one when there is none."""
    if name not in DATA:
        raise unknown("data set", name, DATA)
    return DATA[name]
