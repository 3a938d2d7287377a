"""The kinds of files in a run directory; whoever reads one has to expect that anybody may have written it."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.errors import UserError
from convscope.files import atomic_path, write_text
from convscope.shapes import misfit, read_json

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
"""Version of the directory's files; raised when an older Convscope could no longer read them."""

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "lr",
    "grad_norm",
    "images_per_second",
    "seconds",
)
"""Of history.csv."""
INTEGER_COLUMNS = {"epoch"}


def read_document(path: Path) -> dict[str, Any]:
    """What `write_document` wrote.

    Raises:
        UserError: the file is missing, damaged or something else.
    """
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): restore it from a copy, or train the run again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold what Convscope writes there: restore it from a copy.")
    return value


def read_known(path: Path, shape: dict[str, Any], *, partial: bool = True) -> dict[str, Any]:
    """A document of which some keys are known, none of these being None; `partial`: they need not be there."""
    value = read_document(path)
    problem = misfit(value, shape, partial=partial)
    if problem:
        raise UserError(f"{path} is damaged ({problem}): restore it from a copy.")
    return {key: item for key, item in value.items() if item is not None or key not in shape}


def write_document(path: Path, value: dict[str, Any]) -> None:
    """Write plain JSON types, under the version of the format."""
    write_text(path, json.dumps({"format": FORMAT} | value, indent=1) + "\n")


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a history.csv, one an epoch; none where there is no such file."""
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if table.fieldnames is not None and set(table.fieldnames) != set(COLUMNS):
                raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
            rows = [
                {key: int(value) if key in INTEGER_COLUMNS else float(value) for key, value in row.items()}
                for row in table
            ]
            if problem := misfit(rows, [dict.fromkeys(INTEGER_COLUMNS, int)]):  # so large that no mean can be taken
                raise ValueError(problem)
            return rows
    except (ValueError, TypeError, OSError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}): restore it from a copy, or resume the run.") from error


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Replace a history.csv."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_text(path, text.getvalue())


def read_arrays(path: Path, keys: tuple[str, ...], *, at_most: int) -> dict[str, "np.ndarray[Any, Any]"]:
    """Some arrays of an .npz file that unpacks to `at_most` bytes."""
    import numpy as np

    run = path.parent
    try:
        with path.open("rb") as file:
            size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
            if size > at_most:
                raise ValueError(f"it unpacks to {size:,} bytes")
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in keys}
            for key, array in arrays.items():
                if not isinstance(array, np.ndarray):  # of a member that is no array NumPy gives the bytes
                    raise ValueError(f"its {key} is no array")
            return arrays
    except FileNotFoundError as error:
        raise UserError(f"{run} has no {path.stem} yet: run `convscope evaluate {run}`.") from error
    except Exception as error:  # a damaged archive makes NumPy and zipfile stumble in a dozen ways
        raise UserError(f"{path} is damaged ({error}): run `convscope evaluate {run}`.") from error


def write_arrays(path: Path, arrays: dict[str, "np.ndarray[Any, Any]"]) -> None:
    """Replace an .npz file."""
    import numpy as np

    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
