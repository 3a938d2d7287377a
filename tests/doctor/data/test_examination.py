"""The data doctor: each fault, planted, is found, and nothing else; where nothing is planted, nothing is found."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from convscope.config import Config
from convscope.data import channel_statistics, load_splits, write_idx
from convscope.doctor.data import examination as doctor
from convscope.doctor.data import examine
from convscope.doctor.findings import PICTURES
from convscope.errors import UserError
from convscope.experiment import train

SIZE = 48


def found(root, **keywords):
    """The findings by kind."""
    report = examine(root, size=SIZE, data_dir=root.parent / "cache", **keywords)
    assert json.loads(json.dumps(report.to_dict()))["data"] == str(root)
    kinds = {finding.kind: finding for finding in report.findings}
    assert len(kinds) == len(report.findings)
    return kinds


def shown(finding):
    """Names of the pictures, group by group."""
    return [[example.name for example in group] for group in finding.examples]


def opened(path):
    with Image.open(path) as image:
        return image.copy()


def test_nothing_is_found_in_clean_photos(clean_photos):  # R-F2
    assert found(clean_photos) == {}


def test_nothing_is_found_in_clean_arrays(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for prefix, count in (("train", 200), ("t10k", 60)):
        images = torch.randint(0, 256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", (torch.arange(count) % 2).to(torch.uint8))
    assert found(tmp_path) == {}


def copy(root, source, target):
    shutil.copy(root / source, root / target)


def brighter(root, source, target):
    ImageEnhance.Brightness(opened(root / source)).enhance(1.05).save(root / target, quality=70)


def long(root):
    row = np.concatenate([np.asarray(opened(root / f"train/dog/{k}.png")) for k in (1, 2, 3)], axis=1)
    Image.fromarray(np.ascontiguousarray(row[:, ::-1])).save(root / "train" / "dog" / "long.png")


def grey(root):
    for number in (3, 4):
        for name in ("cat", "dog"):
            path = root / "train" / name / f"{number}.png"
            opened(path).convert("L").save(path)


def all_cats_grey(root):
    for path in root.glob("*/cat/*.png"):
        opened(path).convert("L").save(path)


def many_dogs(root):
    """More than twice as many dogs as cats in training, and as many more in the other parts."""
    rng = np.random.default_rng(1000)
    for part, count in (("train", 30), ("val", 8), ("test", 8)):
        for number in range(count):
            patches = Image.fromarray(rng.integers(20, 236, (12, 12, 3), dtype=np.uint8))
            patches.resize((SIZE, SIZE)).save(root / part / "dog" / f"more{number}.png")


def dark(root):
    for path in root.glob("test/*/*.png"):
        ImageEnhance.Brightness(opened(path)).enhance(0.5).save(path)


def alike(root):
    for part in root.iterdir():
        (part / "cat").rename(part / "house cat")
        (part / "dog").rename(part / "House_Cat")


def remove(root, pattern):
    for path in root.glob(pattern):
        path.unlink()


PLANTED = {
    "unusable files": (lambda root: (root / "train/cat/0.png").write_bytes(b"no image"), "warning", 1),
    "duplicates": (lambda root: copy(root, "train/cat/3.png", "train/cat/x.png"), "warning", 1),
    "near duplicates": (lambda root: brighter(root, "train/cat/3.png", "train/cat/x.jpg"), "warning", 1),
    "leak": (lambda root: copy(root, "train/cat/3.png", "test/cat/x.png"), "severe", 1),
    "constant images": (
        lambda root: Image.new("RGB", (50, 50), "navy").save(root / "val/dog/x.png"),
        "warning",
        1,
    ),
    "small images": (
        lambda root: opened(root / "val/dog/1.png").resize((24, 30)).save(root / "val/dog/1.png"),
        "warning",
        1,
    ),
    "extreme shapes": (long, "warning", 1),
    "mixed kinds of photos": (grey, "note", 4),
    "kind of photo tells the class": (all_cats_grey, "severe", 36),
    "class imbalance": (many_dogs, "warning", 1),
    "few images": (lambda root: remove(root, "test/dog/[0-3].png"), "warning", 1),
    "names alike": (alike, "warning", 2),
    "different parts": (dark, "warning", 12),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_and_no_other(kind, photos):  # R-F2
    plant, severity, count = PLANTED[kind]
    plant(photos)
    findings = found(photos)
    assert list(findings) == [kind]
    finding = findings[kind]
    assert finding.severity == severity
    assert finding.count == count
    assert finding.what.endswith(".") and finding.why.endswith(".") and finding.remedy.endswith(".")


def test_pictures_of_copies_are_side_by_side(photos):
    copy(photos, "train/cat/3.png", "test/cat/x.png")
    copy(photos, "train/cat/3.png", "val/cat/y.png")
    brighter(photos, "train/dog/5.png", "val/dog/z.jpg")
    finding = found(photos)["leak"]
    assert sorted(shown(finding)) == [
        ["train/cat/3.png", "val/cat/y.png", "test/cat/x.png"],
        ["train/dog/5.png", "val/dog/z.jpg"],
    ]
    assert "2 of val, 1 of test; 2 exact" in finding.what
    assert finding.share == 3 / 27
    example = finding.examples[0][0]
    assert example.pixels.shape == (3, SIZE, SIZE) and (example.label, example.part) == (
        example.name.split("/")[1],
        "train",
    )


def test_copies_with_different_labels(photos):
    copy(photos, "train/cat/3.png", "train/dog/x.png")
    findings = found(photos)
    assert set(findings) == {"contradicting labels", "duplicates"}
    assert shown(findings["contradicting labels"]) == [["train/cat/3.png", "train/dog/x.png"]]
    assert findings["contradicting labels"].severity == "severe"


def test_many_copies_do_not_fill_the_page(photos):
    for number in range(30):
        copy(photos, "train/cat/3.png", f"train/cat/x{number}.png")
    for number in range(20):
        copy(photos, f"train/dog/{number}.png", f"train/dog/y{number}.png")
    finding = found(photos)["duplicates"]
    assert finding.count == 50
    pictures = [example for group in finding.examples for example in group]
    assert len(pictures) <= PICTURES
    assert [example.note for example in pictures if example.note] in ([], ["and 27 more"])


def test_copies_in_arrays_are_named_by_their_numbers(fashion_slice, tmp_path):
    folder = shutil.copytree(fashion_slice, tmp_path / "own")
    splits = load_splits(folder)
    images = splits.train.images.clone()  # the training file, of which validation images are a part
    source, target = splits.train.rows[0].item(), splits.val.rows[0].item()
    images[target] = images[source]
    write_idx(folder / "train-images-idx3-ubyte", images[:, 0])
    names = shown(found(folder)["leak"])
    assert [f"train image {source}", f"train image {target}"] in names


def test_the_worst_comes_first(photos):
    (photos / "train/cat/0.png").write_bytes(b"no image")
    copy(photos, "train/cat/3.png", "train/cat/x.png")
    copy(photos, "train/cat/4.png", "test/cat/x.png")
    grey(photos)
    report = examine(photos, size=SIZE, data_dir=photos.parent / "cache")
    severities = [finding.severity for finding in report.findings]
    assert severities == ["severe", "warning", "warning", "note"]


def test_facts(clean_photos, tmp_path):
    report = examine(clean_photos, size=SIZE, data_dir=tmp_path)
    assert report.facts["images"]["val"] == {"cat": 6, "dog": 6}
    assert report.facts["shape"] == [3, SIZE, SIZE]
    assert report.facts["modes"] == {"RGB": 72}
    assert report.facts["sizes"]["largest"] == [SIZE, SIZE]
    splits = load_splits(clean_photos, size=SIZE, data_dir=tmp_path)
    assert (tuple(report.facts["mean"]), tuple(report.facts["std"])) == channel_statistics(splits.train)
    assert len(report.not_examined) == 2


def test_progress_is_told_to_the_end(clean_photos, tmp_path):
    told = {}
    examine(
        clean_photos,
        size=SIZE,
        data_dir=tmp_path,
        progress=lambda what, done, total: told.update({what: (done, total)}),
    )
    assert {"looking at all images", "looking for copies"} <= set(told)
    assert all(done == total for done, total in told.values())


def test_mean_without_deviation(clean_photos, tmp_path):
    with pytest.raises(UserError, match="belong together"):
        examine(clean_photos, size=SIZE, data_dir=tmp_path, mean=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def run(fashion_slice, tmp_path_factory):
    """A small network on the slice, after a moment's training."""
    config = Config(data=str(fashion_slice), model="linear", epochs=4, device="cpu", precision="float32", threads=1)
    return train(config, runs_dir=tmp_path_factory.mktemp("runs"), name="first")


