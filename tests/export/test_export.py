"""From a run to a file that was compared with it."""

import getpass
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import onnxruntime
import pytest
import torch
from torch import Tensor

from convscope.catalog import DATA
from convscope.data import Splits
from convscope.errors import ConvscopeError, UserError
from convscope.export import FORMATS, FormatName, export_run
from convscope.export import export as module
from convscope.export.formats import Files
from convscope.runs import Run


@pytest.mark.parametrize("to", list(FORMATS))
def test_a_run_is_exported_and_compared(to: FormatName, finished: Callable[[FormatName], Any]) -> None:
    # R-F4
    done = finished(to)
    exported, check = done.exported, done.exported.check
    assert exported.files == tuple(done.folder / f"a.b{suffix}" for suffix in FORMATS[to].suffixes)
    assert sorted(done.folder.iterdir()) == sorted(exported.files)
    assert (exported.channels, exported.classes, exported.output) == (1, 10, "probabilities")
    assert check.images == 200 and check.agreement == 1
    assert check.largest_difference <= check.tolerance == pytest.approx(1e-4)
    assert exported.accuracy is None
    assert done.left == {f"convert to {to}": 0, "compare with the run": 0, "compare other shapes": 0}


@pytest.mark.parametrize("to", list(FORMATS))
def test_a_file_tells_nothing_of_this_machine(
    to: FormatName, finished: Callable[[FormatName], Any], fashion_slice: Path
) -> None:
    exported, folder = finished(to).exported, finished(to).folder
    contents = [path.read_bytes() for path in exported.files]
    if zipfile.is_zipfile(exported.files[0]):  # parts of it may be compressed
        archive = zipfile.ZipFile(exported.files[0])
        contents = [archive.read(name) for name in archive.namelist()]
        assert not any("debug" in name for name in archive.namelist())
    words = (str(Path.home()), str(Path.cwd()), str(fashion_slice), str(folder), "site-packages", ".convscope-")
    for content in contents:
        for word in (*words, f"/{getpass.getuser()}/"):
            assert word.encode() not in content, word


def test_what_it_says_of_itself(run: Run, finished: Callable[[FormatName], Any]) -> None:
    # R-F4
    session = onnxruntime.InferenceSession(finished("onnx").exported.files[0])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"])[0] == "T-shirt/top"
    assert json.loads(facts["preprocessing"])["size"] == 28
    top1 = run.metrics()["test"]["top1"]
    assert json.loads(facts["accuracy"]) == {"split": "test", "images": 200, "top1": top1}
    assert facts["input"] == "images: uint8 (batch, 1, height, width), grey, of any height and width"
    assert facts["output"] == "probabilities: float32 (batch, 10), in the order of the classes"
    assert (facts["model"], facts["run"], json.loads(facts["options"])) == ("lenet5", "shirts", {})
    assert "convscope" in facts
    assert "data" not in facts  # which is a path, except for the catalogue's own sets
    answers = session.run(None, {"images": torch.zeros(3, 1, 50, 20, dtype=torch.uint8).numpy()})[0]
    assert answers.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_the_name_of_a_known_data_set_is_told(
    run: Run, fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATA, str(fashion_slice), DATA["fashion-mnist"])
    told: list[Any] = []
    pack = FORMATS["torchscript"].pack
    monkeypatch.setattr(FORMATS["torchscript"], "pack", lambda made, facts: told.append(facts) or pack(made, facts))
    export_run(run, "torchscript", tmp_path / "shirts.pt")
    assert told[0]["data"] == str(fashion_slice)


def test_it_lies_in_the_run_directory_by_default(run: Run) -> None:
    assert export_run(run, "torchscript").files == (run.path / "export" / "shirts.pt",)


def test_a_single_test_image_is_enough(
    run: Run, fashion_splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replace(fashion_splits, test=fashion_splits.test.select(torch.tensor([7])))
    monkeypatch.setattr(module, "splits_of", lambda *arguments, **keywords: one)
    assert export_run(run, "torchscript", tmp_path / "shirts.pt").check.images == 1


# When something is wrong


class Wrong:
    """A format whose files answer something else than the network."""

    libraries = ()

    def __init__(self, change: Callable[[Tensor, Tensor], Tensor], *suffixes: str) -> None:
        self.change = change
        self.suffixes = suffixes or (".onnx",)

    def convert(self, deployable: Any) -> Any:
        """The module itself."""
        return deployable

    def pack(self, converted: Any, metadata: object) -> Files:
        """Nothing that could be read."""
        self.converted = converted
        return dict.fromkeys(self.suffixes, b"wrong")

    def read(self, files: Files) -> Any:
        """Answers that were changed."""
        return lambda images: self.change(images, self.converted(images))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images, answers: answers * 1.01, "200 test images differ by up to"),
        (lambda images, answers: answers.roll(1, dims=0) if len(answers) > 1 else answers, "differ by up to"),
        (lambda images, answers: answers * float("nan"), "differ by up to nan"),
        (lambda images, answers: answers + (images.shape[2] != images.shape[3]), "about images of 28x15 pixels"),
    ],
)
def test_a_file_that_disagrees_is_not_written(
    change: Callable[[Tensor, Tensor], Tensor],
    words: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # R-F4
    monkeypatch.setitem(FORMATS, "onnx", Wrong(change))
    (tmp_path / "shirts.onnx").write_bytes(b"an older one")
    with pytest.raises(ConvscopeError, match=words) as raised:
        export_run(run, "onnx", tmp_path / "shirts.onnx")
    assert raised.value.exit_status == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"an older one"]


