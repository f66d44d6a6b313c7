# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The page of all codes is that of the code."""

import re
import runpy
from pathlib import Path

from vmmkit.acpi.validate.codes import RULES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_current():
    """If not: `python docs/render_findings.py`."""
    generator = runpy.run_path(str(DOCS / "render_findings.py"))
    assert generator["page"]() == (DOCS / "acpi-findings.md").read_text(encoding="utf-8")


def test_every_code_is_on_the_page_once():
    text = (DOCS / "acpi-findings.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([A-Z0-9-]+)`", text, re.MULTILINE) == sorted(
        RULES, key=lambda code: text.index(f"| `{code}`")
    )


def test_codes_are_words_and_texts_are_sentences():
    for code, rule in RULES.items():
        assert re.fullmatch(r"[A-Z0-9]+(-[A-Z0-9]+)+", code)
        assert rule.consequence.endswith(".")
        assert not rule.says.endswith(".")
