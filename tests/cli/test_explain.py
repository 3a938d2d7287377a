"""`convscope explain MODEL`."""

import json
import subprocess
import sys
from typing import Any

import pytest

from convscope.catalog import MODELS
from convscope.cli.explain import main
from convscope.errors import UserError

Capture = pytest.CaptureFixture[str]
MEMORY = {"process", "data_set", "weights", "gradients", "optimizer_state", "activations", "gaps", "best_weights"}


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the estimate of the memory, which takes seconds, where only the layers are looked at."""
    nothing = dict.fromkeys((*MEMORY, "total"), 0)
    monkeypatch.setattr("convscope.cli.explain._memory_of", lambda *arguments: ("float32", nothing, None))


def explained(capsys: Capture, *argv: str) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def printed(capsys: Capture, *argv: str) -> str:
    assert main([*argv]) == 0
    return capsys.readouterr().out


def test_table_of_a_network(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    # R-D1
    monkeypatch.setenv("COLUMNS", "110")
    lines = [" ".join(line.split()) for line in printed(capsys, "simplenet").splitlines()]
    assert any(line.endswith("Conv2d 16×32×32 3·3·3·16 + 16 448 1.8% 442.37 k 3 1") for line in lines)
    assert any(line.endswith("Linear 10 2048·10 + 10 20,490 80.1% 20.48 k 32") for line in lines)
    assert any(line.startswith("total 25,578 1.64 M") for line in lines)


@pytest.mark.parametrize("name", ["tinyvgg_bn", "googlenet", "se_resnet18_small", "vgg16"])
def test_table_fits_eighty_columns_and_cuts_nothing_off(
    name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(capsys, name, "--batch-size", "2")
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert MODELS[name].family in text and str(MODELS[name].year) in text
    assert f"{MODELS[name].parameters:,}" in text


@pytest.mark.usefixtures("no_memory")
def test_branches_and_folding(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    short = printed(capsys, "resnet18_small", "--batch-size", "2")
    assert "├ downsample.0" in short and "└ sum" in short
    assert "--all" in short
    whole = printed(capsys, "resnet18_small", "--batch-size", "2", "--all")
    assert whole.count("└ sum") == 8 > short.count("└ sum")
    assert "--all" not in whole


@pytest.mark.usefixtures("no_memory")
def test_what_signs_mean_is_said_where_there_are_any(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    gated = printed(capsys, "se_resnet18_small", "--batch-size", "2")
    assert "7*" in gated and "\n*: " in gated
    auxiliary = printed(
        capsys, "googlenet", "--input-size", "32", "--batch-size", "2", "--options", "auxiliary", "True"
    )
    assert "aux1.fc2°" in auxiliary and "\n°: " in auxiliary
    plain = printed(capsys, "tinyvgg", "--batch-size", "2")
    assert "*:" not in plain and "°" not in plain


@pytest.mark.usefixtures("no_memory")
def test_json_holds_the_graph(capsys: Capture) -> None:
    facts = explained(capsys, "googlenet", "--input-size", "32", "--batch-size", "2")
    assert (facts["model"], facts["family"], facts["year"]) == ("googlenet", "GoogLeNet", 2014)
    layers = {layer["name"]: layer for layer in facts["layers"]}
    module = layers["inception3a"]
    assert module["kind"] == "concatenation" and len(module["inputs"]) == 4
    assert module["receptive_field"] == {"start": [-23, -23], "size": [59, 59], "stride": [8, 8], "everything": False}
    assert facts["modules"]["inception3a"] == "Inception"
    assert facts["total_parameters"] == MODELS["googlenet"].parameters


def test_memory(capsys: Capture) -> None:
    # R-C6
    few = explained(capsys, "tinyvgg", "--batch-size", "64")["training_memory"]
    many = explained(capsys, "tinyvgg", "--batch-size", "1024")["training_memory"]
    parts = explained(capsys, "tinyvgg", "--batch-size", "1024", "--micro-batch", "64")["training_memory"]
    assert few["total"] == sum(few[part] for part in MEMORY)
    assert many["activations"] == pytest.approx(16 * few["activations"], rel=0.1)
    assert few["activations"] < parts["activations"] < many["activations"] / 3
    assert (parts["batch_size"], parts["micro_batch"]) == (1024, 64)
    assert many["weights"] == few["weights"] == 4 * 467_818
    assert few["largest_batch_size"] in (many["largest_batch_size"] * f for f in (0.5, 1, 2))


def test_arithmetic_and_optimizer(capsys: Capture) -> None:
    argv = ("tinyvgg_bn", "--batch-size", "64")
    full = explained(capsys, *argv, "--precision", "float32", "--optimizer", "sgd")["training_memory"]
    half = explained(capsys, *argv, "--precision", "bfloat16", "--optimizer", "adamw")["training_memory"]
    assert (full["precision"], full["optimizer"]) == ("float32", "sgd")
    assert half["optimizer_state"] == 2 * full["optimizer_state"] == 2 * full["gradients"]
    assert half["activations"] < full["activations"]


def test_images_classes_and_options(capsys: Capture) -> None:
    facts = explained(
        capsys,
        *("tinyvgg", "--input-size", "32", "--in-channels", "3", "--num-classes", "2", "--batch-size", "2"),
        *("--options", "hidden", "256", "block2_convs", "1", "dropout", "0.5"),
    )
    layers = facts["layers"]
    assert facts["input_shape"] == [3, 32, 32]
    assert [layer["kind"] for layer in layers].count("Conv2d") == 3
    assert "4096·256 + 256" in [layer["formula"] for layer in layers]
    assert layers[-1]["output_shape"] == [2]
    assert layers[-1]["receptive_field"] == {"start": [0, 0], "size": [32, 32], "stride": [0, 0], "everything": True}


@pytest.mark.usefixtures("no_memory")
def test_an_option_may_be_true_or_false(capsys: Capture) -> None:
    # R-C4
    argv = ("googlenet", "--input-size", "64", "--batch-size", "1", "--options", "auxiliary")
    with_, without = (explained(capsys, *argv, word)["total_parameters"] for word in ("true", "False"))
    assert without == 6_998_552 < with_


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["tinyvg"], "did you mean 'tinyvgg'"),
        (["tinyvgg", "--input-size", "3"], "at least 4 pixels"),
        (["tinyvgg", "--num-classes", "0"], "num_classes is 0"),
        (["tinyvgg", "--batch-size", "0"], "batch size is 0"),
        (["tinyvgg", "--micro-batch", "0"], "micro-batch is 0"),
        (["tinyvgg", "--options", "hiden", "1"], "did you mean 'hidden'"),
        (["tinyvgg", "--options", "hidden", "many"], "must be a whole number"),
        (["tinyvgg", "--options", "in_channels", "3"], "unknown tinyvgg option 'in_channels'"),
    ],
)
def test_mistakes_are_named(argv: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(UserError, match=message):
        main(argv)
    assert capsys.readouterr().out == ""


def test_help_does_not_wait_for_torch() -> None:
    script = "import sys; from convscope.cli.explain import main\ntry: main(['--help'])\n"
    script += "finally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "KEY VALUE" in done.stdout


@pytest.mark.parametrize(
    ("gibibytes", "largest", "words"),
    [(None, None, "cannot be told"), (0.01, 0, "take smaller images with --input-size"), (10**6, 2**20, "batches of")],
)
def test_what_fits_into_the_memory(
    gibibytes: float | None, largest: int | None, words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R-C6
    monkeypatch.setattr("convscope.training.environment.environment", lambda: {"memory_gib": gibibytes})
    found = explained(capsys, "lenet5")["training_memory"]["largest_batch_size"]
    assert found >= largest if largest else found == largest
    assert main(["lenet5"]) == 0
    # Where a line breaks depends on how many digits the estimate has here.
    assert words in " ".join(capsys.readouterr().out.split())
