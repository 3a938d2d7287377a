"""What the doctor finds: in words, in numbers and in pictures."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Severity = Literal["severe", "warning", "note"]

PICTURES = 24
"""How many pictures a finding shows at most."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image that a finding is about."""

    name: str
    """Of its file, or its number in the published files."""
    label: str
    """Name of its class; empty where it has none."""
    part: str
    """train, val or test; empty for a file that is in none of them."""
    note: str
    """What is to be seen in it, in a few words; may be empty."""
    pixels: Tensor | None
    """uint8 (C, H, W); None where there are none."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One fault of a data set or of a training: what it is, how much of it there is, why it matters and what to do."""

    kind: str
    severity: Severity
    """severe: figures measured on these data mislead, or this training fails; warning: look at it before you train;
    note: good to know."""
    what: str
    """One sentence, with the number."""
    why: str
    remedy: str
    count: int = 1
    """Images or files concerned, or classes or layers where the finding is about these."""
    share: float = 1.0
    """`count` as a share of all those that were looked at."""
    examples: tuple[tuple[Example, ...], ...] = ()
    """Pictures; those of a group belong side by side."""

    def to_dict(self) -> dict[str, Any]:
        """All but the pixels, as JSON types."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "what": self.what,
            "why": self.why,
            "remedy": self.remedy,
            "count": self.count,
            "share": self.share,
            "examples": [
                [{"name": e.name, "class": e.label, "part": e.part, "note": e.note} for e in group]
                for group in self.examples
            ],
        }
