"""Compares what a function answered with what it should have, and says in words how they differ."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from convscope.learn.values import FUNCTIONS, described, dtype, is_numpy, is_tensor, numbers, shown

if TYPE_CHECKING:
    from torch import Tensor

_NAN = "NaN, which is not a number, comes from 0/0, inf - inf, or the root or logarithm of a negative number"
_INF = "inf comes from a division by 0, log(0), or exp of a large number"


@dataclass(frozen=True)
class Fault:
    """What is wrong with an answer."""

    what: str
    """The end of a sentence that begins with what was asked."""
    hint: str = ""
    """What the reason may be, or what helps."""
    of_value: bool = False
    """Whether the kind is right."""


def fault_of(got: Any, wanted: Any, tolerance: float) -> Fault | None:
    """What is wrong with an answer; None if nothing is. `expect_equal` says what the arguments are."""
    if is_tensor(wanted):
        return _tensor_fault(got, wanted, tolerance) if is_tensor(got) else _kind_fault(got, wanted)
    if isinstance(wanted, list | tuple):  # which of the two does not matter
        return _sequence_fault(got, wanted, tolerance) if isinstance(got, list | tuple) else _kind_fault(got, wanted)
    if isinstance(wanted, float) and _is_number(got):
        return None if _close(got, wanted, tolerance) else _value_fault(got, wanted)
    if type(got) is not type(wanted):
        return _kind_fault(got, wanted)
    return None if got == wanted else _value_fault(got, wanted)


def same_values(got: Any, mistake: Any, tolerance: float) -> bool:
    """Whether an answer is the one of a mistake; only the values count, and the shape."""
    if is_tensor(got):
        return _same_tensor(got, mistake, tolerance)
    if isinstance(got, list | tuple) and isinstance(mistake, list | tuple):
        pairs = zip(got, mistake, strict=False)
        return len(got) == len(mistake) and all(same_values(one, other, tolerance) for one, other in pairs)
    if _is_number(got) and _is_number(mistake):
        exact = isinstance(got, int) and isinstance(mistake, int)
        return bool(got == mistake) if exact else _close(got, mistake, tolerance)
    return type(got) is type(mistake) and bool(got == mistake)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _close(one: float, other: float, tolerance: float) -> bool:
    try:
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance * 1e-2)
    except OverflowError:  # an int beyond all floats
        return False


def _value_fault(got: Any, wanted: Any, hint: str = "") -> Fault:
    if isinstance(got, float) and not hint:
        hint = _NAN if math.isnan(got) else _INF if math.isinf(got) else ""
    one, other = _told_apart(got, wanted)
    return Fault(f"gave {one}, not {other}", hint, of_value=True)


def _told_apart(one: Any, other: Any) -> tuple[str, str]:
    """Two values as they are shown; numbers with all their digits where fewer do not tell them apart."""
    texts = shown(one), shown(other)
    return (repr(one), repr(other)) if texts[0] == texts[1] and _is_number(one) else texts


def _kind_fault(got: Any, wanted: Any) -> Fault:
    return Fault(f"gave {described(got)}, instead of {described(wanted)}", _kind_hint(got, wanted))


def _kind_hint(got: Any, wanted: Any) -> str:
    """How a value of the wrong kind comes about, or what makes the right one of it."""
    several = isinstance(wanted, list | tuple)
    if got is None:
        return "a function without `return` gives None"
    if isinstance(got, FUNCTIONS):
        return f"is `()` missing behind `{got.__name__}`?"
    if isinstance(got, tuple) and len(got) == 1 and not several:
        return "a comma behind a value makes a tuple of it"
    if is_tensor(wanted):
        return _tensor_hint(got, wanted)
    if is_tensor(got) or is_numpy(got):
        shape = tuple(got.shape)
        if several:
            return "`.tolist()` makes a list of it" if shape[:1] == (len(wanted),) else ""
        single = math.prod(shape) == 1 and isinstance(wanted, int | float)
        return "`.item()` takes the number out" if single else ""
    if isinstance(got, Iterator | range) and several:
        return "`list(...)` makes a list of it"
    if isinstance(got, GeneratorType):
        return "`yield` makes a function a generator, `return` gives a value"
    if isinstance(wanted, int) and isinstance(got, float) and got.is_integer():
        return "in Python `/` always gives a floating-point number, `//` the whole number below"
    return ""


def _tensor_hint(got: Any, wanted: "Tensor") -> str:
    if isinstance(got, list | tuple) and any(map(is_tensor, got)):
        every = sum(one.numel() for one in got if is_tensor(one)) == wanted.numel()
        return "`torch.stack` makes one tensor of several" if every else ""
    values = _as_tensor(got)
    return "`torch.tensor(...)` makes one of it" if values is not None and values.shape == wanted.shape else ""


def _as_tensor(value: Any) -> "Tensor | None":
    import torch

    try:
        return torch.as_tensor(value)
    except (RuntimeError, TypeError, ValueError, OverflowError):  # no numbers
        return None


def _sequence_fault(got: Sequence[Any], wanted: Sequence[Any], tolerance: float) -> Fault | None:
    whole = f"gave {shown(got)}, not {shown(wanted)}"
    if len(got) != len(wanted):
        return Fault(whole, f"{len(got):,} {'value' if len(got) == 1 else 'values'} instead of {len(wanted):,}")
    for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
        fault = fault_of(one, other, tolerance)
        if fault is not None and fault.of_value and len(whole) <= 120 and shown(got) != shown(wanted):
            return Fault(whole, fault.hint, of_value=True)
        if fault is not None:
            return Fault(f"at place [{index}] {fault.what}", fault.hint)
    return None


def _tensor_fault(got: "Tensor", wanted: "Tensor", tolerance: float) -> Fault | None:
    if got.shape != wanted.shape:
        what = f"gave a tensor of shape {tuple(got.shape)} instead of {tuple(wanted.shape)}"
        return Fault(what, _shape_hint(got.shape, wanted.shape))
    if got.device != wanted.device:
        what = f"gave a tensor on the device {got.device} instead of {wanted.device}"
        return Fault(what, "new tensors belong where those are that were given: `device=x.device`")
    if got.layout != wanted.layout:
        return Fault("gave a sparse tensor", "`.to_dense()` makes an ordinary one of it")
    if numbers(got) != numbers(wanted):
        return Fault(f"gave {numbers(got)} ({dtype(got)}) instead of {numbers(wanted)} ({dtype(wanted)})")
    different = _different(got, wanted, tolerance)
    if not different.any():
        return None
    hint = _digits_hint(got, different)
    if not got.ndim:
        return _value_fault(got.item(), wanted.item(), hint)
    if shown(got) != shown(wanted):  # there are few values
        return _value_fault(got, wanted, hint)
    count = int(different.sum())
    place = tuple(different.nonzero()[0].tolist())
    one, other = _told_apart(got[place].item(), wanted[place].item())
    many = "1 wrong value" if count == 1 else f"{count:,} wrong values"
    first = "it is" if count == 1 else "the first is"
    what = f"gave {many} of {got.numel():,}; {first} at {list(place)}, {one} instead of {other}"
    return Fault(what, hint, of_value=True)


def _shape_hint(got: Sequence[int], wanted: Sequence[int]) -> str:
    if not got or not wanted:
        return "one without dimensions is a single number"
    if [size for size in got if size != 1] == [size for size in wanted if size != 1]:
        return "about dimensions of size 1 decide `keepdim`, `squeeze` and `unsqueeze`"
    return "the dimensions are in another order" if sorted(got) == sorted(wanted) else ""


def _digits_hint(got: "Tensor", different: "Tensor") -> str:
    if not got.is_floating_point():
        return ""
    if (different & got.isnan()).any():
        return _NAN
    if (different & got.isinf()).any():
        return _INF
    return f"{dtype(got)} has two or three digits only: compute in float32" if got.element_size() < 4 else ""


def _same_tensor(got: "Tensor", mistake: Any, tolerance: float) -> bool:
    values = _as_tensor(mistake)
    if values is None or got.is_complex():
        return False
    alike = got.shape == values.shape and got.device == values.device and got.layout == values.layout
    return alike and not bool(_different(got, values, tolerance).any())


def _different(got: "Tensor", wanted: "Tensor", tolerance: float) -> "Tensor":
    """Where two tensors of the same shape differ."""
    got, wanted = got.detach(), wanted.detach()
    if not got.is_floating_point() and not wanted.is_floating_point():
        return got.long() != wanted.long()
    got, wanted = got.double(), wanted.double()
    # Sums of large numbers that come to 0 have the rounding of the large ones.
    largest = wanted.abs().nan_to_num(posinf=0).max().item() if wanted.numel() else 0
    close = got.isclose(wanted, rtol=tolerance, atol=tolerance * 1e-2 * max(1, largest), equal_nan=True)
    return ~close
