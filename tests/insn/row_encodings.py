# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bytes for every row of the opcode table, assembled from the row's own encoding text."""

from functools import cache
from typing import NamedTuple

from vmmkit.insn._decode import decode_fields
from vmmkit.insn._record import INSN_FIELDS
from vmmkit.insn.optable import ATTRIBUTES, ROWS

__all__ = ["INSTRUCTIONS", "REFUSED", "Form", "candidates", "forms"]

FIELDS = [name for name, _, _ in INSN_FIELDS]
ROW, MODRM = FIELDS.index("row"), FIELDS.index("modrm")
PREFIXES = {"NP": "", "66": "66", "F3": "F3", "F2": "F2"}
PP = {"NP": 0, "66": 1, "F3": 2, "F2": 3}
MAPS = {"0F": 1, "0F38": 2, "0F3A": 3, "MAP5": 5, "MAP6": 6}
LENGTHS = {"128": 0, "256": 1, "512": 2}
FLAG = {name: 1 << bit for bit, name in enumerate(ATTRIBUTES)}
TAIL = bytes.fromhex("1122334455667788")
VVVV = 2
INSTRUCTIONS = frozenset(number for number, row in enumerate(ROWS) if row.op)
REFUSED = frozenset(range(2, len(ROWS))) - INSTRUCTIONS  # rows that say #UD


class Form(NamedTuple):
    """One way to write a row: `memory` says whether ModRM names memory."""

    row: int
    mode: int
    memory: bool
    code: bytes


def vector_head(fields, *, vvvv=0, mask=0):
    """A VEX (three bytes) or EVEX prefix from the dotted words of an encoding."""
    kind, *words = fields.split(".")
    number, pp, w, length = 0, 0, 0, 0
    for word in words:
        if word in PP:
            pp = PP[word]
        elif word in MAPS:
            number = MAPS[word]
        elif word in {"W0", "W1"}:
            w = int(word[1])
        else:
            length = LENGTHS[word.split("/")[-1]]
    payload = w << 7 | (~vvvv & 15) << 3
    if kind == "VEX":
        return bytes([0xC4, 0xE0 | number, payload | length << 2 | pp])
    return bytes([0x62, 0xF0 | number, payload | 4 | pp, length << 5 | 8 | mask])


def head(row, low):
    """Everything before ModRM, and the digit and rm that the encoding asks for."""
    *words, last = row.encoding.split()
    digit, rm = 1, None
    if last.startswith("/"):
        parts = last[1:].split(":")
        digit, rm = int(parts[0]), int(parts[1]) if len(parts) > 1 else None
        *words, last = words
    opcode = bytes([int(last.partition("+")[0], 16) + low])
    if words and words[0].startswith(("VEX", "EVEX")):
        vvvv = VVVV if row.flags & FLAG["vvvv"] else 0
        mask = 1 if row.flags & FLAG["masked"] else 0
        return vector_head(words[0], vvvv=vvvv, mask=mask) + opcode, digit, rm
    return bytes.fromhex("".join(PREFIXES.get(word, word) for word in words)) + opcode, digit, rm


def candidates(row):
    """Byte strings that may be this row; one without a mandatory prefix may need another one's."""
    for low in range(8 if "+" in row.encoding else 1):
        start, digit, rm = head(row, low)
        modrms = [b""]
        if row.flags & FLAG["modrm"]:
            modrms = [bytes([0xC0 | digit << 3 | (3 if rm is None else rm)])]
        if row.flags & (FLAG["vsib"] | FLAG["sibmem"]):
            modrms.append(bytes([0x04 | digit << 3, 0x6B]))
        elif row.flags & FLAG["modrm"] and rm is None:
            modrms.append(bytes([0x07 | digit << 3]))
        if row.flags & FLAG["modrm"] and digit == 1:  # there is no CR1, and CS cannot be loaded
            modrms += [bytes([0x17]), bytes([0xD3])]
        prefixes = (b"",) if "." in row.encoding else (b"", b"\x66", b"\xf2")
        yield from (prefix + start + modrm for prefix in prefixes for modrm in modrms)


@cache
def forms():
    """A form of every instruction's row with memory and with registers, where each exists."""
    found = {}
    for number, row in enumerate(ROWS):
        for code in candidates(row) if row.op else ():
            for mode in (64, 32, 16):
                fields = decode_fields(code + TAIL, mode)
                if isinstance(fields, int) or fields[ROW] != number:
                    continue
                memory = 0 <= fields[MODRM] < 0xC0
                found.setdefault((number, memory), Form(number, mode, memory, code + TAIL))
    return tuple(found.values())
