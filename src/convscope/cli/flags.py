"""Reading the command line of a verb: a dataclass says what there is to give, tyro parses it."""

from difflib import get_close_matches
from typing import TypeVar, get_type_hints

import tyro

from convscope.errors import UserError

T = TypeVar("T")

# A switch such as --flip needs no --no-flip beside it.
_CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands)


def read_flags(kind: type[T], argv: list[str], *, verb: str, default: T | None = None) -> T:
    """The arguments in `argv` as a `kind`, on top of `default` where that is given.

    Raises:
        UserError: a flag that does not exist, or an argument too many.
        SystemExit: --help, an argument missing, or a value of the wrong type.
    """
    flags, left = tyro.cli(
        kind, prog=f"convscope {verb}", args=argv, default=default, config=_CONFIG, return_unknown_args=True
    )
    if not left:
        return flags
    name = left[0].partition("=")[0]
    remedy = f"`convscope {verb} --help` shows what there is."
    if not name.startswith("-"):
        raise UserError(f"'{name}' is an argument too many: {remedy}")
    near = get_close_matches(name, _names(kind), n=1)
    raise UserError(f"unknown flag '{name}': {f'did you mean {near[0]}?' if near else remedy}")


def _names(kind: type) -> list[str]:
    """The flags of a verb: its fields, but for those given by their place and those not given at all."""
    hints = get_type_hints(kind, include_extras=True)
    without_flag = {tyro.conf.Positional, tyro.conf.Suppress}
    return [
        f"--{name.replace('_', '-')}"
        for name, hint in hints.items()
        if without_flag.isdisjoint(getattr(hint, "__metadata__", ()))
    ]
