# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An encoding of every form that touches memory, with registers and data that let it complete.

Rows come from the opcode table, the explicit operand in several kinds of addressing, and the
implicit operands of string and stack instructions. All operands lie in the window of
`guests.exits`.
"""

import functools
import itertools
from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from guests.exits import CODE, WINDOW
from insn.row_encodings import FLAG
from insn.row_encodings import head as row_head
from vmmkit.errors import DecodeError
from vmmkit.insn import RIP_BASE, Instruction, decode
from vmmkit.insn._operands import POPS, PUSHES, STRINGS
from vmmkit.insn._pure import EXECUTE
from vmmkit.insn.optable import OPS, PREFIXES, ROWS, VEX_MAPS, Row

RCX, RDX, DS = 1, 2, 3
# Areas of more words than the replay log has room for, and stores whose place G names.
AREAS: Final = frozenset(
    [
        *("FXSAVE", "FXRSTOR", "XSAVE", "XSAVEC", "XSAVEOPT", "XSAVES", "XRSTOR", "XRSTORS"),
        *("MOVDIR64B", "ENQCMD", "ENQCMDS"),
    ]
)
REX_W: Final = b"\x48"
INDEX: Final = 0x10
STACK, TARGET, SELECTOR = 0x9000, 0x1800, 0x10
OFFSET_SIZE: Final = {16: (2, 4), 32: (4, 2), 64: (8, 4)}  # of an absolute offset; with 67
IMPLICIT: Final = frozenset({*STRINGS, *PUSHES, *POPS, "LEAVE", "XLAT"})
FAR: Final = frozenset({"CALLF", "JMPF"})  # what they read must be code: see test_far_transfers
VEX_MAP_NUMBERS: Final = {name: number for number, name in enumerate(VEX_MAPS, 1)}
TAIL: Final = bytes.fromhex("0300000000000000")  # an immediate, of whatever size

# Prefixes tried with every form; those that are illegal there do not decode to the row.
PREFIX_SETS: Final = ("", "66", "67", "f0", "f3", "f2", "64")
WIDE: Final = ("48", "4866")  # REX.W, also behind 66


class Addressing(NamedTuple):
    """ModRM without reg, SIB, and bytes of displacement, for one way to address memory."""

    name: str
    mod: int
    rm: int
    sib: int | None
    displacement: int
    absolute: bool


# By address size. 16-bit: [bx], [bx+si], [disp]; else [rbx], [rbx+2*rsi], [disp32] by SIB, [rbp].
SHORT: Final = (
    Addressing("base", 1, 7, None, 1, absolute=False),
    Addressing("base and index", 1, 0, None, 1, absolute=False),
    Addressing("absolute", 0, 6, None, 2, absolute=True),
)
LONG: Final = (
    Addressing("base", 1, 3, None, 1, absolute=False),
    Addressing("base and index", 1, 4, 0x73, 1, absolute=False),
    Addressing("absolute", 0, 4, 0x25, 4, absolute=True),
    Addressing("frame", 2, 5, None, 4, absolute=False),
)
RELATIVE: Final = Addressing("relative", 0, 5, None, 4, absolute=True)
# Where the operand is put: aligned for 16 bytes, odd, across the two pages, and into the window.
PLACES: Final = (0x40, 0x33, 0xFFF, -1)


class MemoryForm(NamedTuple):
    """One instruction and where its operand is to be."""

    row: int
    code: bytes
    insn: Instruction
    base: int
    """Value of the base registers."""
    kind: tuple[int, bytes]
    """What the forms have in common that differ in the addressing only: row and prefixes."""

    def __str__(self) -> str:
        return f"{ROWS[self.row].text}: {self.code.hex(' ')} ({self.insn})"


def _touches_memory(row: Row) -> bool:
    if OPS[row.op] in FAR | AREAS:
        return False
    if row.index_size:  # a gather has no one operand
        return False
    return bool(row.access) if row.memory < 4 else OPS[row.op] in IMPLICIT


def _addressings(mode: int, prefixes: bytes) -> tuple[Addressing, ...]:
    if (mode == 16) != (0x67 in prefixes) and mode != 64:
        return SHORT
    return (*LONG, RELATIVE) if mode == 64 else LONG


def _operand(row: Row, how: Addressing, displacement: int, mode: int, *, short: bool) -> bytes:
    """ModRM, SIB and displacement; an absolute offset without ModRM; nothing."""
    kinds = {word[0] for word in row.operands.split()}
    if row.memory == 4:
        return b""
    if "O" in kinds:
        return displacement.to_bytes(8, "little")[: OFFSET_SIZE[mode][short]]
    digit = row.encoding.partition(" /")[2]
    reg = int(digit) if digit else DS if "S" in kinds else RCX
    modrm = bytes([how.mod << 6 | reg << 3 | how.rm])
    sib = b"" if how.sib is None else bytes([how.sib])
    return modrm + sib + (displacement & 0xFFFF_FFFF).to_bytes(4, "little")[: how.displacement]


def _opcode(row: Row, rex: bytes) -> bytes:
    """Mandatory prefix, REX, opcode with its escapes; or VEX, rDX in vvvv, and opcode."""
    words = row.encoding.partition(" /")[0].split()
    if words[0].startswith("EVEX."):
        head, *_ = row_head(row, 0)
        return head
    if words[0].startswith("VEX."):
        fields = words[0].split(".")
        number = next(VEX_MAP_NUMBERS[name] for name in fields if name in VEX_MAPS)
        pp = next(pp for pp in range(4) if PREFIXES[pp] in fields)
        vvvv = 15 - (RDX if row.flags & FLAG["vvvv"] else 0)
        wide = 0x80 if rex or "W1" in fields else 0
        length = 4 if "256" in fields else 0
        start = bytes([0xC4, 0xE0 | number, wide | vvvv << 3 | length | pp])
        return start + bytes.fromhex(words[1].partition("+")[0])
    mandatory = words.pop(0) if words[0] in PREFIXES and len(words) > 1 else "NP"
    prefix = b"" if mandatory == "NP" else bytes.fromhex(mandatory)
    return prefix + rex + bytes.fromhex("".join(word.partition("+")[0] for word in words))


def _encode(row: Row, prefixes: bytes, how: Addressing, displacement: int, mode: int) -> bytes:
    rex, legacy = (prefixes[:1], prefixes[1:]) if prefixes[:1] == REX_W else (b"", prefixes)
    operand = _operand(row, how, displacement, mode, short=0x67 in legacy)
    return legacy + _opcode(row, rex) + operand + TAIL


def _decoded(code: bytes, mode: int) -> Instruction | None:
    try:
        return decode(code, mode)
    except DecodeError:
        return None


def _form(
    number: int, mode: int, prefixes: bytes, how: Addressing, place: int
) -> MemoryForm | None:
    """Encode one form, `None` where it does not exist or does not execute."""
    row, absolute = ROWS[number], WINDOW + place
    displacement = absolute if how.absolute else 0x10
    insn = _decoded(_encode(row, prefixes, how, displacement, mode), mode)
    if insn is None or insn.row != number or not insn.executable:
        return None
    if insn.base == RIP_BASE:
        displacement = absolute - CODE - insn.length
    code = _encode(row, prefixes, how, displacement, mode)[: insn.length]
    base = absolute - 0x10 - (INDEX * insn.scale if insn.index >= 0 else 0)
    return MemoryForm(number, code, decode(code, mode), base, (number, prefixes))


@functools.cache
def forms(mode: int) -> tuple[MemoryForm, ...]:
    """Return every form of a mode, with each prefix, addressing and place that it takes."""
    return tuple(_forms(mode))


def _forms(mode: int) -> Iterator[MemoryForm]:
    for number, row in enumerate(ROWS):
        if EXECUTE[number] is None or not _touches_memory(row):
            continue
        for prefixes in map(bytes.fromhex, (*PREFIX_SETS, *(WIDE if mode == 64 else ()))):
            ways = _addressings(mode, prefixes) if row.memory < 4 else LONG[:1]
            for how, place in itertools.product(ways, PLACES):
                form = _form(number, mode, prefixes, how, place)
                if form is not None:
                    yield form


def registers(form: MemoryForm, rng: Random) -> dict[str, int]:
    """Register values: operands in the window, and operations that mostly succeed."""
    mode, mnemonic = form.insn.mode, form.insn.mnemonic
    wide = (1 << mode) - 1
    found = {name: rng.getrandbits(64) & wide for name in ("rax", "rcx", "rdx")}
    found |= {f"r{number}": rng.getrandbits(64) for number in range(8, 16)} if mode == 64 else {}
    found |= {"rbx": form.base, "rbp": form.base, "rsi": INDEX, "rdi": 0x4100, "rsp": STACK}
    found["rflags"] = 2 | rng.getrandbits(12) & 0x8D5
    implicit = ROWS[form.row].memory == 4
    if mnemonic in STRINGS:
        found |= {"rsi": WINDOW + 0x840, "rdi": WINDOW + rng.choice((0x100, 0xA00, -0xF00))}
        found |= {"rcx": rng.randrange(6), "rdx": 0x60}
        found["rflags"] |= rng.choice((0, 0x400))
    elif mnemonic == "XLAT":
        found["rbx"] = WINDOW + 0x20
    elif implicit:
        found |= {"rsp": WINDOW + 0x800, "rbp": WINDOW + 0x840}
    elif mnemonic in {"BT", "BTS", "BTR", "BTC"}:
        found["rcx"] = rng.randrange(256)
    elif mnemonic in {"DIV", "IDIV"}:
        found |= {"rax": rng.randrange(100), "rdx": 0}
    elif mnemonic == "BOUND":
        found["rcx"] = 0x55
    return found


def operand_value(form: MemoryForm, rng: Random, found: dict[str, int]) -> int:
    """What stands at the operand, 16 bytes: something that this instruction can go on with."""
    insn, size = form.insn, form.insn.operand_size
    random = rng.getrandbits(128) | 1 << 6
    if insn.mnemonic in {"LDS", "LES", "LSS", "LFS", "LGS"}:
        return random & (1 << 8 * size) - 1 | SELECTOR << 8 * size
    if insn.mnemonic == "MOVTOSEG" or "F" in ROWS[form.row].operands:
        return SELECTOR
    if insn.mnemonic.endswith("LDMXCSR"):
        return 0x1F80
    if insn.mnemonic in {"CALL", "JMP", "RET", "POPF"}:
        return TARGET
    if insn.mnemonic == "BOUND":
        return 0x7F << 8 * size | 3
    if insn.mnemonic.startswith("CMPXCHG") and rng.randrange(2):
        wide = 4 * insn.memory_size if insn.mnemonic == "CMPXCHG8B" else 8 * size
        low = found["rax"] & (1 << wide) - 1
        return low | (found["rdx"] & (1 << wide) - 1) << wide
    return random
