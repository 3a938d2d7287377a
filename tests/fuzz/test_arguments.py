"""The command line may hold anything: it ends with a status and a sentence, and begins nothing."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from words import WORDS

from convscope.catalog import DATA, MODELS
from convscope.cli.main import VERBS, main
from convscope.config import Config

NAMES = (*Config.__dataclass_fields__, "config", "recipe", "resume", "name", "runs_dir", "json", "run", "where", "show")
FLAGS = [f"--{name.replace('_', '-')}" for name in NAMES]
JUNK = [word.decode("latin-1") for word in WORDS if len(word) < 200 and b"\0" not in word]

values = st.one_of(
    st.sampled_from([*MODELS, *DATA, "latest", "list", "show", "environment", "training", ".", "/", "-", "--", "@x"]),
    st.sampled_from(JUNK),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=20).filter(lambda text: "\0" not in text),
)
arguments = st.lists(st.one_of(st.sampled_from(FLAGS), values), max_size=6)


@pytest.mark.parametrize("verb", VERBS)
def test_any_arguments_end_in_a_sentence(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # R-F8
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    # What would begin something is given a data set that does not exist, and a check that nothing came of it.
    first = ["nowhere"] if verb in ("train", "compare", "search") else []

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(arguments)
    def run(others: list[str]) -> None:
        if verb in ("data", "doctor") and {"fetch", "training", "show", "data"} & set(others):
            others = ["list", *others] if verb == "data" else ["environment", *others]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status: object = main([verb, *first, *others])
            except SystemExit as end:  # tyro's, after --help or a value of the wrong type
                status = end.code
        assert status in (0, 1, 2), others
        assert "Traceback" not in err.getvalue() and "did not expect" not in err.getvalue(), (others, err.getvalue())
        if first:
            assert status != 0 or "usage" in out.getvalue(), others

    run()
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == []
