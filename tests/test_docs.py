"""What the pages of docs/ say is so."""

import csv
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("**/*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_link_to_files_that_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert all((page.parent / link).is_file() for link in links if not link.startswith(("https://", "http://")))


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
    for share in (measured[i].partition(" ")[0] for i in (6, 7)):
        assert share in readme


def test_citation_and_changelog_name_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    versions = re.findall(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == project["version"]
