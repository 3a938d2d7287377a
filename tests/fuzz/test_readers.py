"""Files that were changed at random: each is read or refused in a sentence, and nothing else happens.  R-F2

`make fuzz` does the same for longer, led by the branches that it reaches.
"""

import json
import math
from typing import Any

import pytest
from guard import guarded
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import READERS, Trial, trial_of
from words import LENGTHS, WORDS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 2**31, 2**63, 2**64, 10**400])
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["linear", "alexnet", "..", "/etc/passwd", "\x1b[31m", "\ud800"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)

every_reader = pytest.mark.parametrize("name", READERS)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    """Of every reader, in a folder of its own."""
    return {name: trial_of(name, tmp_path_factory.mktemp(f"reader{number}")) for number, name in enumerate(READERS)}


def check(trial: Trial, contents: bytes) -> None:
    trial.put(contents)
    with guarded(trial.folder):
        trial.accepts()


@st.composite
def changed(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """An intact file after some changes: cut, bits flipped, pieces repeated, lengths exchanged, files joined."""
    contents = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 4))):
        # Headers decide, and headers come first or last.
        near = draw(st.integers(0, 63))
        at = draw(st.sampled_from([near, len(contents) - near, draw(st.integers(0, len(contents)))]))
        at = min(max(at, 0), len(contents))
        match draw(st.integers(0, 6)):
            case 0:
                contents = contents[:at]
            case 1:
                bit = 1 << draw(st.integers(0, 7))
                contents = contents[:at] + bytes(byte ^ bit for byte in contents[at : at + 1]) + contents[at + 1 :]
            case 2:
                number = draw(st.sampled_from(LENGTHS))
                contents = contents[:at] + number + contents[at + len(number) :]
            case 3:
                contents = contents[:at] + draw(st.sampled_from(WORDS)) + contents[at:]
            case 4:
                contents = contents[:at] + contents[at + draw(st.integers(1, 40)) :]
            case 5:
                until = draw(st.integers(1, 40))
                contents = contents[:at] + contents[at : at + until] * draw(st.integers(2, 50)) + contents[at + until :]
            case 6:
                other = draw(st.sampled_from(files))
                contents = contents[:at] + other[draw(st.integers(0, len(other))) :]
    return contents


@every_reader
@settings(max_examples=40)
@given(data=st.data())
def test_changed_files(trials: dict[str, Trial], name: str, data: st.DataObject) -> None:
    check(trials[name], data.draw(changed(trials[name].contents)))


@every_reader
def test_files_that_end_anywhere(trials: dict[str, Trial], name: str) -> None:
    for contents in trials[name].contents:
        for length in range(0, len(contents), math.ceil(len(contents) / 20)):
            check(trials[name], contents[:length])


@every_reader
@given(contents=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
@settings(max_examples=15)
def test_files_of_noise(trials: dict[str, Trial], name: str, contents: bytes) -> None:
    check(trials[name], contents)


@pytest.mark.parametrize("name", [reader.name for reader in READERS.values() if reader.json])
@settings(max_examples=50)
@given(data=st.data())
def test_json_with_other_values(trials: dict[str, Trial], name: str, data: st.DataObject) -> None:
    document: Any = {"": json.loads(trials[name].contents[0])}
    place, key = document, ""
    while place[key] and isinstance(place[key], dict | list) and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    if place is not document and data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(JSON)
    check(trials[name], json.dumps(document[""]).encode())
