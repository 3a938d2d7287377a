"""`convscope runs` lists the run directories; `convscope runs show RUN` shows one."""

import json
import shlex
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError, on_one_line
from convscope.numbers import counted, percent, without_infinity
from convscope.recipes import differences
from convscope.runs import Run, list_runs


@dataclass(frozen=True)
class Runs:
    """List the runs, the newest last, choose, sort and group them by what was set and what came of it; or show one.

    Names are those of the flags of `convscope train`, the network's own options, and of results: name, started, status,
    epochs (those that are over), best_epoch, val and val_loss (of the epoch whose weights were kept), test, macro_f1,
    parameters, seconds.

    $ convscope runs --where 'model=resnet18*' status=finished 'lr<=0.1' 'test>90%' --sort test
    $ convscope runs --show lr batch_size --format markdown
    $ convscope runs --where data=fashion-mnist --group
    $ convscope runs --group-by optimizer lr --sort val
    $ convscope runs --show all --format csv > runs.csv
    $ convscope runs show latest
    """

    command: Annotated[Literal["list", "show"], tyro.conf.Positional, tyro.conf.arg(metavar="[list|show]")] = "list"
    """What to do."""
    run: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """With show: name of the run, its path, or `latest`."""
    where: Annotated[
        tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]], tyro.conf.arg(metavar="NAME=VALUE...")
    ] = ()
    """List the runs for which all of this holds. Signs are = != < <= > >=, the last four in quotes, or the shell takes
    them for its own; texts may have * and ?, shares may be percents, and `none` is what was not set."""
    sort: Annotated[str, tyro.conf.arg(metavar="NAME")] = "started"
    """Order of the list, ascending: the best is last with val and test."""
    show: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ()
    """More columns; `all` for whatever is known."""
    group: bool = False
    """Make one row of finished runs that differ in their seed alone: how many, mean and standard deviation."""
    group_by: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ()
    """Make one row of finished runs that have the same values of these."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    format: Literal["table", "csv", "json", "markdown"] = "table"
    """How to print it: csv has numbers in full, json too, markdown is for a text."""
    json: bool = False
    """The same as --format json."""


def main(argv: list[str]) -> int:
    """Print the list or the run; 0."""
    flags = read_flags(Runs, argv, verb="runs")
    if flags.command == "show":
        if flags.run is None:
            raise UserError("which run? Name one: convscope runs show RUN, or `latest`.")
        _show(Run.open(flags.run, flags.runs_dir), as_json=flags.json or flags.format == "json")
    else:
        _list(flags)
    return 0


def _list(flags: Runs) -> None:
    from convscope.cli.runs_table import group_columns, print_rows, run_columns
    from convscope.runs.grouping import grouped
    from convscope.runs.listing import check_names, listed, names_in, order, select

    runs = [listed(run) for run in list_runs(flags.runs_dir)]
    names = names_in(runs)
    check_names((*(name for name in flags.show if name != "all"), *flags.group_by), names)
    chosen = select(runs, chain.from_iterable(flags.where))
    shown = names if "all" in flags.show else flags.show
    if flags.group or flags.group_by:
        rows, columns = grouped(chosen, flags.group_by), group_columns(flags.group_by, shown)
    else:
        rows, columns = [run.row for run in chosen], run_columns(shown)
    check_names([flags.sort], list(dict.fromkeys((*names, *(name for column in columns for name in column.names)))))
    style = "json" if flags.json else flags.format
    if rows or style != "table":
        print_rows(order(rows, flags.sort), columns, style)
    elif runs:
        print(f"of the {counted(len(runs), 'run')} in {flags.runs_dir} none is asked for: ask for less.")
    else:
        print(f"there are no runs in {flags.runs_dir} yet: begin with `convscope train`.")
    left_out = len(chosen) - sum(row["runs"] for row in rows) if flags.group or flags.group_by else 0
    if left_out:
        print(f"left out {counted(left_out, 'run')}, not finished", file=sys.stderr)


def _show(run: Run, *, as_json: bool) -> None:
    metrics, changed = run.metrics(), differences(run.config())
    if as_json:
        facts = {"path": str(run.path), "setting": changed, "history": run.history(), "metrics": metrics}
        print(json.dumps(without_infinity(facts | {"alarms": run.alarms()}), indent=1))
        return
    _say(f"{run.path}: {run.status}")
    _say("setting, where it is not the default:")
    for key, value in changed.items():
        _say(f"  {key}: {value}")
    environment = run.environment()
    _say("made with: " + ", ".join(f"{key} {value}" for key, value in environment.get("versions", {}).items() if value))
    for row in run.history():
        _say(
            f"epoch {row['epoch']}: train {row['train_loss']:.4f} {percent(row['train_accuracy'])}, "
            f"val {row['val_loss']:.4f} {percent(row['val_accuracy'])}, lr {row['lr']:.2e}, "
            f"gradient norm {row['grad_norm']:.3f}, {row['images_per_second']:,.0f} images/s"
        )
    for alarm in run.alarms() or ():
        over = f"; over: {alarm['over']}" if alarm["over"] else ""
        _say(f"alarm in epoch {alarm['epoch']}, {alarm['kind']}: {alarm['what']}; {alarm['remedy']}{over}")
    for split, report in run.reports().items():
        low, high = percent(report["top1_low"]), percent(report["top1_high"])
        _say(f"{split} accuracy {percent(report['top1'])} ({low} to {high}), macro F1 {report['macro_f1']:.4f}")
    if run.status not in ("finished", "running"):
        from convscope.cli.console import resume_command

        _say(f"go on: {resume_command(run)}")
    _say(f"again: convscope train --config {shlex.quote(str(run.path / 'config.yaml'))}")


def _say(text: str) -> None:
    """Print a line, in which a stranger's names may be."""
    print(on_one_line(text))
