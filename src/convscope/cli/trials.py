"""What a person sees of a search: a row for each trial while it goes on, and what came out in the end."""

import json
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from convscope.cli.console import console, plain_table
from convscope.errors import ConvscopeError, UserError
from convscope.numbers import compact, counted, duration, number, percent
from convscope.search.plan import SearchPlan
from convscope.search.records import Tried
from convscope.search.results import best_first, value_of, write_results
from convscope.search.space import Values, base_values
from convscope.search.study import Study
from convscope.training.state import BatchRecord, EpochRecord

COLUMNS = ("done", "trial", "outcome", "val acc", "val loss", "epochs", "time", "best")
WIDTHS = (8, 6, 9, 8, 8, 7, 12, 8)
_SHOWN = 10
"""Trials in the final table."""


class TrialProgress:
    """Prints a row a trial; on a terminal also a bar within the trial, if this is the only process."""

    def __init__(self, study: Study, *, trials: int, alone: bool, to_stderr: bool = False) -> None:
        """`trials` are those asked for."""
        self._study, self._trials = study, trials
        self._console = Console(highlight=False, markup=False, soft_wrap=True, stderr=to_stderr)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not (alone and self._console.is_terminal),
        )
        self._task = self._bar.add_task("", total=None, words="", visible=False)
        self._epochs = 1
        self._accuracy = ""
        self._shown = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self) -> None:
        """Say what is searched, and print the head of the table."""
        plan, done = self._study.plan, len(self._study.tried())
        epochs = "" if "epochs" in plan.space else f"{counted(plan.base.epochs, 'epoch')} each, "
        self.say(
            f"{plan.base.model} on {plan.base.data}: {counted(self._trials, 'trial')} of {plan.method}, "
            f"{epochs}varying {', '.join(plan.space)}; into {self._study.path}"
        )
        if done:
            self.say(f"going on: {counted(done, 'trial')} on record")
        self.say(_columns(COLUMNS) + "  what differs from the base")

    def on_trial(self, number: int, epochs: int) -> None:
        """Begin a bar."""
        self._epochs, self._accuracy = epochs, ""
        self._bar.reset(self._task, description=f"trial {number}", words="", visible=True)

    def on_batch(self, record: BatchRecord) -> None:
        """Move the bar, at most ten times a second."""
        now = time.monotonic()
        if self._bar.disable or now - self._shown < 0.1:
            return
        self._shown = now
        self._bar.update(
            self._task,
            completed=(record.epoch - 1) * record.steps + record.step,
            total=self._epochs * record.steps,
            words=f"epoch {record.epoch}/{self._epochs}{self._accuracy}",
        )

    def on_epoch(self, record: EpochRecord) -> None:
        """Show the validation accuracy beside the bar."""
        self._accuracy = f", val acc {percent(record.val_accuracy)}"

    def on_outcome(self, tried: Tried) -> None:
        """Print the trial's row."""
        self._bar.update(self._task, visible=False)
        trials = self._study.tried()
        done = sum(trial.outcome.status != "running" for trial in trials)
        ranking = best_first(trials, self._study.plan)
        outcome = tried.outcome
        row = (
            f"{done}/{self._trials}",
            str(tried.number),
            outcome.status,
            percent(outcome.val_accuracy),
            number(outcome.val_loss),
            str(outcome.epochs),
            duration(outcome.seconds),
            str(ranking[0].number) if ranking else "",
        )
        self.say(_columns(row) + "  " + (_changes(tried.values, self._study.plan) or "the base"))
        if outcome.reason:
            self.say(f"          {outcome.reason}")

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)


def say_results(study: Study, *, as_json: bool) -> None:
    """Write the recipe, the table and the pictures, print the best trials, and say where everything lies.

    Raises:
        ConvscopeError: no trial came to its end, though some tried.
    """
    write_results(study)
    tried = study.tried()
    ranking = best_first(tried, study.plan)
    if as_json:
        print(json.dumps(_facts(study, tried, ranking), indent=1))
    else:
        _say_trials(study, tried, ranking)
    reasons = [trial.outcome.reason for trial in tried if trial.outcome.reason]
    if reasons and not ranking:
        raise ConvscopeError(f"no trial came to its end ({reasons[-1]}): choose another base, or vary it less.")


