"""`convscope search [DATA] [MODEL]`: try many settings and keep the best as a recipe."""

import math
import shlex
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from convscope.cli.settings import Settings, parse, setting
from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.search.space import Goal, Method, Pruner

if TYPE_CHECKING:
    from convscope.search.study import Study

_TRIALS = 20
"""Enough for TPE, which draws ten at random first, to show what it can do."""


@dataclass(frozen=True)
class Search(Settings):
    """Try many settings around a base, judge each by the validation split, and keep the best as a recipe.

    All flags of `convscope train` are the base. What is varied around it is said by --vary or in a file; otherwise
    learning rate, weight decay, batch size, label smoothing, schedule, flip, shift and dropout are. Trials that fall
    behind are given up early. The test split is not touched.

    Every finished trial is kept, whatever happens: --resume goes on, and so does the same command if it gives a --name.
    Given twice at the same time, on one machine, both work on the same search.

    $ convscope search fashion-mnist-mini tinyvgg_bn --epochs 5 --trials 25
    $ convscope search fashion-mnist lenet5 --vary lr=1e-4..1e-1:log --vary optimizer=sgd,adamw --vary shift=0..3
    $ convscope search fashion-mnist linear --method grid --vary lr=0.001,0.01,0.1 --vary batch_size=64,128
    $ convscope search cifar10 resnet18_small --recipe cifar10-best --space space.yaml --processes 2 --name first
    $ convscope search --resume first --trials 50 --confirm 3
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = "fashion-mnist"
    """Data set: a name of `convscope data list`, or a folder: of photos, a folder for each class, or of data files laid
    out like FashionMNIST's or CIFAR-10's."""
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL]")] = "tinyvgg_bn"
    """Network: a name of `convscope models`."""
    log_every: tyro.conf.Suppress[int | None] = None
    method: Method = "tpe"
    """Who proposes settings: tpe learns from the trials before where good ones are likely, random does not, and grid
    takes all combinations of lists."""
    trials: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """How many settings to try in all, those before a --resume included; 20 by default, or the whole grid."""
    vary: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FIELD=VALUES")] = ()
    """A flag of the training and its values, once for each: a range `lr=1e-4..1e-1:log`, `shift=0..4`, one with a step
    `dropout=0..0.5:0.1`, or a list `optimizer=sgd,adamw`; a network's option as `model_options.hidden=10,20`."""
    space: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The same in a YAML file: lines such as `lr: {low: 1e-4, high: 1e-1, log: true}` and `batch_size: [64, 128]`."""
    goal: Goal = "accuracy"
    """Validation figure that decides. Accuracy compares all settings; the loss is finer, but settings that change what
    is minimised, such as label smoothing, cannot be compared by it."""
    pruner: Pruner = "median"
    """When to give a trial up: median, where it is worse than half of those before were at that epoch; halving or
    hyperband, where it is not among the best third at one of a few epochs; or none."""
    processes: int = 1
    """Trials at the same time, each in a process of its own; they share the CPU's threads."""
    timeout: Annotated[float | None, tyro.conf.arg(metavar="MINUTES")] = None
    """Begin no trial after so many minutes."""
    name: str | None = None
    """Name of the search's directory; model, data set and time by default."""
    resume: Annotated[str | None, tyro.conf.arg(metavar="SEARCH")] = None
    """Go on with this search (a name or a path), as it was begun."""
    confirm: Annotated[int | None, tyro.conf.arg(metavar="SEEDS")] = None
    """Afterwards, train base and best with so many other seeds into runs, and compare these, on the test split too. Of
    many trials the best was lucky as well; other seeds show how much."""
    show: Annotated[str | None, tyro.conf.arg(metavar="SEARCH")] = None
    """Print what came of this search so far, write its table, recipe and pictures anew, and train nothing."""
    list_searches: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the searches there are, and nothing else."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print JSON instead of tables."""
    searches_dir: Path = Path("searches")
    """Directory of the search directories."""

    def __post_init__(self) -> None:
        """Check the flags that are not part of the setting too."""
        super().__post_init__()
        for flag in ("trials", "processes", "confirm"):
            count = getattr(self, flag)
            if count is not None and count < 1:
                raise UserError(f"{flag} is {count}: it must be at least 1.")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise UserError(f"timeout is {self.timeout}: it must be greater than 0.")


