"""A wrong mean or deviation, and the mistake behind it."""

import pytest
import torch

from convscope.data import ImageSet, Splits, Statistics
from convscope.doctor.data.normalisation import IMAGENET, find_wrong_statistics
from convscope.doctor.data.subject import Subject
from convscope.errors import UserError

CLASSES = ("cat", "dog")


def images(count, seed):
    """Each image has a brightness of its own, so that its deviation is smaller than that of all of them."""
    generator = torch.Generator().manual_seed(seed)
    ground = torch.randint(0, 150, (count, 3, 1, 1), generator=generator)
    pixels = ground + torch.randint(0, 100, (count, 3, 16, 16), generator=generator)
    return ImageSet(pixels.to(torch.uint8), torch.arange(count) % 2, CLASSES)


@pytest.fixture(scope="module")
def subject():
    return subject_with_test(images(50, 2))


def subject_with_test(test):
    train = images(200, 0)
    return Subject(Splits("own", train, images(20, 1), test), 16, Statistics.of(train), None)


def told(subject, mean, std):
    return [(finding.kind, finding.severity, finding.what) for finding in find_wrong_statistics(subject, mean, std)]


def test_the_right_ones(subject):
    right = subject.statistics
    assert told(subject, right.mean, right.std) == []
    assert told(subject, *(tuple(round(value, 2) for value in values) for values in (right.mean, right.std))) == []


def test_known_mistakes(subject):  # R-F2
    """Each is called by its name, with the right numbers for a remedy."""
    mean, std = subject.statistics.mean, subject.statistics.std
    pixels = subject.splits.train.images.double() / 255
    own = tuple(pixels.flatten(2).std(dim=2, correction=0).mean(dim=0).tolist())
    known = {
        "pixels from 0 to 255": ([255 * value for value in mean], [255 * value for value in std]),
        "variance in place": (mean, [value**2 for value in std]),
        "divided by three": ([value / 3 for value in mean], std),
        "images' own deviations": (mean, own),
        "statistics of ImageNet": IMAGENET,
    }
    for words, (wrong_mean, wrong_std) in known.items():
        (finding,) = find_wrong_statistics(subject, tuple(wrong_mean), tuple(wrong_std))
        assert words in finding.what
        assert finding.kind == "wrong mean or deviation"
        assert finding.severity == ("severe" if "255" in words else "warning")
        assert f"{mean[0]:.4g}" in finding.remedy and f"{std[2]:.4g}" in finding.remedy


def test_rounded_numbers_for_bytes(subject):
    mean, std = (tuple(round(255 * value) for value in values) for values in IMAGENET)
    ((_, severity, what),) = told(subject, mean, std)
    assert "statistics of ImageNet for pixels from 0 to 255" in what and severity == "severe"
    right = subject.statistics
    mean, std = (tuple(float(round(255 * value)) for value in values) for values in (right.mean, right.std))
    ((_, severity, what),) = told(subject, mean, std)
    assert "from 0 to 255" in what and severity == "severe"


@pytest.mark.parametrize(
    ("brighter", "kind", "severity"),
    [(1, "statistics of the test images", "note"), (5, "wrong mean or deviation", "warning")],
)
def test_statistics_of_the_test_images(brighter, kind, severity):  # R-F5
    """They are told apart from the right ones even where they do no harm; there it is no more than a note."""
    test = ImageSet(images(200, 0).images + brighter, images(200, 0).labels, CLASSES)
    statistics = Statistics.of(test)
    ((*named, what),) = told(subject_with_test(test), statistics.mean, statistics.std)
    assert named == [kind, severity]
    assert "test images" in what


def test_unknown_numbers(subject):
    ((kind, severity, what),) = told(subject, (0.9, 0.1, 0.5), (0.5, 0.5, 0.5))
    assert (kind, severity) == ("wrong mean or deviation", "warning")
    assert "off by up to" in what


@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.2,)), ((0.5, 0.5, 0.5), (0.2,))])
def test_not_one_number_for_each_channel(subject, mean, std):
    with pytest.raises(UserError, match="3 channels"):
        list(find_wrong_statistics(subject, mean, std))
