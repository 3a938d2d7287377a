"""Flags that `train` and `compare` share: every field of a setting, and where runs and data lie."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from convscope.catalog.weights import VERSIONS
from convscope.cli.flags import option_values, read_flags
from convscope.config import Config, Option
from convscope.errors import UserError
from convscope.recipes import load_config, load_recipe
from convscope.runs import NEWEST, Run


@dataclass(frozen=True)
class Settings(Config):
    """All flags of a training; a flag wins over --recipe and --config, which win over the defaults."""

    model_options: Annotated[dict[str, Option], tyro.conf.arg(metavar="KEY VALUE...")] = field(default_factory=dict)
    """The network's own options, such as `--model-options hidden 256 block2_convs 1`."""
    recipe: str | None = None
    """Start from a named setting; `convscope train --list-recipes` names them."""
    config: Path | None = None
    """Start from the setting in a YAML file, such as a run's config.yaml."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    log_every: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Print a line with the loss every N batches."""

    def __post_init__(self) -> None:
        """Check the flags that are not part of the setting too."""
        super().__post_init__()
        if self.log_every is not None and self.log_every < 1:
            raise UserError(f"log_every is {self.log_every}: it must be at least 1.")


S = TypeVar("S", bound=Settings)


def parse(kind: type[S], argv: list[str], *, verb: str) -> S:
    """The flags in `argv` as a `kind`, on top of the recipe and the file they name.

    Raises:
        UserError: no such recipe or file, a flag that does not exist, or a value out of range.
        SystemExit: --help, or a value of the wrong type.
    """
    base = Config()
    recipe, path = _value(argv, "--recipe"), _value(argv, "--config")
    if recipe is not None and path is not None:
        raise UserError("--recipe and --config both give a setting to start from: leave one of them out.")
    if recipe is not None:
        base = load_recipe(recipe)
    elif path is not None:
        base = load_config(Path(path))
    default = kind(**{field.name: getattr(base, field.name) for field in fields(Config)})
    return read_flags(kind, argv, verb=verb, default=default)


def setting(flags: Settings) -> Config:
    """The part of the flags that is the setting of the experiment."""
    values = {field.name: getattr(flags, field.name) for field in fields(Config)}
    values["model_options"] = option_values(flags.model_options)
    values["pretrained"] = _path_of_weights(flags.pretrained, flags.runs_dir)
    return Config(**values)


def _path_of_weights(pretrained: str | None, runs_dir: Path) -> str | None:
    """A run's name, or `latest`, as the path that repeats the training whatever other runs come; else as it is."""
    if pretrained is None or pretrained in VERSIONS or Path(pretrained).exists():
        return pretrained
    is_run = pretrained == NEWEST or (runs_dir / pretrained).is_dir()
    return str(Run.open(pretrained, runs_dir).path) if is_run else pretrained


def _value(argv: list[str], flag: str) -> str | None:
    """What follows `flag` in the command line, which is needed before the others can be read."""
    for index, argument in enumerate(argv):
        if argument == flag and index + 1 < len(argv):
            return argv[index + 1]
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
    return None
