"""An exercise: a function that the learner writes, and a check that says what is wrong with it.

A chapter's exercises are in `chapters/`, one module a chapter. Torch is imported inside checks only, because listing
the exercises is to be instant.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from convscope.learn.comparing import fault_of, same_values
from convscope.learn.values import shown

__all__ = ["Exercise", "Wrong", "expect_equal", "shown"]


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A function to be written."""

    name: str
    """Of the function, and of the exercise."""
    task: str
    """What to write, in two to five sentences, with shapes and an example; the docstring of the stub."""
    stub: str
    """The head of the function: `def NAME(...) -> ...:`. It may use `torch`, `nn` and `Tensor`."""
    check: Callable[[Callable[..., Any]], None]
    """Calls the learner's function; raises `Wrong` where it does not answer as the task says."""


class Wrong(Exception):
    """A function answers wrongly: one or two sentences to the learner.

    They name what was asked, what came, what was expected, and the mistake that this looks like.
    """


def expect_equal(
    got: Any, wanted: Any, *, call: str, hints: Mapping[Any, str] | None = None, tolerance: float = 1e-4
) -> None:
    """Compare what a function answered with what it should have.

    Args:
        got: What it answered; anything at all.
        wanted: A number, a truth value, a text, None, a tensor, or a list or tuple of these.
        call: What was asked, as one would type it: `output_size(28, kernel=3)`.
        hints: Answers that typical mistakes give, and what the mistake is. A sentence, or the end of one: "the padding
            counts on both sides". An answer may be written as nested tuples where it is a tensor.
        tolerance: By which floating-point numbers may differ, relative to those expected; near 0 a hundredth of it,
            relative to 1, or to the largest value of a tensor. Integers are compared exactly.

    Raises:
        Wrong: it differs in type, shape or value. Integers, floating-point numbers and truth values are different
            types, within a tensor too; how many bits a number has does not matter.
    """
    fault = fault_of(got, wanted, tolerance)
    if fault is None:
        return
    hint = fault.hint
    if not same_values(got, wanted, tolerance):  # a right value of the wrong kind: no hint is about that
        hint = next((text for mistake, text in (hints or {}).items() if same_values(got, mistake, tolerance)), hint)
    end = "" if hint.endswith((".", "?")) else "."
    raise Wrong(f"{call} {fault.what}: {hint}{end}" if hint else f"{call} {fault.what}.")
