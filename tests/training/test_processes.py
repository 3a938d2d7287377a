"""Two processes train what one trains alone.

This file is also what the two processes run: `python test_processes.py FOLDER`, with torchrun's variables. They start
once, do everything that needs two, and leave what they found for the tests to look at.
"""

import io
import os
import socket
import subprocess
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from convscope.data import Augmentation, Batches, ImageSet, Preprocessing
from convscope.errors import ConvscopeError, UserError
from convscope.models.layers import WithAuxiliary
from convscope.training.averaging import build_averaging
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.evaluate import predict_logits
from convscope.training.freezing import Freezing
from convscope.training.group import Group, join
from convscope.training.loop import Interrupted, fit
from convscope.training.meeting import Place, find_place
from convscope.training.norms import share_norms
from convscope.training.processes import ALONE, Alone, Ended
from convscope.training.runtime import Runtime
from convscope.training.schedules import Schedule

IMAGES = 56
BATCH = 11
"""So that the last of the batches has a single image, and one of two processes none of it."""


class Net(nn.Module):
    """Convolutions with BatchNorm, dropout, or neither, and an auxiliary classifier."""

    def __init__(self, norm: bool, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.second = nn.Conv2d(4, 6, 3)
        self.last_norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(6 * 4 * 4, 5)
        self.helper = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor | WithAuxiliary:
        early = torch.tanh(self.norm(self.first(images)))
        logits = self.head(self.dropout(torch.tanh(self.last_norm(self.second(early))).flatten(1)))
        return WithAuxiliary(logits, (self.helper(early.mean(dim=(2, 3))),)) if self.training else logits


@dataclass(frozen=True)
class Case:
    """What is trained."""

    norm: bool = False
    dropout: float = 0.0
    micro_batch: int | None = None
    augmentation: Augmentation | None = None
    thaw: bool = False
    """Whether the first layer rests in the first epoch alone."""


CASES = {
    "plain": Case(),
    "in parts": Case(micro_batch=2),
    "norms": Case(norm=True),
    "norms in parts": Case(norm=True, micro_batch=3),
    "augmented": Case(augmentation=Augmentation(flip=True, shift=1, crop_scale=0.6, mixup=0.4, cutmix=1.0)),
    "thawing": Case(norm=True, thaw=True),
}


def images(count: int = IMAGES) -> ImageSet:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(5, (count,), generator=generator)
    pixels[:, 0] = (labels * 50)[:, None, None].to(torch.uint8)  # something to learn
    return ImageSet(pixels, labels, tuple("abcde"))


def train(case: Case, processes: Alone, *, stop_after: int | None = None, state: Any = None) -> dict[str, Any]:
    """Train and say all that came of it."""
    everything = images()
    preprocessing = Preprocessing.for_training(everything, size=8)
    runtime = Runtime(torch.device("cpu"), processes=processes)
    model = runtime.prepare(Net(case.norm, case.dropout))
    if processes.count > 1:
        share_norms(model)
    torch.manual_seed(processes.seed(0))
    batches, val = (
        Batches(
            image_set,
            preprocessing,
            batch_size=BATCH,
            shuffle_seed=seed,
            augmentation=case.augmentation if seed is not None else None,
            share=processes.share,
        )
        for image_set, seed in ((everything, 3), (everything.select(torch.arange(17)), None))
    )
    losses: list[float] = []
    saved: list[Any] = []

    class Keeper(MemoryCheckpoints):
        def save_last(self, state: dict[str, Any]) -> None:
            saved[:] = [torch.load(_as_file(state), weights_only=True)]

    class Listener:
        def on_batch(self, record: Any) -> None:
            losses.append(record.loss.item())

        def on_epoch(self, record: Any) -> None:
            """Steps are enough."""

    freezing = Freezing({"first": model.first}, unfreeze_every=1) if case.thaw else None
    history: list[Any] = []
    with suppress(Interrupted):
        history = fit(
            model,
            batches,
            val,
            optim.SGD(model.parameters(), lr=0.2, momentum=0.9),
            schedule=Schedule(lambda step: 1.0),
            runtime=runtime,
            epochs=3,
            checkpoints=Keeper(),
            clip_norm=1.0,
            micro_batch=case.micro_batch,
            averaging=build_averaging(model, decay=0.9),
            freezing=freezing,
            resume_from=state,
            listeners=[Listener()],
            # Only the main process is asked.
            interrupted=lambda: processes.is_main and len(losses) == stop_after,
        )
    logits, labels = predict_logits(model, val, runtime)
    return {
        "losses": losses,
        "history": [[r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy, r.grad_norm] for r in history],
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "logits": logits.clone(),
        "labels": labels.clone(),
        "state": saved[0],
    }


def _as_file(state: dict[str, Any]) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def both(group: Alone) -> dict[str, Any]:
    """What the two processes do."""
    found: dict[str, Any] = {name: train(case, group) for name, case in CASES.items()}
    dropping = Case(dropout=0.5)
    found["dropout"] = train(dropping, group)
    found["stopped"] = train(dropping, group, stop_after=8)
    found["resumed"] = train(dropping, group, state=found["stopped"]["state"])
    half = train(CASES["plain"], ALONE, stop_after=8)["state"]
    found["from one"] = train(CASES["plain"], group, state=half)
    found["for one"] = train(CASES["plain"], group, stop_after=8)["state"]
    found["gathered"] = group.gather(torch.arange(4.0)[group.share.of(3)])
    found["told"] = group.tell({"weight": torch.ones(2), "name": "x"} if group.is_main else {})
    found["agreed"] = group.agree(group.is_main, not group.is_main)
    found["threads"] = group.threads(3), group.threads(None)
    found["device"] = group.device("auto")
    found["problems"] = [problem(group, index) for index in (0, 1)]
    try:
        train(CASES["plain"], group, state={"model": {}})
    except (ConvscopeError, Ended) as error:
        found["foreign"] = type(error).__name__
    norm = nn.BatchNorm2d(2)
    share_norms(norm)
    norm(torch.ones(1, 2, 1, 1)[group.share.of(1)])
    found["variance"] = norm.state_dict()["running_var"]
    group.is_main = False  # nobody tells of it twice
    return found


def problem(group: Alone, index: int) -> str:
    """How an error in one of the processes reaches this one."""
    try:
        with group.all_well():
            if group.share.index == index:
                raise UserError(f"the disk of {index} is missing: put it in.")
    except (ConvscopeError, Ended) as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with join(find_place(os.environ)) as group:
        found = both(group)
        torch.save(found, folder / f"{group.share.index}.pt")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("pair")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env=os.environ
            | {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
            | {"MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    return first, second


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """To rounding."""
    assert one["losses"] == pytest.approx(other["losses"], rel=1e-4)
    assert one["history"] == [pytest.approx(row, rel=1e-3) for row in other["history"]]
    for name, value in other["weights"].items():
        torch.testing.assert_close(one["weights"][name], value, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(one["logits"], other["logits"], rtol=1e-3, atol=1e-4)
    assert torch.equal(one["labels"], other["labels"])


@pytest.mark.parametrize("name", CASES)
def test_two_processes_take_the_steps_of_one(name: str, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    # With last batches of one image, clipping, auxiliary classifiers, a moving average, and a validation set of 17.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = train(CASES[name], ALONE)
    torch.set_num_threads(threads)
    assert len(alone["losses"]) == 18
    # BatchNorm looks at parts, and the parts of two processes together have other images than those of one.
    if not (CASES[name].norm and CASES[name].micro_batch):
        assert_same(pair[0][name], alone)
    # And both are at the same point, to the bit.
    assert pair[0][name]["losses"] == pair[1][name]["losses"]
    assert pair[0][name]["history"] == pair[1][name]["history"]
    for weights, others in zip(*(found[name]["weights"].values() for found in pair), strict=True):
        assert torch.equal(weights, others)


def test_stopping_and_going_on_gives_the_same_bits(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    # R-F6: with dropout, of which each process draws its own.
    for found in pair:
        whole, rest = found["dropout"], found["resumed"]
        assert len(found["stopped"]["losses"]) == 8
        assert found["stopped"]["losses"] + rest["losses"] == whole["losses"]
        assert all(torch.equal(value, rest["weights"][name]) for name, value in whole["weights"].items())
    generators = pair[0]["stopped"]["state"]["random"]["cpu"]
    assert len(generators) == 2 and not torch.equal(*generators)


def test_another_number_of_processes_goes_on(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    whole = train(CASES["plain"], ALONE)
    rest = train(CASES["plain"], ALONE, state=pair[0]["for one"])
    for found in (pair[0]["from one"], rest):
        assert len(found["losses"]) == 10
        assert_same(found | {"losses": whole["losses"][:8] + found["losses"]}, whole)


def test_what_processes_tell_each_other(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for found in pair:
        assert found["gathered"].tolist() == [0, 1, 2]
        assert found["told"]["weight"].tolist() == [1, 1] and found["told"]["name"] == "x"
        assert found["agreed"] == (True, False)  # the main process decides
        assert found["threads"] == (3, None)
        assert found["device"] == "cpu" or torch.cuda.is_available()


def test_an_error_in_one_process_is_told_once(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    sentence = "the disk of {0} is missing: put it in."
    assert pair[0]["problems"] == [
        "UserError: " + sentence.format(0),
        "ConvscopeError: process 1 of 2: " + sentence.format(1),
    ]
    assert pair[1]["problems"] == ["Ended: ", "Ended: "]
    # A state of something else does not fit in any process.
    assert [found["foreign"] for found in pair] == ["UserError", "Ended"]


def test_a_single_value_in_all_processes_has_no_variance(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for found in pair:
        torch.testing.assert_close(found["variance"], torch.tensor([0.9, 0.9]))


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    group = Group.__new__(Group)  # one that has met nobody
    group.count = 4
    for here, cores, expected in ((4, None, 2), (3, None, 2), (16, None, 1), (4, 5, 5)):
        monkeypatch.setattr(group, "_place", Place(0, 4, 0, "env://", cores=cores), raising=False)
        monkeypatch.setattr(group, "_here", here, raising=False)
        assert group.threads(None) == expected
        assert group.threads(7) == 7
    with pytest.raises(UserError, match="device is cuda:1, but 4 processes need one each"):
        group.device("cuda:1")


def test_one_process_is_left_alone() -> None:
    with join(None) as processes, processes.one_first(), processes.all_well():
        assert processes is ALONE
    model = nn.Linear(2, 2)
    assert ALONE.wrap(model) is model
    assert isinstance(ALONE.accumulate(model, last=False), nullcontext)
    assert ALONE.agree(True, False) == (True, False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
