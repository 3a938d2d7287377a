import gzip
import lzma
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from convscope.data.idx import read_idx, read_images, read_labels, write_idx
from convscope.errors import UserError

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
# Two images of 3x2 pixels.
GOOD = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 2) + bytes(range(12))


def put(folder: Path, contents: bytes, suffix: str = "") -> Path:
    path = folder / f"images-idx3-ubyte{suffix}"
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize("suffix", PACK)
def test_reads_what_the_format_says_raw_or_compressed(tmp_path: Path, suffix: str) -> None:
    images = read_idx(put(tmp_path, PACK[suffix](GOOD), suffix))
    assert images.dtype == torch.uint8
    assert images.tolist() == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]


@settings(max_examples=30)
@given(array=hnp.arrays("uint8", hnp.array_shapes(max_dims=4, max_side=7)))
def test_write_then_read_gives_the_same(array) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write_idx(path, torch.from_numpy(array))
        assert torch.equal(read_idx(path), torch.from_numpy(array))


def test_write_keeps_the_order_of_a_view(tmp_path: Path) -> None:
    turned = torch.arange(6, dtype=torch.uint8).view(2, 3).T
    write_idx(tmp_path / "file", turned)
    assert torch.equal(read_idx(tmp_path / "file"), turned)


def test_write_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give uint8"):
        write_idx(tmp_path / "file", torch.zeros(2))
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "no IDX file"),
        (b"\x89PNG\r\n\x1a\n", "no IDX file"),
        (struct.pack(">HBBI", 0, 13, 1, 3) + bytes(12), "elements of type 13"),
        (struct.pack(">HBB", 0, 8, 9) + bytes(99), "in 9 dimensions"),
        (GOOD[:9], "ends within its header"),
        (GOOD[:-1], "only 11 are there"),
        (GOOD + b"\0", "more follow"),
        (struct.pack(">HBBIII", 0, 8, 3, 0, 28, 28), "is empty"),
        (struct.pack(">HBB4I", 0, 8, 4, *[0xFFFFFFFF] * 4) + bytes(9), "only 9 are there"),
    ],
)
@pytest.mark.parametrize("suffix", PACK)
def test_damaged_contents_are_named(tmp_path: Path, contents: bytes, message: str, suffix: str) -> None:
    path = put(tmp_path, PACK[suffix](contents), suffix)
    with pytest.raises(UserError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert path.exists()


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-9],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:30] + bytes([packed[30] ^ 0xFF]) + packed[31:],
        lambda packed: b"not compressed at all",
    ],
    ids=["end lost", "half lost", "byte changed", "no archive"],
)
def test_damaged_archives_are_named(tmp_path: Path, damage: Callable[[bytes], bytes], suffix: str) -> None:
    path = put(tmp_path, damage(PACK[suffix](GOOD)), suffix)
    with pytest.raises(UserError, match="replace it by") as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_idx(tmp_path / "nothing")


@pytest.mark.parametrize(
    "contents",
    [
        struct.pack(">HBBIII", 0, 8, 3, 0xFFFFFFFF, 28, 28) + bytes(100),  # promises 3 TB
        struct.pack(">HBBI", 0, 8, 1, 4) + bytes(100_000_000),  # hides 100 MB behind four bytes
    ],
    ids=["absurd header", "bomb"],
)
def test_memory_follows_neither_the_header_nor_the_archive(tmp_path: Path, contents: bytes) -> None:
    path = put(tmp_path, gzip.compress(contents, compresslevel=1), ".gz")
    del contents
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="is damaged"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_swapped_files_are_recognised(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", torch.zeros(4, 3, 3, dtype=torch.uint8))
    write_idx(tmp_path / "labels", torch.zeros(4, dtype=torch.uint8))
    assert read_images(tmp_path / "images").shape == (4, 1, 3, 3)
    assert read_labels(tmp_path / "labels").dtype == torch.int64
    with pytest.raises(UserError, match=r"should hold images.*swapped"):
        read_images(tmp_path / "labels")
    with pytest.raises(UserError, match=r"should hold labels.*swapped"):
        read_labels(tmp_path / "images")


@pytest.mark.parametrize("suffix", PACK)
def test_checksum_is_that_of_the_decompressed_bytes(tmp_path: Path, suffix: str) -> None:
    path = put(tmp_path, PACK[suffix](GOOD), suffix)
    assert read_idx(path, sha256=sha256(GOOD).hexdigest()).shape == (2, 3, 2)
    with pytest.raises(UserError, match="not the published file"):
        read_idx(path, sha256=sha256(b"another").hexdigest())
    assert path.exists()
