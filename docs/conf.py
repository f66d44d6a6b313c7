# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How the manual is built: Markdown pages, and reference pages from the docstrings."""

import vmmkit

project = "vmmkit"
author = "vmmkit contributors"
project_copyright = "2026 vmmkit contributors"
version = release = vmmkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

# Single backquotes in docstrings are code, as in every editor; a link is written as a role.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# The manual is built without a network, so the standard library's index is not at hand: these
# names are right and lead nowhere.
nitpick_ignore_regex = [
    (r"py:.*", r"(abc|array|collections|contextlib|enum|fractions|pathlib|types|typing)\..*"),
]

html_theme = "furo"
html_title = f"vmmkit {release}"
html_copy_source = False
