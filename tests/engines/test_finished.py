"""Converted models: kept for next time, and never trusted for another network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from convscope.engines import finished as module
from convscope.engines.finished import FOLDER, Finished
from convscope.errors import ConvscopeError, UserError
from convscope.predict import Predictor
from convscope.runs import Run


class Converted:
    """Stands for an ONNX model."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def SerializeToString(self) -> bytes:
        return self.content


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conversions that were made, none of which takes any time."""
    made: list[str] = []

    def convert(deployable: object) -> Converted:
        made.append("float32")
        return Converted(f"model {len(made)}".encode())

    monkeypatch.setattr(module, "to_onnx", convert)
    return made


@pytest.fixture
def finished(make_run: Callable[..., Run], tmp_path: Path) -> Finished:
    predictor = Predictor.from_run(make_run("linear"), device="cpu")
    return Finished(predictor.model, predictor.preprocessing, "a digest", tmp_path)


def kept(finished: Finished) -> list[Path]:
    assert finished.run is not None
    return sorted((finished.run / FOLDER).iterdir())


def test_a_second_time_it_is_there(finished: Finished, conversions: list[str]) -> None:
    assert not finished.is_kept("float32")
    assert finished.onnx("float32") == finished.onnx("float32") == b"model 1"
    assert finished.is_kept("float32")
    assert len(conversions) == 1
    assert finished.convert("float32") == finished.onnx("float32") == b"model 2", "made anew, and kept"
    assert len(kept(finished)) == 1


def test_whether_it_is_there_is_seen_without_reading_it(
    finished: Finished, conversions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.onnx("float32")
    monkeypatch.setattr(Path, "read_bytes", None)
    assert finished.is_kept("float32") and not finished.is_kept("int8")


def test_other_weights_get_a_model_of_their_own(finished: Finished, conversions: list[str]) -> None:
    # R-F4
    finished.onnx("float32")
    (old,) = kept(finished)
    other = replace(finished, digest="another")
    assert not other.is_kept("float32")
    assert other.onnx("float32") == b"model 2"
    assert old not in kept(finished)


def test_another_version_converts_anew(
    finished: Finished, conversions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.onnx("float32")
    monkeypatch.setattr(module, "version", lambda library: "99")
    assert not finished.is_kept("float32")


def test_a_changed_or_planted_file_is_not_read(finished: Finished, conversions: list[str]) -> None:
    finished.onnx("float32")
    (path,) = kept(finished)
    path.write_bytes(b"something else")
    assert finished.onnx("float32") == b"model 2"
    (path,) = kept(finished)
    path.with_name("float32-planted.onnx").write_bytes(b"something else")
    assert finished.onnx("float32") == b"model 2"


def test_without_a_directory_or_permission_it_is_converted_each_time(
    finished: Finished, conversions: list[str], tmp_path: Path
) -> None:
    homeless = replace(finished, run=None)
    assert [homeless.onnx("float32"), homeless.onnx("float32")] == [b"model 1", b"model 2"]
    (tmp_path / "file").touch()
    closed = replace(finished, run=tmp_path / "file")  # nobody, not even root, makes a folder in it
    assert closed.onnx("float32") == b"model 3"


def test_int8_needs_images_to_calibrate(
    finished: Finished, conversions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="run `convscope bench inference`"):
        finished.onnx("int8")
    given = []
    monkeypatch.setattr(Finished, "_int8", lambda self, images: given.append(len(images)) or b"int8")
    assert finished.onnx("int8", torch.zeros(40, 1, 28, 28, dtype=torch.uint8)) == b"int8"
    assert finished.onnx("int8") == b"int8", "it is kept"
    assert given == [40]


def test_a_network_that_cannot_be_converted(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(deployable: object) -> Converted:
        raise RuntimeError("no such operator\nand much more")

    monkeypatch.setattr(module, "to_onnx", fail)
    with pytest.raises(ConvscopeError, match=r"cannot be converted to ONNX in float32 \(no such operator\)"):
        finished.onnx("float32")
