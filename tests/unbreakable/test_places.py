"""Full disks and directories that may only be read: what the system itself refuses, whichever library asks.

What stands in for faults in test_faults.py does not see what libraries write by themselves; the system sees all.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.data.photos import load_photos
from convscope.errors import ConvscopeError

Training = Any  # of conftest.py
Command = Callable[..., Any]

NOBODY = 65534


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of its own with 1 MB."""
    with tempfile.TemporaryDirectory() as disk:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("only root, where nothing forbids it, can make a small disk")
        try:
            yield Path(disk)
        finally:  # though some of its files may be mapped into memory still
            subprocess.run(["umount", "--lazy", disk], check=True)


def leave(room: int, disk: Path) -> Path:
    """Fill a disk but for so many bytes; gives the file that takes the room."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    return filler


# The setting and the state take 12 KB, checkpoints of the linear network 100 and 30 KB.
@pytest.mark.parametrize("room", [0, 8_000, 40_000, 130_000, 180_000, 260_000])
def test_a_training_on_a_full_disk_goes_on_when_there_is_room(
    room: int, training: Callable[[Path], Training], whole: Training, small_disk: Path
) -> None:
    # R-F6
    filler = leave(room, small_disk)
    disturbed = training(small_disk / "runs")
    done = disturbed.start()
    assert done.sentence
    assert "No space left on device" in done.sentence or "MiB free on its disk" in done.sentence
    assert not any(".convscope-" in name for name in disturbed.files())
    disturbed.assert_kept_what_was_promised(done.out)
    filler.unlink()
    disturbed.assert_ends_like(whole)


@pytest.mark.parametrize("room", [0, 30_000, 120_000])
def test_photos_are_decoded_when_there_is_room(
    room: int, photo_folder: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 90 photos of 16 pixels take 69 KB, twice. Something else fills the disk after it was asked how much is free.
    data_dir, filler = small_disk / "data", leave(room, small_disk)
    plenty = shutil.disk_usage(photo_folder)
    with monkeypatch.context() as patch, pytest.raises(ConvscopeError, match="No space left on device") as caught:
        patch.setattr(shutil, "disk_usage", lambda place: plenty)
        load_photos(photo_folder, size=16, data_dir=data_dir)
    assert str(small_disk) in str(caught.value)
    assert not [path for path in data_dir.rglob("*") if path.is_file()]
    filler.unlink()
    assert len(load_photos(photo_folder, size=16, data_dir=data_dir).decoded.files) == 90


@pytest.mark.parametrize("size", [0, 100, 1_000, 5_000, 31_000, 60_000, 95_000])
def test_a_file_of_which_only_a_part_can_be_written(
    size: int,
    training: Callable[[Path], Training],
    whole: Training,
    largest_file: Callable[..., Any],
    tmp_path: Path,
) -> None:
    disturbed = training(tmp_path / "runs")
    with largest_file(size):
        done = disturbed.start()
    assert "File too large" in done.sentence or "could not be written whole" in done.sentence
    assert not any(".convscope-" in name for name in disturbed.files())
    disturbed.assert_ends_like(whole)


# Directories that may be read only


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def without_permission(folder: Path) -> Iterator[None]:
    """Be nobody in particular, who may not write into a folder; root may write everywhere."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_may_only_be_read(whole: Training, public: Path, photo_folder: Path) -> None:
    shutil.copytree(whole.data, public / "data")
    shutil.copy(photo_folder / "plum" / "0.jpg", public / "photo.jpg")
    command, training = whole.command, replace(whole, data=public / "data", folder=public / "runs")
    assert training.start().status == 0
    run, photo = training.run.path, public / "photo.jpg"
    assert command("predict", run, photo).status == 0  # and what it imports need not be for everybody to read
    before = contents(public)
    with without_permission(public):
        assert command("runs", "--runs-dir", run.parent).status == 0
        assert command("runs", "show", run).status == 0
        assert command("predict", run, photo).status == 0
        for verb in ("report", "evaluate"):
            assert f"cannot write {run}" in command(verb, run).sentence
        assert "there is already a run at" in training.start().sentence
        new = command("train", training.data, "linear", "--name", "second", "--runs-dir", run.parent)
        assert "(Permission denied): choose a directory you may write to with --runs-dir" in new.sentence
        assert f"cannot write to {run} (Permission denied)" in command("train", "--resume", run).sentence
    assert contents(public) == before


def test_a_data_directory_that_may_only_be_read(command: Command, photo_folder: Path, public: Path) -> None:
    shutil.copytree(photo_folder, public / "photos")
    (public / "data").mkdir()
    with without_permission(public):
        with pytest.raises(ConvscopeError, match=r"cannot keep decoded photos in .*: Permission denied"):
            load_photos(public / "photos", size=16, data_dir=public / "data")
        done = command("data", "fetch", "cifar10", "--data-dir", public / "data")
        assert f"cannot write to {public / 'data'} (Permission denied): choose another" in done.sentence
    # What is decoded already serves everybody.
    load_photos(public / "photos", size=16, data_dir=public / "data")
    with without_permission(public):
        assert len(load_photos(public / "photos", size=16, data_dir=public / "data").decoded.files) == 90
