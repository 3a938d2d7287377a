"""What a server says to a question, and how it refuses one.

Nothing here needs torch, so that a page is there at once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convscope.errors import UserError

JSON = "application/json"

UPLOAD_LIMIT = 20 << 20
"""Bytes of an image file that somebody gives: more than cameras make of one photo."""


@dataclass(frozen=True)
class Answer:
    """What goes over the wire, or into an exported page."""

    body: bytes
    type: str
    """The media type."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that say what the body holds."""
    status: int = 200


class Refused(UserError):
    """Somebody asked for what there is not, or what cannot be given; `status` is HTTP's number for that."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def in_json(value: Any, status: int = 200) -> Answer:
    """A value of plain types without NaN or infinity."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # What UTF-8 cannot hold, half a character, is escaped, and JSON escapes it in the same way.
    return Answer(text.encode(errors="backslashreplace"), JSON, status=status)


def error(message: str, status: int) -> Answer:
    """One sentence for the person who asked."""
    return in_json({"error": message}, status)
