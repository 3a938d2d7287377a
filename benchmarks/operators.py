"""Where the time of a training step goes: the share of each operator that takes a hundredth or more.

    python benchmarks/operators.py googlenet densenet121_small
    python benchmarks/operators.py tinyvgg_bn --engine float32-without-kernels

The networks and their images are those of kernels.py. Of several rounds the fastest counts: in others the process was
still taking memory from the system, which slows down whichever operator writes to it first.
"""

import argparse

import torch
from torch.profiler import ProfilerActivity, profile

from convscope.experiment.session import Session
from kernels import NETWORKS, WARM_UP, data_for, engines, session_of
from measure import step_speed

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="+", choices=NETWORKS)
    parser.add_argument("--engine", choices=[*engines()], default="float32", help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="batches of 64, one step, one round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="PyTorch's threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.networks:
        network = NETWORKS[name]
        data, batch_size = data_for(network, mini=options.quick), 64 if options.quick else 128
        session = session_of(name, options.engine, data, batch_size=batch_size)
        steps, rounds = (1, 1) if options.quick else (network.steps, ROUNDS)
        for operator, share in shares_of(session, steps=steps, rounds=rounds).items():
            if share >= 0.01:
                print(f"{name}, {options.engine}, {operator}: {share:.1%}")


def shares_of(session: Session, *, steps: int, rounds: int) -> dict[str, float]:
    """The share of each operator in the time of a training step, without those it calls; the largest first."""
    step_speed(session, steps=1, warm_up=WARM_UP)
    taken = []
    for _ in range(rounds):
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            step_speed(session, steps=steps)
        events = [event for event in profiler.key_averages() if "::" in event.key]
        taken.append({event.key: event.self_cpu_time_total for event in events})
    times = min(taken, key=lambda one: sum(one.values()))
    total = sum(times.values())
    return {key: time / total for key, time in sorted(times.items(), key=lambda item: -item[1])}


if __name__ == "__main__":
    main()
