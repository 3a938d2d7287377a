"""Optuna as a search uses it: where it keeps the record, what it proposes, and what it gives up."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from sqlalchemy import URL

from convscope.errors import ConvscopeError
from convscope.search.plan import SearchPlan
from convscope.search.space import Choices, Dimension

optuna.logging.set_verbosity(optuna.logging.ERROR)  # what there is to say is said by the verb

FILE = "study.db"
STUDY = "search"
"""Name of the only study in the file."""

_PATIENCE = 60
"""Seconds to wait while another process writes."""
_FACTOR = 3
"""Of the trials that come to a rung of successive halving, one in so many goes on."""


def open_storage(path: Path, *, new: bool = False) -> RDBStorage:
    """The file of SQLite in a search directory, which a `new` one makes."""
    return RDBStorage(
        # Not put together by hand: there may be a question mark in the path, or a brace, which Optuna would fill in.
        URL.create("sqlite", database=str(path / FILE)).render_as_string().replace("{", "%7B").replace("}", "%7D"),
        engine_kwargs={"connect_args": {"timeout": _PATIENCE}},
        skip_table_creation=not new,
        skip_compatibility_check=new,  # it is of this very version
    )


@contextmanager
def reading(path: Path, kind: type[ConvscopeError]) -> Iterator[None]:
    """Turn what Optuna and SQLite make of a damaged file, or a full disk, into one sentence, an error of this kind."""
    try:
        yield
    except (ConvscopeError, OSError):
        raise
    except Exception as error:  # a file that is damaged, or was made up, makes the libraries stumble in a dozen ways
        root: BaseException = error
        while root.__cause__ is not None:  # what SQLite said; Optuna guesses
            root = root.__cause__
        reason = next(iter(str(root).splitlines()), "") or type(root).__name__
        raise kind(
            f"the record {path / FILE} cannot be used ({reason}): "
            f"restore it from a copy, make room on its disk, or start another search."
        ) from error


def distribution(dimension: Dimension) -> BaseDistribution:
    """The values of a field as Optuna has them."""
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        step = 1 if dimension.step is None else int(dimension.step)
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def sampler(plan: SearchPlan, *, seed: int) -> BaseSampler:
    """Who proposes the next values. A grid needs nobody: its points are given one by one.

    TPE is Bergstra et al. (NeurIPS 2011), "Algorithms for hyper-parameter optimization", §4: it models where the good
    trials lie and where the others, and proposes where the good ones are denser.
    """
    seed %= 2**32  # NumPy's largest
    return TPESampler(seed=seed) if plan.method == "tpe" else RandomSampler(seed=seed)


def pruner(plan: SearchPlan) -> BasePruner:
    """Who decides that a trial is hopeless.

    Median: worse at this epoch than the median of the trials before, from the second epoch on, as the first says
    little while the learning rate still rises. Halving and hyperband: Li et al. (2020), arXiv 1810.05934, and
    Li et al. (JMLR 2018), arXiv 1603.06560.
    """
    epochs = plan.space.get("epochs", Choices((plan.base.epochs,)))
    lengths = epochs.values if isinstance(epochs, Choices) else (epochs.high,)
    longest = max(length for length in lengths if isinstance(length, int))
    pruners: dict[str, BasePruner] = {
        "median": MedianPruner(n_startup_trials=5, n_warmup_steps=2),
        "halving": SuccessiveHalvingPruner(min_resource=1, reduction_factor=_FACTOR),
        "hyperband": HyperbandPruner(min_resource=1, max_resource=longest, reduction_factor=_FACTOR),
        "none": NopPruner(),
    }
    return pruners[plan.pruner]


def importances(study: optuna.Study) -> dict[str, float]:
    """The share of each field in what tells the best trials from the others; none where the trials are too few.

    Watanabe et al. (IJCAI 2023), "PED-ANOVA", arXiv 2304.10255.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # said when they are too few
        try:
            return dict(get_param_importances(study))
        except (UserWarning, ValueError):
            return {}
