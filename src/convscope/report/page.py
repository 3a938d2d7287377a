"""The report on a run, and on a comparison: one HTML file each, with everything it shows inside.

A page loads nothing (its pictures are embedded, it has no scripts), so it can be mailed, printed, and read years
later. It is made from the run directory alone; what a run does not have is left out.
"""

import base64
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from convscope import plots
from convscope.files import write_text
from convscope.numbers import compact, duration, number, percent, whole
from convscope.runs import Run

if TYPE_CHECKING:  # for its name alone: experiment needs torch, a report does not
    from convscope.experiment import Row


def write_report(run: Run) -> Path:
    """Write `report.html` into the run's directory and return its path; an unfinished run will do.

    Raises:
        UserError: a file of the run is missing or damaged.
        ConvscopeError: the page cannot be written.
    """
    config, metrics, history = run.config(), run.metrics(), run.history()
    curves = run.figures / "curves.png"
    if history and metrics.get("status") != "finished":
        # A training draws its curves when it ends; this one stopped on the way, or is still going on.
        plots.save_figure(plots.curves({config.model: history}), curves)
    splits = {{"val": "validation"}.get(split, split): report for split, report in run.reports().items()}
    # Class by class for one split: test, or validation while test is still unread.
    detail = next(reversed(splits.items()), None)
    return write_page(
        run.path / "report.html",
        template="report.html",
        name=run.name,
        config=config,
        metrics=metrics,
        history=history,
        alarms=run.alarms(),
        scores={name: _scores(report) for name, report in splits.items()},
        detail=detail,
        chance_loss=math.log(len(detail[1]["per_class"])) if detail else None,
        settings=_settings(config),
        environment=list(_facts(run.environment())),
        repeat=_repeat(run),
        resume=f"convscope train --resume {shlex.quote(str(run.path))}",
        pictures={
            name: _embedded(run.figures / f"{name}.png") for name in ("curves", "confusion", "predictions", "mistakes")
        },
    )


def write_comparison(directory: Path, rows: Sequence["Row"], figure_path: Path, runs: Sequence[Run] = ()) -> Path:
    """Write `comparison.html` into `directory` and return its path.

    It shows the rows as a table, the figure of curves, and of each run the confusion matrix and the command that
    repeats it.

    Raises:
        ConvscopeError: the page cannot be written.
    """
    return write_page(
        directory / "comparison.html",
        template="comparison.html",
        rows=rows,
        data=", ".join(sorted({run.config().data for run in runs})),
        curves=_embedded(figure_path),
        matrices=[(run.name, _embedded(run.figures / "confusion.png")) for run in runs],
        commands=[_repeat(run) for run in runs],
    )


def write_page(path: Path, template: str, **content: Any) -> Path:
    """Fill in a template of this folder, write it to `path` and return that."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        # Class names, run names and settings come from files that anyone may have written.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "whole": whole,
        "compact": compact,
        "duration": duration,
    }
    write_text(path, environment.get_template(template).render(content))
    return path


def _scores(report: Mapping[str, Any]) -> dict[str, str]:
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


def _settings(config: Any) -> list[tuple[str, str, str, bool]]:
    """Of each field of the setting: name, value, default, and whether the two differ."""
    values, defaults = asdict(config), asdict(type(config)())
    return [(name, _words(value), _words(defaults[name]), value != defaults[name]) for name, value in values.items()]


def _facts(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a nested mapping: {"cpu": {"cores": 2}} gives ("cpu cores", "2")."""
    for name, value in values.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _facts(value, f"{label} ")
        elif name != "format":  # the version of the file, not of anything it is about
            yield label, _words(value)


def _words(value: Any) -> str:
    """A value as a person would write it into the YAML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return "none" if value is None else str(value)


def _repeat(run: Run) -> str:
    return f"convscope train --config {shlex.quote(str(run.path / 'config.yaml'))}"


def _embedded(picture: Path) -> str | None:
    """The address of a PNG file that carries the file in itself; None when there is no such file."""
    if not picture.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"
