# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The decoder against iced-x86: every opcode of every map, and random bytes; both engines.

What may differ has a name in `insn_differences`, and a reason in docs/insn-differences.md.
"""

from itertools import chain, islice
from pathlib import Path

import pytest

pytest.importorskip("iced_x86", reason="iced-x86 is in the bench group")

import iced_x86

from insn.iced_reference import differences, sweep
from insn.insn_differences import EXEMPTIONS, NORMALISED
from insn.row_encodings import INSTRUCTIONS, forms
from insn.sweep_encodings import (
    FEW_PREFIXES,
    PREFIXES,
    SOME_MODRM,
    beside_vectors,
    evex,
    legacy,
    random_codes,
    vex,
)
from vmmkit.insn import Instruction, decode
from vmmkit.insn._engine import engine_named

MODES = pytest.mark.parametrize("mode", [16, 32, 64])
PAGE = Path(__file__).parents[2] / "docs" / "insn-differences.md"


def decoder(engine):
    """The function that returns an instruction or a failure number, and raises nothing."""
    return engine_named(engine).Decoder(Instruction).decode


@MODES
def test_a_part_of_the_legacy_maps(engine, mode):
    codes = legacy(mode, FEW_PREFIXES[mode], SOME_MODRM[::2])
    assert sweep(codes, mode, decoder(engine)).valid > 10_000


@MODES
def test_a_part_of_the_vector_maps(engine, mode):
    some = range(mode // 16, 256, 29)
    codes = chain(vex(SOME_MODRM[::4], some), evex(mode, 1, opcodes=some))
    assert sweep(islice(codes, 0, None, 7), mode, decoder(engine)).valid > 300


@MODES
def test_random_bytes(engine, mode):
    assert sweep(random_codes(mode, 10_000), mode, decoder(engine)).valid > 5_000


def test_every_row_with_memory_and_with_registers(engine):
    rows = set()
    for form in forms():
        assert sweep([form.code], form.mode, decoder(engine)).valid == 1
        rows.add(form.row)
    assert rows == INSTRUCTIONS


@pytest.mark.slow
@pytest.mark.native
@MODES
def test_all_of_the_legacy_maps(mode):
    found = sweep(legacy(mode, PREFIXES[mode]), mode, decoder("native"))
    assert found.compared > 3_000_000


@pytest.mark.slow
@pytest.mark.native
@MODES
def test_all_of_the_vex_maps(mode):
    assert sweep(vex(), mode, decoder("native")).compared > 2_000_000


@pytest.mark.slow
@pytest.mark.native
@MODES
def test_all_of_the_evex_maps(mode):
    assert sweep(evex(mode, mode), mode, decoder("native")).compared > 2_000_000


@pytest.mark.slow
@pytest.mark.native
@MODES
def test_prefixes_before_vex_and_evex(mode):
    codes = beside_vectors(PREFIXES[mode][:-1:2])
    assert sweep(codes, mode, decoder("native")).compared > 200_000


@pytest.mark.slow
@pytest.mark.native
@MODES
def test_many_random_bytes(mode):
    assert sweep(random_codes(mode + 1, 300_000), mode, decoder("native")).valid > 150_000


@pytest.mark.slow
@MODES
def test_engines_agree_over_the_sweeps(two_engines, mode):
    pure, native = map(decoder, two_engines)
    sweeps = (legacy(mode, PREFIXES[mode]), vex(), evex(mode, 2), beside_vectors(("", "66", "67")))
    codes = chain(islice(chain(*sweeps), 0, None, 23), random_codes(mode, 50_000))
    for code in codes:
        assert pure(code, mode) == native(code, mode), f"{mode}-bit {code.hex(' ')}"


CHANGES = [
    ("488b4c1810", "base", {"base": 1}),
    ("488b4c1810", "index", {"index": 5}),
    ("488b4c1810", "index", {"scale": 2}),
    ("488b4c1810", "displacement", {"displacement": 17}),
    ("488b4c1810", "segment", {"segment": 4}),
    ("488b4c1810", "access", {"memory_access": 3}),
    ("488b4c1810", "memory size", {"memory_size": 4}),
    ("488b4c1810", "length", {"length": 6}),
    ("488b4c1810", "lock", {"prefixes": 1}),
    ("488b4c1810", "register", {"rex": 0x4C}),
    ("488b4c1810", "register size", {"operand_size": 4}),
    ("488b4c1810", "address size", {"address_size": 4}),
    ("4883c010", "immediate", {"immediate": 17}),
    ("eb10", "branch", {"immediate": 17}),
    ("c8341205", "immediate", {"second_immediate": 6}),
    ("62f17c4858c2", "register", {"vvvv": 1}),
    ("62f17c4858c2", "register size", {"vector_length": 32}),
    ("90", "mnemonic", {"row": 2}),
]


@pytest.mark.parametrize(("code", "field", "change"), CHANGES)
def test_the_comparison_sees_every_field(code, field, change):
    raw = bytes.fromhex(code)
    ours, theirs = decode(raw, 64), iced_x86.Decoder(64, raw).decode()
    assert differences(ours, theirs) == []
    assert field in {found.field for found in differences(ours._replace(**change), theirs)}


def test_the_comparison_sees_validity():
    valid, invalid = (iced_x86.Decoder(64, code).decode() for code in (b"\x90", b"\x06"))
    assert [found.field for found in differences(2, valid)] == ["validity"]
    assert differences(2, invalid) == []
    assert [found.field for found in differences(decode(b"\x90", 64), invalid)] == ["validity"]


def test_every_difference_is_documented():
    text = PAGE.read_text()
    for name in (*NORMALISED, *(entry.name for entry in EXEMPTIONS)):
        assert f"| {name} |" in text, name
    named = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    documented = set(named) - {"what", "legacy and vector maps"}
    assert {entry.name for entry in EXEMPTIONS} <= documented


def test_no_exemption_is_idle(engine):
    """Every exemption is needed for something."""
    codes = [
        "d50003c0", "0f0fc09e", "0f0e", "8fe97893c0", "c4e37948c09000", "0fa7c0", "f34f90",
        "0fae39", "d7",
    ]  # fmt: skip
    found = sweep((bytes.fromhex(code) + bytes(15) for code in codes), 64, decoder(engine))
    assert set(found.explained) == {entry.name for entry in EXEMPTIONS}
