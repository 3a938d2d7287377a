"""The data doctor's page, read as a browser reads it."""

import base64
import io
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from convscope.doctor.data import DataReport
from convscope.doctor.findings import PICTURES, Example, Finding
from convscope.errors import ConvscopeError
from convscope.report import write_data_page
from convscope.report.data_page import LARGEST, picture

HOSTILE = '<script>alert("1")</script>&<img src=x onerror=alert(2)>'
FACTS = {
    "images": {"train": {"cat": 1200, "dog": 30}, "val": {"cat": 4, "dog": 5}, "test": {"cat": 6, "dog": 7}},
    "shape": [3, 48, 48],
    "mean": [0.48312, 0.44, 0.4],
    "std": [0.26, 0.25, 0.2],
}
PHOTOS = {
    "modes": {"RGB": 1240, "L": 12},
    "sizes": {"smallest": [20, 30], "middle": [100, 110], "largest": [900, 1600]},
}


class Page(HTMLParser):
    """Texts, pictures and headings; notices tags that do not close."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.images, self.texts, self.headings, self.groups = [], [], [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))
            self.groups[-1] += 1
        if tag == "li":
            self.groups.append(0)
        if tag == "h2":
            self.headings.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if "h2" in self.open:
            self.headings[-1] += data


def pixels(side, channels=3):
    return torch.randint(0, 256, (channels, side, side), dtype=torch.uint8)


def finding(kind="leak", severity="severe", examples=()):
    return Finding(
        kind=kind,
        severity=severity,
        what="two images are copies.",
        why="It matters.",
        remedy="Remove them.",
        count=2000,
        share=0.0123,
        examples=examples,
    )


def written(tmp_path, findings=(), facts=FACTS, not_examined=()):
    report = DataReport(name="own", findings=tuple(findings), facts=facts, not_examined=not_examined)
    return Page(write_data_page(tmp_path / "page.html", report))


def test_a_finding_in_full(tmp_path):  # R-F2
    pair = tuple(Example(f"{part}/cat/7.jpg", "cat", part, "seen twice", pixels(48)) for part in ("train", "test"))
    page = written(tmp_path, [finding(examples=(pair,)), finding("small images", "note")])
    assert page.headings == ["severe leak", "note small images", "The data"]
    for words in ("Two images are copies.", "2,000, which is 1.23%", "It matters.", "Remove them.", "seen twice"):
        assert words in page.text
    assert page.groups == [2]
    assert [image["alt"] for image in page.images] == ["cat: train/cat/7.jpg", "cat: test/cat/7.jpg"]


def test_nothing_found(tmp_path):
    page = written(tmp_path, not_examined=("Labels were not looked for.",))
    assert "None of the faults looked for was found." in page.text
    assert "Labels were not looked for." in page.text
    assert page.images == []


def test_facts(tmp_path):
    page = written(tmp_path, facts=FACTS | PHOTOS)
    for words in ("1,230", "dog 30 5 7", "0.4831 0.4400 0.4000", "3 x 48 x 48", "1,240 RGB, 12 L", "20 x 30 pixels"):
        assert words in page.text
    assert "kinds of photos" not in written(tmp_path).text


def test_a_file_without_pixels(tmp_path):
    page = written(tmp_path, [finding(examples=((Example("a/notes.txt", "", "", "is no image", None),),))])
    assert page.images == []
    assert "a/notes.txt is no image" in page.text


def test_names_cannot_smuggle_anything_in(tmp_path):
    page = written(tmp_path, [finding(examples=((Example(HOSTILE, HOSTILE, "train", HOSTILE, pixels(8)),),))])
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    assert page.text.count('alert("1")') == 3


def test_a_page_loads_nothing_and_stays_small(tmp_path):
    """Even with as many pictures as there can be, of noise, which compresses worst."""
    examples = tuple((Example(f"{number}.jpg", "cat", "train", "", pixels(256)),) for number in range(PICTURES))
    page = written(tmp_path, [finding(str(kind), examples=examples) for kind in range(13)])
    assert len(page.images) == 13 * PICTURES
    assert all(image["src"].startswith("data:image/") for image in page.images)
    assert (tmp_path / "page.html").stat().st_size < 5_000_000


@pytest.mark.parametrize(
    ("side", "channels", "kind"), [(28, 1, "png"), (32, 3, "png"), (128, 3, "jpeg"), (300, 1, "jpeg")]
)
def test_picture(side, channels, kind):
    original = pixels(side, channels)
    head, _, data = picture(original).partition(",")
    assert head == f"data:image/{kind};base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert max(image.size) == min(side, LARGEST)
        assert image.mode == ("L" if channels == 1 else "RGB")
        if kind == "png":
            assert bytes(original.permute(1, 2, 0).contiguous().numpy()) == image.tobytes()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ConvscopeError, match="cannot write"):
        written(tmp_path)
