"""`convscope data` as a user meets it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.catalog import DATA

Command = Callable[..., Any]
Refused = Callable[..., str]


def test_the_list_names_every_set_and_whether_it_is_here(command: Command) -> None:
    done = command("data")
    assert (done.status, done.err) == (0, "")
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert set(DATA) < set(rows)
    assert rows["fashion-mnist-mini"].rstrip().endswith("yes")
    assert rows["mnist"].rstrip().endswith("no: convscope data fetch")
    assert "60,000" in rows["mnist"] and "10,000" in rows["mnist"]
    assert command("data", "list").out == done.out


def test_the_list_as_json(command: Command) -> None:
    rows = json.loads(command("data", "list", "--json").out)
    assert [row["name"] for row in rows] == list(DATA)
    assert rows[0]["classes"][9] == "Ankle boot"


def test_the_list_needs_no_torch(place: Path) -> None:
    script = (
        "import sys; from convscope.cli.data import main; main(['list']); "
        "sys.exit(', '.join({'torch', 'matplotlib', 'pooch'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_facts_and_pictures_of_a_set(process: Command, fashion_slice: Path, place: Path) -> None:
    # R-D3
    done = process("data", "show", fashion_slice)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].endswith(": 600 images to train, 200 images to test")
    assert "(1, 28, 28)" in lines[1]
    assert "10 classes, with training images:" in lines
    assert "  Ankle boot: 60" in lines
    pictures = [place / "pictures" / "fashion-slice" / f"{name}.png" for name in ("samples", "classes", "means")]
    assert lines[-1] == "wrote " + ", ".join(str(path.relative_to(place)) for path in pictures)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_facts_and_pictures_of_photos(process: Command, photo_folder: Path, place: Path) -> None:
    # R-D3
    done = process("data", "show", photo_folder, "--size", 32, "--resize", "pad")
    assert done.status == 0
    assert "decoding 91 photos" in done.err
    lines = done.out.splitlines()
    parts = re.search(r": (\d+) images to train, (\d+) images to validate, (\d+) images to test$", lines[0])
    assert parts and sum(map(int, parts.groups())) == 90
    assert lines[1].endswith("(3, 32, 32), one byte a value, by pad")
    assert re.match(r"files 4\d to 8\d pixels wide, 4\d to 8\d high", lines[3])
    assert lines[4] == "kinds of pixels: 90 RGB"
    assert "left out 2 files:" in lines
    assert "  lemon/notes.txt: is no image by its name" in lines
    names = ("samples", "classes", "means", "sizes")
    assert {path.name for path in (place / "pictures" / "fruits").iterdir()} == {f"{name}.png" for name in names}
    facts = json.loads(process("data", "show", photo_folder, "--size", 32, "--resize", "pad", "--json").out)
    assert facts["train_images"] + facts["val_images"] + facts["test_images"] == 90
    assert facts["modes"] == {"RGB": 90}
    assert [file["path"] for file in facts["skipped"]] == ["lemon/notes.txt", "plum/cut short.jpg"]


@pytest.mark.usefixtures("no_pictures")
def test_facts_as_json_and_pictures_elsewhere(command: Command, place: Path) -> None:
    done = command("data", "show", "fashion-mnist-mini", "--json", "--output", "here/there")
    facts = json.loads(done.out)
    assert (facts["train_images"], facts["test_images"], facts["image_shape"]) == (10_000, 2_000, [1, 28, 28])
    assert facts["classes"]["Sneaker"] == 1000
    # A stratified sixth of FashionMNIST, whose mean and deviation are 0.2860 and 0.3530.
    assert facts["mean"] == pytest.approx([0.2860], abs=2e-3)
    assert facts["std"] == pytest.approx([0.3530], abs=2e-3)
    assert {path.name for path in (place / "here" / "there").iterdir()} == {"samples.png", "classes.png", "means.png"}


def test_fetching_what_is_shipped(command: Command, place: Path) -> None:
    done = command("data", "fetch", "fashion-mnist-mini")
    assert done.status == 0
    folder = Path(done.out.removeprefix("fashion-mnist-mini is in ").rstrip("\n"))
    assert folder.is_dir()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show"], "which data set? Name one: convscope data show DATA, of fashion-mnist, "),
        (["fetch"], "which data set? Name one: convscope data fetch DATA, of fashion-mnist, "),
        (["fetch", "fashion-mnst"], "unknown data set 'fashion-mnst': did you mean 'fashion-mnist'?"),
        (["show", "nmist"], "unknown data set 'nmist': did you mean 'mnist'?"),
        (["show", "photos"], "there are no images in photos"),
        (["show", "fashion-mnist-mini", "--output", "file"], "cannot make the directory file (File exists): "),
        (["show", "fashion-mnist-mini", "--output", "file/x"], "cannot make the directory file/x (Not a directory): "),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_mistakes(words: list[str], sentence: str, place: Path, refused: Refused) -> None:
    (place / "photos").mkdir()
    (place / "file").write_text("mine", encoding="utf-8")
    assert refused("data", *words).startswith(sentence)
