"""The record of a search: what is proposed, what counts, and what is left of a process that is gone."""

import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.errors import ConvscopeError, UserError
from convscope.search.plan import SearchPlan
from convscope.search.records import Outcome
from convscope.search.results import best_first
from convscope.search.study import Study
from convscope.training.state import EpochRecord

Begin = Callable[..., Study]
Untrained = Callable[[Study, int], None]


def values(study: Study) -> list[dict[str, Any]]:
    return [dict(trial.values) for trial in study.tried()]


def statuses(study: Study) -> list[str]:
    return [trial.outcome.status for trial in study.tried()]


def abandon(study: Study, trials: int = 100) -> int:
    """A process takes on a trial and is killed: its lock is gone, and the trial still under way."""
    with study.worker() as worker:
        claim = study.claim(worker, trials=trials)
    assert claim is not None
    return claim.number


def epoch(number: int, accuracy: float) -> EpochRecord:
    return EpochRecord(number, 1.0, 0.5, 1 - accuracy, accuracy, 0.01, 1.0, 1.0, 1.0)


def test_a_search_begins_with_its_base(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=1e-4..1e-1:log", "shift=0..3")
    untrained(study, 3)
    first, *others = study.tried()
    assert first.setting == study.plan.base
    assert all(trial.setting != study.plan.base for trial in others)
    assert {path.name for path in study.path.iterdir()} == {"base.yaml", "space.yaml", "search.yaml", "study.db"}


def test_its_base_has_all_its_digits(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=1e-4..1e-1:log", base={"lr": 0.00123456})
    untrained(study, 1)
    assert study.tried()[0].setting == study.plan.base


@pytest.mark.parametrize("name", ["a b", "a?b", "a#b", "a%20b", "a{b}", "é猫", "a?mode=memory&b", "a:b@c"])
def test_a_search_lies_where_its_name_says(name: str, begin: Begin, tmp_path: Path) -> None:
    # SQLAlchemy takes an address, in which some of these letters have another meaning.
    study = begin(folder=name)
    assert Study.open(study.path).plan == study.plan
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "study.db").is_file()


def test_but_not_where_the_base_is_outside(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=0.5..0.6", "shift=0..3")
    untrained(study, 3)
    assert all(0.5 <= trial.setting.lr <= 0.6 for trial in study.tried())


@pytest.mark.parametrize(("method", "trials"), [("tpe", 13), ("random", 6)])
def test_what_is_proposed_depends_on_the_record_alone(
    method: str, trials: int, begin: Begin, untrained: Untrained
) -> None:
    # So a search that was stopped goes on as if it had not been, in whatever processes.
    straight, stopped = begin(folder="straight", method=method), begin(folder="stopped", method=method)
    untrained(straight, trials)
    for part in (1, 4, trials):
        untrained(Study.open(stopped.path), part)
    assert values(straight) == values(stopped)
    assert len({str(point) for point in values(straight)}) == trials
    other = begin(folder="other", method=method, base={"seed": 1})
    untrained(other, 3)
    known = {str(point) for point in values(straight)[1:]}
    assert not any(str(point) in known for point in values(other)[1:])


def test_tpe_looks_where_good_trials_are(begin: Begin, untrained: Untrained) -> None:
    # R-A12. The formula is best at 0.01; at random a quarter of the trials would be as near to it as this.
    study = begin("lr=1e-4..1:log", base={"lr": 0.5})
    untrained(study, 30)
    late = [trial.setting.lr for trial in study.tried()[15:]]
    assert sum(0.00316 < lr < 0.0316 for lr in late) >= 7


def test_the_loss_is_minimised_where_it_is_the_goal(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=1e-4..1:log", base={"lr": 0.5}, goal="loss")
    untrained(study, 15)
    ranking = best_first(study.tried(), study.plan)
    losses = [trial.outcome.val_loss for trial in ranking]
    assert losses == sorted(losses) and losses[0] < 0.1


def test_a_grid_takes_each_combination_once_and_ends(begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=0.01,0.1", "shift=0..2", "flip=true,false", method="grid", trials=12)
    untrained(study, 5)
    abandon(study)
    untrained(Study.open(study.path), 100)
    points = values(study)
    assert len(points) == 12 == len({str(point) for point in points})
    assert points[:4] != sorted(points[:4], key=str)  # not one corner first


def test_the_steps_of_a_grid_are_those_that_were_written(begin: Begin, untrained: Untrained) -> None:
    study = begin("label_smoothing=0..0.35:0.1", method="grid")
    untrained(study, 100)
    assert sorted(point["label_smoothing"] for point in values(study)) == [0.0, 0.1, 0.2, 0.3]


def test_as_many_trials_as_asked_for_and_no_more(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    untrained(study, 4)
    untrained(study, 3)
    assert len(study.tried()) == 4
    with study.worker() as worker:
        first, second = study.claim(worker, trials=6), study.claim(worker, trials=6)
        assert first is not None and second is not None
        assert study.claim(worker, trials=6) is None  # those under way count
        assert statuses(study) == ["finished"] * 4 + ["running"] * 2


def test_several_at_once_do_each_trial_once(begin: Begin, untrained: Untrained) -> None:
    # R-A12. Threads with records of their own, to which locks and SQLite are the same as to processes.
    study = begin()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: untrained(Study.open(study.path), 16), range(4)))
    assert statuses(study) == ["finished"] * 16
    assert [trial.number for trial in study.tried()] == list(range(16))
    assert len({str(point) for point in values(study)}) == 16


def test_the_same_command_joins_and_another_is_refused(begin: Begin, untrained: Untrained) -> None:
    untrained(begin(), 2)
    assert len(begin(trials=50).tried()) == 2  # the number of trials may change
    for change in ({"method": "random"}, {"goal": "loss"}, {"base": {"lr": 0.02}}):
        with pytest.raises(UserError, match=r"there is another search at .*: choose another --name, or go on with"):
            begin(**change)


# What is left of those who are gone


def test_a_killed_trial_is_tried_again_and_does_not_count(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    untrained(study, 3)
    with study.worker() as worker:
        claim = study.claim(worker, trials=4)
        assert claim is not None
        assert statuses(study) == ["finished"] * 3 + ["running"]
    assert statuses(study) == ["finished"] * 3  # nobody is at work on it any more
    untrained(Study.open(study.path), 4)
    assert statuses(study) == ["finished"] * 4
    assert values(study)[3] == claim.values  # the same setting, under another number
    assert study.tried()[3].number > claim.number


def test_what_a_living_process_tries_is_left_to_it(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    with study.worker() as worker:
        claim = study.claim(worker, trials=5)
        assert claim is not None
        untrained(Study.open(study.path), 5)
        assert sorted(statuses(study)) == ["finished"] * 4 + ["running"]
        study.settle(claim.number, Outcome("finished", 0.1, 0.9, 2, 1.0))
    assert statuses(study) == ["finished"] * 5


@pytest.mark.parametrize("method", ["tpe", "grid"])
def test_a_trial_that_kills_its_process_is_not_tried_for_ever(method: str, begin: Begin, untrained: Untrained) -> None:
    study = begin("lr=0.001..0.1:0.001", method=method)
    first, second = abandon(study), abandon(study)
    assert second > first
    untrained(study, 3)
    failed, *others = study.tried()
    assert (failed.number, failed.outcome.status) == (second, "failed")
    assert failed.outcome.reason == "its process was killed, 2 times, perhaps for want of memory"
    assert [trial.outcome.status for trial in others] == ["finished"] * 2
    assert failed.values not in [trial.values for trial in others]


def test_what_was_known_before_the_end_is_not_lost(
    begin: Begin, untrained: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Killed between the two writes of which settling a trial consists.
    study = begin()
    with study.worker() as worker, monkeypatch.context() as patch:
        claim = study.claim(worker, trials=5)
        assert claim is not None
        patch.setattr(study, "_tell", lambda number, outcome: None)
        study.settle(claim.number, Outcome("finished", 0.25, 0.75, 2, 1.0))
    untrained(Study.open(study.path), 2)
    assert study.tried()[0].outcome.val_accuracy == 0.75
    assert statuses(study) == ["finished"] * 2


def test_what_is_settled_at_the_last_moment_is_not_lost(
    begin: Begin, untrained: Untrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between reading that a trial is under way and finding that its process is gone.
    study = begin()
    with study.worker() as worker:
        claim = study.claim(worker, trials=5)
        assert claim is not None

    def settle_and_end(path: Path) -> bool:
        monkeypatch.undo()
        Study.open(study.path).settle(claim.number, Outcome("finished", 0.25, 0.75, 2, 1.0))
        return False

    monkeypatch.setattr("convscope.search.study.is_locked", settle_and_end)
    untrained(study, 2)
    assert statuses(study) == ["finished"] * 2
    assert study.tried()[0].number == claim.number


def test_a_process_killed_while_it_drew_values(begin: Begin, untrained: Untrained) -> None:
    study = begin()

    def draw() -> None:
        study._study.ask({"lr": study._distributions["lr"]})  # and no batch size, and nobody's name

    draw()
    assert study.tried() == []
    abandon(study)
    for record in study._study.get_trials():
        if study._is_abandoned(record):
            study._take_from_the_dead(record)
    draw()
    untrained(Study.open(study.path), 2)
    assert statuses(study) == ["finished"] * 2
    assert study.tried()[0].setting == study.plan.base  # which was to be the first


def test_what_is_given_back_comes_next(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    untrained(study, 2)
    with study.worker() as worker:
        claim = study.claim(worker, trials=5)
        assert claim is not None
        study.give_back(claim)
        again = study.claim(worker, trials=5)
        assert again is not None and again.setting == claim.setting
        study.settle(again.number, Outcome("failed", reason="no"))
    assert statuses(study) == ["finished", "finished", "failed"]


def test_a_search_that_was_killed_when_it_began_is_begun_again(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    (study.path / "search.yaml").unlink()  # which is written last
    again = begin()
    untrained(again, 2)
    assert len(again.tried()) == 2


def test_a_search_outlives_a_new_field_of_the_setting(begin: Begin, untrained: Untrained) -> None:
    # A later version may know more fields; their defaults are what was done before.
    study = begin()
    untrained(study, 2)
    base = (study.path / "base.yaml").read_text(encoding="utf-8")
    (study.path / "base.yaml").write_text(base.replace("cutmix: 0.0\n", ""), encoding="utf-8")
    assert len(Study.open(study.path).tried()) == 2


# Pruning


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_bad_trials_are_hopeless_and_good_ones_are_not(pruner: str, begin: Begin) -> None:
    study = begin(pruner=pruner, base={"epochs": 9})
    ended = {}
    with study.worker() as worker:
        for number in range(16):
            claim = study.claim(worker, trials=16)
            assert claim is not None
            level = 0.9 if number < 6 or number % 2 else 0.3
            history, hopeless = [], False
            while len(history) < 9 and not hopeless:
                history.append(epoch(len(history) + 1, level + 0.001 * len(history) + 0.0001 * number))
                hopeless = claim.hopeless(history)
            last = history[-1]
            status = "pruned" if hopeless and len(history) < 9 else "finished"
            study.settle(number, Outcome(status, last.val_loss, last.val_accuracy, len(history), 1.0))
            ended[number] = len(history)
    bad = [ended[number] for number in range(6, 16, 2)]
    good = [ended[number] for number in range(7, 16, 2)]
    assert sum(bad) < sum(good)
    assert max(good) == 9 and min(bad) < 9
    assert all(trial.outcome.status == "pruned" for trial in study.tried() if trial.outcome.epochs < 9)


def test_nothing_is_hopeless_without_a_pruner(begin: Begin) -> None:
    study = begin(pruner="none")
    with study.worker() as worker:
        for number in range(8):
            claim = study.claim(worker, trials=8)
            assert claim is not None
            assert not claim.hopeless([epoch(1, 0.9 if number < 6 else 0.1)])
            study.settle(number, Outcome("finished", 0.1, 0.9, 1, 1.0))


def test_a_record_that_breaks_while_a_trial_is_judged(begin: Begin) -> None:
    study = begin()
    with study.worker() as worker:
        claim = study.claim(worker, trials=1)
        assert claim is not None
        (study.path / "study.db").write_bytes(b"nonsense")
        with pytest.raises(
            ConvscopeError, match=r"the record .* cannot be used \(file is not a database\): restore it"
        ):
            claim.hopeless([epoch(1, 0.5)])


def test_a_trial_is_judged_by_the_weights_that_would_be_kept(begin: Begin) -> None:
    study = begin()
    with study.worker() as worker:
        claim = study.claim(worker, trials=1)
        assert claim is not None
        claim.hopeless([epoch(1, 0.5)])
        better_loss = replace(epoch(2, 0.6), val_loss=0.1)
        claim.hopeless([epoch(1, 0.5), better_loss])
        claim.hopeless([epoch(1, 0.5), better_loss, epoch(3, 0.8)])  # more accurate, but of a higher loss
    (record,) = study._study.get_trials()
    assert record.intermediate_values == {1: 0.5, 2: 0.6, 3: 0.6}


# Files that somebody changed


def test_an_edited_plan_is_told(begin: Begin) -> None:
    study = begin("lr=0.01,0.1")
    for name, text in (("space.yaml", "lr: [0.01, 0.2]\n"), ("base.yaml", replace(study.plan.base, lr=0.5).to_yaml())):
        kept = (study.path / name).read_text(encoding="utf-8")
        (study.path / name).write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="are not those that this search began with: restore them"):
            Study.open(study.path)
        (study.path / name).write_text(kept, encoding="utf-8")
    assert Study.open(study.path).plan == study.plan


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("format: 1\n", "it lacks method"),
        ("format: 1\nmethod: best\ngoal: loss\npruner: none\ntrials: 3\n", "its method is none"),
        ("format: 1\nmethod: tpe\ngoal: loss\npruner: none\ntrials: many\n", "trials is no whole number"),
        ("format: 9\nmethod: tpe\ngoal: loss\npruner: none\ntrials: 3\n", "has format 9, and this Convscope reads"),
        ("format: 1\nmethod: tpe\ngoal: loss\npruner: none\ntrials: 0\n", "trials is 0: it must be at least 1"),
    ],
)
def test_a_plan_that_says_something_else(text: str, problem: str, begin: Begin) -> None:
    study = begin()
    (study.path / "search.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        SearchPlan.read(study.path)


def test_a_grid_beyond_all_measure_is_refused_at_once(begin: Begin) -> None:
    # Without a list of its points, which no memory would hold.
    with pytest.raises(UserError, match=r"this grid has 1,000,000,000,000 combinations: give shorter lists"):
        begin("epochs=1..1000000000000", method="grid")


def test_a_folder_without_a_search(begin: Begin, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a search: name a folder that `convscope search` wrote"):
        Study.open(tmp_path)
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds files, but no search: choose another --name"):
        begin()
    assert (tmp_path / "search" / "notes.txt").read_text(encoding="utf-8") == "mine"


SQL = [
    "UPDATE trial_user_attributes SET value_json = '{\"status\": \"best\"}' WHERE key = 'outcome'",
    "UPDATE trial_user_attributes SET value_json = 'nonsense' WHERE key = 'outcome'",
    "UPDATE trial_user_attributes SET value_json = '[1]' WHERE key = 'outcome'",
    "UPDATE trial_user_attributes SET value_json = json_set(value_json, '$.val_loss', null) WHERE key = 'outcome'",
    "UPDATE trial_user_attributes SET value_json = json_set(value_json, '$.val_accuracy', 7) WHERE key = 'outcome'",
    "UPDATE trial_params SET param_value = 1e9 WHERE param_name = 'lr'",
    "UPDATE trial_params SET param_value = -7 WHERE param_name = 'batch_size'",
    "UPDATE trial_params SET param_name = 'seed' WHERE param_name = 'lr'",
    "UPDATE trial_params SET distribution_json = '{}'",
    "DELETE FROM trial_params WHERE param_name = 'lr'",
    "DROP TABLE trials",
    "DELETE FROM studies",
    "UPDATE alembic_version SET version_num = 'v9'",
]


@pytest.mark.parametrize("statement", SQL)
def test_a_record_that_somebody_changed_is_refused_in_a_sentence(
    statement: str, begin: Begin, untrained: Untrained
) -> None:
    study = begin()
    untrained(study, 3)
    with sqlite3.connect(study.path / "study.db") as database:
        database.execute(statement)
    database.close()
    with pytest.raises(UserError, match=r"the record .*study\.db cannot be used \(.+\): restore it from a copy"):
        Study.open(study.path).tried()


def test_a_damaged_record(begin: Begin, untrained: Untrained) -> None:
    study = begin()
    untrained(study, 3)
    contents = (study.path / "study.db").read_bytes()
    for damaged in (b"", b"nonsense", contents[: len(contents) // 2], contents[:4096] + bytes(len(contents) - 4096)):
        copy = study.path.parent / "copy"
        shutil.copytree(study.path, copy)
        (copy / "study.db").write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be used"):
            Study.open(copy).tried()
        shutil.rmtree(copy)


def test_a_worker_of_another_place_is_nobody(begin: Begin, untrained: Untrained, tmp_path: Path) -> None:
    # Its name is part of a path, and anybody may have written it.
    study = begin()
    outside = tmp_path / "outside"
    outside.touch()
    with study.worker() as worker:
        claim = study.claim(worker, trials=3)
        assert claim is not None
        for name in ("../outside", str(outside), "outside", "", 3, None):
            study._storage.set_trial_user_attr(claim._trial._trial_id, "worker", name)
            (record,) = study._study.get_trials()
            assert study._is_abandoned(record)
    assert outside.read_bytes() == b""
