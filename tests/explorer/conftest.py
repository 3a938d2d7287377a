"""The explorer without its server: questions asked and answers read in this process."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convscope.explorer.explorer import Explorer
from convscope.explorer.views import answer
from convscope.runs import Run
from convscope.web.answers import Answer


class Questions:
    """Asks an explorer what its page would ask."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer

    def ask(self, name: str, **parameters: object) -> Answer:
        """`class` is a word of Python's own: ask for `class_`."""
        query = [(key.rstrip("_"), str(value)) for key, value in parameters.items()]
        return answer(lambda: self.explorer, name, query)

    def json(self, name: str, **parameters: object) -> Any:
        said = self.ask(name, **parameters)
        assert said.status == 200, said.body
        return json.loads(said.body)

    def refused(self, name: str, status: int, **parameters: object) -> str:
        """The sentence of an error."""
        said = self.ask(name, **parameters)
        assert said.status == status, said
        sentence: str = json.loads(said.body)["error"]
        assert sentence.endswith((".", "?")) and "\n" not in sentence
        return sentence

    def tensor(self, name: str, **parameters: object) -> Tensor:
        said = self.ask(name, **parameters)
        assert said.status == 200, said.body
        return read_tensor(said.body, said.headers["X-Shape"])

    def parts(self, name: str, **parameters: object) -> dict[str, Tensor]:
        said = self.ask(name, **parameters)
        assert said.status == 200, said.body
        return read_parts(said.body, said.headers)


def read_tensor(body: bytes, shape: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(body, "<f4").copy()).reshape([int(side) for side in shape.split(",")])


def read_parts(body: bytes, headers: Mapping[str, str]) -> dict[str, Tensor]:
    parts = {}
    for text in headers["X-Parts"].split(";"):
        name, shape = text.split(":")
        size = 4 * int(np.prod([int(side) for side in shape.split(",")]))
        parts[name], body = read_tensor(body[:size], shape), body[size:]
    assert body == b""
    return parts


@pytest.fixture(scope="session")
def read_floats() -> Callable[[bytes, Mapping[str, str]], dict[str, Tensor]]:
    """Reads the body of an answer with tensors, as its headers say; a tensor without a name has the empty one."""

    def run(body: bytes, headers: Mapping[str, str]) -> dict[str, Tensor]:
        return {"": read_tensor(body, headers["X-Shape"])} if "X-Shape" in headers else read_parts(body, headers)

    return run


@pytest.fixture
def open_explorer() -> Iterator[Callable[..., Questions]]:
    """Opens an explorer of runs, closed at the end of the test."""
    opened = []

    def run(*runs: Run) -> Questions:
        explorer, trouble = Explorer.open(runs, device="cpu")
        assert trouble is None
        opened.append(explorer)
        return Questions(explorer)

    yield run
    for explorer in opened:
        explorer.background.close()


@pytest.fixture(scope="session")
def tinyvgg(make_run: Callable[..., Run]) -> Run:
    return make_run("tinyvgg_bn", tested=True, snapshots=(0, 3))


@pytest.fixture
def questions(open_explorer: Callable[..., Questions], tinyvgg: Run) -> Questions:
    """An explorer of one small network."""
    return open_explorer(tinyvgg)
