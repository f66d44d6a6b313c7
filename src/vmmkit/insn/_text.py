# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions as text: Intel syntax, good enough for a line of a trace.

Operands come from the row's operand letters, so that every form in the table has a text. Branch
targets are written relative to the instruction (`$+0x12`), since an instruction does not know where
it lies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vmmkit.insn._record import MASK_BITS, PREFIX_BITS, REX_BITS, RIP_BASE
from vmmkit.insn.optable import (
    ATTRIBUTES,
    KINDS,
    OPS,
    ROWS,
    TYPE_NAMES,
    TYPE_SIZES,
    VECTOR_SIZES,
    VECTOR_TYPES,
    Row,
)

if TYPE_CHECKING:
    from vmmkit.insn._instruction import Instruction

__all__ = ["text_of"]

CLASSIC: Final = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
LOW_BYTES: Final = ("al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil")
HIGH_BYTES: Final = (*LOW_BYTES[:4], "ah", "ch", "dh", "bh")
SUFFIXES: Final = {1: "b", 2: "w", 4: "d", 8: ""}
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")
CONDITIONS: Final = (
    *("o", "no", "b", "ae", "e", "ne", "be", "a"),
    *("s", "ns", "p", "np", "l", "ge", "le", "g"),
)
POINTERS: Final = {
    1: "byte", 2: "word", 4: "dword", 6: "fword", 8: "qword", 10: "tbyte", 16: "xmmword",
    32: "ymmword", 64: "zmmword",
}  # fmt: skip
STRING_SUFFIXES: Final = {1: "b", 2: "w", 4: "d", 8: "q"}
STRINGS: Final = frozenset({"MOVS", "STOS", "LODS", "CMPS", "SCAS", "INS", "OUTS"})

# One-byte opcodes whose immediate of a byte, or of 4 bytes where the operand has 8, is extended.
SIGN_EXTENDED: Final = frozenset(
    {0x68, 0x69, 0x6A, 0x6B, 0x81, 0x83, 0xA9, 0xC7, 0xF7, *range(0x05, 0x40, 8)}
)
ROUNDS: Final = 1 << ATTRIBUTES.index("er")
ROUNDINGS: Final = ("{rn-sae}", "{rd-sae}", "{ru-sae}", "{rz-sae}")
VECTOR_KINDS: Final = frozenset(KINDS.index(kind) for kind in "VP")

# Mnemonics that have several names, by operand size (the row's own where none is given) or address
# size.
BY_OPERAND_SIZE: Final = {
    "CBW": {2: "cbw", 4: "cwde", 8: "cdqe"},
    "CWD": {2: "cwd", 4: "cdq", 8: "cqo"},
    "PUSHA": {2: "pusha", 4: "pushad"},
    "POPA": {2: "popa", 4: "popad"},
    "PUSHF": {2: "pushf", 4: "pushfd", 8: "pushfq"},
    "POPF": {2: "popf", 4: "popfd", 8: "popfq"},
    "IRET": {2: "iret", 4: "iretd", 8: "iretq"},
    "CMPXCHG8B": {8: "cmpxchg16b"},
    "MOVD": {8: "movq"},
    "PINSRD": {8: "pinsrq"},
    "PEXTRD": {8: "pextrq"},
    "SYSRET": {8: "sysretq"},
    "SYSEXIT": {8: "sysexitq"},
    **{
        name: {2: f"{name.lower()}d", 4: f"{name.lower()}d", 8: f"{name.lower()}q"}
        for name in ("RDSSP", "INCSSP", "WRSS", "WRUSS")
    },
    **{
        name: {8: f"{name.lower()}64"}
        for name in ("FXSAVE", "FXRSTOR", "XSAVE", "XSAVEC", "XSAVEOPT", "XSAVES", "XRSTOR")
    },
    "XRSTORS": {8: "xrstors64"},
}
BY_ADDRESS_SIZE: Final = {"JCXZ": {2: "jcxz", 4: "jecxz", 8: "jrcxz"}}
RENAMED: Final = {
    **dict.fromkeys(("MOVFROMSEG", "MOVTOSEG", "MOVFROMCR", "MOVTOCR"), "mov"),
    **dict.fromkeys(("MOVFROMDR", "MOVTODR"), "mov"),
    "CALLF": "call far",
    "JMPF": "jmp far",
}


