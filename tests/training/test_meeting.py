"""Which process this is, as torchrun and SLURM tell it."""

import pytest

from convscope.errors import UserError
from convscope.training.meeting import Place, find_place, first_host

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "alpha", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "41234",
    "SLURM_JOB_NODELIST": "n[03-05,7]",
}


def test_torchrun_tells() -> None:
    assert find_place(TORCHRUN) == Place(3, 4, 1, "env://")
    assert find_place(TORCHRUN | {"GROUP_RANK": "1"}) == Place(3, 4, 1, "env://", machine=1)


def test_slurm_tells() -> None:
    assert find_place(SLURM) == Place(5, 8, 1, "tcp://n03:11234")
    # A step on some of the job's machines begins on another one.
    step = SLURM | {"SLURM_STEP_NODELIST": "n07", "SLURM_CPUS_PER_TASK": "6", "SLURM_NODEID": "2"}
    assert find_place(step) == Place(5, 8, 1, "tcp://n07:11234", machine=2, cores=6)


def test_what_runs_at_the_same_time_meets_elsewhere() -> None:
    # Two jobs on one machine, or two steps of a job.
    steps = [SLURM | {"SLURM_JOB_ID": job, "SLURM_STEP_ID": step} for job in ("40000", "40001") for step in "0123"]
    places = [find_place(step) for step in steps]
    assert len({place.meeting for place in places if place is not None}) == 8


def test_whoever_is_alone_is_told_nothing() -> None:
    assert find_place({}) is None
    assert find_place(TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}) is None
    assert find_place(SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None
    # The script of a batch job is no task of a step, though it has most of the variables; nor is the shell of `salloc`.
    assert find_place({name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"}) is None
    assert find_place(SLURM | {"SLURM_STEP_ID": str(0xFFFFFFFA), "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"LOCAL_RANK": "0"},
        TORCHRUN | {"RANK": "first"},
        {name: value for name, value in SLURM.items() if name != "SLURM_JOB_ID"},
        SLURM | {"SLURM_JOB_NODELIST": "]["},
    ],
)
def test_half_of_a_place_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="seems to be one of several, but its environment does not tell which"):
        find_place(environment)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("alpha", "alpha"),
        ("alpha,beta", "alpha"),
        ("n[03-05,7]", "n03"),
        ("n[7,03-05],m1", "n7"),
        ("rack[1-2]n[03-05]-ib", "rack1n03-ib"),
        ("gpu-a.example,gpu-b.example", "gpu-a.example"),
    ],
)
def test_the_first_machine_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
