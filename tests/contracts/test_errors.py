"""The catalogue of errors: every sentence that a user can be told says what, why, and what to do about it.

The sentences are read from the source, so that none is forgotten; what is computed stands there as `{}`.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import convscope
from convscope.cli import models as verb
from convscope.cli.main import main
from convscope.data.decoding import Undecodable
from convscope.errors import ConvscopeError, UserError, unknown
from convscope.training.loop import Diverged

SOURCE = Path(convscope.__file__).parent

# What a remedy begins with, after the last colon, semicolon or full stop. A sentence whose last part begins otherwise
# tells what is wrong and leaves the reader alone with it.
IMPERATIVES = (
    "add|ask|bring|check|choose|compare|convert|correct|evaluate|free|get|give|go on|keep|leave|look|make|move|name|"
    "open|put|rename|replace|restore|resume|run|save|say|start|stop|take|train|try|undo|use|write"
)
REMEDY = re.compile(rf"[:;.?] ({IMPERATIVES})\b(?!.*[:;.] \w+ (is|are|was|were)\b)", re.IGNORECASE)
# The allowed values, which are what to give: "batch_size is 0: it must be at least 1."
ALLOWED = re.compile(r": (it|all|both) must be [^:;]+\.$")

NO_REMEDY_OF_ITS_OWN = {
    "there are no weights '{}' for '{}': {}": "ends in the names of those there are",
    "unknown flag '{}': {}": "ends in the nearest flag",
    "unknown {} '{}': {}": "ends in the nearest name, or all",
    "{}: unknown key {}: {}": "ends in the nearest key, or all",
    "{}: {} is {}: {}": "ends in the values that the key takes",
    "{} cannot be {}: {}": "ends in the values that the field takes",
    "{}, line {}: {}": "puts a place before another error",
    "process {} of {}: {}": "puts a process before another error",
    "there is no file {}: {}": "ends in the nearest name, or in how a file is begun",
    "there is no run '{}': {}.": "ends in the names of those there are",
    "there are no images in {} that belong to a class: {}.": "ends in one of two remedies",
    "{} cannot be read ({}): {}": "ends in the remedy that all errors of a checkpoint share",
    "{} cannot be read as a state to resume from ({}): {}": "the same",
    "{} is not the state that was saved: the file was changed or damaged; {}": "the same",
    "{} should hold images (N, H, W), but its shape is {}: were the files of images and labels swapped?": "asks",
    "{} should hold labels (N,), but its shape is {}: were the files of images and labels swapped?": "asks",
}
"""Sentences that the rule does not fit, and why they are good nevertheless."""


class Told(NamedTuple):
    """An error as the source has it."""

    place: str
    kind: str
    parts: tuple[str, ...]
    """Its arguments; `{}` for whatever is computed."""


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    return "{}"


def errors_told() -> Iterator[Told]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    nodes = [(path, node) for path, tree in trees.items() for node in ast.walk(tree)]
    kinds = {"ConvscopeError"}
    while found := {
        node.name
        for _, node in nodes
        if isinstance(node, ast.ClassDef) and node.name not in kinds and kinds & set(map(ast.unparse, node.bases))
    }:
        kinds |= found
    for path, node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
            yield Told(f"{path.relative_to(SOURCE)}:{node.lineno}", node.func.id, tuple(map(text_of, node.args)))


ALL = tuple(errors_told())
SENTENCES = [
    pytest.param(told.parts[0], id=told.place) for told in ALL if told.kind not in ("Unavailable", "Undecodable")
]


def test_the_catalogue_is_complete() -> None:
    assert len(ALL) > 150
    assert {told.kind for told in ALL} >= {"UserError", "ConvscopeError", "Diverged", "Unavailable", "Undecodable"}
    assert all(told.parts for told in ALL)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_every_error_has_what_why_and_remedy(sentence: str) -> None:
    # R-F2
    assert "\n" not in sentence
    assert sentence[0].islower() or sentence[0] in "{'-", "it follows `convscope: `, within a line"
    assert sentence.endswith((".", "?", "{}"))
    if sentence not in NO_REMEDY_OF_ITS_OWN:
        assert REMEDY.search(sentence) or ALLOWED.search(sentence), f"no remedy: {sentence}"


def test_the_exceptions_are_needed() -> None:
    sentences = {told.parts[0] for told in ALL}
    for sentence in NO_REMEDY_OF_ITS_OWN:
        assert sentence in sentences
        assert not REMEDY.search(sentence) and not ALLOWED.search(sentence)


@pytest.mark.parametrize("told", [told for told in ALL if told.kind == "Undecodable"], ids=lambda told: told.place)
def test_what_cannot_be_decoded_has_a_reason_and_a_remedy(told: Told) -> None:
    _, reason, remedy = told.parts
    assert re.match(r"(is|has|cannot) ", reason)
    assert REMEDY.search(f": {remedy}")


@pytest.mark.parametrize(
    "sentence",
    [
        "the file is damaged.",
        "{} is damaged ({}): it was changed.",
        "cannot read {}: {}",
        "{} is 0: that is too little; nothing was done.",
        "give another file: this one is damaged.",
    ],
)
def test_the_rule_finds_what_is_missing(sentence: str) -> None:
    assert not REMEDY.search(sentence) and not ALLOWED.search(sentence)


# What becomes of them

RAISED: list[tuple[Callable[[], BaseException], int, str]] = [
    (lambda: UserError("lr is 0: it must be more."), 2, "lr is 0: it must be more."),
    (lambda: unknown("verb", "trian", ["train"]), 2, "unknown verb 'trian': did you mean 'train'?"),
    (lambda: Undecodable("a.png", "is no image", "give one"), 2, "a.png is no image: give one."),
    (lambda: ConvscopeError("the disk is full: free some space."), 1, "the disk is full: free some space."),
    (lambda: Diverged("the loss became nan: try less."), 1, "the loss became nan: try less."),
    (lambda: PermissionError(13, "Permission denied", "there"), 1, "there: Permission denied: make room or choose "),
    (lambda: MemoryError(), 1, "the memory does not suffice: choose a smaller --batch-size"),
    (lambda: KeyError("x"), 1, "an error that Convscope did not expect (KeyError: 'x'): run the command again with"),
    (lambda: KeyboardInterrupt(), 130, "stopped."),
    # What came from a file cannot steer the terminal, nor break the line, nor fail to be printed.
    (
        lambda: UserError("the class \x1b[31m\n\udcff é 猫: rename it."),
        2,
        r"the class \x1b[31m\n\udcff é 猫: rename it.",
    ),
]


@pytest.mark.parametrize(("make", "status", "words"), RAISED)
def test_errors_end_the_command_with_a_line_and_a_status(
    make: Callable[[], BaseException],
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = make()

    def fail(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(verb, "main", fail)
    assert main(["models"]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"convscope: {words}")
    assert printed.err.endswith("\n") and printed.err.count("\n") == 1
    with pytest.raises(type(error)) as raised:
        main(["models", "--debug"])
    assert raised.value is error
