"""Parameters of an address: whatever is sent, it is read as it should be or refused in a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.explorer.explorer import Explorer
from convscope.explorer.parameters import EPOCH, IMAGE, NAME
from convscope.explorer.views import VIEWS, answer
from convscope.web.answers import Refused
from convscope.web.parameters import number, one_of, read_parameters

KNOWN = {"run": NAME, "top": number(1, 256).or_none(), "order": one_of("up", "down").or_none()}
WORDS = sorted({name for view in VIEWS.values() for name in view.parameters})


def test_what_is_as_it_should_be_is_read() -> None:
    assert read_parameters([("top", "12"), ("run", "a b")], KNOWN) == {"run": "a b", "top": 12}
    assert read_parameters([("run", "x"), ("order", "up")], KNOWN) == {"run": "x", "order": "up"}
    for image in ("test/0", "train/123456789", "upload/0123456789abcdef"):
        assert IMAGE.read(image) == image
    for epoch in ("best", "0", "12"):
        assert EPOCH.read(epoch) == epoch


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ([], "'run' is missing"),
        ([("run", "x"), ("run", "x")], "'run' is given twice"),
        ([("run", "x"), ("colour", "red")], "unknown parameter 'colour'"),
        ([("run", "x"), ("top", "257")], "a whole number from 1 to 256"),
        ([("run", "x"), ("top", " 7")], "a whole number"),
        ([("run", "x"), ("top", "+7")], "a whole number"),
        ([("run", "x"), ("top", "7_0")], "a whole number"),
        ([("run", "x"), ("top", "07")], "a whole number"),
        ([("run", "x"), ("top", "9" * 299)], "a whole number"),
        ([("run", "x"), ("order", "Up")], "one of up, down"),
        ([("run", "x\n")], "a name"),
        ([("run", "x" * 301)], "at most 300 letters"),
    ],
)
def test_what_is_not_is_refused(query: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        read_parameters(query, KNOWN)
    assert refusal.value.status == 400
    assert len(str(refusal.value)) < 500


VALUES = st.text() | st.sampled_from(["best", "test/0", "upload/0123456789abcdef", "0", "12", "x", "-1", "1e3", "nan"])


@given(st.sampled_from(sorted(VIEWS)), st.lists(st.tuples(st.sampled_from(WORDS) | st.text(), VALUES), max_size=6))
def test_no_query_surprises(name: str, query: list[tuple[str, str]]) -> None:
    def nobody() -> Explorer:
        raise Refused("the parameters were read.", 404)

    said = answer(nobody, name, query)
    assert said.status in (400, 404)
    sentence = json.loads(said.body)["error"]
    assert sentence and (said.status == 400) == (sentence != "the parameters were read.")
