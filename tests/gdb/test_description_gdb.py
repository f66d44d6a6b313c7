# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""GDB itself reads every target description, and means the same registers by it."""

import re
import subprocess
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

from system_tools import require
from vmmkit.gdb.description import MODES, describe
from vmmkit.gdb.registers import CORE, FEATURES, REGISTERS

NAMES = [register.name for register in REGISTERS]
OPTIONAL = [feature for feature in FEATURES if feature != CORE]
SUBSETS = [set(some) for n in range(len(OPTIONAL) + 1) for some in combinations(OPTIONAL, n)]
ROW = re.compile(r"^ (\S+) +(\d+) +\d+ +\d+ +(\d+) +(\S+) +(\d+) +(\d+) *$", re.MULTILINE)
OWN_NAMES = {  # of types that GDB shows otherwise
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "uint128": "uint128_t",
    "i387_ext": "_i387_ext",
    "data_ptr": "*1",
    "code_ptr": "*1",
}
ARCHITECTURE = {16: "i8086", 32: "i386", 64: "i386:x86-64"}


def run_gdb(*commands):
    run = subprocess.run(
        [require("gdb"), "-nx", "-batch", *(word for each in commands for word in ("-ex", each))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, run.stderr


def expected(description):
    """What `maint print remote-registers` shows: name, size, type, number, offset."""
    for r in description.registers:
        kind = OWN_NAMES.get(r.xml_type, r.xml_type)
        yield r.name, r.size, kind, r.number, r.offset


def shown(text):
    for name, _, size, kind, number, offset in ROW.findall(text):
        # A 32-bit "int" is a "long" to GDB where the OS ABI is none.
        yield name, int(size), "int" if kind == "long" else kind, int(number), int(offset)


def by_number(rows):
    return sorted(rows, key=lambda row: row[3])


def distinct(mode):
    """The descriptions of a mode that subsets of the features make."""
    found = {}
    for features in SUBSETS:
        names = [r.name for r in REGISTERS if r.feature in features]
        description = describe(mode, "gdb", names)
        found[description.xml] = description
    return list(found.values())


@pytest.mark.parametrize("mode", MODES)
def test_gdb_sees_the_same_registers_with_any_features(mode, tmp_path):
    descriptions = distinct(mode)
    commands = []
    for number, description in enumerate(descriptions):
        path = tmp_path / f"{number}.xml"
        path.write_bytes(description.xml)
        commands += [
            f"set tdesc filename {path}",
            "echo ====\\n",
            "show architecture",
            "maint print remote-registers",
        ]
    output, errors = run_gdb(*commands)
    parts = output.split("====\n")[1:]
    assert errors == ""
    assert len(parts) == len(descriptions)
    for part, description in zip(parts, descriptions, strict=True):
        assert f'(currently "{ARCHITECTURE[mode]}")' in part
        assert by_number(shown(part)) == list(expected(description))


def test_gdb_sees_the_same_registers_in_qemu_layout(tmp_path):
    description = describe(64, "qemu", ())
    path = tmp_path / "target.xml"
    path.write_bytes(description.xml)
    output, errors = run_gdb(f"set tdesc filename {path}", "maint print remote-registers")
    assert errors == ""
    assert by_number(shown(output)) == list(expected(description))


@pytest.mark.parametrize("mode", [32, 64])
def test_a_file_for_linux_changes_nothing(mode, tmp_path):
    description = describe(mode, "gdb", NAMES)
    path = tmp_path / "target.xml"
    path.write_bytes(description.xml)
    output, errors = run_gdb(
        "set osabi GNU/Linux", f"set tdesc filename {path}", "maint print remote-registers"
    )
    assert errors == ""
    assert by_number(shown(output)) == list(expected(description))


@pytest.mark.parametrize("mode", MODES)
def test_gdb_repeats_the_description(mode, tmp_path):
    description = describe(mode, "gdb", NAMES)
    path = tmp_path / "target.xml"
    path.write_bytes(description.xml)
    output, _ = run_gdb(f"set tdesc filename {path}", "maint print xml-tdesc")
    root, repeated = ET.fromstring(description.xml), ET.fromstring(output)
    assert [f.get("name") for f in root.iter("feature")] == [
        f.get("name") for f in repeated.iter("feature")
    ]
    for tag in ("flags", "union", "vector", "field", "reg"):
        ours = [element.attrib for element in root.iter(tag)]
        theirs = [element.attrib for element in repeated.iter(tag)]
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.items() <= other.items()
