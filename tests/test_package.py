# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The package as a whole: its version, its modules, what may import what, which engine."""

import ast
import importlib.metadata
import importlib.resources
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import vmmkit
from vmmkit.insn import IMPLEMENTATION

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "vmmkit"
MODULES = sorted(m.name for m in pkgutil.walk_packages(vmmkit.__path__, "vmmkit."))
# The build loads these with nothing installed, to write the C tables from them.
BUILD_TIME = (
    PACKAGE / "insn" / "optable.py",
    PACKAGE / "insn" / "_record.py",
    PACKAGE / "insn" / "_sources.py",
    *sorted((PACKAGE / "insn" / "opcodes").glob("*.py")),
)
# Private modules beside the blocks belong to one block each.
FAMILIES = {"vmmkit._region": ("vmmkit.memregion", "vmmkit._region")}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "examples").rglob("*.py")])


def imported_names(path: Path) -> set[str]:
    """Return the dotted names of every absolute import in a file, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            names.update(f"{prefix}.{alias.name}" for alias in node.names)
    return names


def test_version_has_one_source():
    assert importlib.metadata.version("vmmkit") == vmmkit.__version__


def test_changelog_has_this_version():
    assert f"## [{vmmkit.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_types_are_announced():
    assert importlib.resources.files("vmmkit").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_module_has_what_it_announces(name, import_module):
    module = import_module(name)
    announced = getattr(module, "__all__", [])
    assert [one for one in announced if not hasattr(module, one)] == []
    assert len(announced) == len(set(announced))


@pytest.mark.parametrize("block", ["vmmkit", "vmmkit.errors", "vmmkit.protocols"])
def test_import_brings_no_block_along(block):
    code = f"import sys, {block}; print(*[m for m in sys.modules if m.startswith('vmmkit.')])"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert set(loaded.split()) <= {block}


@pytest.mark.parametrize("path", BUILD_TIME, ids=lambda path: path.name)
def test_build_time_module_needs_the_standard_library_only(path):
    names = {name for name in imported_names(path) if not name.startswith("vmmkit.insn.opcodes")}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def is_own(importer: str, name: str) -> bool:
    """Tell whether a module may import a name: public, or private in its own package or family."""
    for family, members in FAMILIES.items():
        if name.startswith(family):
            return importer.startswith(members)
    package, underscore, _ = name.replace("__version__", "version").partition("._")
    return not underscore or f"{importer}.".startswith(f"{package}.")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_names_stay_in_their_block(path):
    importer = ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("src.")
    names = {name for name in imported_names(path) if name.startswith("vmmkit.")}
    assert {name for name in names if not is_own(importer, name)} == set()


def test_the_engine_is_the_one_asked_for():
    wanted = {"0": {"pure"}, "1": {"native"}}
    asked = os.environ.get("VMMKIT_NATIVE", "")
    assert IMPLEMENTATION in wanted.get(asked, {"native", "pure"})
