"""A network's graph as lines of text: its groups, and in each the branches as lanes beside the names.

layer2.0            the group: a residual block
├ conv1             the first branch begins
│ bn1               and goes on
├ downsample.0      the second branch
└ sum               where they meet
  act2              after it
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from convscope.models.summary import IMAGE, NETWORK, Layer, Summary

MOST_ROWS = 60
"""Of a network with more, blocks that repeat an earlier one are worth folding."""

_LEAST_FOLDED = 5  # rows; to fold fewer would save little


@dataclass(frozen=True)
class Line:
    """What one line of the table shows."""

    label: str
    """Lanes and name."""
    kind: str
    """The class; of a junction what it joins."""
    layer: Layer
    """A layer, a junction, or all of a group in one."""


def fold(summary: Summary) -> tuple[Layer, ...]:
    """The layers, with every block that is built like an earlier one as a single row."""
    blocks = _repetitions(summary)
    owner = {layer.name: next((b for b in blocks if _under(layer, b)), layer.name) for layer in summary.layers}
    owner[IMAGE] = IMAGE
    rows = []
    for name, run in groupby(summary.layers, key=lambda layer: owner[layer.name]):
        layers = list(run)
        row = layers[0] if name == layers[0].name else _together(layers, name, summary)
        inputs = [owner[source] for layer in layers for source in layer.inputs]
        rows.append(replace(row, inputs=tuple(dict.fromkeys(source for source in inputs if source != name))))
    return tuple(rows)


def draw(summary: Summary, rows: Sequence[Layer]) -> list[Line]:
    """The lines of a table of `rows`: the summary's layers, or what `fold` made of them."""
    groups = _groups(rows)
    lanes, branches = _lanes(rows, groups)
    hidden = _idle(rows, lanes)
    lines: list[Line] = []
    for group, run in groupby(rows, key=lambda row: groups[row.name]):
        members = list(run)
        # A heading speaks for all of a module: where other layers of it stand elsewhere, all keep their whole names.
        headed = bool(group) and sum(_under(row, group) for row in rows) == len(members) > 1
        if headed:
            lines.append(Line(group, summary.modules[group], _together(members, group, summary)))
        for row in members:
            if row.name in hidden:
                continue
            kind = row.kind
            if row.is_junction:
                kind = f"of {len(row.inputs)}" if branches.get(row.name) != 1 else "with its input"
            label = _within(row, group) if headed else _within(row, "")
            lines.append(Line(lanes.get(row.name, "  " if headed else "") + label, kind, row))
    return lines


def _repetitions(summary: Summary) -> list[str]:
    """Names of blocks whose class and parts, sizes apart, have occurred before."""
    found: list[str] = []
    known = set()
    for module, kind in summary.modules.items():
        rows = [layer for layer in summary.layers if module and _under(layer, module)]
        # A plain sequence of blocks is nothing by itself: its blocks are looked at one by one.
        sequence = kind == "Sequential" and any(row.is_junction for row in rows)
        if len(rows) < _LEAST_FOLDED or sequence or any(module.startswith(block + ".") for block in found):
            continue
        parts: dict[str, list[str]] = {}
        for row in rows:
            part, _, rest = _within(row, module).partition(".")
            parts[part] = [*parts.get(part, []), row.kind] if rest else [row.kind]
        # A set: dense blocks differ in how often they repeat their layer.
        construction = (kind, frozenset(map(tuple, parts.values())))
        if construction in known:
            found.append(module)
        known.add(construction)
    return found


def _groups(rows: Sequence[Layer]) -> dict[str, str]:
    """For each row the outermost module around it in which branches meet, or else the one it is directly in."""
    meeting = {_place(row) for row in rows if row.is_junction} - {NETWORK}
    groups = {}
    for row in rows:
        parts = _place(row).split(".")
        around = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        groups[row.name] = next((module for module in around if module in meeting), ".".join(parts[:-1]))
    return groups


def _lanes(rows: Sequence[Layer], groups: dict[str, str]) -> tuple[dict[str, str], dict[str, int]]:
    """The lanes left of each row's name, and how many each junction has that ends some."""
    position = {row.name: index for index, row in enumerate(rows)}
    above: dict[str, set[str]] = {IMAGE: {IMAGE}}
    for row in rows:
        above[row.name] = {row.name}.union(*(above[name] for name in row.inputs))
    lanes = dict.fromkeys(position, "")
    count: dict[str, int] = {}
    # From the last: a junction nested in a branch of another comes before that one, and its lanes stand further right.
    for junction in reversed(rows):
        if not junction.is_junction or len(junction.inputs) < 2:
            continue
        ways = [above[name] for name in junction.inputs]
        common = ways[0].intersection(*ways[1:])
        branches = [sorted(way - common, key=position.__getitem__) for way in ways]
        branches = [branch for branch in branches if branch]
        drawn = [rows[position[name]] for branch in branches for name in branch]
        module = _place(junction)
        tidy = (
            len(set(drawn)) == len(drawn)  # ways that cross cannot be lanes
            and all(position[b] - position[a] == 1 for branch in branches for a, b in pairwise(branch))
            and all(module == NETWORK or _under(row, module) for row in drawn)
            and all(groups[row.name] == groups[junction.name] for row in drawn)
        )
        if not tidy:
            continue
        for branch in branches:
            for name in branch:
                lanes[name] += "├ " if name == branch[0] else "│ "
        lanes[junction.name] += "└ "
        count[junction.name] = len(branches)
    return {name: lane for name, lane in lanes.items() if lane}, count


def _idle(rows: Sequence[Layer], lanes: dict[str, str]) -> set[str]:
    """Layers that pass on what they get, and are no shortcut: they would only lengthen the table."""
    lane = [lanes.get(row.name, "") for row in rows] + [""]
    return {
        row.name
        for index, row in enumerate(rows)
        if row.kind == "Identity" and not (lane[index].endswith("├ ") and not lane[index + 1].endswith("│ "))
    }


def _place(row: Layer) -> str:
    """The name without the number that tells a second pass from the first."""
    return row.name.partition(":")[0]


def _under(row: Layer, module: str) -> bool:
    return _place(row) == module or row.name.startswith(module + ".")


def _within(row: Layer, module: str) -> str:
    """A row's name as it is called within a module; of a junction what happens there."""
    if not row.is_junction:
        return row.name.removeprefix(module + ".") if module else row.name
    inner = _place(row).removeprefix(module).removeprefix(".")
    return row.kind if inner in ("", NETWORK) else f"{inner}.{row.kind}"


def _together(layers: Sequence[Layer], name: str, summary: Summary) -> Layer:
    """Several layers as one that gives what the last of them gives."""
    return replace(
        layers[-1],
        name=name,
        kind=summary.modules[name],
        parameters=sum(layer.parameters for layer in layers),
        formula="",
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        share=sum(layer.share for layer in layers),
    )
