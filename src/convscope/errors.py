"""Errors that a person reads: one sentence with what is wrong, why, and what to do about it."""

import difflib
from collections.abc import Iterable


class ConvscopeError(Exception):
    """Something failed that the user could not have prevented; the command ends with status 1."""

    exit_status = 1

    def __str__(self) -> str:
        """The sentence, on one line."""
        return on_one_line(super().__str__())


class UserError(ConvscopeError):
    """The user asked for something impossible; the command ends with status 2 and nothing was changed."""

    exit_status = 2


def on_one_line(text: str) -> str:
    """A text that can be shown anywhere: names in it may come from a file, and must not steer the terminal."""
    if text.isprintable():  # as nearly all are
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the machine, or of its GPU, does not suffice."""
    # PyTorch has no exception of its own for this on the CPU.
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a list: names the nearest right one, or the whole list."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(known)}."
    return UserError(f"unknown {kind} '{name}': {remedy}")
