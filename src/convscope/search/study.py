"""The record of a search: which settings were tried, by whom, and what came of each.

Optuna keeps it in a file of SQLite, in which a finished trial is safe whatever happens to the process that tried it,
and which several processes may work on. Who works holds a lock that dies with its process, so that a trial whose
process was killed is known at once, without waiting for signs of life. Nothing in that file is ever run as code: it
holds numbers and JSON. (Optuna's CMA-ES keeps pickles there, which is why there is no such method.)
"""

import os
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.files import TEMPORARY, is_locked, locked
from convscope.search.plan import SearchPlan
from convscope.search.proposals import FILE, STUDY, distribution, importances, open_storage, pruner, reading, sampler
from convscope.search.records import Outcome, Tried, check_values, kept, read_outcome
from convscope.search.space import Values, base_values, contains, grid, rounded, setting_of
from convscope.training.state import EpochRecord

_FILES = (FILE, f"{FILE}-journal", "base.yaml", "space.yaml")
"""What is in a search directory before its search.yaml."""
_MOST_ATTEMPTS = 2
"""How often a trial may take its process with it: what needs more memory than there is would do so for ever."""
_STRIDE = 1_000_003
"""Between the seeds of two searches, so that no trial of the one has the seed of a trial of the other."""
_STATES = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    # Failed trials teach the sampler nothing; but where the loss was no longer a number, it should not look again.
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Claim:
    """A trial that this process has taken on."""

    def __init__(self, trial: optuna.Trial, plan: SearchPlan, path: Path) -> None:
        self._trial, self._plan, self._path = trial, plan, path
        self.number = trial.number
        self.drawn = dict(trial.params)
        """Its values with all their digits, by which Optuna knows them."""
        self.values = rounded(plan.base, plan.space, self.drawn)

    @property
    def setting(self) -> Config:
        """What to train; a UserError where these values exclude each other."""
        return setting_of(self._plan.base, self.values)

    def hopeless(self, history: Sequence[EpochRecord]) -> bool:
        """Put the last epoch on record; whether the trial is so far behind others that it should end."""
        record = kept(history)
        with reading(self._path, ConvscopeError):
            self._trial.report(record.val_accuracy if self._plan.goal == "accuracy" else record.val_loss, len(history))
            return self._trial.should_prune()


