"""What JSON files must look like before their values are used: they may have been written by anybody."""

import json
import math
from pathlib import Path
from typing import Any

_DEEPEST = 50
"""Lists and mappings within one another; ours have five at most, and Python's own limit is near a thousand."""
_LARGEST = 1 << 63

REPORT = {
    **dict.fromkeys(("loss", "top1", "top1_low", "top1_high", "top_k", "macro_f1", "calibration_error"), float),
    **dict.fromkeys(("images", "k"), int),
    "per_class": [{"name": str, "precision": float, "recall": float, "f1": float, "images": int}],
    "confusion": [[int]],
    "most_confused": [{"true": str, "predicted": str, "count": int, "share": float}],
}
"""Of one split in metrics.json, see `metrics.classification_report`."""
RESULTS = {
    **dict.fromkeys(("model", "data"), str),
    **dict.fromkeys(("parameters", "epochs", "best_epoch"), int),
    **dict.fromkeys(("train_seconds", "train_images_per_second"), float),
    **dict.fromkeys(("val", "test"), REPORT),
}
"""What metrics.json holds of a finished run."""
METRICS = {"status": str, "host": str, "pid": int, "train": REPORT, **RESULTS}
"""What metrics.json may hold."""
ENVIRONMENT = {"started": str, "versions": dict, "threads": int}
"""What environment.json may hold, as far as it is computed with."""
DATA_FACTS = {
    "classes": [str],
    "images": {"train": int, "val": int, "test": int},
    "train_images_per_class": [int],
    "image_shape": [int],
    "preprocessing": {
        **dict.fromkeys(("size", "channels", "decode_size"), int),
        "mean": [float],
        "std": [float],
        "border": float,
        "resize": str,
    },
}
"""What data.json holds, see `experiment.results.data_facts`."""
ALARM = {**dict.fromkeys(("kind", "what", "remedy", "over"), str), **dict.fromkeys(("epoch", "step"), int)}
"""One of the list in alarms.json, see `doctor.watch.alarms.Alarm`."""

INFERENCE = {
    "weights": str,
    "machine": dict,
    "images": int,
    "engines": [
        {
            "name": str,
            **dict.fromkeys(("convert_seconds", "load_seconds", "top1_agreement", "largest_difference"), float),
            "speeds": [{"batch_size": int, "seconds": float, "images_per_second": float}],
        }
    ],
}
"""What inference.json holds, see `bench.results.Inference`, as far as an engine is chosen by it."""


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON in UTF-8, or lists lie in lists beyond all measure.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [value]
    for _ in range(_DEEPEST):
        level = [item for parent in level for item in _items(parent)]
    if level:
        raise ValueError("it is nested too deeply")
    return value


def _items(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def misfit(value: object, shape: object, place: str = "it", *, partial: bool = False) -> str | None:
    """What is wrong with a value of JSON, in words such as "test top1 is no number"; None where it has the shape.

    A shape is `str`, `int`, `float` (any number or NaN, none that is infinite) or `dict` (any mapping); a list of one
    shape, which all items of a list have; or a mapping of shapes, which may have other keys too, and with `partial`
    lacks some, or has None for them.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{place} is no mapping"
        for key, part in shape.items():
            if partial and value.get(key) is None:
                continue
            if key not in value:
                return f"{place} lacks {key}"
            if problem := misfit(value[key], part, key if place == "it" else f"{place} {key}", partial=partial):
                return problem
        return None
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        inside = f"an item of {place}"
        for item in value:
            if problem := misfit(item, shape[0], inside, partial=partial):
                return problem
        return None
    return None if _is_a(value, shape) else f"{place} is no {_NAMES[shape]}"


_NAMES: dict[object, str] = {str: "text", int: "whole number", float: "number", dict: "mapping"}


def _is_a(value: object, kind: object) -> bool:
    if kind is str or kind is dict:
        return isinstance(value, str if kind is str else dict)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else not math.isinf(value)
