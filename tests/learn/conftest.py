"""The solutions of the exercises."""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from convscope.learn import Chapter

SOLUTIONS = Path(__file__).parent / "solutions"


@cache
def _load(name: str) -> ModuleType:
    path = SOLUTIONS / f"{name.replace('-', '_')}.py"
    spec = importlib.util.spec_from_file_location(f"solutions_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def solutions() -> Callable[[Chapter], ModuleType]:
    """The module with the solutions of a chapter's exercises, and with mistakes."""
    return lambda chapter: _load(chapter.name)