def _general(insn: Instruction, number: int, size: int) -> str:
    """Name of a general register."""
    if size == 1 and number < 8:
        wide = insn.prefixes & (PREFIX_BITS["REX"] | PREFIX_BITS["REX2"])
        return (LOW_BYTES if wide else HIGH_BYTES)[number]
    if number >= 8:
        return f"r{number}{SUFFIXES.get(size, '')}"
    return {2: "", 4: "e"}.get(size, "r") + CLASSIC[number]


def _reg(insn: Instruction) -> int:
    high = 16 if insn.rex & REX_BITS["R4"] else 0
    return insn.modrm >> 3 & 7 | (insn.rex & 4) << 1 | high


def _rm(insn: Instruction) -> int:
    number = insn.modrm & 7 | (insn.rex & 1) << 3
    if insn.prefixes & PREFIX_BITS["EVEX"]:
        return number
    return number | (16 if insn.rex & REX_BITS["B4"] else 0)


def _vector_reg(insn: Instruction) -> int:
    """Bit 4 of REX2 is for general registers only."""
    return _reg(insn) & (15 if insn.prefixes & PREFIX_BITS["REX2"] else 31)


def _vector_rm(insn: Instruction) -> int:
    high = (insn.rex & 2) << 3 if insn.prefixes & PREFIX_BITS["EVEX"] else 0
    return _rm(insn) & 15 | high


def _size(insn: Instruction, row: Row, place: int) -> int:
    """Bytes of an operand; a general register without a type is as wide as an address."""
    number = row.types[place]
    if not number and KINDS[row.kinds[place]] in "GR":
        return insn.address_size
    length = {32: 1, 64: 2}.get(insn.vector_length, 0)
    return TYPE_SIZES[insn.operand_size][number] or VECTOR_SIZES[length][number]


def _vector(insn: Instruction, row: Row, place: int, number: int) -> str:
    """A vector register: as wide as its type, and at least an xmm."""
    name = TYPE_NAMES[row.types[place]]
    size = _size(insn, row, place)
    if name in VECTOR_TYPES and VECTOR_TYPES[name][0] == 16:
        size = insn.vector_length or 16
    return f"{'zmm' if size == 64 else 'ymm' if size == 32 else 'xmm'}{number}"


def _index_width(insn: Instruction) -> str:
    """An index register is half as long as the vector where an index is half an element."""
    row = ROWS[insn.row]
    element = _size(insn, row, row.memory)
    length = insn.vector_length // 2 if row.index_size < element else insn.vector_length
    return {32: "ymm", 64: "zmm"}.get(length, "xmm")


def _address(insn: Instruction) -> str:
    """What stands between the brackets."""
    vector = bool(KINDS.index("m") in ROWS[insn.row].kinds)
    parts = []
    if insn.base == RIP_BASE:
        parts.append("rip" if insn.address_size == 8 else "eip")
    elif insn.base >= 0:
        parts.append(_general(insn, insn.base, insn.address_size))
    if insn.index >= 0:
        general = _general(insn, insn.index, insn.address_size)
        name = f"{_index_width(insn)}{insn.index}" if vector else general
        parts.append(f"{name}*{insn.scale}" if insn.scale > 1 else name)
    text = "+".join(parts)
    if not parts:
        return f"{insn.displacement & (1 << 8 * insn.address_size) - 1:#x}"
    return f"{text}{insn.displacement:+#x}" if insn.displacement else text


def _memory(insn: Instruction, size: int) -> str:
    segment = ""
    default = 2 if insn.base in {4, 5} else 3
    if insn.segment not in {-1, default} or insn.prefixes & PREFIX_BITS["SEGMENT"]:
        segment = f"{SEGMENTS[insn.segment]}:" if insn.segment >= 0 else ""
    pointer = POINTERS.get(size)
    text = f"{pointer} ptr " if pointer else ""
    return f"{text}{segment}[{_address(insn)}]"


