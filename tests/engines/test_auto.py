"""The choice of an engine, with engines that take as long, and agree as well, as the test says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from convscope.engines import auto
from convscope.engines.auto import choose_engine
from convscope.engines.choice import REFERENCE
from convscope.engines.finished import Finished
from convscope.engines.measured import FILE, machine
from convscope.errors import ConvscopeError
from convscope.predict import Predictor
from convscope.runs import Run

CPU = torch.device("cpu")


@dataclass
class Fake:
    """An engine that answers with the brightness of the image, and `wrong` on top."""

    name: str
    world: "World"
    seconds: float
    """For an image."""
    wrong: float = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        self.world.now += self.seconds * len(images)
        brightness = images.float().mean(dim=(1, 2, 3)) / 255
        return torch.stack([brightness, 1 - brightness], dim=1) + torch.tensor([self.wrong, 0.0])


@dataclass
class World:
    """What the engines share: a clock, and who was opened."""

    now: float = 0.0
    opened: list[str] = field(default_factory=list)


@pytest.fixture
def finished(make_run: Callable[..., Run], tmp_path: Path) -> Finished:
    predictor = Predictor.from_run(make_run("linear"), device="cpu")
    return Finished(predictor.model, predictor.preprocessing, "a digest", tmp_path)


Given = Callable[..., World]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Puts engines into the world: of each the seconds for an image, and perhaps how wrong it is."""

    def run(engines: Mapping[str, float | tuple[float, float]]) -> World:
        world = World()

        def open_fake(name: str, finished: Finished, device: torch.device) -> Fake:
            world.opened.append(name)
            facts = engines[name]
            if name == "openvino-broken":
                raise ConvscopeError("it is broken: take another.")
            return Fake(name, world, *(facts if isinstance(facts, tuple) else (facts,)))

        monkeypatch.setattr(auto, "open_engine", open_fake)
        monkeypatch.setattr(auto, "present", lambda device: dict.fromkeys(engines))
        monkeypatch.setattr(auto, "perf_counter", lambda: world.now)
        return world

    return run


def images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def measured(finished: Finished, rows: Mapping[str, Mapping[str, Any]], **changes: Any) -> None:
    """Write what a bench measured: of each engine what differs from an agreeing one with 100 images a second."""
    usual = {"convert_seconds": 0.0, "load_seconds": 0.0, "top1_agreement": 1.0, "largest_difference": 0.0}
    engines = [
        {"name": name, **usual, **facts, "speeds": [speed(1, 10.0), speed(32, facts.get("rate", 100.0))]}
        for name, facts in rows.items()
    ]
    assert finished.run is not None
    whole = {"weights": finished.digest, "machine": machine(CPU), "images": 1000, "engines": engines, **changes}
    Run(finished.run).write_json(FILE, whole)


def speed(size: int, rate: float) -> dict[str, float]:
    return {"batch_size": size, "seconds": size / rate, "images_per_second": rate}


# With measurements


ROWS: dict[str, dict[str, Any]] = {
    REFERENCE: {"rate": 100.0},
    "pytorch-bfloat16": {"rate": 300.0, "load_seconds": 0.1},
    "openvino-bfloat16": {"rate": 1000.0, "load_seconds": 2.0, "convert_seconds": 20.0},
    "openvino-int8": {"rate": 3000.0, "load_seconds": 2.0, "top1_agreement": 0.97},
}
SECONDS = {REFERENCE: 0.01, "pytorch-bfloat16": 0.003, "openvino-bfloat16": 0.001, "openvino-int8": 0.0003}


