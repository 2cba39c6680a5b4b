"""How the site is built: ``sphinx-build -W -c docs . docs/_build`` at the root of a checkout.

The source is the whole checkout, so that pages can lead to README, CONTRIBUTING and files beside
them, on the site as in the checkout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import fcconv

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "fcconv"
version = release = fcconv.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "docs/**.rst", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = ["docs/_build"]
nitpicky = False  # numpydoc's types are words

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints = "none"  # docstrings say them in words

html_theme = "furo"
html_title = "fcconv"
html_extra_path = ["interactive"]
html_static_path = ["style"]
html_css_files = ["site.css"]
html_show_copyright = False


def escape_stars(*event: Any) -> None:
    """Keep Sphinx from taking the star of ``(N, C, *S)`` or ``*.tif`` for the start of emphasis."""
    lines: list[str] = event[-1]
    for k, line in enumerate(lines):
        words = line.split("``")
        words[::2] = [re.sub(r"(?<=[ ('])\*(?=[\w.])", r"\\*", word) for word in words[::2]]
        lines[k] = "``".join(words)


def setup(app: Sphinx) -> None:
    """Tell Sphinx what to call."""
    app.connect("autodoc-process-docstring", escape_stars, priority=100)  # before numpydoc
    app.connect("sphinx-click-process-description", escape_stars)
