"""The compiled network computes what the plain one does; what compiling lacks is said before anything is written."""

import copy
import gc
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn, optim

from convscope.config import Config
from convscope.data import Batches, Preprocessing, Splits
from convscope.doctor.watch import Watch
from convscope.doctor.watch.probe import Probe
from convscope.errors import UserError
from convscope.experiment import train
from convscope.training.averaging import MovingAverage
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.compiled import compile_network, obstacle, uncompiled
from convscope.training.loop import fit
from convscope.training.runtime import Runtime
from convscope.training.schedules import build_schedule
from convscope.training.state import EpochRecord

CPU = torch.device("cpu")
# PyTorch's compiler imports a module of its own that uses what PyTorch has declared outdated.
ITS_OWN_WARNING = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


class Small(nn.Module):
    """Few operations, for the compiler of C++ takes seconds for each."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 5, stride=3)
        self.head = nn.Linear(8 * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.convolution(images)).flatten(1))
        return logits


def trained(model: nn.Module, splits: Splits) -> list[EpochRecord]:
    """Two epochs of batches of 200, 200 and 140, each with an evaluation."""
    preprocessing = Preprocessing.for_training(splits.train)
    batches = Batches(splits.train, preprocessing, batch_size=200, shuffle_seed=0)
    return fit(
        model,
        batches,
        Batches(splits.val, preprocessing, batch_size=200),
        optim.SGD(model.parameters(), lr=0.05),
        schedule=build_schedule("constant", epochs=2, steps_per_epoch=len(batches)),
        runtime=Runtime(CPU),
        epochs=2,
        checkpoints=MemoryCheckpoints(),
    )


@pytest.mark.skipif(obstacle(CPU) is not None, reason=f"PyTorch cannot compile here: {obstacle(CPU)}")
@ITS_OWN_WARNING
def test_a_compiled_network_learns_the_same(
    fashion_splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # what earlier runs compiled does not count
    torch.manual_seed(0)
    plain = Runtime(CPU).prepare(Small())
    compiled = copy.deepcopy(plain)
    compile_network(compiled, CPU, in_parts=False)
    for ours, theirs in zip(trained(compiled, fashion_splits), trained(plain, fashion_splits), strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-5)
    # It was compiled indeed, and is what it was: checkpoints, exports and averages know nothing of it.
    assert list(tmp_path.rglob("*.so"))
    assert type(compiled) is type(plain) and [*compiled.state_dict()] == [*plain.state_dict()]
    for name, weights in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], weights)
    assert MovingAverage(compiled, decay=0.9).model._compiled_call_impl is None

    heard: list[str] = []
    handle = compiled.register_forward_hook(lambda *_: heard.append("a hook"))
    images = torch.zeros(2, 1, 28, 28)
    with uncompiled(compiled):
        compiled(images)
    assert heard == ["a hook"]
    handle.remove()


@pytest.mark.parametrize(
    ("device", "in_parts", "mode"),
    [("cuda", False, "reduce-overhead"), ("cuda", True, "default"), ("cpu", False, "default")],
)
def test_graphs_are_for_gpus_and_whole_batches(
    device: str, in_parts: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, mode: asked.append(mode))
    model = nn.Linear(1, 1)
    compile_network(model, torch.device(device), in_parts=in_parts)
    assert asked == [mode]
    model._compiled_call_impl = model.forward
    compile_network(model, torch.device(device), in_parts=in_parts)
    assert asked == [mode]  # once is enough


def test_what_compiling_lacks_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install triton" in str(obstacle(torch.device("cuda")))
    assert "not for mps" in str(obstacle(torch.device("mps")))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda command: None)
    monkeypatch.setattr("sys.platform", "linux")
    assert "no compiler gcc or clang here" in str(obstacle(torch.device("cuda")))
    assert "no compiler g++ here" in str(obstacle(CPU))
    monkeypatch.setattr(shutil, "which", lambda command: command if command == "my-compiler" else None)
    monkeypatch.setenv("CXX", "my-compiler")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert "python3-dev" in str(obstacle(CPU))
    (tmp_path / "Python.h").touch()
    assert obstacle(CPU) is None


def test_a_training_that_cannot_be_compiled_is_refused_before_anything_is_written(
    fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None)
    config = Config(data=str(fashion_slice), model="linear", compile=True, device="cpu")
    with pytest.raises(
        UserError, match=r"cannot be compiled: there is no compiler .*; train without compile otherwise"
    ):
        train(config, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_look_that_is_given_up_leaves_compiling_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stances: list[str] = []

    class Stance:
        def __init__(self, stance: str) -> None:
            self._stance = stance

        def __enter__(self) -> None:
            stances.append(self._stance)

        def __exit__(self, *error: object) -> None:
            stances.append("as before")

    monkeypatch.setattr(torch.compiler, "set_stance", Stance)
    model = nn.Linear(1, 1)
    Probe(model)
    assert stances == []
    model._compiled_call_impl = model.forward
    probe = Probe(model)
    assert stances == ["force_eager"]
    del probe, model
    gc.collect()
    assert stances == ["force_eager", "as before"]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.usefixtures("no_pictures")
def test_evaluations_of_a_compiled_network_get_no_hooks(
    fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    watched: list[nn.Module] = []
    monkeypatch.setattr(Watch, "_watch_evaluation", lambda watch, model: watched.append(model))
    monkeypatch.setattr(nn.Module, "compile", lambda module, mode: None)
    monkeypatch.setattr("convscope.training.compiled.obstacle", lambda device: None)
    config = Config(data=str(fashion_slice), model="linear", epochs=2, compile=compiled, device="cpu")
    run = train(config, runs_dir=tmp_path, observers=[Watch(print)])
    assert run.config().compile == compiled
    assert len(watched) == (0 if compiled else 2)
