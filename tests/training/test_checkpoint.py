"""Weights and states as files: what comes back is what went in, or a refusal; and no file runs code."""

import hashlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from convscope.errors import ConvscopeError, UserError
from convscope.training.checkpoint import (
    DiskCheckpoints,
    MemoryCheckpoints,
    load_state,
    load_weights,
    save_state,
    save_weights,
)

HEADER = {"model": "linear", "options": {}, "num_classes": 10, "classes": ["Ärmel", "b"], "preprocessing": {"size": 28}}


@pytest.fixture
def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(4, 3, 2, 2, generator=generator),
        "half": torch.randn(5, generator=generator).bfloat16(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0),
    }


@pytest.fixture
def state(weights: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "model": weights,
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "random": {"cpu": torch.get_rng_state()},
        "position": {"epoch": 2, "step": 3, "best": float("inf"), "done": False, "name": None},
        "history": [{"epoch": 1, "val_loss": 0.5}],
    }


@pytest.fixture
def saved_weights(weights: dict[str, Tensor], tmp_path: Path) -> Path:
    save_weights(tmp_path / "best.safetensors", weights, HEADER)
    return tmp_path / "best.safetensors"


@pytest.fixture
def saved_state(state: dict[str, Any], tmp_path: Path) -> Path:
    save_state(tmp_path / "last.pt", state)
    return tmp_path / "last.pt"


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def forge(path: Path, content: object, **options: Any) -> None:
    """Write what somebody might who knows how a state is written."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    path.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())


def assert_equal(first: Any, second: Any) -> None:
    if isinstance(first, Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for pair in zip(first, second, strict=True):
            assert_equal(*pair)
    else:
        assert first == second and type(first) is type(second)


# Weights


def test_weights_and_header_come_back(saved_weights: Path, weights: dict[str, Tensor]) -> None:
    tensors, header = load_weights(saved_weights)
    assert_equal(tensors, weights)
    assert header.items() >= HEADER.items()
    assert header["format"] == 1


def test_weights_in_channels_last_order_come_back(tmp_path: Path) -> None:
    """As `Runtime.prepare` has them; safetensors alone refuses them."""
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    save_weights(tmp_path / "w.safetensors", {"weight": weight}, HEADER)
    assert torch.equal(load_weights(tmp_path / "w.safetensors")[0]["weight"], weight)


def test_others_can_read_the_file_and_its_header(saved_weights: Path, weights: dict[str, Tensor]) -> None:
    assert_equal(safetensors.torch.load_file(saved_weights), weights)
    with safetensors.safe_open(saved_weights, framework="pt") as file:
        assert json.loads(file.metadata()["convscope"])["classes"] == HEADER["classes"]


def test_every_changed_byte_of_the_weights_is_noticed(saved_weights: Path, weights: dict[str, Tensor]) -> None:
    """In the header too, which says how images are prepared and what the classes are called."""
    whole = saved_weights.read_bytes()
    for place in range(len(whole)):
        saved_weights.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError):
            load_weights(saved_weights)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -100, -1])
def test_truncated_weights(kept: int, saved_weights: Path) -> None:
    saved_weights.write_bytes(saved_weights.read_bytes()[:kept])
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_weights(saved_weights)


def test_a_tensor_exchanged_for_another(saved_weights: Path, weights: dict[str, Tensor]) -> None:
    """A file that is whole, but not the one that was written."""
    with safetensors.safe_open(saved_weights, framework="pt") as file:
        metadata = file.metadata()
    for forged in (
        weights | {"count": torch.tensor(8)},
        weights | {"count": torch.tensor(7, dtype=torch.int32)},
        weights | {"weight": weights["weight"].reshape(3, 4, 2, 2)},
        weights | {"more": torch.zeros(1)},
        {name: value for name, value in weights.items() if name != "empty"},
    ):
        safetensors.torch.save_file(forged, saved_weights, metadata=metadata)
        with pytest.raises(UserError, match="not the ones that were saved"):
            load_weights(saved_weights)


@pytest.mark.parametrize(
    "metadata", [None, {}, {"convscope": "{"}, {"convscope": "[]"}, {"convscope": "{}"}, {"convscope": '{"format": 1}'}]
)
def test_weights_without_a_header(metadata: dict[str, str] | None, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file(weights, path, metadata=metadata)
    with pytest.raises(UserError, match="no Convscope header"):
        load_weights(path)


def test_weights_of_another_version(saved_weights: Path, weights: dict[str, Tensor]) -> None:
    header = json.dumps({"format": 2, "sha256": "?"})
    safetensors.torch.save_file(weights, saved_weights, metadata={"convscope": header})
    with pytest.raises(UserError, match="has format 2, and this Convscope reads format 1"):
        load_weights(saved_weights)


def test_missing_weights_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no weights at"):
        load_weights(tmp_path / "best.safetensors")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_weights(tmp_path)


def test_a_pickle_in_place_of_weights_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for write in (lambda file: pickle.dump(Trap(trap), file), lambda file: torch.save(Trap(trap), file)):
        with (tmp_path / "best.safetensors").open("wb") as file:
            write(file)
        with pytest.raises(UserError, match="cannot be read as weights"):
            load_weights(tmp_path / "best.safetensors")
    assert not trap.exists()


# The state to resume from


def test_state_comes_back(saved_state: Path, state: dict[str, Any]) -> None:
    assert_equal(load_state(saved_state), state)


def test_a_state_with_code_is_refused_and_not_run(state: dict[str, Any], saved_state: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        forge(saved_state, state | {"format": 1, "history": Trap(trap)}, **options)
        with pytest.raises(UserError, match="cannot be read as a state to resume from"):
            load_state(saved_state)
        assert not trap.exists()
    saved_state.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(UserError, match="not the state that was saved"):
        load_state(saved_state)
    assert not trap.exists()
    # The trap is one: what reads pickles without care walks into it.
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists()


@pytest.mark.parametrize("kept", [0, 1, 50, 0.3, 0.6, 0.9, -33, -32, -1])
def test_truncated_state(kept: float, saved_state: Path) -> None:
    whole = saved_state.read_bytes()
    saved_state.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(UserError, match="not the state that was saved"):
        load_state(saved_state)


def test_changed_bytes_of_the_state_are_noticed(saved_state: Path) -> None:
    """PyTorch itself would read most of them as other weights."""
    whole = saved_state.read_bytes()
    for place in range(0, len(whole), 97):
        saved_state.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="not the state that was saved"):
            load_state(saved_state)


def test_pytorch_itself_can_read_the_state(saved_state: Path, state: dict[str, Any]) -> None:
    assert_equal(torch.load(saved_state, weights_only=True), {"format": 1} | state)


def test_a_state_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_state(tmp_path)


def test_a_state_of_another_version(state: dict[str, Any], tmp_path: Path) -> None:
    forge(tmp_path / "last.pt", {"format": 2, **state})
    with pytest.raises(UserError, match="has format 2, and this Convscope reads format 1"):
        load_state(tmp_path / "last.pt")


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, 3])
def test_something_else_that_torch_has_saved(content: object, tmp_path: Path) -> None:
    forge(tmp_path / "last.pt", content)
    with pytest.raises(UserError, match="is not a state to resume from"):
        load_state(tmp_path / "last.pt")


def test_missing_state(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is nothing to resume at"):
        load_state(tmp_path / "last.pt")


# Where a training keeps them


def network(value: float) -> nn.Module:
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, value)
    return model


def test_both_kinds_of_checkpoints_give_the_best_weights_back(tmp_path: Path) -> None:
    # R-A6
    for checkpoints in (MemoryCheckpoints(), DiskCheckpoints(tmp_path, header=HEADER)):
        model = network(1.0)
        checkpoints.save_best(model)
        nn.init.constant_(model.weight, 2.0)  # training goes on, and the copy must not
        checkpoints.save_last({"model": model.state_dict()})
        checkpoints.load_best(model)
        assert torch.equal(model.weight, torch.ones(2, 2))
        assert not checkpoints.due()
    assert load_state(tmp_path / "last.pt")["model"]["weight"][0, 0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "last.pt"]


def test_a_checkpoint_is_due_when_its_minutes_are_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    checkpoints = DiskCheckpoints(tmp_path, header=HEADER, every_minutes=2)
    seldom = DiskCheckpoints(tmp_path, header=HEADER)
    answers = []
    for seconds in (0, 119, 1, 10):
        now[0] += seconds
        answers.append(checkpoints.due())
    assert answers == [False, False, True, True]
    checkpoints.save_last({})
    assert not checkpoints.due()
    now[0] += 1e9
    assert checkpoints.due()
    assert not seldom.due()


def test_a_full_disk_as_pytorch_tells_it_is_one_sentence_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise RuntimeError("unexpected pos 1881536 vs 1881428")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(
        ConvscopeError, match=r"cannot write .*file: it could not be written whole, with [\d,]+ MiB free"
    ):
        save_state(path, {})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
