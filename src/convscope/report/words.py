"""What a run's files say, in words."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from convscope.config import Config
from convscope.numbers import counted, number, percent, whole
from convscope.runs import Run


def scores(report: Mapping[str, Any]) -> dict[str, str]:
    """The final figures of one split, as printed."""
    low, high = percent(report.get("top1_low")), percent(report.get("top1_high"))
    return {
        "accuracy": percent(report.get("top1")),
        "95% interval": f"{low} to {high}",
        "top-k accuracy": f"{percent(report.get('top_k'))} (k = {whole(report.get('k'))})",
        "macro F1": number(report.get("macro_f1")),
        "loss": number(report.get("loss")),
        "calibration error": percent(report.get("calibration_error")),
        "images": whole(report.get("images")),
    }


def settings(config: Config) -> list[tuple[str, str, str, bool]]:
    """Of each field of the setting: name, value, default, and whether the two differ."""
    values, defaults = asdict(config), asdict(Config())
    return [
        (name, in_words(value), in_words(defaults[name]), value != defaults[name]) for name, value in values.items()
    ]


def data_words(facts: Mapping[str, Any]) -> dict[str, str]:
    """What is known of the data, as `Run.data_facts` has it."""
    images, per_class = facts["images"], facts["train_images_per_class"]
    preprocessing = facts["preprocessing"]
    low, high = min(per_class, default=0), max(per_class, default=0)
    each = counted(low, "image") if low == high else f"{low:,} to {counted(high, 'image')}"
    channels = {1: "grey", 3: "colour"}

    def values(name: str) -> str:
        return ", ".join(f"{value:.4f}" for value in preprocessing[name])

    shape = facts["image_shape"]
    return {
        "classes": whole(len(facts["classes"])),
        "training images": f"{images['train']:,} ({each} of each class)",
        "validation images": f"{images['val']:,}",
        "test images": f"{images['test']:,}",
        "as stored": "×".join(map(str, shape[1:])) + f" pixels, {channels.get(shape[0], shape[0]) if shape else '?'}",
        "as the network takes them": f"{preprocessing['size']}×{preprocessing['size']} pixels, "
        f"{channels.get(preprocessing['channels'], preprocessing['channels'])}",
        "normalised": f"from pixels in [0, 1] the mean {values('mean')} is subtracted, the rest divided by "
        f"{values('std')}",
    }


def facts(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a nested mapping: {"cpu": {"cores": 2}} gives ("cpu cores", "2")."""
    for name, value in values.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from facts(value, f"{label} ")
        elif name != "format":  # the version of the file, not of anything it is about
            yield label, in_words(value)


def in_words(value: Any) -> str:
    """A value as a person would write it into the YAML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value)) or "none"
    return "none" if value is None else str(value)


def repeat(run: Run) -> str:
    """The command that trains the run again."""
    return f"convscope train --config {shlex.quote(str(run.path / 'config.yaml'))}"


def resume(run: Run) -> str:
    """The command that goes on with it."""
    return f"convscope train --resume {shlex.quote(str(run.path))}"


def evaluate(run: Run) -> str:
    """The command that asks its network about the test images again."""
    return f"convscope evaluate {shlex.quote(str(run.path))}"
