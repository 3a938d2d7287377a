"""The site that the pages become: it builds strictly, and leads nowhere but where it says."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from notebooks import DOCS

import convscope
from convscope.catalog import MODELS
from convscope.cli.main import VERBS

ROOT = DOCS.parent


class Page(HTMLParser):
    """What a page has that can be linked to, where its links lead, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("img", "script", "iframe", "source") and "src" in values:
            self.loaded.append(values["src"])
        elif tag == "link" and values.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site, built as `make docs` does, but for running the chapters, which other tests do, and for
    writing defaults as the source does.
    """
    folder = tmp_path_factory.mktemp("site").resolve()
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    quick = ["nb_execution_mode=off", "suppress_warnings=mystnb.eval", "autodoc_preserve_defaults=0"]
    options = [word for option in quick for word in ("-D", option)]
    done = subprocess.run([*command, *options, str(DOCS), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path: Page(path) for path in sorted(folder.rglob("*.html"))}


def test_every_link_leads_somewhere(site: dict[Path, Page]) -> None:
    nowhere = []
    for path, page in site.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            found = site[target].anchors if target in site else set()
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in found):
                nowhere.append(f"{path.name}: {link}")
    assert nowhere == []


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    for page in site.values():
        assert not [address for address in page.loaded if "//" in address]
    root = min(site, key=lambda path: len(path.parts)).parent
    for sheet in root.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    assert "Search.setIndex" in (root / "searchindex.js").read_text(encoding="utf-8")


def test_formulas_are_translated_whole(site: dict[Path, Page]) -> None:
    """What the renderer does not know is an error of the build; what it does not understand it would print."""
    formulas = [formula for page in site.values() for formula in re.findall(r"<math.*?</math>", page.text, re.DOTALL)]
    assert any("ams-align" in formula for formula in formulas)
    assert [formula for formula in formulas if re.search(r"[\\]|&amp;|<mo>&</mo>", formula)] == []


def test_links_to_the_source_name_the_line_that_they_lead_to(site: dict[Path, Page]) -> None:
    named = []
    for path, page in site.items():
        for target, anchor, line in re.findall(
            r'href="([^"#]*_modules/[^"#]*)#([^"]*)"><code.*?(\d+)</span></code>', page.text
        ):
            source = site[(path.parent / target).resolve()].text
            named.append((line, re.findall(r'class="linenos"> *(\d+)<', source[source.index(f'id="{anchor}"') :])[0]))
    assert named
    assert [line for line, shown in named if line != shown] == []


def test_reference_has_every_verb_network_and_public_name(site: dict[Path, Page]) -> None:
    pages = {path.stem: page for path, page in site.items() if path.parent.name == "reference"}
    assert set(VERBS) <= pages["command"].anchors
    named = re.findall(r'title="convscope\.(?:\w+\.)*(\w+)"><code', pages["python"].text)
    assert set(named) == set(convscope.__all__)
    for entry in MODELS.values():
        assert f"module-{entry.builder.partition(':')[0]}" in pages["networks"].anchors
