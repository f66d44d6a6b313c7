# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What iced-x86 makes of a few bytes, in our terms, and how that differs from ours.

iced-x86 is a decoder written by other people from the same manuals. `differences` compares one
decode field by field; what remains stands in `insn_differences.py`, with names and reasons.
"""

from typing import NamedTuple

import iced_x86 as iced
from insn_differences import SAME_NAME

from vmmkit.insn import RIP_BASE
from vmmkit.insn._engine import engine_named
from vmmkit.insn._record import DECODE_FAILURES, INSN_FIELDS, PREFIX_BITS, REX_BITS
from vmmkit.insn.optable import ATTRIBUTES, KINDS, OPS, ROWS

__all__ = ["Difference", "differences", "engine_decode"]

MNEMONICS = {value: name for name, value in vars(iced.Mnemonic).items() if isinstance(value, int)}
FIELD = {name: number for number, (name, _, _) in enumerate(INSN_FIELDS)}
ACCESS = {
    iced.OpAccess.NONE: 0,
    iced.OpAccess.NO_MEM_ACCESS: 0,
    iced.OpAccess.READ: 1,
    iced.OpAccess.COND_READ: 1,
    iced.OpAccess.WRITE: 2,
    iced.OpAccess.COND_WRITE: 2,
    iced.OpAccess.READ_WRITE: 3,
    iced.OpAccess.READ_COND_WRITE: 3,
}
BRANCHES = {
    iced.OpKind.NEAR_BRANCH16: 2,
    iced.OpKind.NEAR_BRANCH32: 4,
    iced.OpKind.NEAR_BRANCH64: 8,
}
FAR = {iced.OpKind.FAR_BRANCH16: 2, iced.OpKind.FAR_BRANCH32: 4}
IMMEDIATES = {
    iced.OpKind.IMMEDIATE8: 1,
    iced.OpKind.IMMEDIATE8_2ND: 1,
    iced.OpKind.IMMEDIATE16: 2,
    iced.OpKind.IMMEDIATE32: 4,
    iced.OpKind.IMMEDIATE64: 8,
    iced.OpKind.IMMEDIATE8TO16: 2,
    iced.OpKind.IMMEDIATE8TO32: 4,
    iced.OpKind.IMMEDIATE8TO64: 8,
    iced.OpKind.IMMEDIATE32TO64: 8,
}
REGISTER = iced.OpKind.REGISTER
MEMORY = iced.OpKind.MEMORY
NULL_SEGMENTS = {iced.Register.ES, iced.Register.CS, iced.Register.SS, iced.Register.DS}
RIP = {iced.Register.RIP, iced.Register.EIP}
NUMBER = {0: -1}
NUMBER |= {
    value: iced.RegisterExt.number(value)
    for value in vars(iced.Register).values()
    if isinstance(value, int) and value
}
SIZES = [iced.MemorySizeExt.size(size) for size in range(max(
    value for value in vars(iced.MemorySize).values() if isinstance(value, int)) + 1)]
XLATB = iced.Mnemonic.XLATB
SEG = 1 << ATTRIBUTES.index("seg")
WITH_SOURCE = frozenset(number for number, row in enumerate(ROWS) if row.flags & SEG)
ONE = KINDS.index("1")
BY_ONE = frozenset(number for number, row in enumerate(ROWS) if ONE in row.kinds)
FACTORY = iced.InstructionInfoFactory()


class Difference(NamedTuple):
    """One field of one instruction."""

    field: str
    ours: object
    theirs: object


def engine_decode(engine):
    """The decoder of an engine that returns fields or a failure number, and raises nothing."""
    return engine_named(engine).decode


def masked(value, size):
    """The low `size` bytes."""
    return value & ((1 << 8 * size) - 1)


def named_alike(ours, theirs):
    """Whether two mnemonics mean one instruction."""
    return ours == theirs or theirs in SAME_NAME.get(ours, ())


def validity(failure, theirs):
    """Of bytes that are no instruction to us."""
    if theirs.is_invalid or theirs.code == 0:
        return None
    reason = DECODE_FAILURES[failure]
    return Difference("validity", reason, MNEMONICS[theirs.mnemonic])


def memory_differences(ours, theirs):
    """The operand in ModRM or at an absolute offset, and its segment."""
    kinds = [theirs.op_kind(number) for number in range(theirs.op_count)]
    if theirs.mnemonic == XLATB:  # an operand to iced, implicit to us
        kinds = []
    base, index, access, size = (
        ours[FIELD[name]] for name in ("base", "index", "memory_access", "memory_size")
    )
    if MEMORY not in kinds:
        if (base, index, access, size) != (-1, -1, 0, 0):
            yield Difference("memory", (base, index, access, size), None)
        if ours[FIELD["row"]] in WITH_SOURCE:
            yield from segment_difference(ours, theirs, -1)
        return
    width = ours[FIELD["address_size"]]
    their_base = theirs.memory_base
    relative = their_base in RIP
    if base != (RIP_BASE if relative else NUMBER[their_base]):
        yield Difference("base", base, NUMBER[their_base])
    scale = (index, ours[FIELD["scale"]])
    theirs_scale = NUMBER[theirs.memory_index], theirs.memory_index_scale
    if scale != (theirs_scale if theirs_scale[0] >= 0 else (-1, 0)):
        yield Difference("index", scale, theirs_scale)
    displacement = ours[FIELD["displacement"]] + (ours[FIELD["length"]] if relative else 0)
    if masked(displacement, width) != masked(theirs.memory_displacement, width):
        yield Difference("displacement", displacement, theirs.memory_displacement)
    stack = base == 5 or (base == 4 and width > 2)
    yield from segment_difference(ours, theirs, 2 if stack else 3)
    number = kinds.index(MEMORY)
    their_access = ACCESS[FACTORY.info(theirs).op_access(number)]
    if access != their_access:
        yield Difference("access", access, their_access)
    their_size = SIZES[theirs.memory_size]
    if access and size != their_size:
        yield Difference("memory size", size, their_size)


def segment_difference(ours, theirs, default):
    """The segment; iced reports overrides that 64-bit mode ignores, we what is checked."""
    segment = ours[FIELD["segment"]]
    override = theirs.segment_prefix
    if override and not (ours[FIELD["mode"]] == 64 and override in NULL_SEGMENTS):
        expected = NUMBER[override]
    elif ours[FIELD["prefixes"]] & PREFIX_BITS["SEGMENT"]:
        return  # iced reports the last override only, though an FS or GS before it counts
    else:
        expected = default
    if segment != expected:
        yield Difference("segment", segment, expected)


def register_number(ours, kind):
    """Number of the register that an operand kind names, `None` for those without a field."""
    modrm, rex = ours[FIELD["modrm"]], ours[FIELD["rex"]]
    evex = ours[FIELD["prefixes"]] & PREFIX_BITS["EVEX"]
    if kind in "GVCT":
        return modrm >> 3 & 7 | (rex & 4) << 1 | (16 if rex & REX_BITS["R4"] else 0)
    if kind in "SPKtr":
        return modrm >> 3 & 7
    if kind in "WU":
        return modrm & 7 | (rex & 1) << 3 | ((rex & 2) << 3 if evex else 0)
    if kind in "ER":
        return modrm & 7 | (rex & 1) << 3
    if kind in "QNkugs":
        return modrm & 7
    if kind in "HBhv":
        return ours[FIELD["vvvv"]]
    if kind == "L":
        return ours[FIELD["immediate"]] >> 4 & (15 if ours[FIELD["mode"]] == 64 else 7)
    if kind == "Z":
        return ours[FIELD["opcode"]] & 7 | (rex & 1) << 3
    return 0 if kind == "A" else None


def register_differences(ours, theirs):
    """Number of operands, and the registers among them."""
    row = ROWS[ours[FIELD["row"]]]
    kinds = [KINDS[kind] for kind in row.kinds if kind]
    if len(kinds) != theirs.op_count:
        yield Difference("operand count", len(kinds), theirs.op_count)
        return
    for number, kind in enumerate(kinds):
        if theirs.op_kind(number) == REGISTER:
            expected = NUMBER[theirs.op_register(number)]
            found = register_number(ours, kind)
            if found is not None and found != expected:
                yield Difference("register", found, expected)


def immediate_differences(ours, theirs):
    """Immediates, far pointers, and where relative branches go."""
    taken = [ours[FIELD["immediate"]], ours[FIELD["second_immediate"]]]
    if ours[FIELD["row"]] in BY_ONE:
        taken[0] = 1  # the constant in the shift's name
    for number in range(theirs.op_count):
        kind = theirs.op_kind(number)
        if kind in BRANCHES:
            target = masked(taken[0] + ours[FIELD["length"]], BRANCHES[kind])
            if target != theirs.near_branch_target:
                yield Difference("branch", target, theirs.near_branch_target)
        elif kind in FAR:
            theirs_far = (theirs.far_branch_selector, (
                theirs.far_branch16 if FAR[kind] == 2 else theirs.far_branch32))
            ours_far = taken[1], masked(taken[0], FAR[kind])
            if ours_far != theirs_far:
                yield Difference("far pointer", ours_far, theirs_far)
        elif kind in IMMEDIATES:
            size = IMMEDIATES[kind]
            value = taken.pop(0) if taken else 0
            if masked(value, size) != masked(theirs.immediate(number), size):
                yield Difference("immediate", value, theirs.immediate(number))


def differences(code, mode, decode):
    """Every difference between `decode` and iced over the instruction at the start of `code`."""
    theirs = iced.Decoder(mode, code).decode()
    ours = decode(code, mode)
    if isinstance(ours, int):
        found = validity(ours, theirs)
        return [found] if found else []
    if theirs.code == 0:
        return [Difference("validity", OPS[ROWS[ours[FIELD["row"]]].op], "INVALID")]
    found = []
    name = OPS[ROWS[ours[FIELD["row"]]].op]
    if not named_alike(name, MNEMONICS[theirs.mnemonic]):
        found.append(Difference("mnemonic", name, MNEMONICS[theirs.mnemonic]))
    if ours[FIELD["length"]] != theirs.len:
        found.append(Difference("length", ours[FIELD["length"]], theirs.len))
    if theirs.has_lock_prefix != bool(ours[FIELD["prefixes"]] & PREFIX_BITS["LOCK"]):
        found.append(Difference("lock", not theirs.has_lock_prefix, theirs.has_lock_prefix))
    found += register_differences(ours, theirs)
    found += memory_differences(ours, theirs)
    found += immediate_differences(ours, theirs)
    return found
