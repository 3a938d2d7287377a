"""The verb `look`: once as a real command, the rest within this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_look_at_a_run_and_at_images(process: Command, run_path: Path):  # R-A9
    outcome = process("look", "first", "--limit", 30)
    assert outcome.status == 0, outcome.err
    page = run_path / "look" / "network.html"
    assert outcome.out == f"wrote {page}, and its pictures beside it\n"
    assert page.exists() and (run_path / "look" / "filters.png").exists()


def test_images_are_answered_and_bad_ones_named(command: Command, run_path: Path):
    outcome = command("look", "first", "test/3", "missing.png", "--output", "there")
    assert outcome.status == 2
    first, last = outcome.out.splitlines()
    assert first.startswith("test/3: ") and first.count("%") == 3 and "(it is " in first
    assert last == f"wrote {Path('there', 'images.html')}, and its pictures beside it"
    assert "convscope: there is no image file missing.png" in outcome.err
    assert Path("there", "images.html").exists()


def test_mistakes_end_in_a_sentence(refused: Callable[..., str], run_path: Path):
    assert "did you mean 'output'" in refused("look", "first", "--layer", "outpt")
    assert "has 10 channels and no channel 10:" in refused("look", "first", "--layer", "output", "--channels", 10)
    assert "say of which --layer" in refused("look", "first", "--channels", 1)
    assert "did you mean --embedding" in refused("look", "first", "--embeding", "tsne")
    assert "there is no run 'frist'" in refused("look", "frist")
