"""Folders of image files in every layout, tidy and untidy; the files are empty, because only names count here."""

import os
from pathlib import Path

import pytest

from convscope.data.decoding import SUFFIXES
from convscope.data.folder import Listing, list_images
from convscope.data.splits import Skipped
from convscope.errors import UserError


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def described(listing: Listing) -> list[str]:
    """Of each file its path, class and part."""
    return [f"{file.path} {listing.classes[file.label]} {file.part}" for file in listing.files]


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    # R-C7
    root = touch(tmp_path, "dog/2.jpg", "dog/10.JPEG", "cat/deep/er/1.png")
    (root / "dog/2.jpg").write_bytes(b"four")
    os.utime(root / "dog/2.jpg", ns=(1, 1_234_567_890_123_456_789))
    listing = list_images(root)
    assert listing.root == root
    assert listing.classes == ("cat", "dog")
    assert described(listing) == ["cat/deep/er/1.png cat None", "dog/10.JPEG dog None", "dog/2.jpg dog None"]
    assert (listing.files[2].bytes, listing.files[2].mtime_ns) == (4, 1_234_567_890_123_456_789)
    assert listing.skipped == ()


def test_every_kind_of_image_is_found_and_nothing_else(tmp_path: Path) -> None:
    names = [f"image{suffix}" for suffix in sorted(SUFFIXES)]
    junk = [".hidden.jpg", "Thumbs.db", "desktop.ini", ".DS_Store", "__MACOSX/1.jpg", ".thumbnails/1.jpg"]
    root = touch(tmp_path, *(f"{kind}/{name}" for kind in ("a", "b") for name in names + junk), "b/notes.txt", "c.docx")
    listing = list_images(root)
    assert [file.path for file in listing.files] == [f"{kind}/{name}" for kind in ("a", "b") for name in names]
    assert listing.skipped == (
        Skipped("b/notes.txt", "is no image by its name"),
        Skipped("c.docx", "is no image by its name"),
    )


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    root = touch(tmp_path, *(f"{name}/1.jpg" for name in ("class10", "Class2", "class1", "apple", "3", "10")))
    assert list_images(root).classes == ("3", "10", "apple", "class1", "Class2", "class10")


def test_a_folder_for_each_part(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "Train/cat/1.jpg", "Train/dog/x/1.jpg", "valid/cat/1.jpg", "validation/dog/1.jpg", "test/dog/1.jpg"
    )
    listing = list_images(touch(root, "test/unlabelled.jpg", "1.jpg"))
    assert listing.classes == ("cat", "dog")
    assert described(listing) == [
        "Train/cat/1.jpg cat train",
        "Train/dog/x/1.jpg dog train",
        "test/dog/1.jpg dog test",
        "valid/cat/1.jpg cat val",
        "validation/dog/1.jpg dog val",
    ]
    assert listing.skipped == tuple(
        Skipped(path, "is in no class's folder") for path in ("1.jpg", "test/unlabelled.jpg")
    )