def _rm_operand(insn: Instruction, row: Row, place: int, register: str) -> str:
    """A register, or memory when ModRM says so."""
    if insn.modrm >= 0xC0:
        return register
    size = _size(insn, row, place)
    if insn.mask & MASK_BITS["B"]:
        count = size // row.broadcast
        return f"{_memory(insn, row.broadcast)}{{1to{count}}}"
    return _memory(insn, size)


def _immediate(insn: Instruction, row: Row, place: int) -> str:
    """An immediate of its own size, or of the operand size where it is sign-extended to that."""
    size = _size(insn, row, place)
    if insn.opcode_map == 0 and insn.opcode in SIGN_EXTENDED:
        size = insn.operand_size
    first = all(KINDS[kind] not in "IJLp" for kind in row.kinds[:place])
    value = insn.immediate if first else insn.second_immediate
    extended = size == insn.operand_size and -10 < value < 0
    return str(value) if extended or 0 <= value < 10 else f"{value & (1 << 8 * size) - 1:#x}"


def _branch(insn: Instruction, _row: Row, _place: int) -> str:
    return f"$+{insn.immediate + insn.length:#x}".replace("+-", "-")


def _string_source(insn: Instruction, row: Row, place: int) -> str:
    segment = SEGMENTS[insn.segment] if insn.segment >= 0 else "ds"
    size = POINTERS[_size(insn, row, place)]
    return f"{size} ptr {segment}:[{_general(insn, 6, insn.address_size)}]"


def _string_destination(insn: Instruction, row: Row, place: int) -> str:
    size = POINTERS[_size(insn, row, place)]
    return f"{size} ptr es:[{_general(insn, 7, insn.address_size)}]"


def _far_pointer(insn: Instruction, _row: Row, _place: int) -> str:
    return f"{insn.second_immediate:#x}:{insn.immediate & (1 << 8 * insn.operand_size) - 1:#x}"


def _named(prefix: str, number: Callable[[Instruction], int]) -> Callable[..., str]:
    return lambda insn, _row, _place: f"{prefix}{number(insn)}"


def _named_rm(prefix: str) -> Callable[..., str]:
    return lambda insn, row, place: _rm_operand(insn, row, place, f"{prefix}{insn.modrm & 7}")


def _general_rm(insn: Instruction, row: Row, place: int) -> str:
    """Beside a vector register, bytes and words are the low part of a 4-byte register."""
    size = _size(insn, row, place)
    narrow = size < 4 and not VECTOR_KINDS.isdisjoint(row.kinds)
    return _rm_operand(insn, row, place, _general(insn, _rm(insn), 4 if narrow else size))


def _general_opcode(insn: Instruction, row: Row, place: int) -> str:
    high = (insn.rex & 1) << 3 | (16 if insn.rex & REX_BITS["B4"] else 0)
    return _general(insn, insn.opcode & 7 | high, _size(insn, row, place))


