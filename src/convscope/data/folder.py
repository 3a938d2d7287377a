"""A folder of image files: which class and which part of the data set each belongs to, by their names alone.

Three layouts are understood; below the folder of a class there may be further folders:

    DIR/cat/1.jpg, DIR/dog/2.jpg                 a folder for each class
    DIR/train/cat/1.jpg, DIR/test/dog/2.jpg      the same in a folder for each part: train, val, test
    DIR/1.jpg, DIR/2.jpg, DIR/labels.csv         a table of files with their classes, and perhaps their parts
"""

import csv
import os
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unicodedata import category

from convscope.data.decoding import SUFFIXES
from convscope.data.splits import Skipped
from convscope.errors import UserError

Part = Literal["train", "val", "test"]

TABLE = "labels.csv"
_FILE_COLUMNS = ("file", "filename", "image", "path")
_LABEL_COLUMNS = ("label", "class")
_PART_COLUMN = "split"

_PARTS: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What the folder of a part may be called, or its entry in the table, in lower case."""

_JUNK = frozenset({"__macosx", "desktop.ini", "thumbs.db"})
"""What systems leave in folders unasked, in lower case; names that begin with a full stop are left out too."""


_DEEPEST, _MOST_FOLDERS = 40, 200_000
"""Links to folders that hold further links can make a few of them look like any number, at any depth."""

_SUFFIXES = tuple(SUFFIXES)  # as str.endswith takes them


@dataclass(frozen=True, slots=True)
class ListedFile:
    """An image file, by its name; nothing has been read of it."""

    path: str
    """Inside the folder, with slashes."""
    label: int
    """The index of its class."""
    part: Part | None
    """The part that its folder or the table puts it into, if they do."""
    bytes: int
    mtime_ns: int
    """When it was last written, in nanoseconds since 1970."""


@dataclass(frozen=True)
class Listing:
    """The image files of a folder."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[ListedFile, ...]
    """In the order of their paths."""
    skipped: tuple[Skipped, ...]
    """Files that are no images by their names, or belong to no class."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """What is below a folder; all paths start there."""

    images: dict[str, os.stat_result] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why each of the other files is no image."""


_Place = tuple[str, Part | None]
"""The class of an image, and its part if that is said."""


def list_images(root: Path, *, classes: tuple[str, ...] | None = None) -> Listing:
    """Find the image files of a folder in any of the three layouts. Links are followed; only a table is opened.

    Args:
        root: the folder.
        classes: the classes, whose folders may lie at any depth and be written in capitals or not. By default every
            folder at the layout's place is a class, and so is every label of the table, in natural order ("2" before
            "10").

    Raises:
        UserError: there is no such folder, or it has two layouts at once; it has no images, or of one class only; a
            class has no images to train on; the table cannot be read or lacks a column.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: check its name, or give the folder that holds the photos.")
    tree = _Tree()
    _walk(root, "", frozenset({_identity(root.stat())}), tree)
    names: set[str] = set()
    if classes is not None:
        places = _by_names(tree, classes)
    elif (root / TABLE).is_file():
        tree.skipped.pop(TABLE, None)
        places = _by_table(root / TABLE, tree)
    else:
        places, names = _by_folders(root, tree)
    if not places:
        remedy = f"put them into a folder for each class, or write a table {TABLE} with the columns file and label"
        raise UserError(f"there are no images in {root} that belong to a class: {remedy}.")
    if classes is None:
        classes = tuple(sorted(names | {name for name, _ in places.values()}, key=_natural))
    _check_classes(root, classes, places)
    label_of = {name: label for label, name in enumerate(classes)}
    files = []
    for path in sorted(tree.images):
        if path in places:
            (name, part), status = places[path], tree.images[path]
            files.append(ListedFile(path, label_of[name], part, status.st_size, status.st_mtime_ns))
        else:
            tree.skipped.setdefault(path, "is in no class's folder")
    return Listing(root, classes, tuple(files), tuple(Skipped(*item) for item in sorted(tree.skipped.items())))


def _walk(folder: str | Path, prefix: str, above: frozenset[tuple[int, int]], tree: _Tree) -> None:
    """Add what is below `folder` to the tree, its paths after `prefix`; `above` are the folders on the way there."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower() not in _JUNK:
                    _visit(entry, prefix + entry.name, above, tree)
    except OSError as error:
        tree.skipped[prefix.rstrip("/") or "."] = f"cannot be searched ({error.strerror})"


