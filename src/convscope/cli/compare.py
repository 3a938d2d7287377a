"""`convscope compare DATA MODEL...` trains networks side by side; `convscope compare RUN RUN...` takes runs."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from convscope.catalog import DATA, model_entry
from convscope.cli.settings import Settings, parse, setting
from convscope.errors import UserError
from convscope.runs import Run


@dataclass(frozen=True)
class Compare(Settings):
    """Train several networks on one data set (same split, same seed, same setting), or take runs that exist.

    Prints a table, says of two whether they differ by more than chance, and draws one figure with all curves.

    $ convscope compare fashion-mnist linear tinyvgg tinyvgg_bn --epochs 5
    $ convscope compare fashion-mnist-mini linear lenet5 --epochs 3 --seeds 3
    $ convscope compare first second
    """

    subjects: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATA MODEL... | RUN RUN...")] = ()
    """A data set and the networks to train on it; or runs, by name or path."""
    data: tyro.conf.Suppress[str] = "fashion-mnist"
    model: tyro.conf.Suppress[str] = "tinyvgg_bn"
    seeds: int = 1
    """Train each network with this many seeds and give mean and standard deviation."""
    no_doctor: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave out the doctor, who looks on while the networks are trained, and says what goes wrong."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write events into the run's folder `tensorboard` too: curves, weights and gradients, pictures, the network's
    graph, the setting. Look at those of all runs with `tensorboard --logdir runs`."""

    def __post_init__(self) -> None:
        """Check the flags that are not part of the setting too."""
        super().__post_init__()
        if self.seeds < 1:
            raise UserError(f"seeds is {self.seeds}: it must be at least 1.")


def main(argv: list[str]) -> int:
    """Train if networks were named, then print the table; 130 when stopped by Ctrl-C."""
    flags = parse(Compare, argv, verb="compare")
    if len(flags.subjects) < 2:
        raise UserError(
            "there is nothing to compare: name a data set and networks, such as "
            "`convscope compare fashion-mnist linear tinyvgg`, or two runs."
        )
    runs = _runs(flags)
    if runs is not None and replace(flags, subjects=(), runs_dir=Compare.runs_dir) != Compare():
        raise UserError(
            "runs that exist are compared as they are, and not trained again: leave out all flags but --runs-dir, or "
            "name a data set and networks to train."
        )
    if runs is None:
        for model in flags.subjects[1:]:
            model_entry(model)

    from convscope.cli.progress import Preparation, Progress, StopSignal, how_to_resume
    from convscope.cli.results import say_comparison
    from convscope.doctor.watch import Watch
    from convscope.experiment import compare_runs, compare_settings
    from convscope.models import takes_option
    from convscope.report import write_comparison, write_report
    from convscope.report.pairs import pairs_of
    from convscope.training.loop import Interrupted

    if flags.tensorboard:  # before anything is trained: the package for it may be missing
        from convscope.tensorboard import Recorder, record_results
    if runs is None:
        data, *models = flags.subjects
        common = replace(setting(flags), data=data)
        # The linear baseline has no dropout to set; that must not stop the comparison.
        configs = [
            replace(common, model=model, dropout=common.dropout if takes_option(model, "dropout") else None)
            for model in models
        ]
        with Progress(log_every=flags.log_every) as progress, StopSignal() as stop, Preparation() as preparation:
            watching = () if flags.no_doctor else (Watch(progress.say),)
            try:
                comparison = compare_settings(
                    configs,
                    seeds=flags.seeds,
                    runs_dir=flags.runs_dir,
                    data_dir=flags.data_dir,
                    observers=(progress, *watching, *((Recorder(),) if flags.tensorboard else ())),
                    interrupted=stop,
                    progress=preparation,
                )
            except Interrupted:
                print(f"stopped and saved; go on with: {how_to_resume(progress)}")
                print("then compare the finished runs by their names: convscope compare RUN RUN", file=sys.stderr)
                return 130
        for run in comparison.runs:
            if flags.tensorboard:
                record_results(run)
            write_report(run)
    else:
        comparison = compare_runs(runs, runs_dir=flags.runs_dir)
    pairs, _ = pairs_of(comparison)
    # Of two networks there is one thing to say; what there is to say of more is on the page.
    say_comparison(comparison, pairs[0].verdict if len(pairs) == 1 else "", write_comparison(comparison))
    return 0


def _runs(flags: Compare) -> list[Run] | None:
    """The runs named, or None when the first name is a data set.

    A folder may be either: a run has a config.yaml.
    """
    first = Path(flags.subjects[0])
    is_run = any((path / "config.yaml").is_file() for path in (first, flags.runs_dir / first))
    if not is_run and (str(first) in DATA or first.is_dir()):
        return None
    if not is_run and str(first) != "latest":
        raise UserError(
            f"'{first}' is neither a data set nor a run in {flags.runs_dir}: "
            f"look at `convscope data list` and `convscope runs`."
        )
    return [Run.open(subject, flags.runs_dir) for subject in flags.subjects]
