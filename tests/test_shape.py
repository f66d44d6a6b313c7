# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The size budgets of the source: short functions, short files, nothing left for later."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
C_SOURCES = sorted(path for path in (ROOT / "csrc").glob("*") if path.suffix in {".c", ".h"})

MAX_FILE_LINES = 450
# Tables with no behaviour of their own, one row a line.
PURE_DATA = set((ROOT / "src/vmmkit/insn/opcodes").glob("*.py"))

MEDIAN_FUNCTION_LINES = 7
P90_FUNCTION_LINES = 30
MAX_FUNCTION_LINES = 60

type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
WRITTEN_BY_HAND = {".py", ".c", ".h", ".md", ".toml", ".S", ".asm", ""}


def function_lengths() -> Iterator[tuple[int, str]]:
    """Yield lines (without the docstring) and place of every function in the source."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, type_of_function):
                lines = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
                yield lines, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def test_functions_are_short():
    lengths = sorted(lines for lines, _ in function_lengths())
    assert statistics.median(lengths) <= MEDIAN_FUNCTION_LINES
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_FUNCTION_LINES


def test_no_function_is_long():
    assert [found for found in function_lengths() if found[0] > MAX_FUNCTION_LINES] == []


def test_no_file_is_long():
    lines = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for path in [*SOURCES, *C_SOURCES]
        if path not in PURE_DATA
    }
    assert {path: count for path, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_nothing_is_left_for_later():
    folders = ("src", "csrc", "tests", "benchmarks", "examples", "docs")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.suffix in WRITTEN_BY_HAND and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def assigned_names(tree: ast.Module) -> set[str]:
    """Return the names that a module's top level assigns."""
    targets = [
        target
        for node in tree.body
        for target in (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
    ]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_every_public_module_says_what_is_public():
    public = [path for path in SOURCES if path.stem == "__init__" or not path.stem.startswith("_")]
    silent = [p for p in public if "__all__" not in assigned_names(ast.parse(p.read_text()))]
    assert silent == []
