"""The file in which a learner works: the heads of the functions, each with its task as docstring."""

import inspect
import os
import re
import shlex
import textwrap
from pathlib import Path

from convscope.errors import UserError
from convscope.files import write_text
from convscope.learn.chapters import Chapter
from convscope.learn.exercise import Exercise

_WIDTH = 88
_TYPING = {
    "collections.abc": ("Callable", "Iterable", "Iterator", "Mapping", "Sequence"),
    "pathlib": ("Path",),
    "typing": ("Any", "Literal"),
}
"""Names for annotations, imported where a head has them."""

_HEAD = '''"""Exercises of chapter {number}, {title}.

Each function has its task below its head: write the code in the place of the `...`. To see what is right:

    convscope learn check {file}
"""

import math
{typing}
import torch
import torch.nn.functional as F
from torch import Tensor, nn
'''


def write_stubs(chapter: Chapter, path: Path) -> None:
    """Write the exercises of a chapter as a file to work in.

    Raises:
        UserError: there is something at `path` already, which stays as it is, or its name is that of no Python file.
        ConvscopeError: nothing can be written there.
    """
    if path.is_dir():
        file = path / f"{chapter.name.replace('-', '_')}.py"
        raise UserError(f"{path} is a directory: name a file in it, {file} for example.")
    if path.suffix != ".py":
        raise UserError(f"{path} is no name of a Python file: take one that ends in .py, {path.stem}.py for example.")
    if os.path.lexists(path):
        raise UserError(
            f"{path} exists already and stays as it is, for there may be work in it: check it with `convscope learn "
            f"check {shlex.quote(str(path))}`, or begin anew with `convscope learn start {chapter.name} FILE`."
        )
    write_text(path, stubs(chapter, path))


def stubs(chapter: Chapter, path: Path) -> str:
    """The text of the file."""
    words = {word for exercise in chapter.exercises for word in re.findall(r"\w+", exercise.stub)}
    typing = [
        f"from {module} import {', '.join(sorted(words & set(names)))}\n"
        for module, names in _TYPING.items()
        if words & set(names)
    ]
    # A name may have a quote or a backslash in it, and this becomes a docstring.
    file = shlex.quote(str(path)) if re.fullmatch(r"[\w ./,+-]+", str(path)) else "FILE"
    head = _HEAD.format(number=chapter.number, title=chapter.title, file=file, typing="".join(typing))
    return "\n\n".join((head, *map(_stub, chapter.exercises)))


def _stub(exercise: Exercise) -> str:
    task = textwrap.indent(task_text(exercise, _WIDTH - 4), "    ").lstrip()
    # A backslash in the task, of a formula for example, is to stay one.
    raw = "r" if "\\" in task else ""
    return f'{head_text(exercise, _WIDTH)}\n    {raw}"""{task}\n    """\n    ...\n'


def task_text(exercise: Exercise, width: int = 100) -> str:
    """The task in lines of at most `width` characters; what its author indented stays as it is."""
    paragraphs = inspect.cleandoc(exercise.task).split("\n\n")
    return "\n\n".join(
        paragraph
        if any(line.startswith("  ") for line in paragraph.splitlines())
        else textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def head_text(exercise: Exercise, width: int) -> str:
    """The head of the function; where it is longer than `width`, its arguments have a line of their own, or several."""
    head = " ".join(exercise.stub.split()).replace("( ", "(").replace(" )", ")").replace(",)", ")")
    if len(head) <= width:
        return head
    start, _, rest = head.partition("(")
    inside, _, end = rest.rpartition(")")
    if len(inside) + 4 <= width:
        return f"{start}(\n    {inside}\n){end}"
    lines, depth = [""], 0
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:  # and not within an annotation
            lines.append("")
        else:
            lines[-1] += letter
    return "\n".join((f"{start}(", *(f"    {line.strip()}," for line in lines), f"){end}"))
