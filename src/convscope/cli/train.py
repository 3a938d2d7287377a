"""`convscope train [DATA] [MODEL]`: train a network, or go on with a training that was stopped."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from convscope.cli.settings import Settings, parse, setting
from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.recipes import recipe_names
from convscope.runs import Run


@dataclass(frozen=True)
class Train(Settings):
    """Train a network, keep the weights with the lowest validation loss, and test them once at the end.

    Everything goes into one run directory. Ctrl-C stops after the batch and saves; --resume goes on from there.

    $ convscope train fashion-mnist-mini tinyvgg_bn --epochs 3
    $ convscope train fashion-mnist lenet5 --optimizer sgd --lr 0.1 --schedule cosine --flip --shift 2
    $ convscope train photos/ tinyvgg_bn --input-size 64 --model-options hidden 256 --patience 3 --name first
    $ convscope train photos/ resnet18 --pretrained imagenet --freeze all-but-head
    $ convscope train cats-vs-dogs resnet18_small --input-size 64 --pretrained latest --stage-lr-decay 0.5
    $ convscope train --config runs/first/config.yaml --seed 1
    $ convscope train --resume latest
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = "fashion-mnist"
    """Data set: a name of `convscope data list`, or a folder: of photos, a folder for each class, or of data files laid
    out like FashionMNIST's or CIFAR-10's."""
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL]")] = "tinyvgg_bn"
    """Network: a name of `convscope models`."""
    name: str | None = None
    """Name of the run directory; model, data set and time by default."""
    resume: Annotated[str | None, tyro.conf.arg(metavar="RUN")] = None
    """Go on with this run (a name, a path or `latest`) with the setting it has."""
    no_doctor: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave out the doctor, who looks on while the network is trained, and says what goes wrong."""
    list_recipes: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the names of the recipes, and nothing else."""


def main(argv: list[str]) -> int:
    """Train or resume; 0 when the run is finished, 130 when it was stopped by Ctrl-C."""
    flags = parse(Train, argv, verb="train")
    if flags.list_recipes:
        print("\n".join(recipe_names()))
        return 0
    if flags.resume is not None and (setting(flags) != Config() or flags.name is not None):
        raise UserError(
            "--resume goes on with the run's own setting: leave out data set, network, --name and hyperparameters."
        )
    from convscope.cli.progress import Preparation, Progress, StopSignal, how_to_resume
    from convscope.cli.results import say_results
    from convscope.doctor.watch import Watch
    from convscope.experiment import resume, train
    from convscope.report import write_report
    from convscope.training.loop import Diverged, Interrupted

    with Progress(log_every=flags.log_every) as progress, StopSignal() as stop, Preparation() as preparation:
        observers = (progress,) if flags.no_doctor else (progress, Watch(progress.say))
        try:
            if flags.resume is None:
                run = train(
                    setting(flags),
                    runs_dir=flags.runs_dir,
                    name=flags.name,
                    data_dir=flags.data_dir,
                    observers=observers,
                    interrupted=stop,
                    progress=preparation,
                )
            else:
                run = Run.open(flags.resume, flags.runs_dir)
                run = resume(run, data_dir=flags.data_dir, observers=observers, interrupted=stop, progress=preparation)
        except Interrupted:
            print(f"stopped and saved; go on with: {how_to_resume(progress)}")
            return 130
        except ConvscopeError as error:
            if progress.plan is None or isinstance(error, Diverged):
                raise
            raise ConvscopeError(f"{error} The run so far is kept; go on with: {how_to_resume(progress)}") from error
    say_results(run, write_report(run))
    return 0
