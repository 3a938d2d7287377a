"""What the pages of docs/ say is so."""

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("**/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_link_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert all((page.parent / link).is_file() for link in links if not link.startswith("https://"))


def test_accuracies_after_transfer_are_those_that_were_measured() -> None:
    with (ROOT / "benchmarks" / "results" / "transfer.csv").open(encoding="utf-8", newline="") as file:
        measured = [
            "{:.2%} ({:.2%} to {:.2%}), {}".format(
                *(float(row[key]) for key in ("test_accuracy", "test_low", "test_high")), row["time"]
            )
            for row in csv.DictReader(file)
        ]
    table = re.findall(r"^\| [\d,]+(?:, all)? \|.*", (ROOT / "docs" / "transfer.md").read_text("utf-8"), re.MULTILINE)
    assert [cell.strip() for row in table for cell in row.strip("|").split("|")[2:]] == measured
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for share in (measured[i].partition(" ")[0] for i in (0, 1, 6, 7)):
        assert share in readme
