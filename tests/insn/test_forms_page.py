# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The generated page of what is executed."""

import runpy
from pathlib import Path

from vmmkit.insn.optable import SOURCE

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_current():
    """If not: `python docs/render_forms.py`."""
    generator = runpy.run_path(str(DOCS / "render_forms.py"))
    assert (DOCS / "insn-forms.md").read_text() == generator["page"]()


def test_domains_are_all_of_the_table():
    generator = runpy.run_path(str(DOCS / "render_forms.py"))
    rows = [row for module in generator["DOMAINS"].values() for row in module.ROWS]
    assert rows == list(SOURCE)
