"""The loops that Convscope's speed is measured against train the same networks on the same inputs.  R-F9."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from convscope.data import Preprocessing, Splits
from convscope.models import build_model

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    """Scripts import each other by their bare names, as Python lets those do that lie in one folder."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def textbook() -> ModuleType:
    return importlib.import_module("textbook")


@pytest.fixture(scope="module")
def vgg11() -> ModuleType:
    return importlib.import_module("vgg11")


def test_inputs_are_those_of_convscope(textbook: ModuleType, fashion_splits: Splits) -> None:
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    dataset = textbook.FashionDataset(fashion_splits.val, preprocessing.mean, preprocessing.std)
    images = torch.stack([dataset[index][0] for index in range(len(dataset))])
    torch.testing.assert_close(
        images, preprocessing(fashion_splits.val.take(torch.arange(len(dataset)))), atol=1e-5, rtol=1e-5
    )
    assert [dataset[index][1] for index in range(len(dataset))] == fashion_splits.val.labels.tolist()


def test_network_is_convscopes(textbook: ModuleType) -> None:
    theirs = textbook.with_convscopes_weights(textbook.network(), 3).eval()
    ours = build_model("tinyvgg_bn", seed=3).eval()
    images = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(theirs(images), ours(images))
    assert sum(parameter.numel() for parameter in theirs.parameters()) == 435_754


def test_to_tensor_is_grey_in_unit_range(textbook: ModuleType) -> None:
    image = Image.new("L", (3, 2), 51)
    assert torch.equal(textbook.to_tensor(image), torch.full((1, 2, 3), 0.2))


def test_enlarged_inputs_are_those_of_convscope(textbook: ModuleType, fashion_splits: Splits) -> None:
    preprocessing = Preprocessing.for_training(fashion_splits.train, size=64)
    dataset = textbook.FashionDataset(fashion_splits.val, preprocessing.mean, preprocessing.std, size=64)
    images = torch.stack([dataset[index][0] for index in range(8)])
    assert images.shape == (8, 1, 64, 64)
    # Pillow rounds to whole brightnesses, 1/255 of the range each.
    unit = 1 / 255 / preprocessing.std[0]
    torch.testing.assert_close(
        images, preprocessing(fashion_splits.val.take(torch.arange(8))), atol=1.01 * unit, rtol=0
    )


def test_vgg11_is_convscopes(vgg11: ModuleType) -> None:
    theirs = vgg11.network(1 / 16)
    ours = build_model("vgg11", input_size=224, width=1 / 16, seed=3)
    weights = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(weights)
    images = torch.randn(2, 1, 224, 224)
    torch.testing.assert_close(theirs.eval()(images), ours.eval()(images))
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in vgg11.network().parameters()) == 128_806_154


def test_vgg11_is_measured(
    vgg11: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def in_this_process(script: str, *arguments: object) -> dict[str, float]:
        assert (script, "--quick" in arguments) == ("vgg11.py", True)
        engine = str(arguments[arguments.index("--engine") + 1])
        result: dict[str, float] = vgg11.measure_engine(engine, quick=True, batch_size=2, steps=1)
        return result

    monkeypatch.setattr(vgg11, "measure", in_this_process)
    monkeypatch.setattr(sys, "argv", ["vgg11.py", "--quick", "--batch-size", "2", "--threads", "1"])
    threads = torch.get_num_threads()
    try:
        vgg11.main()
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    for engine in ("textbook", "float32", "default"):
        assert re.search(rf"^training vgg11 at 224 pixels, {engine}: [\d.]+ images/s$", printed, flags=re.MULTILINE)
    assert "written" not in printed


def test_figures_compare_within_a_round(vgg11: ModuleType) -> None:
    def rounds(*speeds: float) -> list[dict[str, float]]:
        return [{"images_per_second": speed, "peak_mib": 100 * speed} for speed in speeds]

    figures = vgg11.speed_figures({"textbook": rounds(1.0, 2.0, 4.0), "default": rounds(3.0, 8.0, 8.0)})
    by_name = {(figure.what, figure.engine): figure for figure in figures}
    ratio = by_name["speed against the textbook", "default"]
    assert (ratio.median, ratio.least, ratio.most) == (3.0, 2.0, 4.0)
    assert by_name["peak memory", "textbook"].median == 200.0