class Study:
    """The record in one search directory. What it reads raises UserError where it is damaged."""

    def __init__(self, path: Path, plan: SearchPlan, storage: RDBStorage, study: optuna.Study) -> None:
        """For `create` and `open`."""
        self.path, self.plan = path, plan
        self._storage, self._study = storage, study
        self._distributions = {key: distribution(dimension) for key, dimension in plan.space.items()}

    @classmethod
    def create(cls, path: Path, plan: SearchPlan) -> "Study":
        """Begin a search in `path`; or join the one there, if it has the same plan.

        Raises:
            UserError: there is another search, or something else.
            ConvscopeError: the files cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            with locked(path / f"{TEMPORARY}claim", on_wait=lambda: None):
                if not (path / "search.yaml").exists():
                    cls._begin(path, plan)
        except OSError as error:
            raise UserError(
                f"cannot make the search directory {path} ({error.strerror}): "
                f"choose a directory you may write to with --searches-dir."
            ) from error
        study = cls.open(path)
        if study.plan.digest() != plan.digest():
            raise UserError(
                f"there is another search at {path}: choose another --name, or go on with that one: --resume {path}."
            )
        return study

    @staticmethod
    def _begin(path: Path, plan: SearchPlan) -> None:
        if any(not entry.name.startswith(TEMPORARY) and entry.name not in _FILES for entry in path.iterdir()):
            raise UserError(f"{path} holds files, but no search: choose another --name.")
        for name in _FILES:  # of a process that was killed when it began
            (path / name).unlink(missing_ok=True)
        with reading(path, ConvscopeError):
            storage = open_storage(path, new=True)
            study = optuna.create_study(
                storage=storage,
                study_name=STUDY,
                direction=StudyDirection.MAXIMIZE if plan.goal == "accuracy" else StudyDirection.MINIMIZE,
            )
            study.set_user_attr("plan", plan.digest())
            first = dict(base_values(plan.base, plan.space))
            if plan.method != "grid" and all(contains(plan.space[key], value) for key, value in first.items()):
                study.enqueue_trial(first)  # so that what is found is never worse than what it began with
        plan.write(path)

    @classmethod
    def open(cls, path: Path) -> "Study":
        """The search in a directory."""
        if not (path / "search.yaml").is_file() or not (path / FILE).is_file():
            raise UserError(f"{path} is not a search: name a folder that `convscope search` wrote.")
        plan = SearchPlan.read(path)
        with reading(path, UserError):
            storage = open_storage(path)
            study = optuna.load_study(study_name=STUDY, storage=storage, pruner=pruner(plan))
            digest = study.user_attrs.get("plan")
        if digest != plan.digest():
            raise UserError(
                f"the YAML files in {path} are not those that this search began with: "
                f"restore them, or start another search."
            )
        return cls(path, plan, storage, study)

    @contextmanager
    def worker(self) -> Iterator[str]:
        """Be one who tries settings; yields the name of the lock that shows this process to be alive."""
        name = f"{TEMPORARY}worker-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with locked(self.path / name, on_wait=lambda: None):
            yield name

    def claim(self, worker: str, *, trials: int) -> Claim | None:
        """Take on the next trial, as this worker; None where `trials` are done or under way, or a grid is at its end.

        One process at a time: so no trial is counted twice, no grid point tried twice, and what is proposed depends on
        nothing but the record. Trials of processes that are gone are given to others first.
        """
        with locked(self.path / f"{TEMPORARY}claim", on_wait=lambda: None), reading(self.path, ConvscopeError):
            gone = {record.number for record in self._study.get_trials(deepcopy=False) if self._is_abandoned(record)}
            # Read anew, as a process may have settled its trial at the last moment.
            for record in self._study.get_trials(deepcopy=False):
                if record.number in gone and record.state == TrialState.RUNNING:
                    self._take_from_the_dead(record)
            records = self._study.get_trials(deepcopy=False)
            counted = [record for record in records if self._counts(record)]
            if len(counted) >= trials:
                return None
            if self.plan.method == "grid" and not any(record.state == TrialState.WAITING for record in records):
                point = self._next_point(counted)
                if point is None:
                    return None
                self._study.enqueue_trial(dict(point))
            # A generator for each trial: processes with the same one would all propose the same.
            self._study.sampler = sampler(self.plan, seed=_STRIDE * self.plan.base.seed + len(records))
            trial = self._study.ask(self._distributions)
            trial.set_user_attr("worker", worker)
            return Claim(trial, self.plan, self.path)

    def settle(self, number: int, outcome: Outcome) -> None:
        """Put on record what came of a trial."""
        with reading(self.path, ConvscopeError):
            study = self._storage.get_study_id_from_name(STUDY)
            trial = self._storage.get_trial_id_from_study_id_trial_number(study, number)
            self._storage.set_trial_user_attr(trial, "outcome", asdict(outcome))
            self._tell(number, outcome)

    def give_back(self, claim: Claim) -> None:
        """End a trial without an outcome, and leave its values to whoever comes next; it does not count."""
        with reading(self.path, ConvscopeError):
            self._study.tell(claim.number, state=TrialState.FAIL)
            self._study.enqueue_trial(claim.drawn)

    def tried(self) -> list[Tried]:
        """The trials that count, in their order; without those that were given back, or whose process is gone."""
        with reading(self.path, UserError):
            return [self._read(record) for record in self._study.get_trials(deepcopy=False) if self._counts(record)]

    def importances(self) -> Mapping[str, float]:
        """How much depends on each field, see `proposals.importances`."""
        with reading(self.path, UserError):
            return importances(self._study)

    def _read(self, record: FrozenTrial) -> Tried:
        check_values(record.params, self.plan.space)
        outcome = record.user_attrs.get("outcome")
        values = rounded(self.plan.base, self.plan.space, record.params)
        done = Outcome("running") if outcome is None else read_outcome(outcome)
        return Tried(record.number, values, self.plan.base, done)

    def _counts(self, record: FrozenTrial) -> bool:
        """Whether a trial is one of those asked for: it has an outcome, or somebody is at work on it."""
        if "outcome" in record.user_attrs:
            return True
        drawn = set(record.params) == set(self.plan.space)  # or another process is about to draw the others
        return record.state == TrialState.RUNNING and drawn and not self._is_abandoned(record)

    def _next_point(self, counted: Sequence[FrozenTrial]) -> Values | None:
        """A point of the grid that was not tried, in an order that does not begin with one corner."""
        points = list(grid(self.plan.space))
        random.Random(self.plan.base.seed).shuffle(points)
        keys = tuple(self.plan.space)
        tried = {tuple(record.params[key] for key in keys) for record in counted}
        return next((point for point in points if tuple(point[key] for key in keys) not in tried), None)

    def _is_abandoned(self, record: FrozenTrial) -> bool:
        worker = record.user_attrs.get("worker", "")  # none, until all values are drawn
        known = isinstance(worker, str) and worker.startswith(TEMPORARY) and Path(worker).name == worker
        return record.state == TrialState.RUNNING and (not known or is_locked(self.path / worker) is False)

    def _take_from_the_dead(self, record: FrozenTrial) -> None:
        killed = record.user_attrs.get("killed", 0) + ("worker" in record.user_attrs)
        if "outcome" in record.user_attrs:  # killed between knowing and telling
            self._tell(record.number, self._read(record).outcome)
        elif killed >= _MOST_ATTEMPTS:
            reason = f"its process was killed, {killed} times, perhaps for want of memory"
            self.settle(record.number, Outcome("failed", reason=reason))
        else:
            self._study.tell(record.number, state=TrialState.FAIL)
            # Killed while it drew the values, it may not have all; what was laid down before has.
            values = record.system_attrs.get("fixed_params", record.params)
            if set(values) == set(self.plan.space):
                self._study.enqueue_trial(values, user_attrs={"killed": killed})

    def _tell(self, number: int, outcome: Outcome) -> None:
        state = _STATES[outcome.status]
        value = outcome.val_accuracy if self.plan.goal == "accuracy" else outcome.val_loss
        self._study.tell(number, value if state == TrialState.COMPLETE else None, state=state)
