"""What the README says is so."""

import re
from pathlib import Path

import pytest

from convscope import plots
from convscope.catalog import DATA, MODELS
from convscope.cli.main import VERBS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_every_verb_network_and_data_set_is_named() -> None:
    for name in (*VERBS, *MODELS, *DATA):
        assert re.search(rf"`{name}[`, ]", README), name


def test_every_verb_in_the_commands_exists() -> None:
    for verb in re.findall(r"^convscope (\S+)", README, flags=re.MULTILINE):
        assert verb in VERBS


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_examples_run(number: int, fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand, but on a slice of the data, and with an image to predict."""
    from PIL import Image

    from convscope.data import load_train_test

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: None)
    Image.fromarray(load_train_test(fashion_slice)[1].images[0, 0].numpy()).save("shirt.png")
    assert "fashion-mnist-mini" in BLOCKS[number]
    names: dict[str, object] = {}
    exec(BLOCKS[number].replace("fashion-mnist-mini", str(fashion_slice)), names)
    if "history" in names:
        assert len(names["history"]) == 2
    else:
        written = {path.name.partition("-")[0] for path in (tmp_path / "runs").iterdir()}
        assert written == {"tinyvgg_bn", "linear", "comparisons"}


def test_there_are_python_examples() -> None:
    assert len(BLOCKS) == 2
