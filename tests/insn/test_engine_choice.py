# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which engine is live: `VMMKIT_NATIVE` at run time, a missing one, a stale one, and layouts.

The choice is made at import, so each case is a Python of its own.
"""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import vmmkit
from vmmkit.insn import IMPLEMENTATION, available_engines

PACKAGE = Path(vmmkit.__file__).parent
SHOW = "from vmmkit.insn import IMPLEMENTATION, available_engines as names; "
SHOW += "print(IMPLEMENTATION, *names())"


def ask(wanted, program=SHOW, path=PACKAGE.parent):
    """Run a program under a value of VMMKIT_NATIVE; return its standard output and error."""
    environment = {key: value for key, value in os.environ.items() if key != "VMMKIT_NATIVE"}
    environment["PYTHONPATH"] = str(path)
    if wanted is not None:
        environment["VMMKIT_NATIVE"] = wanted
    command = [sys.executable, "-W", "always::ImportWarning", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.stderr


@pytest.fixture
def copied_tree(tmp_path):
    """A copy of the package, to be spoiled."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "vmmkit", ignore=ignored))


def libraries(tree):
    """Every native library in a package tree, whatever the platform calls it."""
    return [path for path in (tree / "insn").iterdir() if path.suffix in {".so", ".pyd"}]


def test_zero_takes_the_pure_engine():
    assert ask("0") == ("pure pure", "")


@pytest.mark.native
@pytest.mark.parametrize("wanted", [None, "", "1"])
def test_unset_and_one_take_the_native_engine(wanted):
    assert ask(wanted) == ("native native pure", "")


def test_this_run_has_what_was_asked_for():
    """A run that asks for an engine and silently tests the other would prove nothing."""
    wanted = os.environ.get("VMMKIT_NATIVE", "")
    expected = {"0": "pure", "1": "native"}.get(wanted, IMPLEMENTATION)
    assert expected == IMPLEMENTATION
    assert available_engines()[0] == IMPLEMENTATION
    assert "pure" in available_engines()


PROGRAM = """
import sys
from vmmkit.insn import Cpu, Done, decode
ram = bytearray(4096)
ram[:5] = bytes.fromhex("b878563412")
cpu = Cpu([(0, ram)])
cpu.state.enter_protected_mode(0)
assert cpu.step() == Done(5, 0) and cpu.state.rax == 0x12345678
assert decode(bytes(ram), 32).length == 5
print(cpu.engine, *(f"vmmkit.insn.{name}" in sys.modules for name in ("_native", "_crossing")))
"""


def test_the_pure_engine_does_not_load_the_library():
    assert ask("0", PROGRAM) == ("pure False False", "")


@pytest.mark.native
def test_the_default_engine_is_the_one_that_runs():
    assert ask("1", PROGRAM) == ("native True True", "")


@pytest.mark.parametrize("wanted", ["0", None])
def test_without_a_library_the_pure_engine_is_taken_silently(copied_tree, wanted):
    for library in libraries(copied_tree):
        library.unlink()
    assert ask(wanted, path=copied_tree.parent) == ("pure pure", "")


def test_without_a_library_one_is_an_error(copied_tree):
    for library in libraries(copied_tree):
        library.unlink()
    out, err = ask("1", path=copied_tree.parent)
    assert out == ""
    assert "EngineError" in err
    assert "cannot be loaded" in err


def make_stale(tree, name):
    """Change what the library was built from."""
    path = tree / "insn" / name
    text = path.read_text()
    old, new = {
        "opcodes/integer.py": ('("F5", "CMC", "", "")', '("F5", "CLC", "", "")'),
        "_record.py": ('("cr2", 1)', '("cr2", 2)'),
    }[name]
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.native
@pytest.mark.parametrize("name", ["opcodes/integer.py", "_record.py"])
def test_a_stale_library_is_refused(copied_tree, name):
    make_stale(copied_tree, name)
    out, err = ask("1", path=copied_tree.parent)
    assert out == ""
    assert "EngineError" in err
    assert "rebuild" in err


@pytest.mark.native
@pytest.mark.parametrize("name", ["opcodes/integer.py", "_record.py"])
def test_a_stale_library_that_was_merely_preferred_is_a_warning(copied_tree, name):
    make_stale(copied_tree, name)
    out, err = ask(None, path=copied_tree.parent)
    assert out == "pure pure"
    assert "ImportWarning" in err
    assert "rebuild" in err
    assert ask("0", path=copied_tree.parent) == ("pure pure", "")


@pytest.mark.native
def test_a_comment_makes_no_library_stale(copied_tree):
    """Other bytes, but the same table: the digest of the table decides."""
    with (copied_tree / "insn" / "opcodes" / "x87.py").open("a") as file:
        file.write("# Nothing to do with a row.\n")
    program = f"{SHOW}; import sys; print('vmmkit.insn.optable' in sys.modules)"
    assert ask("1", program, copied_tree.parent) == ("native native pure\nTrue", "")
    assert ask("1", program) == ("native native pure\nFalse", "")


def test_the_fingerprint_is_of_all_that_the_table_comes_from(import_module, monkeypatch, tmp_path):
    sources = import_module("vmmkit.insn._sources")
    opcodes = {f"opcodes/{path.name}" for path in (PACKAGE / "insn" / "opcodes").glob("*.py")}
    assert set(sources.SOURCES) == {"_record.py", "optable.py", *opcodes}
    assert len(sources.fingerprint()) == 64
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "_sources.py"))
    assert sources.fingerprint() == ""


def replace_crossing(tree, text):
    """Put a Python file, or nothing, where one of the two native modules was."""
    for library in libraries(tree):
        if library.name.startswith("_crossing"):
            library.unlink()
    if text:
        (tree / "insn" / "_crossing.py").write_text(text)


@pytest.mark.native
@pytest.mark.parametrize(
    ("text", "says"), [("", "cannot be loaded"), ("digest = 'another'", "rebuild")]
)
def test_one_native_module_alone_is_no_engine(copied_tree, text, says):
    replace_crossing(copied_tree, text)
    out, err = ask("1", path=copied_tree.parent)
    assert out == ""
    assert "EngineError" in err
    assert says in err
    out, err = ask(None, path=copied_tree.parent)
    assert out == "pure pure"
    assert "ImportWarning" in err
    assert says in err


@pytest.mark.native
def test_layouts_match_the_record(import_module):
    """Both engines work on the same bytes; a padding byte between would be silent corruption."""
    native = import_module("vmmkit.insn._native_engine")
    record = import_module("vmmkit.insn._record")
    ffi = native.ffi
    assert ffi.sizeof("vmmkit_cpu") == 8 * record.CPU_WORDS
    for name, _ in record.CPU_FIELDS:
        assert ffi.offsetof("vmmkit_cpu", name) == 8 * record.WORD[name]
    assert ffi.sizeof("vmmkit_insn") >= struct.calcsize(record.INSN_FORMAT)
    position = 0
    for name, _, code in record.INSN_FIELDS:
        assert ffi.offsetof("vmmkit_insn", name) == position
        position += struct.calcsize("=" + code)


@pytest.mark.native
def test_enumerations_match(import_module):
    """`EXIT_KINDS` and the rest are compiled in by position; the digest covers them."""
    native = import_module("vmmkit.insn._native_engine")
    record, table = import_module("vmmkit.insn._record"), import_module("vmmkit.insn.optable")
    layout = record.layout()
    digest = table.digest(layout)
    assert native.ffi.string(native.lib.vmmkit_digest()).decode() == digest
    for place in range(len(layout)):
        changed = (*layout[:place], (), *layout[place + 1 :])
        assert table.digest(changed) != digest
