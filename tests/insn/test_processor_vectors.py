# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The golden vectors: what a processor did, on machines where it cannot be asked."""

import pytest

from insn.vectors import lines
from oracle.compare import describe, differences
from oracle.forms import COMPARABLE, LDT
from oracle.golden import FILE, LACKING, read, setting_lines, settings, write
from oracle.mirror import Mirror
from vmmkit.errors import DecodeError
from vmmkit.insn import decode


@pytest.fixture(scope="module")
def recorded():
    found = lines(FILE)
    named = settings(found)
    return named, [read(line, named) for line in found if not line.startswith("setting ")]


def mnemonic(case):
    """Name of the instruction, empty for what is none."""
    try:
        return decode(case.code, case.mode).mnemonic
    except DecodeError:
        return ""


def test_engines_do_what_the_processor_did(engine, recorded):
    mirror = Mirror(engine, LDT, LACKING)
    for case, expected in recorded[1]:
        found = differences(case, mnemonic(case), expected, mirror.run(case))
        assert not found, f"{describe(case)}: {found}"
    assert not mirror.system_tables_changed()


def test_every_executable_form_is_there(recorded):
    """A form without a line means that `record_golden.py` was not run after adding it."""
    seen = set()
    for case, _ in recorded[1]:
        try:
            seen.add(decode(case.code, case.mode).row)
        except DecodeError:
            continue
    assert [form.text for form in COMPARABLE if form.row not in seen] == []


def test_there_are_faults_of_every_kind(recorded):
    kinds = {result.vector for _, result in recorded[1]}
    assert kinds >= {None, 0, 6, 12, 13, 14}


def test_lines_read_as_they_are_written(recorded):
    named, cases = recorded
    text = lines(FILE)
    assert setting_lines(named) == [line for line in text if line.startswith("setting ")]
    wanted = [line for line in text if not line.startswith("setting ")]
    settings_used = [line.split()[8] for line in wanted]
    again = [
        write(name, named[name], case, result)
        for name, (case, result) in zip(settings_used, cases, strict=True)
    ]
    assert again == wanted
