"""Reading settings from YAML: the user's files and the named recipes beside this module.

A file holds only what differs from the defaults of `Config`; the comment at the head of a recipe says what it gave.
"""

import re
import reprlib
import types
from dataclasses import asdict
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from convscope.config import Config
from convscope.errors import UserError, unknown

_TYPES = get_type_hints(Config)

_MOST_BYTES = 1 << 16
"""A setting has two thousand."""
_LONGEST = 3000
"""Characters of a value. Python refuses to write down numbers that are much longer."""

_PLAIN_LINE = re.compile(r"(  )?\w+:( \{\}| [^\[\]{}&*!?|>\0-\x1f\x7f-\U0010ffff]*)?", re.ASCII)
"""`key: value` in ASCII without lists and mappings on the line, or `key: {}`; at most two spaces before it."""


def recipe_names() -> list[str]:
    """Names of the recipes that Convscope ships."""
    return sorted(file.name.removesuffix(".yaml") for file in _folder().iterdir() if file.name.endswith(".yaml"))


def load_recipe(name: str) -> Config:
    """The named recipe; a UserError names the nearest when there is none."""
    if name not in recipe_names():
        raise unknown("recipe", name, recipe_names())
    return parse_config((_folder() / f"{name}.yaml").read_text(encoding="utf-8"), source=f"recipe {name}")


def load_config(path: Path) -> Config:
    """The setting in a YAML file; a UserError where it is missing, no YAML, or holds a wrong key or value."""
    return parse_config(read_setting(path), source=str(path))


def read_setting(path: Path) -> str:
    """The text of a small YAML file; a UserError where it is missing, too large for a setting, or no text."""
    try:
        with path.open("rb") as file:
            contents = file.read(_MOST_BYTES + 1)
        if len(contents) > _MOST_BYTES:
            raise UserError(f"{path} has more than {_MOST_BYTES:,} bytes: give a setting, such as a run's config.yaml.")
        return contents.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise UserError(
            f"cannot read the setting {path} ({reason}): give a YAML file such as a run's config.yaml."
        ) from error


def parse_config(text: str, *, source: str) -> Config:
    """The setting in a YAML text; errors name `source`, the line, the key and the nearest right one."""
    values, lines = parse_mapping(text, source=source)
    converted = {}
    for key, value in values.items():
        place = f"{source}, line {lines.get(str(key), 1)}"
        if key not in _TYPES:
            near = get_close_matches(str(key), _TYPES, n=1, cutoff=0.5)
            remedy = f"did you mean '{near[0]}'?" if near else f"the keys are {', '.join(_TYPES)}."
            raise UserError(f"{place}: unknown key {reprlib.repr(str(key))}: {remedy}")
        try:
            converted[key] = _convert(value, _TYPES[key])
        except ValueError as error:
            raise UserError(f"{place}: {key} is {reprlib.repr(value)}: {error}") from None
    try:
        return Config(**converted)
    except UserError as error:
        key = str(error).split(" ", 1)[0]
        raise UserError(f"{source}, line {lines.get(key, 1)}: {error}") from None


def parse_mapping(text: str, *, source: str) -> tuple[dict[Any, Any], dict[str, int]]:
    """The values in a YAML text of `key: value` lines, and the line of each key; errors name `source` and the line."""
    try:
        loader = _loader(text)
        node = loader.get_single_node()
        if node is None:  # an empty file
            return {}, {}
        _check_nodes(node, source)
        values = loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2020-13-45 looks like a date
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{source}{place}: this is not YAML: write one 'key: value' a line.") from error
    if values is None:  # or one word that means nothing
        return {}, {}
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise UserError(f"{source}: this is no setting: write 'key: value' lines, as in a run's config.yaml.")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(
                f"{source}, line {key.start_mark.line + 1}: a key must be a word: write 'key: value' lines."
            )
        line = key.start_mark.line + 1
        if key.value in lines:
            name = reprlib.repr(key.value)
            raise UserError(f"{source}, line {line}: {name} is already in line {lines[key.value]}: keep one.")
        lines[key.value] = line
    return values, lines


def _loader(text: str) -> Any:
    """PyYAML's loader in C, five times as fast, where it is there and the text is as plain as a run's config.yaml.

    Nested a thousand times, as a stranger's text may be, it would end the process; what is this plain is nested once.
    """
    plain = all(map(_PLAIN_LINE.fullmatch, text.splitlines()))
    return (getattr(yaml, "CSafeLoader", yaml.SafeLoader) if plain else yaml.SafeLoader)(text)


def _check_nodes(root: yaml.Node, source: str) -> None:
    """Refuse what makes a short text a huge value: references (`*name`), which a few lines repeat a billion times."""
    seen: set[int] = set()
    nodes = [root]
    while nodes:
        node = nodes.pop()
        place = f"{source}, line {node.start_mark.line + 1}"
        if id(node) in seen:
            raise UserError(f"{place}: another place refers to this value: write it out there.")
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            if len(node.value) > _LONGEST:
                raise UserError(f"{place}: this has {len(node.value):,} characters: give at most {_LONGEST:,}.")
        elif isinstance(node, yaml.MappingNode):
            nodes += [part for pair in node.value for part in pair]
        else:
            nodes += node.value


def differences(config: Config) -> dict[str, Any]:
    """The fields whose values are not the defaults."""
    defaults = asdict(Config())
    return {name: value for name, value in asdict(config).items() if value != defaults[name]}


def convert_field(name: str, value: Any) -> Any:
    """A value from YAML as the type that a field of Config has; ValueError says what was expected."""
    return _convert(value, _TYPES[name])


def _folder() -> Any:
    return resources.files("convscope.recipes")


def _convert(value: Any, wanted: Any) -> Any:
    """`value` as the type a field of Config has; ValueError says what was expected."""
    if get_origin(wanted) in (Union, types.UnionType):
        if value is None and type(None) in get_args(wanted):
            return None
        # The only other unions are `X | None` and a model option, which may be any plain value.
        alternatives = [kind for kind in get_args(wanted) if kind is not type(None)]
        if len(alternatives) == 1:
            return _convert(value, alternatives[0])
        if isinstance(value, tuple(alternatives)):
            return value
        raise ValueError("it must be a number, a text, true or false.")
    if get_origin(wanted) is Literal:
        if value in get_args(wanted):
            return value
        near = get_close_matches(str(value), get_args(wanted), n=1, cutoff=0.5)
        raise ValueError(f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(get_args(wanted))}.")
    if get_origin(wanted) is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError("it must be a mapping such as {hidden: 256}.")
        return {key: _convert(item, get_args(wanted)[1]) for key, item in value.items()}
    if wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3, without a point, as a text
        except (ValueError, OverflowError):
            raise ValueError("it must be a number.") from None
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", bool: "true or false", str: "a text", float: "a number"}
    raise ValueError(f"it must be {names[wanted]}.")
