"""The cache of decoded photos: what is in it, and what becomes of it when files change and processes die."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.data import decoded as module
from convscope.data.cache import map_file
from convscope.data.decoded import Decoded, decode
from convscope.data.decoding import read_square
from convscope.data.folder import list_images
from convscope.downloads import Progress
from convscope.errors import ConvscopeError, UserError

SIZE = 16


def photo(path: Path, seed: int, *, mode: str = "RGB", width: int = 40, height: int = 24) -> Path:
    """A file of coloured noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((width, height)).convert(mode).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good photos, three of each class."""
    for seed in range(3):
        photo(tmp_path / f"photos/cat/{seed}.jpg", seed)
        photo(tmp_path / f"photos/dog/{seed}.png", 10 + seed)
    return tmp_path / "photos"


def run(folder: Path, *, progress: Progress | None = None) -> Decoded:
    """Decode into a cache beside the folder."""
    return decode(list_images(folder), size=SIZE, resize="crop", data_dir=folder.parent / "data", progress=progress)


def check(decoded: Decoded, folder: Path) -> None:
    """Every row is what prediction reads from its file, and nothing lies about."""
    for file, pixels in zip(decoded.files, decoded.pixels, strict=True):
        expected = read_square(folder / file.path, size=SIZE, resize="crop")
        assert torch.equal(pixels, expected.expand_as(pixels))
    assert len(list(decoded.folder.iterdir())) == 2  # pixels and index


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are decoded from now on."""
    names: list[str] = []

    def note(image: Image.Image, **settings: object) -> torch.Tensor:
        names.append(Path(image.fp.name).name)  # type: ignore[union-attr]
        return decode_square(image, **settings)

    decode_square = module.decode_square
    monkeypatch.setattr(module, "decode_square", note)
    return names


def test_training_sees_the_pixels_that_prediction_sees(folder: Path) -> None:
    # R-C7: the same function makes both, whatever the file.
    photo(folder / "cat/large.jpg", 3, width=900, height=700)
    photo(folder / "cat/grey.png", 4, mode="L")
    photo(folder / "dog/print.jpg", 5, mode="CMYK")
    photo(folder / "dog/palette.gif", 6, mode="P")
    photo(folder / "dog/clear.webp", 7, mode="RGBA")
    photo(folder / os.fsdecode(b"dog/\xff\xfe.png"), 8)  # a name that is no text
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(folder / "cat/0.jpg") as image:
        image.save(folder / "dog/turned.jpg", exif=exif)
    decoded = run(folder)
    assert decoded.pixels.shape == (13, 3, SIZE, SIZE)
    assert decoded.pixels.dtype == torch.uint8
    check(decoded, folder)
    large = next(file for file in decoded.files if file.path == "cat/large.jpg")
    assert (large.label, large.part, large.width, large.height, large.mode) == (0, None, 900, 700, "RGB")
    modes = {file.path: file.mode for file in decoded.files}
    assert (modes["cat/grey.png"], modes["dog/print.jpg"], modes["dog/palette.gif"]) == ("L", "CMYK", "P")


def test_rows_are_in_the_order_of_their_contents(folder: Path) -> None:
    shutil.copy(folder / "cat/0.jpg", folder / "dog/copy.jpg")
    files = run(folder).files
    digests = [file.digest for file in files]
    assert digests == sorted(digests)
    assert len(set(digests)) == 6
    digest_of = {file.path: file.digest for file in files}
    assert digest_of["cat/0.jpg"] == digest_of["dog/copy.jpg"]


def test_a_second_start_decodes_nothing(folder: Path, opened: list[str]) -> None:
    (folder / "cat/empty.jpg").touch()
    first, second = run(folder), None
    opened.clear()
    second = run(folder)
    assert opened == []
    assert (second.files, second.skipped) == (first.files, first.skipped)
    assert torch.equal(second.pixels, first.pixels)


def test_only_what_is_new_or_changed_is_decoded(folder: Path, opened: list[str]) -> None:
    first = run(folder)
    kept = first.pixels.clone()
    opened.clear()
    photo(folder / "cat/new.png", 20)
    photo(folder / "cat/1.jpg", 21)
    (folder / "dog/2.png").unlink()
    second = run(folder)
    assert sorted(opened) == ["1.jpg", "new.png"]
    assert {file.path for file in second.files} == {
        "cat/0.jpg",
        "cat/1.jpg",
        "cat/2.jpg",
        "cat/new.png",
        "dog/0.png",
        "dog/1.png",
    }
    check(second, folder)
    assert torch.equal(first.pixels, kept)  # whoever has the old cache mapped goes on with it
    opened.clear()
    (folder / "cat/new.png").unlink()
    check(run(folder), folder)
    assert opened == []


def test_grey_photos_have_one_channel_until_a_coloured_one_comes(tmp_path: Path, opened: list[str]) -> None:
    for name in ("cat/1.png", "cat/2.jpg", "dog/1.tif"):
        photo(tmp_path / "photos" / name, len(name), mode="L")
    folder = tmp_path / "photos"
    assert run(folder).pixels.shape == (3, 1, SIZE, SIZE)
    coloured = photo(folder / "dog/2.png", 1)
    mixed = run(folder)
    assert mixed.pixels.shape == (4, 3, SIZE, SIZE)
    check(mixed, folder)
    coloured.unlink()
    grey = run(folder)
    assert grey.pixels.shape == (3, 1, SIZE, SIZE)
    check(grey, folder)
    assert sorted(opened) == ["1.png", "1.tif", "2.jpg", "2.png"]


