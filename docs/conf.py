"""How the pages of this folder become a site: `make docs`."""

import gc
import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
gc.disable()  # looking for garbage takes a fifth of a build, and finds none

# The pages' code runs in kernels that know nothing of the reader's own IPython and say nothing of themselves; each on
# one thread, for pages are made side by side, and numbers are not to depend on how many cores there are.
_ipython = TemporaryDirectory()
_profile = Path(_ipython.name) / "profile_default"
_profile.mkdir()
(_profile / "ipython_kernel_config.py").write_text("get_config().IPKernelApp.log_level = 'ERROR'\n", encoding="utf-8")
os.environ.update(IPYTHONDIR=_ipython.name, OMP_NUM_THREADS="1")
os.environ.pop("MPLBACKEND", None)  # theirs puts pictures into the page

project = "Convscope"
release = version = installed("convscope")
copyright = "the Convscope developers, Apache-2.0"
extensions = [
    "myst_nb",  # pages whose code is run, and what it gives is shown
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "mathml",
    "source_line",
    "help_text",
]

html_theme = "furo"
html_title = "Convscope"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_use_index = False  # there is the search
html_domain_indices = False
html_show_search_summary = False  # opened from the disk, a page may not fetch others

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "inline"  # so that {eval} in a sentence finds what the page has computed
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "warn"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
copybutton_selector = "div.highlight pre:not(.cell_output pre)"
copybutton_prompt_text = "$ "

default_role = "code"  # docstrings mark names as `name`
highlight_language = "text"  # of blocks that name none
smartquotes = False  # --resume is no dash
add_module_names = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries = False
autodoc_default_options = {"members": True, "ignore-module-all": True}  # each thing once, where it is defined
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
viewcode_line_numbers = True
viewcode_follow_imported_members = False  # a constant's module is where it stands, not that of its type


def setup(app: Sphinx) -> None:
    """Mend what extensions would get wrong; napoleon, which reads docstrings, has priority 500."""
    app.connect("autodoc-process-docstring", _spare_fields, priority=400)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("html-page-context", _give_captions_a_level, priority=600)  # furo's is 500


def _spare_fields(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a field's first colon for its type: it looks at the first line."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def _shorten_signature(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Leave out what says nothing, and what the fields below say again; name NumPy's arrays as the source does."""
    if what == "class" and signature and (signature.startswith("(*args") or len(signature) > 600):
        return "", None

    def short(text: str | None) -> str | None:
        if text is None:
            return None
        text = re.sub(r"[~\w.]*_Buffer \|.*?_NestedSequence\[complex \| bytes \| str\]", "ArrayLike", text)
        return re.sub(r"[~\w.]*ndarray\[[~\w.]*tuple\[[^\]]*\], [~\w.]*dtype\[([~\w.]+)\]\]", r"NDArray[\1]", text)

    return short(signature), short(returned)


def _give_captions_a_level(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Tell screen readers how deep the captions of the navigation are, which Sphinx makes headings."""
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            context[part] = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
