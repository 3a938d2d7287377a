"""Reading the command line of a verb: a dataclass says what there is to give, tyro parses it."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar, get_type_hints

import tyro

from convscope.config import Option
from convscope.errors import UserError

T = TypeVar("T")


def read_flags(kind: type[T], argv: list[str], *, verb: str, default: T | None = None) -> T:
    """The arguments in `argv` as a `kind`, on top of `default` where that is given.

    Raises:
        UserError: a flag that does not exist.
        SystemExit: --help, an argument too many or too few, or a value of the wrong type.
    """
    _check_names(kind, argv, verb)
    prog = f"convscope {verb}"
    if default is None:
        return tyro.cli(kind, prog=prog, args=argv, config=(tyro.conf.FlagCreatePairsOff,))
    # A switch such as --flip, which the default may have turned on, has a --no-flip too.
    return tyro.cli(kind, prog=prog, args=argv, default=default)


def option_values(options: Mapping[str, Option]) -> dict[str, Option]:
    """A network's options with `true` and `false` as the truth values that they are in YAML."""
    words: dict[Option, bool] = {"true": True, "false": False}
    return {key: words.get(value, value) if isinstance(value, str) else value for key, value in options.items()}


def _check_names(kind: type, argv: list[str], verb: str) -> None:
    """Look at the names of the flags first: once one is not known, tyro can no longer tell what belongs to what."""
    known = ["--help"]
    for name, hint in get_type_hints(kind, include_extras=True).items():
        # Neither what is given by its place nor what is not given at all has a flag.
        if not any(mark in (tyro.conf.Positional, tyro.conf.Suppress) for mark in getattr(hint, "__metadata__", ())):
            flag = name.replace("_", "-")
            known += [f"--{flag}", f"--no-{flag}"] if hint is bool else [f"--{flag}"]
    for argument in argv:
        name = argument.partition("=")[0]
        if name == "--":
            return  # what follows are no flags
        if name.startswith("--") and name.replace("_", "-") not in known:
            near = get_close_matches(name, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"`convscope {verb} --help` lists those there are."
            raise UserError(f"unknown flag '{name}': {remedy}")
