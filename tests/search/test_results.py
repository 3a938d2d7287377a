"""What a search leaves behind."""

import csv
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from convscope import plots
from convscope.config import Config
from convscope.recipes import load_config
from convscope.search.records import Outcome
from convscope.search.results import best_first, write_results
from convscope.search.study import Study

Begin = Callable[..., Study]
Untrained = Callable[[Study, int], None]


def test_the_best_setting_is_a_recipe(begin: Begin, untrained: Untrained) -> None:
    # R-A12
    study = begin("lr=1e-4..1e-1:log", "model_options.hidden=5,10", base={"model": "tinyvgg", "batch_size": 32})
    untrained(study, 8)
    write_results(study)
    best = best_first(study.tried(), study.plan)[0]
    assert load_config(study.path / "best.yaml") == best.setting
    text = (study.path / "best.yaml").read_text(encoding="utf-8")
    assert text.startswith("# The best of 8 trials of TPE (8.0 s in all) by validation accuracy:\n# accuracy ")
    assert "lr:" in text and "momentum" not in text  # only what differs from the defaults
    assert load_config(study.path / "base.yaml") == study.plan.base != Config()


def test_the_table_has_a_row_a_trial(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    untrained(study, 4)
    with study.worker() as worker:
        claim = study.claim(worker, trials=5)
        assert claim is not None
        study.settle(claim.number, Outcome("failed", reason='no "memory", alas'))
    write_results(study)
    with (study.path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == list("01234")
    for row, trial in zip(rows, study.tried(), strict=True):
        outcome = {key: "" if value is None else str(value) for key, value in asdict(trial.outcome).items()}
        assert {key: row[key] for key in outcome} == outcome
        assert (float(row["lr"]), int(row["batch_size"])) == (trial.setting.lr, trial.setting.batch_size)


def test_there_are_four_pictures(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=1e-4..1e-1:log", "shift=0..3", "flip=true,false")
    untrained(study, 6)
    write_results(study)
    names = {"history.png", "importance.png", "slices.png", "parallel.png"}
    assert {path.name for path in (study.path / "figures").iterdir()} == names


def test_the_learning_rate_alone_matters_to_the_formula(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=1e-4..1:log", "rotation=0..90", method="random")
    untrained(study, 30)
    shares = study.importances()
    assert shares["lr"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("trials", [0, 1])
def test_few_trials_leave_what_they_can(trials: int, begin: Begin, untrained: Untrained) -> None:
    study = begin()
    untrained(study, trials)
    write_results(study)
    left = {path.name for path in study.path.glob("**/*") if path.suffix in (".csv", ".png")} - {"trials.csv"}
    assert left == ({"history.png", "slices.png", "parallel.png"} if trials else set())
    assert (study.path / "best.yaml").exists() == bool(trials)
    assert study.importances() == {}


def test_what_never_ended_an_epoch_is_in_no_picture(
    begin: Begin, untrained: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begin()
    untrained(study, 2)
    with study.worker() as worker:
        claim = study.claim(worker, trials=3)
        assert claim is not None
        study.settle(claim.number, Outcome("diverged", reason="the loss became nan"))
    drawn = []
    monkeypatch.setattr(plots, "trial_history", lambda trials, goal: drawn.extend(trials))
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: Path(path))
    write_results(study)
    assert [trial["number"] for trial in drawn] == [0, 1]
