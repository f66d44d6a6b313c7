# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What iced-x86 makes of a few bytes, in our terms, and how that differs from ours.

iced-x86 is a decoder written by other people from the same manuals; it runs with its default
options. `differences` compares one decode field by field, `sweep` many; what may differ has a
name in `insn_differences`.
"""

from collections import Counter
from typing import NamedTuple

import iced_x86 as iced

from insn.insn_differences import EXEMPTIONS, SAME_NAME
from vmmkit.insn import RIP_BASE
from vmmkit.insn._record import DECODE_FAILURES, INSN_FIELDS, PREFIX_BITS, REX_BITS
from vmmkit.insn.optable import ATTRIBUTES, KINDS, OPS, ROWS, TYPE_NAMES, TYPE_SIZES, VECTOR_SIZES

__all__ = ["FIELD", "Difference", "Found", "differences", "sweep"]


def numbers_of(enumeration):
    """The members of one of iced's enumerations."""
    return {
        value: name
        for name, value in vars(enumeration).items()
        if isinstance(value, int) and not name.startswith("_")
    }


MNEMONICS = numbers_of(iced.Mnemonic)
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
REGISTER, MEMORY = iced.OpKind.REGISTER, iced.OpKind.MEMORY
NULL_SEGMENTS = {iced.Register.ES, iced.Register.CS, iced.Register.SS, iced.Register.DS}
RIP = {iced.Register.RIP, iced.Register.EIP}
# iced numbers the byte registers AL to BH first, then SPL to DIL and R8L to R15L.
NUMBER = {0: -1} | {
    value: iced.RegisterExt.number(value) - (4 if iced.RegisterExt.size(value) == 1 else 0)
    if name in {"SPL", "BPL", "SIL", "DIL"} or (name.startswith("R") and name.endswith("L"))
    else iced.RegisterExt.number(value)
    for value, name in numbers_of(iced.Register).items()
    if value
}
REGISTER_SIZES = {value: iced.RegisterExt.size(value) for value in numbers_of(iced.Register)}
SIZES = [iced.MemorySizeExt.size(size) for size in sorted(numbers_of(iced.MemorySize))]
OLD_ENCODINGS = {iced.EncodingKind.XOP: "XOP", iced.EncodingKind.D3NOW: "3DNow!"}
XLATB = iced.Mnemonic.XLATB
SEG = 1 << ATTRIBUTES.index("seg")
TAKES_SEGMENT = frozenset(number for number, row in enumerate(ROWS) if row.flags & SEG)
BY_ONE = frozenset(number for number, row in enumerate(ROWS) if KINDS.index("1") in row.kinds)
FACTORY = iced.InstructionInfoFactory()
EXPLAINED = {
    (field, mnemonic): entry.name
    for entry in EXEMPTIONS
    for field in entry.fields
    for mnemonic in entry.mnemonics
}


class Difference(NamedTuple):
    """One field of one instruction; `mnemonic` is iced's name for it."""

    field: str
    ours: object
    theirs: object
    mnemonic: str


class Found(NamedTuple):
    """What a sweep found."""

    compared: int
    valid: int
    explained: Counter


def masked(value, size):
    """The low `size` bytes."""
    return value & ((1 << 8 * size) - 1)


def name_of(theirs):
    """iced's mnemonic, or the extension that the encoding belongs to."""
    return OLD_ENCODINGS.get(theirs.encoding, MNEMONICS[theirs.mnemonic])


def memory_fields(ours, theirs, kinds):
    """The operand in ModRM or at an absolute offset, and its segment: (field, ours, theirs)."""
    row = ours[FIELD["row"]]
    base, index, access, size = (
        ours[FIELD[name]] for name in ("base", "index", "memory_access", "memory_size")
    )
    if MEMORY not in kinds or theirs.mnemonic == XLATB:
        yield "memory", (base, index, access, size), (-1, -1, 0, 0)
        yield from segment_fields(ours, theirs, -1, row in TAKES_SEGMENT)
        return
    width = ours[FIELD["address_size"]]
    relative = theirs.memory_base in RIP
    yield "base", base, RIP_BASE if relative else NUMBER[theirs.memory_base]
    if theirs.memory_base:
        yield "address size", width, REGISTER_SIZES[theirs.memory_base]
    their_index = NUMBER[theirs.memory_index]
    their_scale = theirs.memory_index_scale if their_index >= 0 else 0
    yield "index", (index, ours[FIELD["scale"]]), (their_index, their_scale)
    displacement = ours[FIELD["displacement"]] + (ours[FIELD["length"]] if relative else 0)
    their_displacement = masked(theirs.memory_displacement, width)
    yield "displacement", masked(displacement, width), their_displacement
    stack = base == 5 or (base == 4 and width > 2)
    yield from segment_fields(ours, theirs, 2 if stack else 3, overridable=True)
    info = FACTORY.info(theirs)
    yield "access", access, ACCESS[info.op_access(kinds.index(MEMORY))]
    yield "memory size", size, SIZES[theirs.memory_size] if access else 0


