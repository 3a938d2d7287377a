"""How much memory and time a training will take.  R-C6."""

import math
from collections.abc import Iterator
from typing import Any

from convscope.doctor.findings import Finding
from convscope.experiment.session import Session
from convscope.models.memory import TrainingMemory, process_memory, training_memory
from convscope.training.environment import memory_gib

VALIDATION = 1 / 3
"""Of the time that an image takes in training: it goes forward only."""


def estimate_memory(session: Session) -> dict[str, Any]:
    """`total` and `available` (bytes; the latter None where nobody can tell), `largest_batch` (the largest power of two
    that fits, 0 where none does, None where nobody can tell), and `micro_batch` (the largest power of two with which
    the setting's batch fits, None where it needs none or none helps), as JSON types.

    Meant for a process that has prepared a session and trained nothing. It is the CPU's memory, whatever the device.
    """
    config = session.config

    def needs(batch_size: int, micro_batch: int | None) -> TrainingMemory:
        return training_memory(
            session.model,
            (session.preprocessing.channels, session.preprocessing.size, session.preprocessing.size),
            batch_size,
            micro_batch=micro_batch,
            precision=session.runtime.precision,  # type: ignore[arg-type]
            optimizer=config.optimizer,
        )

    own, double = needs(config.batch_size, config.micro_batch), needs(2 * config.batch_size, config.micro_batch)
    here = process_memory() - own.weights  # which this process has already
    total = here + own.total
    gibibytes = memory_gib()
    if gibibytes is None:
        return {"total": total, "available": None, "largest_batch": None, "micro_batch": None}
    available = int(gibibytes * 2**30)
    an_image = (double.total - own.total) / config.batch_size
    room = (available - total) / an_image + config.batch_size
    micro_batch = None
    if total > available:  # of at least 2 images, without which no batch norm can be trained
        sizes = [2**power for power in range(int(math.log2(config.batch_size)), 0, -1) if 2**power < own.micro_batch]
        micro_batch = next((s for s in sizes if here + needs(config.batch_size, s).total <= available), None)
    return {
        "total": total,
        "available": available,
        "largest_batch": 2 ** int(math.log2(room)) if room >= 1 else 0,
        "micro_batch": micro_batch,
    }


def estimate_time(session: Session, seconds_a_step: float) -> dict[str, Any]:
    """`seconds_a_step`, `steps` of the training, and `seconds` of all of it with its validation, as JSON types."""
    steps = session.config.epochs * len(session.train)
    an_image = seconds_a_step / session.train.batch_size
    validation = VALIDATION * an_image * session.val.samples * session.config.epochs
    training = an_image * session.train.samples * session.config.epochs
    return {"seconds_a_step": seconds_a_step, "steps": steps, "seconds": training + validation}


def find_too_large(memory: dict[str, Any], batch_size: int) -> Iterator[Finding]:
    """Whether a training does not fit into the memory that `estimate_memory` has found."""
    if memory["available"] is None or memory["total"] <= memory["available"]:
        return
    micro_batch, largest = memory["micro_batch"], memory["largest_batch"]
    yield Finding(
        kind="too little memory",
        severity="severe",
        what=f"the training takes {memory['total'] / 2**30:.1f} GiB at its peak, and there are "
        f"{memory['available'] / 2**30:.1f}.",
        why="The system ends a process that takes more than there is, without a word.",
        remedy=f"Give --micro-batch {micro_batch}: the batches of {batch_size} then go through in parts, and a step is "
        f"the same but for batch norms." + (f" Or give --batch-size {largest}." if largest else "")
        if micro_batch
        else "Take smaller images with --input-size, or a smaller network.",
    )
