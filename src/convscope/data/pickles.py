"""Pickles of arrays of bytes, read without running them.

A pickle is a program for a small machine with a stack. Two of its instructions import a function and call it, which is
how a hostile file takes over its reader. Python's own `Unpickler` can be forbidden to import, yet a dozen bytes still
make it fill the memory (the instruction `r` with a large number). So here is a machine that has only the instructions
which Python 2 writes for dictionaries, lists, strings, whole numbers and arrays; what it is asked to call, it notes.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UserError

_NAMES = frozenset({"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"})
"""What a pickle of an array imports, as `module name`."""

_OPERANDS = {"K": 1, "M": 2, "J": 4, "U": 1, "T": 4, "q": 1, "r": 4, "h": 1, "j": 4}
"""Instructions that are followed by a whole number, lowest byte first, and how many bytes that has."""

_MOST_INSTRUCTIONS = 200_000
"""A batch of CIFAR-10 has some 30,000; without a limit, every byte of a hostile file could become an object."""


@dataclass(eq=False)
class Call:
    """A call that a pickle asks for, and which is not made."""

    function: str
    """As `module name`."""
    arguments: Any
    state: Any = None
    """What the result is to be filled with."""


class _Refused(Exception):
    """The reason why a file is not read, in words that follow its name and a colon."""


def read_pickle(path: Path, *, most_bytes: int) -> Any:
    """The contents of a pickle of protocol 2: dictionaries, lists, tuples, strings, whole numbers and arrays.

    Strings are bytes, those of over 255 bytes as a memoryview of the file; an array is a `Call`, which
    `to_array` understands. A larger file than `most_bytes` is not opened.

    Raises:
        UserError: the file is missing, too large, damaged, no such pickle, or wants something else imported.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: put the published one there.")
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise _Refused(f"it has {size:,} bytes, of at most {most_bytes:,}")
        if size == 0:
            raise _Refused("it is empty")
        # Mapped instead of read, so that large strings are copied once only, by whoever uses them.
        with path.open("rb") as file:
            return _run(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; make it readable, or replace it.") from error
    except _Refused as error:
        raise UserError(f"{path} is not what was published: {error}; replace it.") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # Operands that are missing from the stack, the memo or the end of the file, or are of another kind.
        raise UserError(f"{path} is damaged or cut short: replace it by the published file.") from error


def to_array(value: object) -> NDArray[np.uint8] | None:
    """The array of two dimensions and bytes that a pickle describes, over the same memory; None for anything else."""
    match value:
        case Call(
            "numpy.core.multiarray _reconstruct",
            _,
            (
                _,
                (int(rows), int(columns)),
                Call("numpy dtype", (b"u1", *_)),
                bool(by_columns),
                bytes() | memoryview() as data,
            ),
        ) if rows > 0 and rows * columns == len(data):
            return np.frombuffer(data, dtype=np.uint8).reshape(rows, columns, order="F" if by_columns else "C")
    return None


def _run(program: mmap.mmap) -> Any:
    """Follow the instructions up to the one that stops; an IndexError if the program ends before."""
    if program[:2] != b"\x80\x02":
        raise _Refused("it is no pickle of protocol 2")
    contents = memoryview(program)
    stack: list[Any] = []
    marks: list[int] = []  # heights of the stack at which a list, dictionary or tuple begins
    memo: dict[int, Any] = {}  # what later instructions refer to
    at = 2
    for _ in range(_MOST_INSTRUCTIONS):
        instruction = chr(program[at])
        begin = at + 1 + _OPERANDS.get(instruction, 0)
        operand = int.from_bytes(program[at + 1 : begin], "little")
        at = begin
        match instruction:
            case "K" | "M":
                stack.append(operand)
            case "J":  # the only number with a sign
                stack.append(int.from_bytes(program[begin - 4 : begin], "little", signed=True))
            case "U":
                at += operand
                stack.append(program[begin:at])
            case "T":
                at += operand
                stack.append(contents[begin:at])
            case "q" | "r":
                memo[operand] = stack[-1]
            case "h" | "j":
                stack.append(memo[operand])
            case "N" | "\x88" | "\x89":
                stack.append({"N": None, "\x88": True, "\x89": False}[instruction])
            case "]":
                stack.append([])
            case "}":
                stack.append({})
            case ")":
                stack.append(())
            case "(":
                marks.append(len(stack))
            case "t":
                stack.append(tuple(_cut(stack, marks.pop())))
            case "\x85" | "\x86" | "\x87":  # tuples of one, two and three
                stack.append(tuple(_cut(stack, len(stack) - ord(instruction) + 0x84)))
            case "a" | "e":
                items = _cut(stack, len(stack) - 1 if instruction == "a" else marks.pop())
                stack[-1].extend(items)
            case "s" | "u":
                items = _cut(stack, len(stack) - 2 if instruction == "s" else marks.pop())
                # Tuples within tuples could make a key whose hash takes for ever.
                if not all(type(key) is bytes for key in items[::2]):
                    raise _Refused("it has a dictionary whose keys are not strings")
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "c":
                program.seek(at)
                name = " ".join(program.readline().decode("ascii", "backslashreplace").strip() for _ in range(2))
                if name not in _NAMES:
                    raise _Refused(f"it wants to import {name[:80]!r}, which no array of bytes needs")
                stack.append(name)
                at = program.tell()
            case "R":
                function, arguments = _cut(stack, len(stack) - 2)
                if not isinstance(function, str):  # strings of the file are bytes, so this is one of the names
                    raise _Refused("it calls something that is no function")
                stack.append(Call(function, arguments))
            case "b":
                (state,) = _cut(stack, len(stack) - 1)
                if not isinstance(stack[-1], Call):
                    raise _Refused("it fills something that is no array")
                stack[-1].state = state
            case ".":
                return stack.pop()
            case _:
                raise _Refused(f"it uses the instruction {instruction!r}, which no array of bytes needs")
    raise _Refused(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")


def _cut(stack: list[Any], height: int) -> list[Any]:
    """Take off what lies on the stack above a height."""
    top = stack[height:]
    del stack[height:]
    return top