def test_parts_may_be_missing(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg")
    assert [file.part for file in list_images(root).files] == ["train", "train"]


def test_a_class_may_be_called_like_a_part(tmp_path: Path) -> None:
    listing = list_images(touch(tmp_path, "test/1.jpg", "control/1.jpg"))
    assert described(listing) == ["control/1.jpg control None", "test/1.jpg test None"]


@pytest.mark.parametrize(
    ("header", "row"),
    [("file,label", "{file},{label}"), ("Image, Class", "{file}, {label}"), ("id,class,path", "7,{label},{file}")],
)
def test_a_table_of_labels(header: str, row: str, tmp_path: Path) -> None:
    root = touch(tmp_path, "1.jpg", "sub/2.jpg", "3.jpg", "4.jpg", "notes.txt")
    rows = [
        ("1.jpg", "dog"),
        ("./sub//2.jpg", "cat"),
        ("3.jpg", ""),
        ("5.jpg", "cat"),
        ("../6.jpg", "cat"),
        ("", "cat"),
    ]
    lines = [header, *(row.format(file=file, label=label) for file, label in rows)]
    (root / "labels.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    touch(tmp_path.parent, "6.jpg")
    listing = list_images(root)
    assert described(listing) == ["1.jpg dog None", "sub/2.jpg cat None"]
    assert {file.path: file.reason for file in listing.skipped} == {
        "3.jpg": "has no label in labels.csv",
        "4.jpg": "is not in labels.csv",
        "5.jpg": "is in labels.csv, but not in the folder",
        "../6.jpg": "is outside of the folder",
        "notes.txt": "is no image by its name",
    }


def test_a_table_of_labels_and_parts(tmp_path: Path) -> None:
    root = touch(tmp_path, "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg")
    (root / "labels.csv").write_text(
        "file,label,split\n1.jpg,a,train\n2.jpg,b,\n3.jpg,b,Valid\n4.jpg,a,test\n5.jpg,a,train\n5.jpg,b,train\n1.jpg,a,train\n"
    )
    listing = list_images(root)
    assert described(listing) == ["1.jpg a train", "2.jpg b None", "3.jpg b val", "4.jpg a test"]
    assert listing.skipped == (Skipped("5.jpg", "stands in labels.csv twice, and not with the same label"),)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "has no column file or filename or image or path, only nothing"),
        (b"file;label\n", "has no column file or filename or image or path, only file;label"),
        (b"name,label\n", "only name, label"),
        (b"image,kind\n", "has no column label or class, only image, kind"),
        (b"file,label\n1.jpg,\xff\n", "cannot read .*labels.csv"),
        (b"file,label,split\n1.jpg,cat,holdout\n", "line 2 of .*labels.csv has the split 'holdout'"),
        (b"file,label\n2.jpg,cat\n", "there are no images in"),
    ],
)
def test_tables_that_cannot_be_used(table: bytes, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    (tmp_path / "labels.csv").write_bytes(table)
    with pytest.raises(UserError, match=message):
        list_images(tmp_path)


@pytest.mark.parametrize("prefix", ["", "PetImages/", "data/PetImages/"])
def test_known_classes_are_found_at_any_depth_in_any_case(prefix: str, tmp_path: Path) -> None:
    root = touch(tmp_path, f"{prefix}Dog/1.jpg", f"{prefix}CAT/deep/2.jpg", "readme[1].txt", "other/3.jpg")
    listing = list_images(root, classes=("cat", "dog"))
    assert listing.classes == ("cat", "dog")
    assert described(listing) == [f"{prefix}CAT/deep/2.jpg cat None", f"{prefix}Dog/1.jpg dog None"]
    assert listing.skipped == (
        Skipped("other/3.jpg", "is in no class's folder"),
        Skipped("readme[1].txt", "is no image by its name"),
    )


def test_known_classes_in_parts(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/dog/1.jpg", "train/cat/1.jpg", "test/cat/1.jpg")
    assert described(list_images(root, classes=("dog", "cat"))) == [
        "test/cat/1.jpg cat test",
        "train/cat/1.jpg cat train",
        "train/dog/1.jpg dog train",
    ]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ((), "there are no images in"),
        (("1.jpg", "2.jpg"), "there are no images in .* that belong to a class"),
        (("cat/notes.txt", "dog/notes.txt"), "there are no images in"),
        (("cat/1.jpg",), "has one class only, cat"),
        (("train/cat/1.jpg", "train/dog/1.txt"), "the class dog in .* has no images"),
        (("cat/1.jpg", "dog/1.txt", "bird/1.jpg"), "the class dog in .* has no images"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "val/eel/1.jpg", "test/eel/1.jpg"),
            "the class eel in .* has images in test and val but none in train",
        ),
        (("train/cat/1.jpg", "train/dog/1.jpg", "cat/1.jpg"), r"has folders of parts \(train\) and others .*\(cat\)"),
    ],
)
def test_folders_that_cannot_be_used(paths: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        list_images(touch(tmp_path, *paths))


def test_a_missing_folder_and_a_missing_class(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"the class dog in .* has no images"):
        list_images(touch(tmp_path, "cat/1.jpg"), classes=("cat", "dog"))


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    outside = touch(tmp_path / "outside", "1.jpg", "2.jpg")
    root = touch(tmp_path / "root", "cat/1.jpg", "dog/1.jpg")
    (root / "eel").symlink_to(outside, target_is_directory=True)
    (root / "cat/linked.jpg").symlink_to(outside / "1.jpg")
    (root / "cat/gone.jpg").symlink_to(outside / "3.jpg")
    (root / "cat/self.jpg").symlink_to("self.jpg")
    (root / "dog/up").symlink_to(root, target_is_directory=True)
    (root / "dog/here").symlink_to(root / "dog", target_is_directory=True)
    os.mkfifo(root / "dog/pipe.jpg")
    listing = list_images(root)
    assert {file.path for file in listing.files} == {
        "cat/1.jpg",
        "cat/linked.jpg",
        "dog/1.jpg",
        "eel/1.jpg",
        "eel/2.jpg",
    }
    assert {file.path for file in listing.skipped} >= {"cat/gone.jpg", "cat/self.jpg", "dog/pipe.jpg"}


def test_a_folder_that_may_not_be_searched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/closed/2.jpg")
    scandir = os.scandir

    def refuse(folder: str | Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # permissions do not hold for the superuser
    listing = list_images(root)
    assert len(listing.files) == 2
    assert listing.skipped == (Skipped("dog/closed", "cannot be searched (Permission denied)"),)
