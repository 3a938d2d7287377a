"""What `convscope bench inference` found out about the engines of a run, as the choice of an engine reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from convscope.engines.agreement import Agreement
from convscope.engines.finished import Finished
from convscope.errors import UserError
from convscope.runs.contents import read_known
from convscope.shapes import INFERENCE
from convscope.training.environment import environment

FILE = "inference.json"
"""In the run directory."""


@dataclass(frozen=True)
class Measured:
    """One engine on one machine."""

    name: str
    convert_seconds: float
    """For the first time, on top of `load_seconds`."""
    load_seconds: float
    """With the converted model at hand."""
    images_per_second: float
    """At the batch size where it is fastest."""
    agreement: Agreement

    def seconds(self, images: int, *, kept: bool) -> float:
        """What it takes to start and to answer so many images."""
        return (0.0 if kept else self.convert_seconds) + self.load_seconds + images / self.images_per_second


def read_measured(finished: Finished, device: torch.device) -> Sequence[Measured]:
    """The measurements in the run directory, if they are of these weights on such a machine; else none."""
    if finished.run is None:
        return ()
    try:
        found = read_known(finished.run / FILE, INFERENCE, partial=False)
    except UserError:  # there is none, or it is damaged: the next measurement mends that
        return ()
    if found["weights"] != finished.digest or found["machine"] != machine(device):
        return ()
    return tuple(
        Measured(
            name=row["name"],
            convert_seconds=max(0.0, row["convert_seconds"]),
            load_seconds=max(0.0, row["load_seconds"]),
            images_per_second=max([1e-3, *(speed["images_per_second"] for speed in row["speeds"])]),
            agreement=Agreement(found["images"], row["top1_agreement"], row["largest_difference"]),
        )
        for row in found["engines"]
    )


def machine(device: torch.device) -> dict[str, Any]:
    """What decides how fast an engine is; on another machine of the same kind it is the same."""
    facts = environment()
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": facts["cpu"]["model"],
        "features": facts["cpu"]["features"],
        "cores": facts["cpu"]["cores"],
        "threads": facts["threads"],
    }