def test_wrong_labels_are_found_among_validation_images_alone(fashion_slice, run, tmp_path):  # R-F2, R-F5
    splits = load_splits(fashion_slice)
    trouser, ankle_boot = 1, 9
    folder = shutil.copytree(fashion_slice, tmp_path / "own")
    labels = torch.empty(len(splits.train) + len(splits.val), dtype=torch.uint8)
    labels[splits.train.rows], labels[splits.val.rows] = splits.train.labels.byte(), splits.val.labels.byte()
    # Two labels exchanged in each part, so that the division, which goes by class and place, changes little.
    swapped = []
    for image_set in (splits.train, splits.val):
        for old, new in ((trouser, ankle_boot), (ankle_boot, trouser)):
            row = int(image_set.rows[(image_set.labels == old).nonzero()[0, 0]])
            labels[row] = new
            swapped.append(row)
    write_idx(folder / "train-labels-idx1-ubyte", labels)
    finding = found(folder, run=run)["suspicious labels"]
    moved = load_splits(folder)
    in_val = [row for row in swapped if row in moved.val.rows.tolist()]
    assert in_val
    names = [name for (name,) in shown(finding)]
    assert {f"train image {row}" for row in in_val} <= set(names[:4])
    assert {example.part for group in finding.examples for example in group} == {"val"}
    assert "validation images" in finding.what and "test images were not looked at" in finding.remedy
    assert "% Trouser" in finding.examples[0][0].note