@pytest.mark.parametrize(
    ("count", "kept", "expected"),
    [
        (3, True, REFERENCE),
        (500, True, "pytorch-bfloat16"),
        (2000, True, "openvino-bfloat16"),
        (2000, False, "pytorch-bfloat16"),  # the conversion would take longer than it saves
        (20_000, False, "openvino-bfloat16"),
        (None, False, "openvino-bfloat16"),
    ],
)
def test_the_measured_one_that_is_done_first(
    count: int | None, kept: bool, expected: str, finished: Finished, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(SECONDS)
    measured(finished, ROWS)
    monkeypatch.setattr(Finished, "is_kept", lambda self, precision: kept)
    assert choose_engine(finished, CPU, images=count).name == expected


def test_who_does_not_agree_is_not_taken_however_fast(finished: Finished, given: Given) -> None:
    world = given(SECONDS)
    measured(finished, {name: ROWS[name] for name in (REFERENCE, "openvino-int8")})
    assert choose_engine(finished, CPU).name == REFERENCE
    assert world.opened == [REFERENCE]


def test_first_answers_that_differ_end_the_trust_in_a_measurement(finished: Finished, given: Given) -> None:
    # R-F4
    world = given({REFERENCE: 0.01, "openvino-bfloat16": (0.001, 3.0)})
    measured(finished, {name: ROWS[name] for name in (REFERENCE, "openvino-bfloat16")})
    engine = choose_engine(finished, CPU)
    assert engine.name == "openvino-bfloat16"
    answers = engine(images(30))
    assert engine.name == REFERENCE
    assert torch.equal(answers, Fake(REFERENCE, world, 0.0)(images(30)))


def test_first_answers_that_agree(finished: Finished, given: Given) -> None:
    world = given(SECONDS)
    measured(finished, ROWS)
    engine = choose_engine(finished, CPU)
    engine(images(30))
    before = world.now
    engine(images(30))
    assert engine.name == "openvino-bfloat16"
    assert world.now - before == pytest.approx(30 * SECONDS["openvino-bfloat16"]), "checked once, not each time"


def test_who_cannot_be_opened_any_more_makes_way(finished: Finished, given: Given) -> None:
    given(SECONDS | {"openvino-broken": 0.0})
    measured(finished, ROWS | {"openvino-broken": {"rate": 9000.0}})
    assert choose_engine(finished, CPU).name == "openvino-bfloat16"


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": "others"},
        {"machine": {"cpu": "another"}},
        {"machine": None},
        {"engines": [{"name": "openvino-bfloat16"}]},
        {"engines": []},
    ],
)
def test_measurements_of_something_else_do_not_count(changes: dict[str, Any], finished: Finished, given: Given) -> None:
    given(SECONDS)
    measured(finished, ROWS, **changes)
    assert choose_engine(finished, CPU).name == REFERENCE


# Without


def answered(engine: Any, batches: int) -> list[str]:
    """Who answered each of the batches of 100."""
    names = []
    for _ in range(batches):
        names.append(engine.name)
        engine(images(100))
    return names


def test_few_images_are_answered_by_the_network_itself(finished: Finished, given: Given) -> None:
    world = given(SECONDS)
    engine = choose_engine(finished, CPU, images=150)
    assert answered(engine, 2) == [REFERENCE] * 2
    assert world.opened == [REFERENCE]


def test_many_are_answered_by_ever_faster_engines(finished: Finished, given: Given) -> None:
    world = given(SECONDS)
    engine = choose_engine(finished, CPU, images=50_000)
    assert answered(engine, 3) == [REFERENCE, "pytorch-bfloat16", "openvino-bfloat16"]
    assert "openvino-int8" not in world.opened, "never unmeasured"


def test_a_conversion_must_pay(finished: Finished, given: Given) -> None:
    given(SECONDS)
    engine = choose_engine(finished, CPU, images=5000)  # 15 s in bfloat16
    assert answered(engine, 4) == [REFERENCE] + ["pytorch-bfloat16"] * 3


def test_neither_slower_nor_other_answers_are_taken(finished: Finished, given: Given) -> None:
    world = given({REFERENCE: 0.01, "pytorch-bfloat16": 0.02, "openvino-bfloat16": (0.001, 3.0)})
    engine = choose_engine(finished, CPU, images=50_000)
    assert answered(engine, 3) == [REFERENCE] * 3
    assert world.opened == [REFERENCE, "pytorch-bfloat16", "openvino-bfloat16"]


def test_an_engine_that_fails_is_passed_over(finished: Finished, given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    given(SECONDS | {"openvino-broken": 0.0})
    monkeypatch.setattr(auto, "_CANDIDATES", [auto.Candidate("openvino-broken", 1.0), *auto._CANDIDATES])
    engine = choose_engine(finished, CPU, images=50_000)
    assert answered(engine, 2) == [REFERENCE, "pytorch-bfloat16"]
