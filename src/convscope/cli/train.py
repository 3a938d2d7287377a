"""`convscope train [DATA] [MODEL]`: train a network, or go on with a training that was stopped."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated

import tyro

from convscope.cli.launch import launch
from convscope.cli.settings import Settings, parse, setting
from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.recipes import recipe_names
from convscope.runs import Run
from convscope.training.meeting import find_place


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
    $ convscope train cifar10 resnet18_small --devices 2
    $ convscope train cifar10 resnet18_small --devices 4 --nodes 2 --meet alpha:29500 --node-rank 0
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
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write events into the run's folder `tensorboard` too: curves, weights and gradients, pictures, the network's
    graph, the setting. Look at those of all runs with `tensorboard --logdir runs`."""
    devices: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Processes that train together on this machine, each with a GPU of its own or its part of the CPU's cores. They
    share each batch, so the result is the one of a single process, but for what docs/processes.md lists."""
    nodes: Annotated[int, tyro.conf.arg(metavar="M")] = 1
    """Machines that train together, with so many processes each; run the same command on all of them. Neither this nor
    --devices is needed under torchrun and SLURM's srun, which start the processes themselves."""
    meet: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Where several machines find each other: a free port of the first one."""
    node_rank: Annotated[int, tyro.conf.arg(metavar="K")] = 0
    """Which of the machines this is, from 0; the first one writes the run."""
    list_recipes: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the names of the recipes, and nothing else."""

    def __post_init__(self) -> None:
        """Check how many are to train, too."""
        super().__post_init__()
        if min(self.devices, self.nodes) < 1 or not 0 <= self.node_rank < self.nodes:
            raise UserError(
                f"there cannot be {self.devices} devices, {self.nodes} nodes and node-rank {self.node_rank}: give at "
                f"least 1 of the first two, and a node-rank from 0 to one less than the nodes."
            )
        if self.nodes > 1 and self.meet is None:
            raise UserError(f"{self.nodes} machines must know where to meet: give --meet HOST:PORT, on the first one.")


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
    place = find_place(os.environ)
    if place is None and flags.devices * flags.nodes > 1:
        return launch(argv, devices=flags.devices, nodes=flags.nodes, node_rank=flags.node_rank, meet=flags.meet)
    from convscope.cli.progress import Preparation, Progress, StopSignal, how_to_resume
    from convscope.cli.results import say_results
    from convscope.doctor.watch import Watch
    from convscope.experiment import assist, resume, train
    from convscope.report import write_report
    from convscope.training.group import join
    from convscope.training.loop import Diverged, Interrupted

    with StopSignal(place) as stop, join(place) as processes, ExitStack() as screen:
        if not processes.is_main:
            finished = assist(None if flags.resume else setting(flags), processes, data_dir=flags.data_dir)
            return 0 if finished else 1
        if flags.tensorboard:  # before anything is trained: the package for it may be missing
            from convscope.tensorboard import Recorder, record_results
        progress = screen.enter_context(Progress(log_every=flags.log_every))
        preparation = screen.enter_context(Preparation())
        watching = () if flags.no_doctor else (Watch(progress.say),)
        observers = (progress, *watching, *((Recorder(),) if flags.tensorboard else ()))
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
                    processes=processes,
                )
            else:
                run = Run.open(flags.resume, flags.runs_dir)
                run = resume(
                    run,
                    data_dir=flags.data_dir,
                    observers=observers,
                    interrupted=stop,
                    progress=preparation,
                    processes=processes,
                )
        except Interrupted:
            print(f"stopped and saved; go on with: {how_to_resume(progress)}")
            return 130
        except ConvscopeError as error:
            if progress.plan is None or isinstance(error, Diverged):
                raise
            raise ConvscopeError(f"{error} The run so far is kept; go on with: {how_to_resume(progress)}") from error
    if flags.tensorboard:
        record_results(run)
    say_results(run, write_report(run))
    return 0