def main(argv: list[str]) -> int:
    """Search, go on, or show; 0, or 130 when stopped by Ctrl-C."""
    flags = parse(Search, argv, verb="search")
    known = flags.resume or flags.show
    described = (flags.name, flags.space, flags.vary, flags.method, flags.goal, flags.pruner)
    if known is not None and (setting(flags) != Config() or described != (None, None, (), "tpe", "accuracy", "median")):
        raise UserError(
            "--resume and --show take a search as it was begun: leave out data set, network, hyperparameters, "
            "and whatever else describes a search."
        )
    training = (flags.resume, flags.trials, flags.timeout, flags.confirm, flags.processes)
    if flags.show is not None and training != (None, None, None, None, 1):
        raise UserError(
            "--show trains nothing: leave out --trials, --processes, --timeout and --confirm, or --resume the search."
        )
    if flags.json and flags.confirm is not None:
        raise UserError("--confirm prints tables: leave out --json, which --show can give afterwards.")
    if find_spec("optuna") is None:
        raise UserError('a search needs Optuna, which is not installed: get it with `pip install "convscope[search]"`.')
    from convscope.cli.searching import search
    from convscope.cli.trials import say_list, say_results
    from convscope.search.study import Study

    if flags.list_searches:
        say_list(flags.searches_dir, as_json=flags.json)
        return 0
    status = 0
    if known is None:
        study = _begin(flags)
    else:
        path = Path(known) if (Path(known) / "search.yaml").exists() else flags.searches_dir / known
        study = Study.open(path)
        if flags.show is None:
            _prepare(study.plan.base, flags)
    if flags.show is None:
        finished = search(
            study,
            trials=flags.trials or study.plan.trials,
            processes=flags.processes,
            minutes=flags.timeout,
            data_dir=flags.data_dir,
            to_stderr=flags.json,
        )
        status = 0 if finished else 130
    say_results(study, as_json=flags.json)
    if status == 130:
        print(f"stopped; go on with: convscope search --resume {shlex.quote(str(study.path))}", file=sys.stderr)
    elif flags.confirm is not None:
        status = _confirm(study, flags, seeds=flags.confirm)
    return status


def _begin(flags: Search) -> "Study":
    """A new search, or one of the same name and plan."""
    from convscope.models import takes_option
    from convscope.search.plan import SearchPlan
    from convscope.search.reading import load_space, parse_dimension
    from convscope.search.space import default_space, grid_size
    from convscope.search.study import Study

    base = setting(flags)
    space = {} if flags.space is None else dict(load_space(flags.space))
    space |= dict(map(parse_dimension, flags.vary))
    if not space:
        space = dict(default_space(base, dropout=takes_option(base.model, "dropout")))
    trials = flags.trials or (grid_size(space) if flags.method == "grid" else _TRIALS)
    plan = SearchPlan(base, space, method=flags.method, goal=flags.goal, pruner=flags.pruner, trials=trials)
    _prepare(base, flags)
    name = flags.name or f"{base.model}-{Path(base.data).name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    if Path(name).name != name or name.startswith("."):
        raise UserError(f"'{name}' cannot name a search: choose a name without slashes that does not begin with a dot.")
    return Study.create(flags.searches_dir / name, plan)


def _prepare(base: Config, flags: Search) -> None:
    """Tell what cannot be read or trained before anything is written, and not as the fault of each trial."""
    from convscope.cli.progress import Preparation
    from convscope.experiment.session import Session

    with Preparation() as preparation:
        Session.prepare(base, data_dir=flags.data_dir, progress=preparation)


def _confirm(study: "Study", flags: Search, *, seeds: int) -> int:
    """Train base and best with other seeds, and compare the runs; 130 when stopped by Ctrl-C."""
    from convscope.cli.progress import Preparation, Progress, StopSignal, how_to_resume
    from convscope.cli.results import say_comparison
    from convscope.experiment import compare_settings
    from convscope.report import write_comparison, write_report
    from convscope.report.pairs import pairs_of
    from convscope.search.results import best_first
    from convscope.training.loop import Interrupted

    base, ranking = study.plan.base, best_first(study.tried(), study.plan)
    if not ranking:
        raise ConvscopeError("no trial came to its end, so there is nothing to confirm: try more, or for longer.")
    best = ranking[0].setting
    if best == base:
        print("the base is the best itself: there is nothing to confirm")
        return 0
    with Progress() as progress, StopSignal() as stop, Preparation() as preparation:
        try:
            comparison = compare_settings(
                [replace(config, seed=config.seed + 1) for config in (base, best)],  # not the seed that chose
                seeds=seeds,
                runs_dir=flags.runs_dir,
                data_dir=flags.data_dir,
                observers=(progress,),
                interrupted=stop,
                progress=preparation,
            )
        except Interrupted:
            print(f"stopped and saved; go on with: {how_to_resume(progress)}")
            return 130
    for run in comparison.runs:
        write_report(run)
    pairs, _ = pairs_of(comparison)
    say_comparison(comparison, pairs[0].verdict if pairs else "", write_comparison(comparison))
    return 0
