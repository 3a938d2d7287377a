"""`convscope runs` lists the run directories; `convscope runs show RUN` shows one."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.numbers import duration, percent
from convscope.recipes import differences
from convscope.runs import Run, list_runs


@dataclass(frozen=True)
class Runs:
    """List the runs, the newest last, or show one: `convscope runs show RUN`."""

    command: Annotated[Literal["list", "show"], tyro.conf.Positional, tyro.conf.arg(metavar="[list|show]")] = "list"
    """What to do."""
    run: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """With show: name of the run, its path, or `latest`."""
    sort: Literal["time", "name", "data", "model", "val", "test", "seconds"] = "time"
    """Order of the list, ascending; the best is last with val and test."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Print the list or the run; 0."""
    flags = read_flags(Runs, argv, verb="runs")
    if flags.command == "show":
        if flags.run is None:
            raise UserError("which run? Name one: convscope runs show RUN, or `latest`.")
        _show(Run.open(flags.run, flags.runs_dir), as_json=flags.json)
        return 0
    rows = [_facts(run) for run in list_runs(flags.runs_dir)]
    if flags.sort != "time":
        # Runs without the figure come first, so that the best is last.
        rows.sort(key=lambda row: (row[flags.sort] is not None, row[flags.sort]))
    if flags.json:
        print(json.dumps(rows, indent=1))
    elif rows:
        _print_list(rows)
    else:
        print(f"there are no runs in {flags.runs_dir} yet: begin with `convscope train`.")
    return 0


def _facts(run: Run) -> dict[str, Any]:
    """One line of the list, figures None where there are none yet."""
    facts: dict[str, Any] = dict.fromkeys(("data", "model", "epochs", "val", "test", "seconds", "status"))
    facts["name"] = run.name
    try:
        config, history, metrics = run.config(), run.history(), run.metrics()
    except UserError:
        return facts | {"status": "damaged"}
    best = min(history, key=lambda row: row["val_loss"], default=None)
    return facts | {
        "data": config.data,
        "model": config.model,
        "epochs": len(history),
        "val": best["val_accuracy"] if best else None,
        "test": metrics.get("test", {}).get("top1"),
        "seconds": metrics.get("train_seconds", sum(row["seconds"] for row in history)),
        "status": run.status,
    }


def _print_list(rows: list[dict[str, Any]]) -> None:
    from convscope.cli.console import console, plain_table

    table = plain_table("run", "data", "model")
    for column in table.columns:
        column.overflow = "fold"  # never cut off: names are there to be copied
    for name in ("epochs", "val acc", "test acc", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            row["data"] and Path(row["data"]).name,
            row["model"],
            "" if row["epochs"] is None else str(row["epochs"]),
            percent(row["val"]),
            percent(row["test"]),
            duration(row["seconds"]),
            row["status"],
        )
    console().print(table)


def _show(run: Run, *, as_json: bool) -> None:
    metrics, changed = run.metrics(), differences(run.config())
    if as_json:
        facts = {"path": str(run.path), "setting": changed, "history": run.history(), "metrics": metrics}
        print(json.dumps(facts | {"alarms": run.alarms()}, indent=1))
        return
    print(f"{run.path}: {run.status}")
    print("setting, where it is not the default:")
    for key, value in changed.items():
        print(f"  {key}: {value}")
    environment = run.environment()
    print(
        "made with: " + ", ".join(f"{key} {value}" for key, value in environment.get("versions", {}).items() if value)
    )
    for row in run.history():
        print(
            f"epoch {row['epoch']}: train {row['train_loss']:.4f} {percent(row['train_accuracy'])}, "
            f"val {row['val_loss']:.4f} {percent(row['val_accuracy'])}, lr {row['lr']:.2e}, "
            f"gradient norm {row['grad_norm']:.3f}, {row['images_per_second']:,.0f} images/s"
        )
    for alarm in run.alarms() or ():
        over = f"; over: {alarm['over']}" if alarm["over"] else ""
        print(f"alarm in epoch {alarm['epoch']}, {alarm['kind']}: {alarm['what']}; {alarm['remedy']}{over}")
    for split, report in run.reports().items():
        low, high = percent(report["top1_low"]), percent(report["top1_high"])
        print(f"{split} accuracy {percent(report['top1'])} ({low} to {high}), macro F1 {report['macro_f1']:.4f}")
    if run.status not in ("finished", "running"):
        print(f"go on: convscope train --resume {shlex.quote(str(run.path))}")
    print(f"again: convscope train --config {shlex.quote(str(run.path / 'config.yaml'))}")
