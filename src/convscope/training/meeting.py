"""Where a process stands among several that train one network together, as those who started it tell.

Two tell it, each by environment variables of its own: `torchrun`, which `convscope train --devices` starts too, and
SLURM's `srun`. Nothing here needs torch, so that a command can look before it loads anything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from convscope.errors import UserError

_PORTS = range(10_000, 30_000)
"""From which SLURM's steps take one each: above those of services, below those that systems lend to programs."""
_SHELL = str(0xFFFFFFFA)
"""The step that is the shell of `salloc`: slurm.h, SLURM_INTERACTIVE_STEP."""


@dataclass(frozen=True)
class Place:
    """One of `count` processes."""

    index: int
    """From 0, which is the main process."""
    count: int
    local_index: int
    """Among those on the same machine, from 0."""
    meeting: str
    """Where all of them find each other, as `torch.distributed.init_process_group` takes it."""
    machine: int = 0
    """The number of its machine."""
    cores: int | None = None
    """CPU cores that are this process's own, where that is known."""


def find_place(environment: Mapping[str, str]) -> Place | None:
    """The place that environment variables give to this process; None when it is alone.

    Raises:
        UserError: the variables are there but make no sense.
    """
    try:
        place = _torchrun(environment) or _slurm(environment)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"this process seems to be one of several, but its environment does not tell which ({error}): start them "
            f"with `convscope train --devices`, torchrun or srun."
        ) from error
    return place if place is not None and place.count > 1 else None


def _torchrun(environment: Mapping[str, str]) -> Place | None:
    """Its variables: pytorch.org/docs/stable/elastic/run.html, "Environment Variables"."""
    if "LOCAL_RANK" not in environment:
        return None
    index, count, local_index = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return Place(index, count, local_index, meeting="env://", machine=int(environment.get("GROUP_RANK", 0)))


def _slurm(environment: Mapping[str, str]) -> Place | None:
    """Its variables: slurm.schedmd.com/srun.html, "OUTPUT ENVIRONMENT VARIABLES".

    The script of a batch job and the shell of `salloc` have most of them too, though they are alone: only what `srun`
    starts is one of several.
    """
    step = environment.get("SLURM_STEP_ID")
    if step is None or step == _SHELL or "SLURM_PROCID" not in environment:
        return None
    nodes = environment.get("SLURM_STEP_NODELIST") or environment["SLURM_JOB_NODELIST"]
    # Jobs that follow one another, and steps of one job, may run side by side on a machine. 1009 is a prime number.
    port = _PORTS[(int(environment["SLURM_JOB_ID"]) + 1009 * int(step)) % len(_PORTS)]
    names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
    index, count, local_index = (int(environment[name]) for name in names)
    cores = environment.get("SLURM_CPUS_PER_TASK")
    return Place(
        index,
        count,
        local_index,
        meeting=f"tcp://{first_host(nodes)}:{port}",
        machine=int(environment.get("SLURM_NODEID", 0)),
        cores=None if cores is None else int(cores),
    )


def first_host(nodes: str) -> str:
    """The first machine of SLURM's list: `n03` of `n[03-05,7]` as of `n03,n04`.

    Raises:
        ValueError: it is no such list.
    """
    # A name may have several ranges, as in rack[1-2]n[03-05].
    match = re.match(r"(?:[^,\[\]]|\[\d+[\d,-]*\])+", nodes)
    if match is None:
        raise ValueError(f"no list of machines: '{nodes}'")
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", match.group())
