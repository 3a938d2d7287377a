"""What is measured of engines, as it is written into the run directory."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Speed:
    """Of one engine at one batch size."""

    batch_size: int
    seconds: float
    """For a batch, the median."""
    seconds_95: float
    """What 95 of 100 batches stay below."""
    images_per_second: float
    """By the median."""
    ratio: float
    """Times as fast as the network itself in PyTorch and float32."""


@dataclass(frozen=True)
class Row:
    """One engine."""

    name: str
    convert_seconds: float
    """For the first time, on top of `load_seconds`; 0 for PyTorch."""
    load_seconds: float
    """With the converted model at hand, and the first answer."""
    top1_agreement: float
    largest_difference: float
    suffices: bool
    """Whether `predict` may take it, see `engines.agreement`."""
    speeds: tuple[Speed, ...]


@dataclass(frozen=True)
class Inference:
    """What was measured, and with what."""

    run: str
    weights: str
    """Their digest."""
    machine: dict[str, Any]
    versions: dict[str, str | None]
    images: int
    """To validate, on which the engines were compared."""
    rounds: int
    engines: tuple[Row, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    """Engines that were not measured, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
