"""What a search leaves behind: the best setting as a recipe, a table, and pictures."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, fields

import yaml

from convscope import plots
from convscope.files import write_text
from convscope.numbers import counted, duration, number, percent
from convscope.recipes import differences
from convscope.search.plan import SearchPlan
from convscope.search.records import Outcome, Tried
from convscope.search.space import Range
from convscope.search.study import Study


def best_first(tried: Sequence[Tried], plan: SearchPlan) -> list[Tried]:
    """The trials that came to their end, the best first."""
    finished = [trial for trial in tried if trial.outcome.status == "finished"]
    return sorted(finished, key=lambda trial: value_of(trial.outcome, plan), reverse=plan.goal == "accuracy")


def write_results(study: Study) -> None:
    """Write trials.csv and, once a trial came to its end, best.yaml and the pictures."""
    plan, tried = study.plan, study.tried()
    write_text(study.path / "trials.csv", _table(tried, plan))
    ranking = best_first(tried, plan)
    if not ranking:
        return
    write_text(study.path / "best.yaml", _recipe(ranking[0], tried, plan))
    # Trials that never came to the end of an epoch have no figure, and no place in a picture.
    drawn = [
        {
            "number": trial.number,
            "finished": trial.outcome.status == "finished",
            "value": value_of(trial.outcome, plan),
            "values": trial.values,
        }
        for trial in tried
        if trial.outcome.val_loss is not None
    ]
    scales: dict[str, plots.Scale] = {
        key: ("log" if dimension.log else "linear") if isinstance(dimension, Range) else "choice"
        for key, dimension in plan.space.items()
    }
    figures = study.path / "figures"
    plots.save_figure(plots.trial_history(drawn, goal=plan.goal), figures / "history.png")
    importances = study.importances()
    if importances:
        plots.save_figure(plots.importances(importances), figures / "importance.png")
    plots.save_figure(plots.slices(drawn, scales=scales, goal=plan.goal), figures / "slices.png")
    plots.save_figure(plots.parallel_coordinates(drawn, scales=scales, goal=plan.goal), figures / "parallel.png")


def value_of(outcome: Outcome, plan: SearchPlan) -> float:
    """What a trial is judged by; NaN where it has no such figure."""
    value = outcome.val_accuracy if plan.goal == "accuracy" else outcome.val_loss
    return math.nan if value is None else value


def _table(tried: Sequence[Tried], plan: SearchPlan) -> str:
    """A row a trial, as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("trial", *(field.name for field in fields(Outcome)), *plan.space))
    for trial in tried:
        writer.writerow((trial.number, *astuple(trial.outcome), *trial.values.values()))
    return file.getvalue()


def _recipe(best: Tried, tried: Sequence[Tried], plan: SearchPlan) -> str:
    """The best setting as a file that trains it, headed by how it was found."""
    method = {"tpe": "TPE", "random": "random search", "grid": "a grid"}[plan.method]
    seconds = sum(trial.outcome.seconds for trial in tried)
    head = (
        f"# The best of {counted(len(tried), 'trial')} of {method} ({duration(seconds)} in all) by validation "
        f"{plan.goal}:\n# accuracy {percent(best.outcome.val_accuracy)}, loss {number(best.outcome.val_loss)}, "
        f"{counted(best.outcome.epochs, 'epoch')}.\n"
        "# The best of many is the luckiest too: train it with other seeds before you believe the figure.\n"
    )
    return head + yaml.safe_dump(differences(best.setting), sort_keys=False)