def test_settings_have_caches_of_their_own(folder: Path) -> None:
    listing = list_images(folder)
    for size, resize in ((8, "crop"), (8, "pad"), (12, "pad")):
        for _ in range(2):
            decoded = decode(listing, size=size, resize=resize, data_dir=folder.parent / "data")  # type: ignore[arg-type]
            file = decoded.files[0]
            assert torch.equal(decoded.pixels[0], read_square(folder / file.path, size=size, resize=resize))  # type: ignore[arg-type]
    assert len(list((folder.parent / "data/decoded").iterdir())) == 3


def test_files_that_give_no_pixels_are_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (folder / "cat/0.jpg").read_bytes()
    (folder / "cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cat/empty.jpg").touch()
    (folder / "cat/page.jpg").write_text("<html>404</html>")
    photo(folder / "dog/bomb.png", 1, width=400, height=400)
    photo(folder / "dog/gone.png", 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # Pillow itself would refuse only twice as many
    listing = list_images(folder)
    (folder / "dog/gone.png").unlink()
    decoded = decode(listing, size=SIZE, resize="crop", data_dir=folder.parent / "data")
    assert len(decoded.files) == 6
    check(decoded, folder)
    reasons = {file.path: file.reason for file in decoded.skipped}
    assert reasons.pop("cat/cut.jpg").startswith("cannot be decoded (")
    assert reasons == {
        "cat/empty.jpg": "is empty",
        "cat/page.jpg": "is no image",
        "dog/bomb.png": "has more than 0 million pixels",
        "dog/gone.png": "cannot be read (No such file or directory)",
    }


def test_a_file_that_may_be_read_again_is_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path_open = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "1.jpg":
            raise PermissionError(13, "Permission denied")
        return path_open(path, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)  # permissions do not hold for the superuser
        for _ in range(2):
            assert [file.reason for file in run(folder).skipped] == ["cannot be read (Permission denied)"]
    decoded = run(folder)
    assert decoded.skipped == ()
    check(decoded, folder)


def test_a_folder_without_a_good_photo(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.jpg").touch()
    with pytest.raises(UserError, match=r"none of the 2 images in .*photos can be decoded \(cat/1.jpg is empty\)"):
        run(tmp_path / "photos")


@pytest.mark.parametrize("damage", ["no index", "half an index", "another index", "no pixels", "half the pixels"])
def test_a_damaged_cache_is_made_again(damage: str, folder: Path) -> None:
    cache = run(folder).folder
    index, pixels = cache / "index.json", next(cache.glob("*.pixels"))
    if damage == "no index":
        index.unlink()
    elif damage == "half an index":
        index.write_bytes(index.read_bytes()[:-100])
    elif damage == "another index":
        index.write_text('{"pixels": 3}')
    elif damage == "no pixels":
        pixels.unlink()
    else:
        os.truncate(pixels, 1000)
    check(run(folder), folder)


def test_progress_counts_bytes(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run(folder, progress=lambda name, done, total: told.append((name, done, total)))
    total = sum(path.stat().st_size for path in folder.rglob("*.*"))
    assert {(name, all_of_it) for name, _, all_of_it in told} == {("decoding 6 photos", total)}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == total


def test_an_interrupt_leaves_nothing(folder: Path) -> None:
    def interrupt(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, progress=interrupt)
    cache = next((folder.parent / "data/decoded").iterdir())
    assert list(cache.iterdir()) == []
    check(run(folder), folder)


def start(folder: Path, progress: str) -> subprocess.Popen[str]:
    """A process that decodes the folder, with the body of a function `progress`, and prints how many photos it has."""
    script = f"""
import sys, time
from pathlib import Path
from convscope.data.decoded import decode
from convscope.data.folder import list_images

folder = Path({str(folder)!r})

def progress(name, done, total):
    {progress}

found = decode(list_images(folder), size={SIZE}, resize="crop", data_dir=folder.parent / "data", progress=progress)
print(len(found.pixels))
"""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_a_killed_process_leaves_nothing_that_stays(folder: Path) -> None:
    with start(folder, "print(done, flush=True); time.sleep(100)") as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0  # in the middle of its work
        process.send_signal(signal.SIGKILL)
    cache = next((folder.parent / "data/decoded").iterdir())
    assert [path.name for path in cache.iterdir()] == ["lock"]
    (cache / ".half.part.pixels").write_bytes(b"what is left of a process killed while it wrote the cache")
    check(run(folder), folder)


def test_two_processes_at_once_decode_once(folder: Path) -> None:
    # The first waits in the middle of its work until the second says that it waits for the first.
    first = start(folder, "print(done, flush=True)\n    while not (folder.parent / 'go').exists(): time.sleep(0.01)")
    with first:
        assert first.stdout is not None
        first.stdout.readline()
        with start(folder, "print(name, flush=True); (folder.parent / 'go').touch()") as second:
            output, _ = second.communicate(timeout=60)
        assert output.splitlines() == ["waiting for another process to decode them", "6"]
        assert first.communicate(timeout=60)[0].splitlines()[-1] == "6"
    check(run(folder), folder)


def test_no_room_and_no_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").touch()
    with pytest.raises(ConvscopeError, match=r"cannot keep decoded photos in .*/file/.*--data-dir"):
        decode(list_images(folder), size=SIZE, resize="crop", data_dir=folder.parent / "file")
    usage = shutil.disk_usage(folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ConvscopeError, match=r"takes up to 9 MB in .*, where 1 MB are free: .*--data-dir"):
        decode(list_images(folder), size=512, resize="crop", data_dir=folder.parent / "data")


def test_a_file_larger_than_the_memory_is_mapped(tmp_path: Path) -> None:
    # R-B3
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2
    with (tmp_path / "pixels").open("wb+") as file:
        file.truncate(size)  # a hole, which takes no room
        pixels = map_file(file, (size // 1024, 1, 32, 32))
        assert pixels[-1].sum() == 0
