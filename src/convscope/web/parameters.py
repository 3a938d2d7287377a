"""The parameters of an address, read strictly: none unknown, none twice, none missing, each what it should be."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from convscope.web.answers import Refused

_LONGEST = 300
_MOST = 20


@dataclass(frozen=True)
class Parameter:
    """How one parameter is read."""

    read: Callable[[str], Any]
    """From its text; raises ValueError, with a few words that say what it should be."""
    required: bool = True
    """One that is not, and is not given, is left to the view's own default."""

    def or_none(self) -> "Parameter":
        """The same, where it may be left out."""
        return Parameter(self.read, required=False)


def query_of(scope: Scope) -> list[tuple[str, str]]:
    """The names and texts that stand after an address; raises Refused where that cannot be read."""
    text: bytes = scope["query_string"]
    try:
        return parse_qsl(
            text.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST
        )
    except ValueError as error:
        raise Refused(
            "the address has parameters that cannot be read: write them as name=value, with & between."
        ) from error


def read_parameters(query: Sequence[tuple[str, str]], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The values by name; raises Refused for whatever is not as `known` says."""
    values: dict[str, Any] = {}
    for name, text in query:
        if name not in known:
            raise Refused(f"unknown parameter '{name[:_LONGEST]}': choose from {', '.join(known) or 'none at all'}.")
        if name in values:
            raise Refused(f"the parameter '{name}' is given twice: give it once.")
        try:
            if len(text) > _LONGEST:
                raise ValueError(f"at most {_LONGEST} letters")
            values[name] = known[name].read(text)
        except ValueError as error:
            raise Refused(f"the parameter '{name}' is '{text[:_LONGEST]}': it must be {error}.") from error
    for name, parameter in known.items():
        if parameter.required and name not in values:
            raise Refused(f"the parameter '{name}' is missing: give it.")
    return values


def number(least: int = 0, most: int = 10**9) -> Parameter:
    """A whole number in ASCII digits, without sign or leading zeros."""

    def read(text: str) -> int:
        if not re.fullmatch("0|[1-9][0-9]{0,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return Parameter(read)


def one_of(*words: str) -> Parameter:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return Parameter(read)


def matching(pattern: str, what: str) -> Parameter:
    """A text that a pattern describes as a whole."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(what)
        return text

    return Parameter(read)