def _visit(entry: os.DirEntry[str], path: str, above: frozenset[tuple[int, int]], tree: _Tree) -> None:
    try:
        if entry.is_dir():
            identity = _identity(entry.stat())
            if len(above) > _DEEPEST:
                tree.skipped[path] = f"lies in {_DEEPEST} folders within one another"
            elif identity not in above:  # else a link leads back to where we come from
                if len(tree.folders) == _MOST_FOLDERS:
                    raise UserError(
                        f"there are more than {_MOST_FOLDERS:,} folders, or links to folders, with {path}: "
                        f"give a folder of photos."
                    )
                tree.folders.append(path)
                _walk(entry.path, f"{path}/", above | {identity}, tree)
        elif not entry.name.lower().endswith(_SUFFIXES):
            tree.skipped[path] = "is no image by its name"
        elif entry.is_file():
            tree.images[path] = entry.stat()
        else:
            tree.skipped[path] = "is no ordinary file, or a link to none"
    except OSError as error:
        tree.skipped[path] = f"cannot be looked at ({error.strerror})"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _by_names(tree: _Tree, classes: tuple[str, ...]) -> dict[str, _Place]:
    """The class of an image is the first folder on its way that has the name of one, its part a folder before that."""
    by_name = {name.casefold(): name for name in classes}
    places: dict[str, _Place] = {}
    for path in tree.images:
        part = None
        for folder in path.casefold().split("/")[:-1]:
            if folder in by_name:
                places[path] = by_name[folder], part
                break
            part = _PARTS.get(folder, part)
    return places


def _by_folders(root: Path, tree: _Tree) -> tuple[dict[str, _Place], set[str]]:
    """The classes by the names of the folders, and all folders that stand for a class, empty ones too."""
    at_top = {path for path in tree.folders if "/" not in path}
    parts = {path for path in at_top if path.lower() in _PARTS}
    # A folder that is called test but has no folders in it may well be a class.
    if not any(path.count("/") == 1 and path.split("/")[0] in parts for path in tree.folders):
        return {path: (path.split("/")[0], None) for path in tree.images if "/" in path}, at_top
    others = {path.split("/")[0] for path in tree.images if "/" in path} - parts
    if others:
        raise UserError(
            f"{root} has folders of parts ({', '.join(sorted(parts))}) and others with images beside them "
            f"({', '.join(sorted(others, key=_natural))}): move these into the parts, or out of the folder."
        )
    places: dict[str, _Place] = {}
    for path in tree.images:
        part, *names = path.split("/")[:-1] or [""]
        if names:
            places[path] = names[0], _PARTS[part.lower()]
    return places, {path.split("/")[1] for path in tree.folders if path.count("/") == 1 and path.split("/")[0] in parts}


def _by_table(table: Path, tree: _Tree) -> dict[str, _Place]:
    """The classes and parts of the images that the table names; why others are left out goes into the tree."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {table}: {error}; save it as UTF-8, with commas between columns.") from error
    header = [name.lower() for name in rows[0]] if rows else []
    columns = [_column(table, header, names) for names in (_FILE_COLUMNS, _LABEL_COLUMNS)]
    places: dict[str, _Place] = {}
    for number, row in enumerate(rows[1:], start=2):
        row += [""] * (len(header) - len(row))
        name, label = (row[column] for column in columns)
        part_name = row[header.index(_PART_COLUMN)] if _PART_COLUMN in header else ""
        if part_name and part_name.lower() not in _PARTS:
            raise UserError(f"line {number} of {table} has the split '{part_name}': write train, val or test.")
        place = label, _PARTS.get(part_name.lower())
        path = posixpath.normpath(name) if name else ""
        if path.startswith(("../", "/")):
            tree.skipped[path] = "is outside of the folder"
        elif path and path not in tree.images:
            tree.skipped.setdefault(path, f"is in {TABLE}, but not in the folder")
        elif path and not label:
            tree.skipped[path] = f"has no label in {TABLE}"
        elif path and places.setdefault(path, place) != place:
            tree.skipped[path] = f"stands in {TABLE} twice, and not with the same label"
    for path in tree.images.keys() - places.keys():
        tree.skipped.setdefault(path, f"is not in {TABLE}")
    return {path: place for path, place in places.items() if path not in tree.skipped}


def _column(table: Path, header: list[str], names: tuple[str, ...]) -> int:
    found = next((header.index(name) for name in names if name in header), None)
    if found is None:
        present = ", ".join(header) or "nothing"
        raise UserError(f"the first line of {table} has no column {' or '.join(names)}, only {present}: name it.")
    return found


def _check_classes(root: Path, classes: tuple[str, ...], places: dict[str, _Place]) -> None:
    """Refuse what no classifier can be trained on."""
    places_of: dict[str, set[Part | None]] = {name: set() for name in classes}
    for name, part in set(places.values()):
        places_of[name].add(part)
    for name, parts in places_of.items():
        # Control characters, and bytes that are no UTF-8, which no terminal, page or picture could show.
        if any(category(letter) in ("Cc", "Cs") for letter in name):
            raise UserError(f"the class {name!a} in {root} has a name that cannot be shown: rename it.")
        if not parts:
            raise UserError(f"the class {name} in {root} has no images: put some there, or remove its folder.")
        if not parts & {"train", None}:
            held = " and ".join(sorted(filter(None, parts)))
            raise UserError(
                f"the class {name} in {root} has images in {held} but none in train: add some, or remove it."
            )
    if len(classes) < 2:
        raise UserError(
            f"{root} has one class only, {classes[0]}: give a folder with a folder for each of two or more."
        )


def _natural(name: str) -> tuple[list[str | int], str]:
    """A key that sorts "img2" before "img10", and capitals among small letters."""
    pieces = re.split(r"(\d+)", name.casefold())
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], name
