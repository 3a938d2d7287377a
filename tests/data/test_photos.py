"""A folder of photos in three parts, which stay what they are when the folder changes."""

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convscope.data.decoded import DecodedFile
from convscope.data.decoding import read_square
from convscope.data.folder import Part
from convscope.data.imageset import ImageSet
from convscope.data.photos import Photos, divide, load_photos
from convscope.data.statistics import Statistics, border_brightness, channel_statistics
from convscope.errors import UserError


def made(contents: Iterable[int], *, label: int = 0, part: Part | None = None) -> list[DecodedFile]:
    """Files of a class, with a number for the content of each."""
    return [
        DecodedFile(f"{label}/{k}.jpg", label, part, 8, 8, "RGB", f"{content:032x}")
        for k, content in enumerate(contents)
    ]


def parts_by_content(files: list[DecodedFile], seed: int = 0) -> dict[str, Part]:
    parts = divide(files, val_share=0.2, test_share=0.2, seed=seed)
    by_content = dict(zip((file.digest for file in files), parts, strict=True))
    assert [by_content[file.digest] for file in files] == parts  # equal content, equal part
    return by_content


@given(first=st.integers(0, 2**100), second=st.integers(2**101, 2**102), added=st.integers(0, 30), order=st.randoms())
def test_a_photo_keeps_its_part_whatever_comes_goes_or_moves(
    first: int, second: int, added: int, order: Random
) -> None:
    # R-C7: the same split every time, also after files were added. Of 150 photos no part is ever empty by chance.
    files = made(range(first, first + 150)) + made(range(second, second + 150), label=1)
    before = parts_by_content(files)
    more = [replace(file, path=f"renamed/{file.path}") for file in files[20:]]
    more += made(range(added)) + made(range(first + 100, first + 110), label=1)
    order.shuffle(more)
    after = parts_by_content(more)
    assert all(after[file.digest] == before[file.digest] for file in files[20:])


def test_shares_hold_for_each_class_as_for_all() -> None:
    files = made(range(10_000)) + made(range(10_000, 12_000), label=1)
    parts = divide(files, val_share=0.1, test_share=0.2, seed=3)
    for label, count in ((0, 10_000), (1, 2_000)):
        found = Counter(part for file, part in zip(files, parts, strict=True) if file.label == label)
        # Four standard deviations; validation images are a share of what is not for testing.
        assert abs(found["test"] - 0.2 * count) < 4 * (count * 0.2 * 0.8) ** 0.5
        assert abs(found["val"] - 0.08 * count) < 4 * (count * 0.08 * 0.92) ** 0.5
    assert divide(files, val_share=0.1, test_share=0.2, seed=3) == parts
    assert divide(files, val_share=0.1, test_share=0.2, seed=4) != parts


def test_a_larger_share_only_adds() -> None:
    files = made(range(1000))
    small, large = (divide(files, val_share=0.1, test_share=share, seed=0) for share in (0.1, 0.3))
    assert all(after == "test" for before, after in zip(small, large, strict=True) if before == "test")


@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    share=st.sampled_from([0.001, 0.1, 0.5, 0.9, 0.999]),
    seed=st.integers(0, 100),
)
def test_small_classes_fill_every_part(sizes: list[int], share: float, seed: int) -> None:
    files = [
        file for label, size in enumerate(sizes) for file in made(range(10 * label, 10 * label + size), label=label)
    ]
    parts = divide(files, val_share=share, test_share=share, seed=seed)
    for label, size in enumerate(sizes):
        of_class = {part for file, part in zip(files, parts, strict=True) if file.label == label}
        assert of_class == ({"train", "val", "test"} if size >= 3 else {"train"})


