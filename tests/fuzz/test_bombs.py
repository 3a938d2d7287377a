"""Files made to hurt: small ones that unpack to something huge, links without end, programs that look like images."""

import gzip
import io
import json
import os
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import samples
from guard import Caught, guarded
from PIL import Image

from convscope.catalog import data_entry
from convscope.cli.main import main
from convscope.data import fetch, folder, read_idx
from convscope.data.decoding import Undecodable, read_square
from convscope.data.folder import list_images
from convscope.data.photos import load_photos
from convscope.data.unpacking import unpack
from convscope.errors import UserError
from convscope.recipes import load_config, parse_config
from convscope.runs import Run

MEBIBYTE = 1 << 20


# The guard itself: what it must catch, it catches.


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: os.system("true"),
        lambda folder: exec("1"),
        lambda folder: (folder / ".." / "outside").write_bytes(b""),
        lambda folder: (folder.parent / "outside").mkdir(),
        lambda folder: len(b"x" * (512 * MEBIBYTE)),  # so large a block is never one that was freed before
        lambda folder: [None for _ in iter(int, 1)],
    ],
)
def test_the_guard_catches_harm(harm: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with pytest.raises((Caught, MemoryError)), guarded(tmp_path / "inside", seconds=1, megabytes=100):
        harm(tmp_path / "inside")
    assert {path.name for path in tmp_path.iterdir()} == {"inside"}


def test_the_guard_lets_work_pass(tmp_path: Path) -> None:
    with guarded(tmp_path, megabytes=100):
        (tmp_path / "file").write_bytes(bytes(MEBIBYTE))
        assert len((tmp_path / "file").read_bytes()) == MEBIBYTE


# Settings

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [LAUGHS, MERGES], ids=["lists", "merges"])
def test_a_billion_laughs(text: str, tmp_path: Path) -> None:
    with guarded(tmp_path, seconds=5), pytest.raises(UserError, match=r"line \d+: another place refers to this value"):
        parse_config(text, source="setting.yaml")


@pytest.mark.parametrize("text", ["seed: 0x" + "f" * 2900, "0x" + "f" * 2900 + ": 1", "lr: " + "59:" * 900 + "59"])
def test_numbers_that_cannot_be_written_down(text: str, tmp_path: Path) -> None:
    with guarded(tmp_path, seconds=5), pytest.raises(UserError, match=r"setting\.yaml, line 1"):
        parse_config(text, source="setting.yaml")


def test_a_setting_without_end(tmp_path: Path) -> None:
    with guarded(tmp_path, seconds=5), pytest.raises(UserError, match="more than 65,536 bytes"):
        load_config(Path("/dev/zero"))


# Images


def test_a_program_that_looks_like_an_image(tmp_path: Path) -> None:
    """Pillow gives PostScript to Ghostscript, another program with a language of its own."""
    Image.new("RGB", (9, 9)).save(tmp_path / "file", "EPS")
    (tmp_path / "file").rename(tmp_path / "photo.png")
    with guarded(tmp_path), pytest.raises(Undecodable, match="is no image"):
        read_square(tmp_path / "photo.png", size=8, resize="crop")


def png(width: int, height: int, bits: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1 << 31, 1), (100_000, 100_000), (9_500, 9_500)])
def test_an_image_of_too_many_pixels(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*size))
    with guarded(tmp_path, megabytes=20), pytest.raises(Undecodable, match=r"has more than|cannot be decoded"):
        read_square(tmp_path / "bomb.png", size=8, resize="crop")


# Archives and data files


def with_zeros(begin: bytes) -> bytes:
    """Compressed, and followed by 300 MiB of nothing."""
    return gzip.compress(begin) + 300 * gzip.compress(bytes(MEBIBYTE))


def test_an_archive_of_nothing_that_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(with_zeros(struct.pack(">HBB2I", 0, 8, 2, 1 << 16, 1 << 16)))
    with guarded(tmp_path), pytest.raises(UserError, match=r"bomb\.gz unpacks to more than 100 times its size"):
        read_idx(tmp_path / "bomb.gz")


