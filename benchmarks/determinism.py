"""How far two trainings of `tinyvgg_bn` on fashion-mnist-mini come apart that differ in threads or precision alone.

    python benchmarks/determinism.py    prints a table

With the same seed, threads, precision and machine, trainings agree to the last bit; that is a test. On other numbers of
threads, sums are taken in another order and rounded otherwise; in bfloat16, numbers have 8 significant bits, not 24.
Each row is compared with the first: the weights after a few steps, where the difference is that of the arithmetic, and
after an epoch, by when training has magnified it.
"""

import argparse
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from convscope.config import Config
from convscope.experiment.session import Session
from convscope.training.checkpoint import MemoryCheckpoints
from convscope.training.loop import fit
from convscope.training.state import BatchRecord, EpochRecord

STEPS = 10
REFERENCE = Config(data="fashion-mnist-mini", model="tinyvgg_bn", epochs=1, threads=1, precision="float32")
SETTINGS = {
    "the same again": REFERENCE,
    "2 threads": replace(REFERENCE, threads=2),
    "4 threads": replace(REFERENCE, threads=4),
    "bfloat16": replace(REFERENCE, precision="bfloat16"),
    "bfloat16, 2 threads": replace(REFERENCE, precision="bfloat16", threads=2),
    "another seed": replace(REFERENCE, seed=1),
}


@dataclass
class Observed:
    """What is compared of a training; a listener of it."""

    session: Session
    early: Tensor | None = None
    """The weights after a few steps, one vector."""
    accuracy: float = 0.0

    def on_batch(self, record: BatchRecord) -> None:
        """Keep the weights of one step."""
        if record.step == STEPS:
            self.early = weights(self.session)

    def on_epoch(self, record: EpochRecord) -> None:
        """Keep the accuracy of the epoch."""
        self.accuracy = record.val_accuracy


def main() -> None:
    argparse.ArgumentParser(description="Measure what threads and precision change.").parse_args()
    first_early, first_late, first_accuracy = train(REFERENCE)
    print(f"largest difference of a weight from that of float32 on 1 thread ({first_accuracy:.2%} after an epoch)")
    print(f"{'':<22}{f'{STEPS} steps':>12}{'an epoch':>12}{'val accuracy':>15}")
    for name, config in SETTINGS.items():
        early, late, accuracy = train(config)
        apart = [(one - other).abs().max().item() for one, other in ((early, first_early), (late, first_late))]
        print(f"{name:<22}{apart[0]:>12.1e}{apart[1]:>12.1e}{accuracy:>15.2%}", flush=True)


def train(config: Config) -> tuple[Tensor, Tensor, float]:
    """Weights after a few steps, weights after an epoch, and validation accuracy then."""
    session = Session.prepare(config)
    observed = Observed(session)
    torch.manual_seed(config.seed)
    fit(
        session.model,
        session.train,
        session.val,
        session.optimizer,
        schedule=session.schedule,
        runtime=session.runtime,
        epochs=config.epochs,
        checkpoints=MemoryCheckpoints(),
        listeners=[observed],
    )
    assert observed.early is not None, "the epoch has fewer steps"
    return observed.early, weights(session), observed.accuracy


def weights(session: Session) -> Tensor:
    """All parameters as one vector, float32."""
    return torch.cat([parameter.detach().float().flatten() for parameter in session.model.parameters()])


if __name__ == "__main__":
    main()
