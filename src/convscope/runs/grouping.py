"""Runs that belong together: repetitions with other seeds, or runs with some values in common; what they come to."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace

from convscope.config import Config
from convscope.runs.listing import RESULTS, SETTINGS, Listed, Row

FIGURES = ("parameters", "epochs", "best_epoch", "val", "val_loss", "test", "macro_f1", "seconds")
"""What is averaged over the runs of a group."""


def repetitions(configs: Sequence[Config], names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Settings that differ in their seed alone, together: a label and their places; in the order of the first of each.

    The label is the network's name, with what its settings differ in where it has several. The same seed again is not
    another seed: it gets a row of its own, whose label has the run's name too, of which there is one for each setting.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    times = Counter[str]()
    for place, config in enumerate(configs):
        times[repr(config)] += 1
        groups.setdefault((repr(replace(config, seed=0)), times[repr(config)]), []).append(place)
    first = [places[0] for places in groups.values()]
    labels = _labels([configs[place] for place in first])
    shared = Counter((label, configs[place].data) for label, place in zip(labels, first, strict=True))
    return [
        (f"{label} {names[places[0]]}" if shared[label, configs[places[0]].data] > 1 else label, places)
        for label, places in zip(labels, groups.values(), strict=True)
    ]


def _labels(configs: Sequence[Config]) -> list[str]:
    """Each network's name, and in brackets in what the settings of this network differ, but for data set and seed."""
    settings = [asdict(config) for config in configs]
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for setting in settings:
        for key, value in setting.items():
            values[setting["model"], key].add(repr(value))
    labels = []
    for setting in settings:
        differing = [key for key in sorted(setting) if len(values[setting["model"], key]) > 1]
        notes = [f"{key} {setting[key]}" for key in differing if key not in ("data", "seed")]
        labels.append(f"{setting['model']} ({', '.join(notes)})" if notes else setting["model"])
    return labels


def grouped(runs: Sequence[Listed], by: Sequence[str]) -> list[Row]:
    """A row for each group of finished runs: of those that have the same values of `by`.

    Without `by` those that differ in their seed alone belong together, and `setting` is their label. A row has what its
    runs have in common, their number `runs` and their `names`, the means of their figures (None of one that a run
    lacks), and the standard deviations `val_std` and `test_std` (None of a single run).
    """
    finished = [(run.row, run.config) for run in runs if run.config is not None and run.row["status"] == "finished"]
    rows, configs = [row for row, _ in finished], [config for _, config in finished]
    if by:
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(repr(row.get(name)) for name in by), []).append(row)
        return [_row(members) for members in groups.values()]
    return [
        _row([rows[place] for place in places]) | {"setting": label}
        for label, places in repetitions(configs, [row["name"] for row in rows])
    ]


def _row(rows: Sequence[Row]) -> Row:
    common = {name: value for name, value in rows[0].items() if all(row.get(name) == value for row in rows)}
    figures = {name: [row[name] for row in rows] for name in FIGURES}
    known = {name: values for name, values in figures.items() if None not in values}
    return {
        **dict.fromkeys((*RESULTS, *SETTINGS)),
        **common,
        **dict.fromkeys(FIGURES),
        **{name: statistics.fmean(values) for name, values in known.items()},
        **{f"{name}_std": deviation(known.get(name, [])) for name in ("val", "test")},
        "started": max(row["started"] for row in rows),
        "runs": len(rows),
        "names": [row["name"] for row in rows],
    }


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample; None of a single value, or of none."""
    return statistics.stdev(values) if len(values) > 1 else None