def segment_fields(ours, theirs, default, overridable):
    """The segment; iced reports prefixes that 64-bit mode ignores, we what is checked."""
    segment = ours[FIELD["segment"]]
    override = theirs.segment_prefix
    null = ours[FIELD["mode"]] == 64 and override in NULL_SEGMENTS
    if null and ours[FIELD["prefixes"]] & PREFIX_BITS["SEGMENT"]:
        return  # iced reports the last prefix only, though an FS or GS before it counts
    yield "segment", segment, NUMBER[override] if override and overridable and not null else default


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


def register_size(ours, kind, number):
    """Bytes of the register that an operand of type `number` names, where the type decides."""
    name = TYPE_NAMES[number]
    if kind in "EGRZAB" and name in "vzy":
        return TYPE_SIZES[ours[FIELD["operand_size"]]][number]
    if kind not in "VWUH":
        return None
    length = {32: 1, 64: 2}.get(ours[FIELD["vector_length"]], 0)
    return max(16, TYPE_SIZES[0][number], VECTOR_SIZES[length][number])


def register_fields(ours, theirs, kinds):
    """Number of operands, and the registers among them."""
    row = ROWS[ours[FIELD["row"]]]
    ours_kinds = [KINDS[kind] for kind in row.kinds if kind]
    yield "operand count", len(ours_kinds), len(kinds)
    if len(ours_kinds) == len(kinds):
        for number, (kind, their_kind) in enumerate(zip(ours_kinds, kinds, strict=True)):
            if their_kind != REGISTER:
                continue
            register = theirs.op_register(number)
            found, size = register_number(ours, kind), register_size(ours, kind, row.types[number])
            if found is not None:
                yield "register", found, NUMBER[register]
            if size is not None:
                yield "register size", size, REGISTER_SIZES[register]


def immediate_fields(ours, theirs, kinds):
    """Immediates, far pointers, and where relative branches go."""
    taken = [ours[FIELD["immediate"]], ours[FIELD["second_immediate"]]]
    if ours[FIELD["row"]] in BY_ONE:
        taken[0] = 1  # the constant in the instruction's name
    for number, kind in enumerate(kinds):
        if kind in BRANCHES:
            target = masked(taken[0] + ours[FIELD["length"]], BRANCHES[kind])
            yield "branch", target, theirs.near_branch_target
        elif kind in FAR:
            offset = theirs.far_branch16 if FAR[kind] == 2 else theirs.far_branch32
            pointer = taken[1], masked(taken[0], FAR[kind])
            yield "far pointer", pointer, (theirs.far_branch_selector, offset)
        elif kind in IMMEDIATES:
            size = IMMEDIATES[kind]
            their_value = masked(theirs.immediate(number), size)
            yield "immediate", masked(taken.pop(0), size), their_value


def mnemonic_field(ours, theirs):
    """Names, where one of theirs may stand for ours."""
    name, their_name = OPS[ROWS[ours[FIELD["row"]]].op], MNEMONICS[theirs.mnemonic]
    yield "mnemonic", name, name if their_name in SAME_NAME.get(name, ()) else their_name


def differences(ours, theirs):
    """Every difference between a decode of ours and one of iced's."""
    name = name_of(theirs)
    if isinstance(ours, int):
        return [] if theirs.code == 0 else [Difference("validity", DECODE_FAILURES[ours], "", name)]
    if theirs.code == 0:
        rex2 = ours[FIELD["prefixes"]] & PREFIX_BITS["REX2"]
        name = "REX2" if rex2 else OPS[ROWS[ours[FIELD["row"]]].op]
        return [Difference("validity", "valid", "INVALID", name)]
    kinds = [theirs.op_kind(number) for number in range(theirs.op_count)]
    lock = bool(ours[FIELD["prefixes"]] & PREFIX_BITS["LOCK"])
    fields = [("length", ours[FIELD["length"]], theirs.len), ("lock", lock, theirs.has_lock_prefix)]
    for part in (register_fields, memory_fields, immediate_fields):
        fields += part(ours, theirs, kinds)
    fields += mnemonic_field(ours, theirs)
    return [Difference(field, a, b, name) for field, a, b in fields if a != b]


def sweep(codes, mode, decode):
    """Compare every byte string; raise `AssertionError` at a difference that has no name."""
    explained, compared, valid = Counter(), 0, 0
    for code in codes:
        ours, theirs = decode(code, mode), iced.Decoder(mode, code).decode()
        compared += 1
        valid += not isinstance(ours, int)
        for found in differences(ours, theirs):
            name = EXPLAINED.get((found.field, found.mnemonic))
            assert name, f"{mode}-bit {code.hex(' ')}: {found}"
            explained[name] += 1
    return Found(compared, valid, explained)
