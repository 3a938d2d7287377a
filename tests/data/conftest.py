import gzip
import itertools
import lzma
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convscope.data.idx import write_idx

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.fixture
def idx_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder in FashionMNIST's layout: 40 training and 20 test images of 4x4 pixels, four classes."""

    def make(suffix: str = "", **replaced: torch.Tensor) -> Path:
        folder = tmp_path / "own"
        folder.mkdir()
        for prefix, count in (("train", 40), ("t10k", 20)):
            parts = {
                "images-idx3": torch.arange(count * 16).view(count, 4, 4).to(torch.uint8),
                "labels-idx1": (torch.arange(count) % 4).to(torch.uint8),
            }
            for part, elements in parts.items():
                raw = folder / f"{prefix}-{part}-ubyte"
                write_idx(raw, replaced.get(f"{prefix}_{part[:6]}", elements))
                raw.with_name(raw.name + suffix).write_bytes(PACK[suffix](raw.read_bytes()))
                if suffix:
                    raw.unlink()
        return folder

    return make


def _as_python2(value: Any, memo: Iterator[int]) -> bytes:
    """The instructions of Python 2's cPickle for a value: everything but numbers gets a place in the memo."""

    def put() -> bytes:
        index = next(memo)
        return b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index)

    match value:
        case None | bool():
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int() if 0 <= value < 1 << 16:
            return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
        case int():
            return b"J" + struct.pack("<i", value)
        case bytes():
            head = b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))
            return head + value + put()
        case tuple():
            items = b"".join(_as_python2(item, memo) for item in value)
            if not value:
                return b")"
            return (b"(" + items + b"t" if len(value) > 3 else items + bytes([0x84 + len(value)])) + put()
        case list():
            place = put()
            items = [_as_python2(item, memo) for item in value]
            pieces = (items[first : first + 1000] for first in range(0, len(items), 1000))
            return (
                b"]"
                + place
                + b"".join(piece[0] + b"a" if len(piece) == 1 else b"(" + b"".join(piece) + b"e" for piece in pieces)
            )
        case dict():
            place = put()
            items = [_as_python2(key, memo) + _as_python2(item, memo) for key, item in value.items()]
            if len(items) < 2:
                return b"}" + place + b"".join(item + b"s" for item in items)
            return b"}" + place + b"(" + b"".join(items) + b"u"
        case np.ndarray():
            code = value.dtype.str[1:].encode()
            dtype = b"cnumpy\ndtype\n" + put() + _as_python2((code, 0, 1), memo) + b"R" + put()
            dtype += _as_python2((3, b"|", None, None, None, -1, -1, 0), memo) + b"b"
            fortran = value.flags.f_contiguous and not value.flags.c_contiguous
            state = b"(" + _as_python2(1, memo) + _as_python2(value.shape, memo) + dtype
            state += _as_python2(fortran, memo) + _as_python2(value.tobytes("A"), memo) + b"t" + put()
            made = b"cnumpy.core.multiarray\n_reconstruct\n" + put() + b"cnumpy\nndarray\n" + put()
            return (
                made + _as_python2((0,), memo) + _as_python2(b"b", memo) + b"\x87" + put() + b"R" + put() + state + b"b"
            )
    raise TypeError(type(value))


@pytest.fixture(scope="session")
def python2_pickle() -> Callable[[Any], bytes]:
    """Pickles as Python 2 did, in which CIFAR-10 was published; today's Python writes strings and arrays otherwise."""
    return lambda value: b"\x80\x02" + _as_python2(value, itertools.count()) + b"."


@pytest.fixture
def cifar_folder(tmp_path: Path, python2_pickle: Callable[[Any], bytes]) -> Callable[..., Path]:
    """Makes a folder in CIFAR-10's layout: four images a file, three classes; files can be replaced."""

    def make(name: str = "own", **replaced: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        contents: dict[str, Any] = {"batches.meta": {b"label_names": [b"cat", b"dog", b"frog"], b"num_vis": 3072}}
        batches = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
        for k, batch in enumerate(batches):
            pixels = np.arange(4 * 3072, dtype=np.uint32).reshape(4, 3072) % 251 + k
            contents[batch] = {
                b"batch_label": batch.encode(),
                b"labels": [0, 1, 2, k % 3],
                b"data": pixels.astype(np.uint8),
                b"filenames": [b"%d_%d.png" % (k, image) for image in range(4)],
            }
        for file, value in (contents | replaced).items():
            (folder / file).write_bytes(value if isinstance(value, bytes) else python2_pickle(value))
        return folder

    return make
