"""Make the FashionMNIST subset that is shipped inside Convscope: python scripts/embed_fashion_mnist.py FOLDER.

FOLDER holds the four published files, raw or compressed. Writes 10,000 training and 2,000 test images, the
same number of every class, drawn with a fixed seed, to src/convscope/data/mini/.
"""

import lzma
import sys
import tempfile
from pathlib import Path

from convscope.catalog import data_entry
from convscope.data.datasets import load_train_test
from convscope.data.idx import write_idx
from convscope.data.imageset import ImageSet
from convscope.data.splits import stratified_split

MINI = Path(__file__).parent.parent / "src" / "convscope" / "data" / "mini"
SEED = 1708_07747  # FashionMNIST's number at arXiv
LARGEST = 6_000_000  # bytes, all files together


def main(folder: Path) -> None:
    train, test = load_train_test(folder)
    sizes = data_entry("fashion-mnist-mini")
    assert sizes.test_images is not None
    for image_set, count, prefix in ((train, sizes.train_images, "train"), (test, sizes.test_images, "t10k")):
        _, indices = stratified_split(image_set.labels, share=count / len(image_set), seed=SEED)
        _write(image_set.select(indices), prefix)
    (MINI / "classes.txt").write_text("\n".join(sizes.classes) + "\n", encoding="utf-8")
    total = sum(path.stat().st_size for path in MINI.iterdir())
    print(f"{MINI}: {total:,} bytes")
    if total > LARGEST:
        sys.exit(f"more than {LARGEST:,} bytes: take fewer images")


def _write(subset: ImageSet, prefix: str) -> None:
    contents = {"images-idx3": subset.images[:, 0], "labels-idx1": subset.labels.to(subset.images.dtype)}
    with tempfile.TemporaryDirectory() as scratch:
        for kind, elements in contents.items():
            raw = Path(scratch) / f"{prefix}-{kind}-ubyte"
            write_idx(raw, elements)
            # lc, lp, pb: to predict a byte, look at the one before, not at its position modulo four.
            filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
            packed = lzma.compress(raw.read_bytes(), format=lzma.FORMAT_XZ, filters=filters)
            (MINI / f"{raw.name}.xz").write_bytes(packed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