def test_the_division_and_the_mean_of_the_run_are_taken(fashion_slice, run):
    report = examine(fashion_slice, run=run)
    assert report.not_examined == ()
    assert "wrong mean or deviation" not in {finding.kind for finding in report.findings}


def test_a_run_for_other_classes(clean_photos, run, tmp_path):
    with pytest.raises(UserError, match="trained for other classes"):
        examine(clean_photos, data_dir=tmp_path, run=run)


def test_a_run_whose_mean_is_of_other_data(fashion_slice, run, tmp_path):
    folder = shutil.copytree(fashion_slice, tmp_path / "own")
    for name in ("train", "t10k"):
        path = folder / f"{name}-images-idx3-ubyte"
        content = bytearray(path.read_bytes())
        content[16:] = bytes(255 - value for value in content[16:])
        path.write_bytes(content)
    assert "off by up to" in found(folder, run=run)["wrong mean or deviation"].what


def test_published_weights_bring_a_mean_of_their_own(fashion_slice, run, monkeypatch):
    """Which is not meant to be that of the data."""
    monkeypatch.setattr(type(run), "config", lambda self: Config(data=str(fashion_slice), scaling="unit", threads=1))
    monkeypatch.setattr(doctor, "find_wrong_labels", lambda subject, logits, name: [])
    assert examine(fashion_slice, run=run).not_examined == (
        "No mean and deviation were compared: give those you normalise with as --mean and --std.",
    )


def test_a_network_that_only_guesses_is_not_asked_for_wrong_labels(fashion_slice, run, monkeypatch):
    monkeypatch.setattr(doctor, "validation_logits", lambda subject, run, predictor: torch.ones(60, 10))
    report = examine(fashion_slice, run=run)
    assert "suspicious labels" not in {finding.kind for finding in report.findings}
    (sentence,) = report.not_examined
    assert "the run first is hardly better" in sentence
