"""Values in words, for a sentence about what a function answered."""

import re
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

FUNCTIONS = FunctionType | BuiltinFunctionType | MethodType

_MOST_VALUES = 16
_MOST_LETTERS = 300
_KINDS = {
    bool: "a truth value",
    int: "an int",
    float: "a float",
    complex: "a complex number",
    str: "a text",
    list: "a list",
    tuple: "a tuple",
}


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor; what is none does not cause torch to be imported."""
    return any(kind.__name__ == "Tensor" and kind.__module__.startswith("torch") for kind in type(value).__mro__)


def is_numpy(value: Any) -> bool:
    """Whether a value is an array or a number of NumPy's; its float64 is a Python float too, and counts as that."""
    return type(value).__module__ == "numpy" and not isinstance(value, float)


def described(value: Any) -> str:
    """A value with its kind: `an int, 3`, or `a tensor of shape (2, 3)`."""
    if value is None:
        return "None"
    if is_tensor(value):
        return f"a tensor, {shown(value)}" if value.numel() == 1 and _readable(value) else _with_shape(value)
    text = shown(value)
    return text if text.startswith("a ") else f"{_kind(value)}, {text}"


def shown(value: Any) -> str:
    """A value on one line and short, floating-point numbers with as many digits as one wants to see."""
    try:
        return _text(value)
    except Exception:  # a class of the learner's may not know how to write itself, and a list may contain itself
        return f"<{type(value).__name__} object>"


def numbers(tensor: "Tensor") -> str:
    """What a tensor consists of."""
    if tensor.is_floating_point():
        return "floating-point numbers"
    if tensor.is_complex():
        return "complex numbers"
    return "truth values" if dtype(tensor) == "bool" else "integers"


def dtype(tensor: "Tensor") -> str:
    """`float32`."""
    return str(tensor.dtype).removeprefix("torch.")


def _text(value: Any) -> str:
    if is_tensor(value):
        return _text(value.detach().tolist()) if _readable(value) else _with_shape(value)
    if is_numpy(value):
        return _text(value.tolist()) if value.size <= _MOST_VALUES else f"a NumPy array of shape {value.shape}"
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if any(letter in text for letter in ".en") else f"{text}.0"
    if isinstance(value, list | tuple):
        name = "list" if isinstance(value, list) else "tuple"
        inside = ", ".join(map(_text, value[:_MOST_VALUES]))
        if len(value) > _MOST_VALUES or len(inside) > _MOST_LETTERS:
            return f"a {name} of {len(value):,}"
        return f"[{inside}]" if name == "list" else f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, FUNCTIONS):
        return value.__name__
    text = repr(value) if isinstance(value, str) else " ".join(repr(value).split())
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _readable(tensor: "Tensor") -> bool:
    """Whether a tensor has values, and few of them."""
    return tensor.numel() <= _MOST_VALUES and not tensor.is_meta


def _with_shape(tensor: "Tensor") -> str:
    return f"a tensor of shape {tuple(tensor.shape)}"


def _kind(value: Any) -> str:
    """What a value is, with its article."""
    if is_numpy(value):
        return "a NumPy array" if value.ndim else "a NumPy number"
    if isinstance(value, FUNCTIONS):
        return "a function"
    name = type(value).__name__
    return _KINDS.get(type(value), f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}")