OPERAND_TEXT: Final[dict[str, Callable[[Instruction, Row, int], str]]] = {
    "E": _general_rm,
    "R": _general_rm,
    "G": lambda insn, row, place: _general(insn, _reg(insn), _size(insn, row, place)),
    "B": lambda insn, row, place: _general(insn, insn.vvvv, _size(insn, row, place)),
    "M": lambda insn, row, place: _memory(insn, _size(insn, row, place)),
    "m": lambda insn, row, place: _memory(insn, _size(insn, row, place)),
    "O": lambda insn, row, place: _memory(insn, _size(insn, row, place)),
    "S": lambda insn, _row, _place: SEGMENTS[insn.modrm >> 3 & 7],
    "F": lambda insn, _row, _place: SEGMENTS[insn.opcode >> 3 & 7],
    "I": _immediate,
    "J": _branch,
    "p": _far_pointer,
    "X": _string_source,
    "Y": _string_destination,
    "Z": _general_opcode,
    "A": lambda insn, row, place: _general(insn, 0, _size(insn, row, place)),
    "D": lambda _insn, _row, _place: "dx",
    "1": lambda _insn, _row, _place: "1",
    "c": lambda _insn, _row, _place: "cl",
    "V": lambda insn, row, place: _vector(insn, row, place, _vector_reg(insn)),
    "H": lambda insn, row, place: _vector(insn, row, place, insn.vvvv),
    "U": lambda insn, row, place: _vector(insn, row, place, _vector_rm(insn)),
    "W": lambda insn, row, place: _rm_operand(
        insn, row, place, _vector(insn, row, place, _vector_rm(insn))
    ),
    "L": lambda insn, row, place: _vector(insn, row, place, insn.immediate >> 4 & 15),
    "P": lambda insn, _row, _place: f"mm{insn.modrm >> 3 & 7}",
    "N": _named_rm("mm"),
    "Q": _named_rm("mm"),
    "K": _named("k", _reg),
    "k": _named_rm("k"),
    "h": lambda insn, _row, _place: f"k{insn.vvvv}",
    "t": _named("tmm", _reg),
    "u": _named_rm("tmm"),
    "v": lambda insn, _row, _place: f"tmm{insn.vvvv}",
    "f": lambda _insn, _row, _place: "st",
    "g": lambda insn, _row, _place: f"st({insn.modrm & 7})",
    "r": _named("bnd", _reg),
    "s": _named_rm("bnd"),
    "C": _named("cr", _reg),
    "T": _named("dr", _reg),
}


def _operands(insn: Instruction, row: Row) -> list[str]:
    found = [
        OPERAND_TEXT[KINDS[kind]](insn, row, place) for place, kind in enumerate(row.kinds) if kind
    ]
    if insn.mask & 7 and found:
        zeroing = "{z}" if insn.mask & MASK_BITS["Z"] else ""
        found[0] += f"{{k{insn.mask & 7}}}{zeroing}"
    if insn.mask & MASK_BITS["B"] and insn.modrm >= 0xC0:
        at = len(found) - any(KINDS[kind] == "I" for kind in row.kinds)
        mode = ROUNDINGS[insn.mask >> 5] if row.flags & ROUNDS else "{sae}"
        found.insert(at, mode)
    return found


def _name(insn: Instruction, row: Row) -> str:
    mnemonic = OPS[row.op]
    if mnemonic in BY_OPERAND_SIZE:
        return BY_OPERAND_SIZE[mnemonic].get(insn.operand_size, mnemonic.lower())
    if mnemonic in BY_ADDRESS_SIZE:
        return BY_ADDRESS_SIZE[mnemonic][insn.address_size]
    if mnemonic in STRINGS:
        place = next(at for at, kind in enumerate(row.kinds) if KINDS[kind] in "XY")
        return mnemonic.lower() + STRING_SUFFIXES[_size(insn, row, place)]
    if "CC" in mnemonic and "+cc" in row.encoding:
        return mnemonic.lower().replace("cc", CONDITIONS[insn.opcode & 15])
    return RENAMED.get(mnemonic, mnemonic.lower())


def _prefix(insn: Instruction, row: Row) -> str:
    prefixes = insn.prefixes
    text = "lock " if prefixes & PREFIX_BITS["LOCK"] else ""
    if OPS[row.op] in STRINGS and prefixes & (PREFIX_BITS["REP"] | PREFIX_BITS["REPNE"]):
        compares = OPS[row.op] in {"CMPS", "SCAS"}
        repeat = "rep" if not compares else "repe" if prefixes & PREFIX_BITS["REP"] else "repne"
        text += f"{repeat} "
    return text


def text_of(insn: Instruction) -> str:
    """Return the instruction in Intel syntax."""
    row = ROWS[insn.row]
    head = _prefix(insn, row) + _name(insn, row)
    return f"{head} {', '.join(_operands(insn, row))}".rstrip()
