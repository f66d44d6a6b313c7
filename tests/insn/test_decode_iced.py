# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The decoder against iced-x86: every opcode in the table, ModRM byte and mode, many prefixes.

iced-x86 is a decoder written by other people from the same manuals. The sweep goes over what our
table knows; where we say UNKNOWN there is nothing to compare. The few places where the two mean the
same and say it differently stand in `NORMALISED` and `ONLY_ICED_NAMES`.
"""

from functools import cache

import pytest

from vmmkit.errors import DecodeError, DecodeReason
from vmmkit.insn import RIP_BASE, Prefixes, decode
from vmmkit.insn.optable import INVALID, KINDS, ROWS, SPLIT, TABLES, UNKNOWN

iced = pytest.importorskip("iced_x86", reason="iced-x86 is in the bench group")

# iced gives the instructions whose purpose is #UD a name; to us they are INVALID like the rest.
ONLY_ICED_NAMES = {
    iced.Mnemonic.UD0,
    iced.Mnemonic.UD1,
    iced.Mnemonic.UD2,
}

# (our mnemonic, iced's) where iced is taken to be wrong.
ICED_IS_WRONG = {
    # F3 with REX.B and 90: 90 is NOP or PAUSE only without REX.B (SDM vol. 2B, XCHG, NOP, PAUSE),
    # and processors do exchange rAX with R8.
    ("XCHG", "PAUSE"),
}

# What is compared after a transformation, and why.
NORMALISED = {
    "scale": "iced says scale 1 where there is no index; we say 0",
    "segment": "iced names DS for a string source without override where we say -1; "
    "in 64-bit mode iced reports null prefixes (ES, CS, SS, DS), we the segment that is checked",
    "displacement": "iced gives RIP-relative operands their target, we the displacement; iced cuts "
    "displacements to the address size, ours keep their sign",
    "memory_size": "iced gives LEA and NOP operands a size; we say 0 for what is not accessed",
    "mnemonic": "iced names conditions, widths and count registers; one of our rows covers them",
}

PREFIXES = {
    16: ["", "66", "67", "6667", "f3", "f2", "f0", "26", "65", "2e", "f066"],
    32: ["", "66", "67", "6667", "f3", "f2", "f0", "36", "64", "3e", "f067"],
    64: [
        *("", "66", "67", "f3", "f2", "f0", "64", "2e", "6465", "653e"),
        *("40", "41", "42", "44", "48", "4f", "66", "6648", "4866", "6741", "f048", "f34f", "404c"),
    ],
}
FEW = {16: ["", "67", "f0"], 32: ["", "6667"], 64: ["", "6741", "4f"]}
LEGACY = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
TAIL = bytes.fromhex("8091a2b3c4d5e6770819")
SIBS = (0x24, 0x25, 0x05, 0xE5, 0x2C, 0x6D, 0xB3, 0xFC, 0x00, 0x98)

NULL_PREFIXES = {iced.Register.ES, iced.Register.CS, iced.Register.SS, iced.Register.DS}

# Base registers that mean SS: rBP, and rSP where it can be one.
STACK_BASES = {2: {5}, 4: {4, 5}, 8: {4, 5}}

ACCESS = {
    iced.OpAccess.NONE: 0,
    iced.OpAccess.NO_MEM_ACCESS: 0,
    iced.OpAccess.READ: 1,
    iced.OpAccess.WRITE: 2,
    iced.OpAccess.READ_WRITE: 3,
}
NAMES = {
    "MOVFROMSEG": {"MOV"},
    "MOVTOSEG": {"MOV"},
    "MOVS": {"MOVSB", "MOVSW", "MOVSD", "MOVSQ"},
    "STOS": {"STOSB", "STOSW", "STOSD", "STOSQ"},
    "JCXZ": {"JCXZ", "JECXZ", "JRCXZ"},
    "JCC": {"JO", "JNO", "JB", "JAE", "JE", "JNE", "JBE", "JA", "JS", "JNS", "JP", "JNP"}
    | {"JL", "JGE", "JLE", "JG"},
}
MNEMONICS = {value: name for name, value in vars(iced.Mnemonic).items() if isinstance(value, int)}


def is_known(opcode):
    """Whether any form of a root cell is in the table."""
    cell = TABLES.cells[opcode]
    return cell != UNKNOWN


def is_relevant_to_modrm(opcode):
    """Whether a ModRM byte follows in any form of the opcode."""
    todo, rows = [TABLES.cells[opcode]], []
    while todo:
        cell = todo.pop()
        if cell & SPLIT:
            selector, base = TABLES.splits[cell & ~SPLIT]
            todo += TABLES.cells[base : base + (2, 2, 4, 8, 2)[selector]]
        elif cell not in {UNKNOWN, INVALID}:
            rows.append(ROWS[cell])
    return any(row.modrm for row in rows)


def encodings(mode, prefixes):
    """Every byte string of the sweep."""
    for root in range(512):
        opcode = bytes([root]) if root < 256 else bytes([0x0F, root & 0xFF])
        if not is_known(root) or (root < 256 and root in LEGACY):
            continue
        if mode == 64 and 0x40 <= root < 0x50:
            continue
        modrms = range(256) if is_relevant_to_modrm(root) else (0x5A,)
        for modrm in modrms:
            sib = bytes([SIBS[(modrm * 7 + root) % len(SIBS)]])
            for prefix in prefixes:
                raw = bytes.fromhex(prefix) + opcode + bytes([modrm])
                takes_sib = modrm & 7 == 4 and modrm < 0xC0
                yield raw + (sib if takes_sib else b"") + TAIL


@cache
def factory():
    return iced.InstructionInfoFactory()


def masked(value, size):
    return value & ((1 << 8 * size) - 1)


def register_number(register):
    return iced.RegisterExt.number(register) if register else -1


def explicit_memory(instruction):
    """Number of the operand that is memory by ModRM or absolute offset."""
    for number in range(instruction.op_count):
        if instruction.op_kind(number) == iced.OpKind.MEMORY:
            return number
    return None


def check_segment(ours, theirs, default):
    """Compare the segment; `default` is ours where no effective override stands."""
    null_prefix = ours.mode == 64 and theirs.segment_prefix in NULL_PREFIXES
    if ours.prefixes & Prefixes.SEGMENT and not null_prefix:
        assert ours.segment == register_number(theirs.memory_segment)
    elif not ours.prefixes & Prefixes.SEGMENT:
        assert ours.segment == default
        assert null_prefix or register_number(theirs.memory_segment) == (
            default if default >= 0 else 3
        )


def check_memory(ours, theirs):
    number = explicit_memory(theirs)
    row = ROWS[ours.row]
    if number is None:
        assert (ours.base, ours.index, ours.memory_access, ours.memory_size) == (-1, -1, 0, 0)
        if any(KINDS[kind] == "X" for kind in row.kinds):
            check_segment(ours, theirs, -1)
        else:
            assert ours.segment == -1
        return
    rip_relative = theirs.memory_base in {iced.Register.RIP, iced.Register.EIP}
    assert ours.base == (RIP_BASE if rip_relative else register_number(theirs.memory_base))
    assert ours.index == register_number(theirs.memory_index)
    if ours.index >= 0:
        assert ours.scale == theirs.memory_index_scale
    else:
        assert ours.scale == 0
    displacement = ours.displacement + (ours.length if rip_relative else 0)
    size = ours.address_size
    assert masked(displacement, size) == masked(theirs.memory_displacement, size)
    check_segment(ours, theirs, 2 if ours.base in STACK_BASES[ours.address_size] else 3)
    access = ACCESS[factory().info(theirs).op_access(number)]
    assert ours.memory_access == access
    if access:
        assert ours.memory_size == iced.MemorySizeExt.size(theirs.memory_size)
    else:
        assert ours.memory_size == 0


def check_immediate(ours, theirs):
    """Immediates, and where relative branches go."""
    for number in range(theirs.op_count):
        kind = theirs.op_kind(number)
        if kind in BRANCHES:
            size = BRANCHES[kind]
            assert masked(ours.immediate + ours.length, size) == theirs.near_branch_target
        elif kind in IMMEDIATES:
            size = IMMEDIATES[kind]
            assert masked(ours.immediate, size) == masked(theirs.immediate(number), size)


BRANCHES = {
    iced.OpKind.NEAR_BRANCH16: 2,
    iced.OpKind.NEAR_BRANCH32: 4,
    iced.OpKind.NEAR_BRANCH64: 8,
}
IMMEDIATES = {
    iced.OpKind.IMMEDIATE8: 1,
    iced.OpKind.IMMEDIATE16: 2,
    iced.OpKind.IMMEDIATE32: 4,
    iced.OpKind.IMMEDIATE64: 8,
    iced.OpKind.IMMEDIATE8TO16: 2,
    iced.OpKind.IMMEDIATE8TO32: 4,
    iced.OpKind.IMMEDIATE8TO64: 8,
    iced.OpKind.IMMEDIATE32TO64: 8,
}


def check(code, mode, engine):
    """Compare one decode; return whether there was something to compare."""
    theirs = iced.Decoder(mode, code).decode()
    try:
        ours = decode(code, mode, engine=engine)
    except DecodeError as error:
        if error.reason is DecodeReason.INVALID:
            assert theirs.code == iced.Code.INVALID or theirs.mnemonic in ONLY_ICED_NAMES
        return error.reason is not DecodeReason.UNKNOWN
    assert theirs.code != iced.Code.INVALID
    assert ours.length == theirs.len
    name = MNEMONICS[theirs.mnemonic]
    if (ours.mnemonic, name) not in ICED_IS_WRONG:
        assert name in NAMES.get(ours.mnemonic, {ours.mnemonic})
    assert theirs.has_lock_prefix == bool(ours.prefixes & Prefixes.LOCK)
    check_memory(ours, theirs)
    check_immediate(ours, theirs)
    return True


def sweep(mode, prefixes, engine):
    compared = 0
    for code in encodings(mode, prefixes):
        try:
            compared += check(code, mode, engine)
        except AssertionError as error:
            raise AssertionError(f"{mode}-bit {code.hex(' ')}: {error}") from error
    return compared


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("mode", [16, 32, 64])
def test_everything_in_the_table(mode):
    assert sweep(mode, PREFIXES[mode], "native") > 100_000


@pytest.mark.parametrize("mode", [16, 32, 64])
def test_a_part_of_it(engine, mode):
    assert sweep(mode, FEW[mode], engine) > 20_000