@pytest.mark.parametrize(
    ("given_parts", "cut"),
    [(("test",), {"val"}), (("val",), {"test"}), (("val", "test"), set()), ((), {"val", "test"})],
)
@pytest.mark.parametrize("rest", ["train", None])
def test_parts_that_are_given_stay(given_parts: tuple[Part, ...], cut: set[Part], rest: Part | None) -> None:
    files = made(range(200), part=rest)
    for number, part in enumerate(given_parts, start=1):
        files += made(range(1000 * number, 1000 * number + 50), part=part)
    parts = divide(files, val_share=0.2, test_share=0.2, seed=0)
    assert set(parts[:200]) == {"train"} | cut
    assert parts[200:] == [part for part in given_parts for _ in range(50)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of twenty photos: plain colours, all different, and a text that is none."""
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(20):
            Image.new("RGB", (12, 10), (10 * k, 200 * label, 50)).save(tmp_path / f"photos/{name}/{k}.png")
    (tmp_path / "photos/notes.txt").touch()
    (tmp_path / "photos/cat/broken.png").touch()
    return tmp_path / "photos"


def load(folder: Path, **changed: object) -> Photos:
    settings = {"size": 8, "resize": "pad", "val_share": 0.2, "test_share": 0.2, "seed": 0} | changed
    return load_photos(folder, data_dir=folder.parent / "data", **settings)  # type: ignore[arg-type]


def test_a_folder_becomes_three_sets(folder: Path) -> None:
    # R-C7
    photos = load(folder)
    splits = photos.splits("my photos")
    assert splits.name == "my photos"
    assert splits.resize == "pad"
    assert [(file.path, file.reason) for file in splits.skipped] == [
        ("notes.txt", "is no image by its name"),
        ("cat/broken.png", "is empty"),
    ]
    rows = torch.cat([photos.parts[part] for part in ("train", "val", "test")])
    assert rows.sort().values.tolist() == list(range(40))
    for part, image_set in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        assert image_set.classes == ("cat", "dog")
        assert image_set.shape == (3, 8, 8)
        assert photos.parts[part].tolist() == sorted(photos.parts[part].tolist())
        pixels = image_set.take(torch.arange(len(image_set)))
        for row, label, image in zip(photos.parts[part].tolist(), image_set.labels.tolist(), pixels, strict=True):
            file = photos.decoded.files[row]
            assert file.path.startswith(image_set.classes[label])
            assert torch.equal(image, read_square(folder / file.path, size=8, resize="pad"))


def test_the_split_is_of_the_content_and_not_of_size_name_or_place(folder: Path) -> None:
    def part_of(photos: Photos) -> dict[str, Part]:
        return {photos.decoded.files[row].digest: part for part, rows in photos.parts.items() for row in rows.tolist()}

    before = part_of(load(folder))
    assert part_of(load(folder, size=4, resize="crop")) == before
    moved = folder.parent / "elsewhere"
    for path in folder.glob("*/*.png"):
        (moved / path.parent.name / "deeper").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name / "deeper" / f"renamed-{path.name}")
    assert part_of(load(moved)) == before
    assert part_of(load(folder, seed=1)) != before


def test_a_class_left_without_photos_is_an_error_that_says_why(folder: Path) -> None:
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"the class dog .*\(dog/0.png is empty, .* and 17 more\): replace") as info:
        load(folder)
    assert "\n" not in str(info.value)
    assert "broken" not in str(info.value)


def test_too_few_photos_for_three_parts(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("L", (8, 8), len(name)).save(tmp_path / "photos" / name / "1.png")
        Image.new("L", (8, 8), ord(name[0])).save(tmp_path / "photos" / name / "2.png")
    with pytest.raises(UserError, match="too few images to set some aside for val"):
        load(tmp_path / "photos")


def test_statistics_are_computed_once_for_the_same_photos(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # R-C7: mean and standard deviation are of the training photos alone.
    computed: list[ImageSet] = []

    def compute(image_set: ImageSet) -> Statistics:
        computed.append(image_set)
        mean, std = channel_statistics(image_set)
        return Statistics(mean, std, border_brightness(image_set))

    monkeypatch.setattr(Statistics, "of", compute)
    splits = load(folder).splits("photos")
    pixels = splits.train.take(torch.arange(len(splits.train))).double() / 255
    assert splits.statistics is not None
    assert splits.statistics.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist())
    assert splits.statistics.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist())
    assert load(folder).splits("photos").statistics == splits.statistics
    assert len(computed) == 1
    other = load(folder, seed=1).splits("photos")
    assert other.statistics != splits.statistics
    (folder / "cat/new.png").write_bytes((folder / "dog/1.png").read_bytes() + b"more")  # a change of the cache
    load(folder, seed=1).splits("photos")
    assert len(computed) == 3


def test_statistics_that_cannot_be_kept_are_computed_each_time(folder: Path) -> None:
    photos = load(folder)
    shutil.rmtree(photos.decoded.folder)
    photos.decoded.folder.touch()  # nothing can be written there now
    statistics = photos.splits("photos").statistics
    assert statistics is not None
    assert statistics == photos.splits("photos").statistics
