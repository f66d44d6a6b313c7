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
from oracle.compare import UNDEFINED_FLAGS
from vmmkit import insn
from vmmkit.insn import Feature

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(m.name for m in pkgutil.walk_packages(vmmkit.__path__, "vmmkit."))
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL

MARKDOWN = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS)], path=str(ROOT))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|#)([^)#\s]+)")

# Names that automodule finds nothing to say about stand in the page itself.
DIRECTIVE = re.compile(r"^\.\. py:(?:data|type):: (\w+)", re.MULTILINE)


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


def test_every_name_of_the_instruction_engine_is_in_its_reference():
    """Constants and the union have no docstring of their own, so they are written out."""
    written = set(DIRECTIVE.findall((ROOT / "docs/reference/insn.md").read_text()))
    plain = {name for name in insn.__all__ if not callable(getattr(insn, name))}
    assert plain == written


def test_constants_in_the_reference_have_their_values():
    text = (ROOT / "docs/reference/insn.md").read_text()
    for name, value in re.findall(r"py:data:: (\w+)\n.*\n   :value: (\d+)", text):
        assert getattr(insn, name) == int(value), name


def test_undefined_flags_are_in_the_guide():
    """The guide's table names the instructions that the tests' mask knows, and no others."""
    text = (ROOT / "docs/insn.md").read_text()
    table = text.partition("## Undefined flags")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")][1:]
    named = {word for after, _ in rows for word in re.findall(r"[A-Z]{2,}", after)}
    rotates = {"ROL", "ROR", "RCL", "RCR"}  # "shifts and rotates"
    assert named == set(UNDEFINED_FLAGS) - rotates | {"BSWAP"}


def test_features_are_in_the_guide():
    text = (ROOT / "docs/insn.md").read_text()
    table = text.partition("## CPU features")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)[1:] == [
        member.name for member in Feature
    ]