def test_a_compressed_file_of_a_data_set_that_fills_the_disk(tmp_path: Path) -> None:
    entry = data_entry("mnist")
    for file in entry.files:
        (tmp_path / entry.name / f"{file.name}.gz").parent.mkdir(exist_ok=True)
        (tmp_path / entry.name / f"{file.name}.gz").write_bytes(with_zeros(bytes(8)))
    with guarded(tmp_path), pytest.raises(UserError, match=r"\.gz unpacks to more than 100 times its size"):
        fetch(entry, tmp_path)
    assert {path.suffix for path in (tmp_path / entry.name).iterdir() if not path.name.startswith(".")} == {".gz"}


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_name_in_an_archive_that_fills_the_memory(kind: bytes, tmp_path: Path) -> None:
    header = tarfile.TarInfo("wanted/x")
    header.type, header.size = kind, 300 * MEBIBYTE
    (tmp_path / "bomb.tar.gz").write_bytes(with_zeros(header.tobuf(tarfile.GNU_FORMAT)))
    with guarded(tmp_path), pytest.raises(UserError, match=r"bomb\.tar\.gz is damaged"):
        unpack(tmp_path / "bomb.tar.gz", "wanted", tmp_path / "target", most_bytes=MEBIBYTE)


@pytest.mark.parametrize("name", ["predictions", "examples"])
def test_arrays_that_fill_the_memory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = samples.run(tmp_path)
    monkeypatch.setattr(f"convscope.runs.run._MOST_{name.upper()}", MEBIBYTE)
    with zipfile.ZipFile(run.path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(2 * MEBIBYTE))
    with pytest.raises(UserError, match="it unpacks to 2,097,152 bytes"):
        getattr(run, name)()


def test_predictions_that_announce_too_much(tmp_path: Path) -> None:
    run = samples.run(tmp_path)
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(run.path / "predictions.npz", "w") as archive:
        archive.writestr("logits.npy", file.getvalue())
    with guarded(tmp_path), pytest.raises(UserError, match=r"predictions\.npz is damaged"):
        run.predictions()


# Folders


def test_links_that_make_few_folders_look_like_any_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for level in range(30):
        (tmp_path / "elsewhere" / str(level)).mkdir(parents=True)
    for level in range(29):
        for name in "abcd":
            (tmp_path / "elsewhere" / str(level) / name).symlink_to(tmp_path / "elsewhere" / str(level + 1))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat").symlink_to(tmp_path / "elsewhere" / "0")
    monkeypatch.setattr(folder, "_MOST_FOLDERS", 2000)
    with guarded(tmp_path), pytest.raises(UserError, match="there are more than 2,000 folders"):
        list_images(tmp_path / "photos")


def test_folders_without_end(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        samples.picture().save(tmp_path / name / "1.png")
    deep = tmp_path / "cat"
    for _ in range(300):
        deep /= "d"
        deep.mkdir()
    with guarded(tmp_path):
        listing = list_images(tmp_path)
    assert [file.path for file in listing.files] == ["cat/1.png", "dog/1.png"]
    assert [skipped.reason for skipped in listing.skipped] == ["lies in 40 folders within one another"]


def test_an_index_that_points_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    samples.photos(folder)
    cache = load_photos(folder, size=8, data_dir=tmp_path / "cache").decoded.folder
    index = json.loads((cache / "index.json").read_text())
    (tmp_path / "cache" / "secret").write_bytes((cache / index["pixels"]).read_bytes())
    index["pixels"] = "../../secret"
    (cache / "index.json").write_text(json.dumps(index))
    load_photos(folder, size=8, data_dir=tmp_path / "cache")
    assert json.loads((cache / "index.json").read_text())["pixels"] != "../../secret"


@pytest.mark.parametrize("name", ["caf\udce9", "\x1b[31mred", "two\nlines"])
def test_names_that_cannot_be_shown(name: str, tmp_path: Path) -> None:
    for odd in ("cat", name):
        (tmp_path / odd).mkdir()
        samples.picture().save(tmp_path / odd / "1.png")
    with pytest.raises(UserError, match="a name that cannot be shown: rename it") as raised:
        list_images(tmp_path)
    assert str(raised.value).isprintable()


def test_odd_names_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "cache"))
    names = ["\u202eback", "猫 👩‍🚀", "a" * 200, "-rf", "$(id)", "{{ 1 }}", "<b>"]
    for name in names:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            samples.picture().rotate(number + len(name)).save(tmp_path / "photos" / name / f"caf\udce9\n{number}.png")
        (tmp_path / "photos" / name / "caf\udce9\n.txt").write_text("none")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        assert main(["doctor", "data", "photos", "--debug"]) == 0
    (page,) = tmp_path.rglob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;" in text and "<b>" not in text and r"caf\udce9" in text


def test_a_run_that_is_a_link_to_nowhere_or_to_itself(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "config.yaml").symlink_to(tmp_path / "runs" / "a" / "config.yaml")
    (tmp_path / "runs" / "b").symlink_to(tmp_path / "runs" / "b")
    for name in ("a", "b"):
        with guarded(tmp_path), pytest.raises(UserError, match=r"is not a run|there is no run"):
            Run.open(name, tmp_path / "runs")
