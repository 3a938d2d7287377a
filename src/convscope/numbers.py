"""Numbers as people read them, the same on the terminal and in the report, and as JSON has them."""

import math
from typing import Any

MISSING = "–"
"""Stands for a figure that is not there."""


def percent(share: float | None, digits: int = 2) -> str:
    """0.9281 as "92.81%"."""
    return MISSING if share is None or math.isnan(share) else f"{share:.{digits}%}"


def number(value: float | None, digits: int = 4) -> str:
    """0.21479 as "0.2148"."""
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def whole(value: float | None) -> str:
    """435754 as "435,754"; a mean that is not whole, such as 4.5 epochs, keeps one decimal."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def without_infinity(value: Any) -> Any:
    """A value of lists and mappings with None for numbers that are infinite or none, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: without_infinity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_infinity(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """1 and "image" as "1 image", 1200 as "1,200 images"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def compact(value: float) -> str:
    """0.00213456 as "0.002135" and 48211.7 as "48212": the same precision at any size."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def short(count: int) -> str:
    """15470264320 as "15.47 G": three or more digits of a large count."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)


def duration(seconds: float | None) -> str:
    """83.2 as "1 min 23 s"."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
