# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every Python example in README, manual and docstrings runs; every link leads somewhere."""

import doctest
import pkgutil
import re
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

import vmmkit

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(m.name for m in pkgutil.walk_packages(vmmkit.__path__, "vmmkit."))
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL

MARKDOWN = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS)], path=str(ROOT))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|#)([^)#\s]+)")


def page_name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_page(page, monkeypatch, tmp_path):
    """Run one page from top to bottom: later examples may use what earlier ones made."""
    monkeypatch.chdir(tmp_path)
    for example in MARKDOWN.parse(page).examples():
        example.evaluate()


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, import_module):
    assert doctest.testmod(import_module(name), optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    targets = set(LINK.findall(page.read_text()))
    assert [target for target in targets if not (page.parent / target).exists()] == []