def _say_trials(study: Study, tried: Sequence[Tried], ranking: Sequence[Tried]) -> None:
    """How many there are, and what came of the best."""
    plan = study.plan
    counts = Counter(trial.outcome.status for trial in tried)
    seconds = sum(trial.outcome.seconds for trial in tried)
    words = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{counted(len(tried), 'trial')}{f' ({words})' if tried else ''}; {duration(seconds)} of training")
    if not ranking:
        return
    console().print(_table(ranking[:_SHOWN], plan))
    print(f"best: trial {ranking[0].number}, {_score(ranking[0])}; {_changes(ranking[0].values, plan) or 'the base'}")
    base = next((trial for trial in ranking if not _changes(trial.values, plan)), None)
    if base is not None and base is not ranking[0]:
        print(f"base: trial {base.number}, {_score(base)}")
    print(f"The best of {len(tried)} was lucky as well: with other seeds it will be a little worse.")
    path = shlex.quote(str(study.path))
    print(f"table {study.path / 'trials.csv'}, pictures in {study.path / 'figures'}")
    print(f"compare it with the base on other seeds: convscope search --resume {path} --confirm 3")
    print(f"train it: convscope train --config {shlex.quote(str(study.path / 'best.yaml'))}")


def say_list(searches_dir: Path, *, as_json: bool) -> None:
    """Print the searches in a directory."""
    rows = [_line(path.parent) for path in sorted(searches_dir.glob("*/search.yaml"))]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    if not rows:
        print(f"there are no searches in {searches_dir} yet: begin with `convscope search`.")
        return
    table = plain_table("search", "data", "model")
    for name in ("trials", "best"):
        table.add_column(name, justify="right")
    for row in rows:
        trials = "damaged" if row["trials"] is None else str(row["trials"])
        table.add_row(row["name"], row["data"], row["model"], trials, number(row["best"]))
    console().print(table)


def _line(path: Path) -> dict[str, Any]:
    """One line of the list; None where there is nothing to tell."""
    row: dict[str, Any] = dict.fromkeys(("data", "model", "trials", "best"))
    try:
        study = Study.open(path)
        tried = study.tried()
    except UserError:
        return {"name": path.name, **row}
    base, ranking = study.plan.base, best_first(tried, study.plan)
    best = value_of(ranking[0].outcome, study.plan) if ranking else None
    return {"name": path.name, "data": base.data, "model": base.model, "trials": len(tried), "best": best}


def _facts(study: Study, tried: Sequence[Tried], ranking: Sequence[Tried]) -> dict[str, Any]:
    """The whole search as JSON types."""
    plan = study.plan
    rows = [{"trial": trial.number, **asdict(trial.outcome), "values": dict(trial.values)} for trial in tried]
    return {
        "path": str(study.path),
        "method": plan.method,
        "goal": plan.goal,
        "best": ranking[0].number if ranking else None,
        "recipe": str(study.path / "best.yaml") if ranking else None,
        "importances": dict(study.importances()),
        "trials": rows,
    }


def _table(trials: Sequence[Tried], plan: SearchPlan) -> Any:
    table = plain_table("trial")
    for name in ("val accuracy", "val loss", "epochs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what differs from the base")
    for trial in trials:
        outcome = trial.outcome
        table.add_row(
            str(trial.number),
            percent(outcome.val_accuracy),
            number(outcome.val_loss),
            str(outcome.epochs),
            duration(outcome.seconds),
            _changes(trial.values, plan) or "nothing",
        )
    return table


def _score(trial: Tried) -> str:
    return f"validation accuracy {percent(trial.outcome.val_accuracy)}, loss {number(trial.outcome.val_loss)}"


def _changes(values: Values, plan: SearchPlan) -> str:
    """The values that are not the base's, in words."""
    base = base_values(plan.base, plan.space)
    changed = {key: value for key, value in values.items() if value != base[key]}
    return ", ".join(f"{key} {compact(value) if isinstance(value, float) else value}" for key, value in changed.items())


def _columns(cells: Sequence[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
