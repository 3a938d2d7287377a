"""`convscope explain MODEL`."""

import json
import subprocess
import sys

import pytest

from convscope.cli.explain import main
from convscope.errors import UserError

Capture = pytest.CaptureFixture[str]


def explained(capsys: Capture, *argv: str) -> dict[str, object]:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_table_of_a_network(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    # R-D1
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["simplenet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: " ".join(line.split()) for line in lines if line.strip()}
    assert rows["body.conv1"] == "body.conv1 Conv2d 16×32×32 3·3·3·16 + 16 448 1.8% 442.37 k 3 1"
    assert rows["body.pool2"] == "body.pool2 MaxPool2d 32×8×8 10 4"
    assert rows["head"] == "head Linear 10 2048·10 + 10 20,490 80.1% 20.48 k 32"
    assert "25,578" in "".join(lines) and "1.64 M" in "".join(lines)


def test_table_fits_eighty_columns_and_cuts_nothing_off(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["tinyvgg_bn"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed


def test_memory_grows_with_the_batch(capsys: Capture) -> None:
    # R-C6
    few = explained(capsys, "tinyvgg", "--batch-size", "64")["training_memory"]
    many = explained(capsys, "tinyvgg", "--batch-size", "1024")["training_memory"]
    assert many["activations"] == pytest.approx(16 * few["activations"], rel=1e-4)
    assert many["weights"] == few["weights"] == 4 * 467_818
    assert few["total"] == 4 * few["weights"] + few["activations"]


def test_images_classes_and_options(capsys: Capture) -> None:
    facts = explained(
        capsys,
        *("tinyvgg", "--input-size", "32", "--in-channels", "3", "--num-classes", "2"),
        *("--options", "hidden", "256", "block2_convs", "1", "dropout", "0.5"),
    )
    layers = {layer["name"]: layer for layer in facts["layers"]}
    assert facts["input_shape"] == [3, 32, 32]
    assert "block2.conv2" not in layers
    assert layers["hidden.linear"]["formula"] == "4096·256 + 256"
    assert layers["head"]["output_shape"] == [2]
    assert layers["head"]["receptive_field"] == {"size": [32, 32], "stride": [0, 0]}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["tinyvg"], "did you mean 'tinyvgg'"),
        (["tinyvgg", "--input-size", "3"], "at least 4 pixels"),
        (["tinyvgg", "--num-classes", "0"], "num_classes is 0"),
        (["tinyvgg", "--batch-size", "0"], "batch size is 0"),
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