def test_what_a_library_raises_becomes_a_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(converted: object, metadata: object) -> Files:
        raise RuntimeError("Exception from core.cpp:\n\nConversion is failed for: MaxPool-18\n")

    monkeypatch.setattr(FORMATS["torchscript"], "pack", fail)
    with pytest.raises(ConvscopeError, match=r"cannot take this network \(Conversion is failed for: MaxPool-18\): ch"):
        export_run(run, "torchscript", tmp_path / "shirts.pt")
    assert not list(tmp_path.iterdir())


def test_a_disk_too_full_for_openvino_is_no_fault_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr("openvino.save_model", fail)
    monkeypatch.setattr("convscope.export.formats.openvino_core", MagicMock())
    with pytest.raises(OSError, match="OpenVINO cannot write its files there"):
        FORMATS["openvino"].pack(MagicMock(), {})


def test_too_little_memory_is_no_fault_of_the_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(deployable: object) -> object:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(FORMATS["torchscript"], "convert", fail)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        export_run(run, "torchscript")


def test_what_cannot_be_is_said_at_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # R-F2
    with pytest.raises(UserError, match="unknown format 'onx': did you mean 'onnx'"):
        export_run(run, "onx")  # type: ignore[arg-type]
    for to in ("torchscript", "torch-export"):
        with pytest.raises(UserError, match=f"int8 is for onnx and openvino, not for {to}: leave int8 out"):
            export_run(run, to, int8=True)  # type: ignore[arg-type]
    for name in ("shirts.pt", "shirts", "."):
        with pytest.raises(UserError, match=r"give one that ends in \.onnx"):
            export_run(run, "onnx", tmp_path / name)
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "openvino" else name)
    with pytest.raises(
        UserError, match=r'openvino needs openvino, which is not .* `pip install "convscope\[export\]"`'
    ):
        export_run(run, "openvino")


def test_without_the_data_set_nothing_is_written(run: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    text = (copy.path / "config.yaml").read_text(encoding="utf-8")
    (copy.path / "config.yaml").write_text(text.replace("fashion-slice", "elsewhere"), encoding="utf-8")
    with pytest.raises(UserError, match="elsewhere"):
        export_run(copy, "onnx", tmp_path / "shirts.onnx")
    assert not (tmp_path / "shirts.onnx").exists()


def test_openvino_never_finds_a_model_without_its_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    original = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: order.append(target.suffix) or original(self, target))
    monkeypatch.setitem(FORMATS, "openvino", Wrong(lambda images, answers: answers, *FORMATS["openvino"].suffixes))
    export_run(run, "openvino", tmp_path / "shirts.xml")
    assert order == [".bin", ".xml"]


# In 8 bits


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_int8_is_calibrated_on_training_images_and_measured_on_the_test_split(
    to: FormatName,
    run: Run,
    finished: Callable[[FormatName], Any],
    fashion_splits: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # R-F4, R-F5
    seen: list[Tensor] = []
    original = module.quantised

    def watch(model: Any, images: Iterable[Tensor]) -> Any:
        return original(model, (seen.append(batch) or batch for batch in images))  # type: ignore[func-returns-value]

    monkeypatch.setattr(module, "quantised", watch)
    suffix = FORMATS[to].suffixes[0]
    small = export_run(run, to, tmp_path / f"int8{suffix}", int8=True)
    large = finished(to).exported
    # The file with the weights, which is the last one.
    assert small.files[-1].stat().st_size < 0.6 * large.files[-1].stat().st_size
    assert small.check.tolerance is None and small.check.images == 200
    assert 0.9 <= small.check.agreement <= 1 and small.check.largest_difference > 0
    assert small.accuracy is not None
    before, after = small.accuracy
    assert before == pytest.approx(run.metrics()["test"]["top1"])
    assert abs(after - before) <= 1 - small.check.agreement + 1e-6
    text = small.files[0].read_bytes().replace(b"&quot;", b'"').decode(errors="ignore")
    assert f'"top1": {after}, "top1_in_float32": {before}' in text

    training = {image.numpy().tobytes() for image in fashion_splits.train.take(torch.arange(540))}
    calibrated = [image.numpy().tobytes() for image in torch.cat(seen)]
    assert len(calibrated) == 256 and set(calibrated) <= training


def test_int8_that_sees_other_classes_is_not_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "onnx", Wrong(lambda images, answers: answers.roll(1, dims=1)))
    monkeypatch.setattr(module, "quantised", lambda model, images: model)
    with pytest.raises(
        ConvscopeError, match=r"in int8 the network names another class than the run for 100\.0% of 200"
    ):
        export_run(run, "onnx", tmp_path / "shirts.onnx", int8=True)
    assert not list(tmp_path.iterdir())
