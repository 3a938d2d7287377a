import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convscope.data.pickles import read_pickle, to_array
from convscope.errors import UserError

Pickle = Callable[[Any], bytes]

MOST_BYTES = 100_000

NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.binary(max_size=300),
    lambda values: (
        st.lists(values) | st.lists(values).map(tuple) | st.dictionaries(st.binary(max_size=20), values, max_size=4)
    ),
    max_leaves=20,
)
ARRAYS = st.tuples(st.integers(1, 9), st.integers(1, 99), st.booleans(), st.integers(0, 99))

# A test may be given the same folder many times, for each writes its file anew.
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, contents: bytes) -> Any:
    path = folder / "file"
    path.write_bytes(contents)
    return read_pickle(path, most_bytes=MOST_BYTES)


def array(rows: int, columns: int, by_columns: bool, seed: int) -> NDArray[np.uint8]:
    values = np.random.default_rng(seed).integers(0, 256, (rows, columns), dtype=np.uint8)
    return np.asfortranarray(values) if by_columns else values


@same_folder
@given(value=VALUES)
def test_reads_what_python_reads(python2_pickle: Pickle, tmp_path: Path, value: object) -> None:
    contents = python2_pickle(value)
    assert pickle.loads(contents, encoding="bytes") == value  # the test's writer is right
    assert read(tmp_path, contents) == value


@same_folder
@given(made_of=ARRAYS)
def test_reads_arrays(python2_pickle: Pickle, tmp_path: Path, made_of: tuple[int, int, bool, int]) -> None:
    value = array(*made_of)
    contents = python2_pickle([value])
    np.testing.assert_array_equal(pickle.loads(contents, encoding="bytes")[0], value)
    found = to_array(read(tmp_path, contents)[0])
    assert found is not None
    np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((2, 2), dtype=np.float32),
        np.zeros((2, 2), dtype=np.int8),
        np.zeros((2, 2, 2), dtype=np.uint8),
        np.zeros(4, dtype=np.uint8),
        np.zeros((0, 2), dtype=np.uint8),
        b"data",
        [1, 2],
        None,
    ],
    ids=lambda value: str(getattr(value, "shape", "")) + type(value).__name__,
)
def test_only_a_table_of_bytes_is_an_array(python2_pickle: Pickle, tmp_path: Path, value: object) -> None:
    assert to_array(read(tmp_path, python2_pickle(value))) is None


def test_an_array_with_too_few_bytes_is_none(python2_pickle: Pickle, tmp_path: Path) -> None:
    contents = python2_pickle(np.zeros((20, 30), dtype=np.uint8))
    assert contents.count(b"K\x14K\x1e") == 1
    for shape in (b"K\x15K\x1e", b"J\xec\xff\xff\xffJ\xe2\xff\xff\xff"):  # 21 x 30, -20 x -30
        assert to_array(read(tmp_path, contents.replace(b"K\x14K\x1e", shape))) is None


class Command:
    """Runs a command when it is unpickled, as every hostile pickle does one way or another."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {b"data": [1, (it,)]}], ids=["bare", "nested"])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [(exec, ("open('taken', 'w')",)), (eval, ("open('taken', 'w')",)), (Path, ("taken",)), (open, ("taken", "w"))],
    ids=["exec", "eval", "class", "open"],
)
def test_nothing_is_imported_or_called(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    wrap: Callable[[object], object],
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = pickle.dumps(wrap(Command(function, *arguments)), protocol=2)
    with pytest.raises(UserError, match=r"it wants to import|which no array of bytes needs"):
        read(tmp_path, contents)
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"cos\nsystem\nU\x04true\x85R.", "it wants to import 'os system'"),
        (b"cbuiltins\neval\nU\x011\x85R.", "it wants to import 'builtins eval'"),
        (b"cnumpy\nload\nU\x01x\x85R.", "it wants to import 'numpy load'"),
        (b"cnumpy\xff\n" + b"x" * 500 + b"\nR.", r"it wants to import 'numpy\\\\xff x{50,80}'"),
        (b"(ios\nsystem\n.", "it uses the instruction 'i'"),
        (b"(cnumpy\ndtype\nU\x02u1o.", "it uses the instruction 'o'"),
        (b"cnumpy\ndtype\n)\x81.", r"it uses the instruction '\\x81'"),
        (b"\x8c\x02os\x8c\x06system\x93)R.", r"it uses the instruction '\\x8c'"),
        (b"Pname\n.", "it uses the instruction 'P'"),
        (b"Nq\x00Q.", "it uses the instruction 'Q'"),
        (b"\x82\x01.", r"it uses the instruction '\\x82'"),
        (b"U\x02os)R.", "it calls something that is no function"),
        (b"cnumpy\nndarray\n}b.", "it fills something that is no array"),
        (b"}]Ns.", "a dictionary whose keys are not strings"),
        (b"}" + b")" + b"q\x00h\x00\x86" * 100 + b"Ns.", "a dictionary whose keys are not strings"),
        (b"]" * 90_000, "is damaged or cut short"),
    ],
)
def test_hostile_programs_are_refused(tmp_path: Path, program: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read(tmp_path, b"\x80\x02" + program)


def test_instructions_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x80\x02" + b"]" * 300_000 + b".")
    with pytest.raises(UserError, match="more than 200,000 instructions"):
        read_pickle(path, most_bytes=1_000_000)


def test_a_large_place_in_the_memo_takes_no_memory(tmp_path: Path) -> None:
    # Python's own Unpickler makes room for 4 billion pointers here.
    assert read(tmp_path, b"\x80\x02}r\xff\xff\xff\x7f.") == {}


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>log in</html>", "it is no pickle of protocol 2"),
        (pickle.dumps({"data": 1}, protocol=4), "it is no pickle of protocol 2"),
        (pickle.dumps({"data": 1}, protocol=0), "it is no pickle of protocol 2"),
    ],
)
def test_other_files(tmp_path: Path, contents: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=f"{tmp_path / 'file'} is not what was published: {reason}; replace it"):
        read(tmp_path, contents)


def test_missing_and_unsuitable_files(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UserError, match="there is no file"):
            read_pickle(path, most_bytes=MOST_BYTES)
    with pytest.raises(UserError, match="it has 200,000 bytes, of at most 100,000"):
        read(tmp_path, bytes(200_000))


@same_folder
@given(data=st.data())
def test_damage_gives_a_sentence_or_a_value(python2_pickle: Pickle, tmp_path: Path, data: st.DataObject) -> None:
    value = {b"data": array(3, 200, False, 0), b"labels": [0, 1, 2], b"names": [(b"a", None)]}
    contents = bytearray(python2_pickle(value))
    for _ in range(data.draw(st.integers(0, 4))):
        contents[data.draw(st.integers(2, len(contents) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(contents)))
    try:
        found = read(tmp_path, bytes(contents[:end]))
    except UserError as error:
        assert str(tmp_path / "file") in str(error)
    else:
        to_array(found.get(b"data") if isinstance(found, dict) else found)
