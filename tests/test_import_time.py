# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What makes imports fast: that they bring along what they need, and nothing else.

How long they take is measured by `benchmarks/bench_import.py`.
"""

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import vmmkit

ROOT = Path(__file__).parents[1]
BLOCKS = ("memregion", "insn", "pci", "acpi", "gdb")
#: Packages whose public names are loaded when they are asked for.
LAZY = sorted(
    ".".join(path.relative_to(ROOT / "src").parent.parts)
    for path in (ROOT / "src" / "vmmkit").rglob("__init__.py")
    if "import exports" in path.read_text()
)
EXPORTED = [
    (package, name) for package in LAZY for name in importlib.import_module(package).__all__
]
SLOW = {"urllib", "http", "ssl", "email", "asyncio", "xml", "unittest", "ctypes", "pathlib"}


def loaded_by(statement, *options):
    """Return the names of all modules that are there after a statement, in a Python of its own."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    command = [sys.executable, *options, "-c", program]
    return set(subprocess.check_output(command, text=True, timeout=60).split())


def blocks_of(modules):
    """Return which of our blocks and layers are among modules."""
    return {name.split(".")[1] for name in modules if name.startswith("vmmkit.")}


@pytest.mark.parametrize("block", BLOCKS)
def test_no_block_brings_another(block):
    modules = loaded_by(f"from vmmkit.{block} import *")
    assert blocks_of(modules) & {*BLOCKS, "devices", "backends"} == {block}


@pytest.mark.parametrize("package", LAZY)
def test_a_package_alone_brings_none_of_its_modules(package):
    parents = {package.rsplit(".", level)[0] for level in range(package.count(".") + 1)}
    modules = {name for name in loaded_by(f"import {package}") if name.startswith("vmmkit")}
    assert modules <= {"vmmkit", "vmmkit._exports", "vmmkit.errors", *parents}


@pytest.mark.parametrize("package", [*LAZY, "vmmkit.memregion"])
def test_nothing_slow_comes_along(package):
    brought = loaded_by(f"import {package}") - loaded_by("pass")
    assert {name.partition(".")[0] for name in brought} & SLOW == set()


@pytest.mark.native
def test_the_native_engine_runs_without_the_pure_one_and_its_tables():
    program = """
from vmmkit.insn import Cpu, Done, decode
ram = bytearray(b"\\x90" * 4096)
cpu = Cpu([(0, ram)])
cpu.state.enter_real_mode(ip=0)
assert cpu.step() == Done(1, 0)
assert decode(b"\\x90", 64).length == 1
"""
    modules = loaded_by(program)
    assert "vmmkit.insn._native_engine" in modules
    assert modules & {"vmmkit.insn._pure", "vmmkit.insn.optable", "vmmkit.insn._text"} == set()


def test_a_picture_of_a_map_brings_what_it_needs_itself():
    statement = "from vmmkit.memregion import RegionMap; RegionMap(name='m').{}()"
    assert "xml.sax.saxutils" not in loaded_by(statement.format("fallbacks.__len__"))
    assert "xml.sax.saxutils" in loaded_by(statement.format("to_svg"))


# -- the names that are loaded late ---------------------------------------------------------------


@pytest.mark.parametrize(("package", "name"), EXPORTED)
def test_each_name_is_the_one_of_its_module(package, name):
    module = importlib.import_module(package)
    value = getattr(module, name)
    assert getattr(module, name) is value
    assert not isinstance(value, ModuleType)


def names_written(package):
    """Return the names that `__init__` imports for type checkers, and those of its table."""
    path = Path(importlib.import_module(package).__file__)
    tree = ast.parse(path.read_text())
    shown, late = (branch for node in tree.body if isinstance(node, ast.If) for branch in
                   (node.body, node.orelse))  # fmt: skip
    imports = {
        (node.module.removeprefix(f"{package}."), alias.name)
        for node in shown
        for alias in node.names
    }
    table = ast.literal_eval(late[0].value.args[1])
    return imports, {(home, name) for home, names in table.items() for name in names.split()}


@pytest.mark.parametrize("package", LAZY)
def test_table_and_imports_say_the_same(package):
    imports, table = names_written(package)
    assert imports == table
    announced = set(importlib.import_module(package).__all__)
    assert {name for _, name in table} <= announced


@pytest.mark.parametrize("package", LAZY)
def test_names_are_listed_before_they_are_loaded(package):
    program = f"import {package} as it; sys.exit(not set(it.__all__) <= set(dir(it)))"
    loaded_by(program)


@pytest.mark.parametrize("package", LAZY)
def test_a_name_that_is_none_is_an_attribute_error(package):
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from {package} import nothing", {})


@pytest.mark.parametrize(
    ("package", "name"),
    [("vmmkit.gdb", "serve"), ("vmmkit.pci", "dump"), ("vmmkit.acpi.aml", "dump")],
)
def test_a_function_is_not_hidden_by_the_module_it_is_in(package, name):
    """Whoever imports the module first, in whatever order."""
    program = f"""
import {package}.{name}
from types import FunctionType
from {package} import {name}
assert type({name}) is FunctionType, {name}
assert type({package}.{name}) is FunctionType
assert sys.modules["{package}.{name}"].{name} is {name}
"""
    loaded_by(program)


def test_modules_are_found_as_attributes():
    loaded_by("import vmmkit.pci; assert vmmkit.pci.spec.__name__ == 'vmmkit.pci.spec'")


def test_an_error_in_a_module_is_not_swallowed(tmp_path):
    package = tmp_path / "late"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from vmmkit._exports import exports\n"
        "__getattr__, __dir__ = exports(__name__, {'broken': 'Name', 'empty': 'Other'})\n"
    )
    (package / "broken.py").write_text("import no_such_module\n")
    (package / "empty.py").write_text("")
    program = f"""
sys.path.insert(0, {str(tmp_path)!r})
import late
for name, expected in (("Name", ModuleNotFoundError), ("Other", AttributeError)):
    try:
        getattr(late, name)
    except expected as error:
        assert "late" in str(error) or "no_such_module" in str(error), error
    else:
        raise AssertionError(name)
"""
    loaded_by(program)


def test_threads_that_ask_together_get_the_same_object():
    program = """
import threading
import vmmkit.pci
together = threading.Barrier(8, timeout=30)
found = []
def ask(names):
    together.wait()
    found.append({name: getattr(vmmkit.pci, name) for name in names})
names = vmmkit.pci.__all__
threads = [threading.Thread(target=ask, args=(names[shift * 9:] + names[:shift * 9],))
           for shift in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
assert len(found) == 8
assert all(one == found[0] for one in found)
"""
    loaded_by(program)


def test_pickles_name_the_module_of_the_class():
    statement = "import pickle; from vmmkit.insn import Read; print(pickle.dumps(Read(1, 2)).hex())"
    output = subprocess.check_output([sys.executable, "-c", statement], text=True, timeout=60)
    assert pickle.loads(bytes.fromhex(output)) == vmmkit.insn.Read(1, 2)
