# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The opcode table: one list of rows that feeds both engines, the docs and the tests.

A row is `(encoding, mnemonic, operands, attributes)`.

*Encoding* follows the notation of the SDM's opcode columns (SDM vol. 2A, "Interpreting the
Instruction Reference Pages"): an optional mandatory prefix (`NP`, `66`, `F3`, `F2`), an optional
escape `0F`, the opcode byte in hexadecimal, `+r` when the low three bits name a register, `+cc`
when the low four bits are a condition, and `/digit` when ModRM.reg extends the opcode.

*Operands* use the letters of the SDM's opcode map (SDM vol. 2D, appendix "Opcode Map", "Codes for
Addressing Method" and "Codes for Operand Type"): `E` ModRM.rm as register or memory, `G`
ModRM.reg, `M` ModRM.rm as memory whose address alone matters, `S` segment register in ModRM.reg,
`I` immediate, `J` relative offset, `O` absolute offset, `X` DS:rSI, `Y` ES:rDI; types `b` 1 byte,
`w` 2, `d` 4, `q` 8, `v` operand size, `z` operand size but at most 4. Beside them stand `Z`
(register in the opcode byte), `A` (accumulator), `D` (DX) and `F` (segment register fixed by the
opcode).

*Attributes*: `lock` LOCK is legal on a memory destination; `i64` invalid in 64-bit mode; `o64`
valid only there; `d64` operand size defaults to 8 in 64-bit mode; `f64` it is always 8 there;
`mem` / `reg` only ModRM.mod != 3 / == 3; `b0` only without REX.B.

Only the standard library is imported here: `csrc/ffi_build.py` runs this file in an isolated
build, where neither vmmkit nor its dependencies exist.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

__all__ = ["OPS", "ROWS", "TABLES", "Row", "Tables", "digest"]

ALU: Final = ("ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP")

ALU_FORMS: Final = (
    (0, "Eb Gb"),
    (1, "Ev Gv"),
    (2, "Gb Eb"),
    (3, "Gv Ev"),
    (4, "Ab Ib"),
    (5, "Av Iz"),
)

GROUP1_FORMS: Final = (
    ("80", "Eb Ib", ""),
    ("81", "Ev Iz", ""),
    ("82", "Eb Ib", "i64"),
    ("83", "Ev Ib", ""),
)


def _alu_rows() -> list[tuple[str, str, str, str]]:
    """00-3F and group 1: eight operations, six direct forms and four immediate forms each."""
    rows = []
    for number, mnemonic in enumerate(ALU):
        for low, operands in ALU_FORMS:
            attributes = "lock" if low < 2 and mnemonic != "CMP" else ""
            rows.append((f"{number * 8 + low:02X}", mnemonic, operands, attributes))
        for opcode, operands, limit in GROUP1_FORMS:
            lock = "" if mnemonic == "CMP" else "lock"
            rows.append((f"{opcode} /{number}", mnemonic, operands, f"{lock} {limit}"))
    return rows


SOURCE: Final = (
    *_alu_rows(),
    # Segment registers on the stack; 17 and friends do not exist in 64-bit mode.
    ("06", "PUSH", "Fw", "i64"),
    ("07", "POP", "Fw", "i64"),
    ("0E", "PUSH", "Fw", "i64"),
    ("16", "PUSH", "Fw", "i64"),
    ("17", "POP", "Fw", "i64"),
    ("1E", "PUSH", "Fw", "i64"),
    ("1F", "POP", "Fw", "i64"),
    ("0F A0", "PUSH", "Fw", "d64"),
    ("0F A1", "POP", "Fw", "d64"),
    ("0F A8", "PUSH", "Fw", "d64"),
    ("0F A9", "POP", "Fw", "d64"),
    # 40-4F are REX prefixes in 64-bit mode and never reach the table there.
    ("40+r", "INC", "Zv", "i64"),
    ("48+r", "DEC", "Zv", "i64"),
    ("50+r", "PUSH", "Zv", "d64"),
    ("58+r", "POP", "Zv", "d64"),
    ("63", "MOVSXD", "Gv Ez", "o64"),
    ("68", "PUSH", "Iz", "d64"),
    ("6A", "PUSH", "Ib", "d64"),
    ("70+cc", "JCC", "Jb", "f64"),
    ("84", "TEST", "Eb Gb", ""),
    ("85", "TEST", "Ev Gv", ""),
    ("86", "XCHG", "Eb Gb", "lock"),
    ("87", "XCHG", "Ev Gv", "lock"),
    ("88", "MOV", "Eb Gb", ""),
    ("89", "MOV", "Ev Gv", ""),
    ("8A", "MOV", "Gb Eb", ""),
    ("8B", "MOV", "Gv Ev", ""),
    ("8C", "MOVFROMSEG", "Ew Sw", ""),
    ("8D", "LEA", "Gv Mv", "mem"),
    ("8E", "MOVTOSEG", "Sw Ew", ""),
    ("8F /0", "POP", "Ev", "d64"),
    # 90 without REX.B is NOP even with REX.W (SDM vol. 2B, NOP); F3 makes it PAUSE.
    ("NP 90", "NOP", "", "b0"),
    ("66 90", "NOP", "", "b0"),
    ("F2 90", "NOP", "", "b0"),
    ("F3 90", "PAUSE", "", "b0"),
    ("90+r", "XCHG", "Zv Av", ""),
    ("A0", "MOV", "Ab Ob", ""),
    ("A1", "MOV", "Av Ov", ""),
    ("A2", "MOV", "Ob Ab", ""),
    ("A3", "MOV", "Ov Av", ""),
    ("A4", "MOVS", "Yb Xb", ""),
    ("A5", "MOVS", "Yv Xv", ""),
    ("A8", "TEST", "Ab Ib", ""),
    ("A9", "TEST", "Av Iz", ""),
    ("AA", "STOS", "Yb Ab", ""),
    ("AB", "STOS", "Yv Av", ""),
    ("B0+r", "MOV", "Zb Ib", ""),
    ("B8+r", "MOV", "Zv Iv", ""),
    ("C2", "RET", "Iw", "f64"),
    ("C3", "RET", "", "f64"),
    ("C6 /0", "MOV", "Eb Ib", ""),
    ("C7 /0", "MOV", "Ev Iz", ""),
    ("E0", "LOOPNE", "Jb", "f64"),
    ("E1", "LOOPE", "Jb", "f64"),
    ("E2", "LOOP", "Jb", "f64"),
    ("E3", "JCXZ", "Jb", "f64"),
    ("E4", "IN", "Ab Ib", ""),
    ("E5", "IN", "Az Ib", ""),
    ("E6", "OUT", "Ib Ab", ""),
    ("E7", "OUT", "Ib Az", ""),
    ("E8", "CALL", "Jz", "f64"),
    ("E9", "JMP", "Jz", "f64"),
    ("EB", "JMP", "Jb", "f64"),
    ("EC", "IN", "Ab Dw", ""),
    ("ED", "IN", "Az Dw", ""),
    ("EE", "OUT", "Dw Ab", ""),
    ("EF", "OUT", "Dw Az", ""),
    ("F4", "HLT", "", ""),
    ("F5", "CMC", "", ""),
    # /1 of the TEST immediate group is an alias the opcode map leaves undocumented.
    ("F6 /0", "TEST", "Eb Ib", ""),
    ("F6 /1", "TEST", "Eb Ib", ""),
    ("F6 /2", "NOT", "Eb", "lock"),
    ("F6 /3", "NEG", "Eb", "lock"),
    ("F7 /0", "TEST", "Ev Iz", ""),
    ("F7 /1", "TEST", "Ev Iz", ""),
    ("F7 /2", "NOT", "Ev", "lock"),
    ("F7 /3", "NEG", "Ev", "lock"),
    ("F8", "CLC", "", ""),
    ("F9", "STC", "", ""),
    ("FA", "CLI", "", ""),
    ("FB", "STI", "", ""),
    ("FC", "CLD", "", ""),
    ("FD", "STD", "", ""),
    ("FE /0", "INC", "Eb", "lock"),
    ("FE /1", "DEC", "Eb", "lock"),
    ("FF /0", "INC", "Ev", "lock"),
    ("FF /1", "DEC", "Ev", "lock"),
    ("FF /2", "CALL", "Ev", "f64"),
    ("FF /4", "JMP", "Ev", "f64"),
    ("FF /6", "PUSH", "Ev", "d64"),
    ("0F 1F /0", "NOP", "Ev", ""),
    ("0F 80+cc", "JCC", "Jz", "f64"),
    ("0F B6", "MOVZX", "Gv Eb", ""),
    ("0F B7", "MOVZX", "Gv Ew", ""),
    ("0F BE", "MOVSX", "Gv Eb", ""),
    ("0F BF", "MOVSX", "Gv Ew", ""),
    # Encodings that every processor refuses (SDM vol. 2D, "Opcode Map", blank and i64 cells).
    *((f"FE /{digit}", "INVALID", "", "") for digit in range(2, 8)),
    *((f"C6 /{digit}", "INVALID", "", "") for digit in range(1, 7)),
    *((f"C7 /{digit}", "INVALID", "", "") for digit in range(1, 7)),
    *((opcode, "INVALID", "", "o64") for opcode in ("27", "2F", "37", "3F", "60", "61", "9A")),
    *((opcode, "INVALID", "", "o64") for opcode in ("CE", "D4", "D5", "D6", "EA")),
    ("FF /7", "INVALID", "", ""),
    ("0F 04", "INVALID", "", ""),
    ("0F 0A", "INVALID", "", ""),
    ("0F 0B", "INVALID", "", ""),  # UD2
    ("0F 0C", "INVALID", "", ""),
    ("0F B9", "INVALID", "E", ""),  # UD1
    ("0F FF", "INVALID", "E", ""),  # UD0
)

# How each operation uses its *first* operand; every later operand is read (XCHG's is written too).
DESTINATION: Final = {
    **dict.fromkeys(("ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR"), "rw"),
    **dict.fromkeys(("INC", "DEC", "NEG", "NOT", "XCHG"), "rw"),
    **dict.fromkeys(("CMP", "TEST", "CALL", "JMP", "PUSH"), "r"),
    **dict.fromkeys(("MOV", "MOVFROMSEG", "POP"), "w"),
}

ACCESS: Final = {"": 0, "r": 1, "w": 2, "rw": 3}
KINDS: Final = " EGMSIJOXYZADF"  # position is the operand kind's number
FIXED_SIZES: Final = {"b": 1, "w": 2, "d": 4, "q": 8}
TYPES: Final = " bwdqvz"  # position is the operand type's number
# Bytes of each operand type, by operand size; 0 for "no size" and for sizes that do not occur.
TYPE_SIZES: Final = tuple(
    tuple({"v": size, "z": min(size, 4), **FIXED_SIZES}.get(name, 0) for name in TYPES)
    for size in range(9)
)
ATTRIBUTES: Final = ("lock", "d64", "f64")  # bit numbers in a row's flags
MAPS: Final = ("", "0F")
PREFIXES: Final = ("NP", "66", "F3", "F2")

UNKNOWN: Final = 0  # cell values below len(ROWS) are rows; these two are not instructions
INVALID: Final = 1
SPLIT: Final = 0x8000  # a cell with this bit points at a further selection
MARKS: Final = (UNKNOWN, INVALID, SPLIT)

# Attributes that belong to a row's key: (name, selector, value).
LIMITS: Final = (
    ("i64", "mode64", 0),
    ("o64", "mode64", 1),
    ("b0", "rexb", 0),
    ("mem", "mod3", 0),
    ("reg", "mod3", 1),
)

# What a split selects by, in the order tried, and how many children it has.
SELECTORS: Final = (("mode64", 2), ("rexb", 2), ("prefix", 4), ("reg", 8), ("mod3", 2))


class Row(NamedTuple):
    """One instruction form, as the engines see it."""

    op: int
    kinds: tuple[int, int, int]
    types: tuple[int, int, int]
    flags: int
    access: int  #: of the memory operand: 1 read, 2 written, 3 both
    modrm: int  #: 1 when a ModRM byte follows the opcode
    text: str


class Tables(NamedTuple):
    """The rows and the lookup arrays that lead to them."""

    rows: tuple[Row, ...]
    cells: tuple[int, ...]
    splits: tuple[tuple[int, int], ...]


class _Form(NamedTuple):
    """A row with its key, while the lookup arrays are being built."""

    key: dict[str, int]
    cell: int


OPS: Final = ("INVALID", *dict.fromkeys(row[1] for row in SOURCE if row[1] != "INVALID"))


def _operands(text: str) -> list[tuple[int, int]]:
    return [
        (KINDS.index(word[0]), TYPES.index(word[1]) if len(word) > 1 else 0)
        for word in text.split()
    ]


def _access(mnemonic: str, operands: list[tuple[int, int]]) -> int:
    """Access of the ModRM or moffs operand, from its place among the operands."""
    for place, (kind, _) in enumerate(operands):
        if KINDS[kind] in "EO":
            if mnemonic in {"NOP", "INVALID"}:
                return 0
            return ACCESS[DESTINATION[mnemonic] if place == 0 else "r"]
    return 0


def _row(mnemonic: str, operand_text: str, encoding: str, attributes: list[str]) -> Row:
    operands = _operands(operand_text)
    kinds = [kind for kind, _ in operands] + [0] * (3 - len(operands))
    types = [kind for _, kind in operands] + [0] * (3 - len(operands))
    return Row(
        op=OPS.index(mnemonic),
        kinds=(kinds[0], kinds[1], kinds[2]),
        types=(types[0], types[1], types[2]),
        flags=sum(1 << bit for bit, name in enumerate(ATTRIBUTES) if name in attributes),
        access=_access(mnemonic, operands),
        modrm=int("/" in encoding or any(KINDS[kind] in "EGMS" for kind in kinds)),
        text=f"{encoding} {mnemonic} {operand_text}".strip(),
    )


def _key(encoding: list[str], attributes: list[str]) -> dict[str, int]:
    key = {}
    if encoding[0] in PREFIXES and len(encoding) > 1:
        key["prefix"] = PREFIXES.index(encoding[0])
    if encoding[-1].startswith("/"):
        key["reg"] = int(encoding[-1][1:])
    return key | {selector: value for name, selector, value in LIMITS if name in attributes}


def _opcodes(encoding: list[str]) -> list[int]:
    """Every root cell (map * 256 + opcode) that a row's encoding covers."""
    words = [word for word in encoding if not word.startswith("/")]
    if words[0] in PREFIXES and len(words) > 1:
        words = words[1:]
    base = 256 * (len(words) - 1)
    opcode, _, span = words[-1].partition("+")
    return [base + int(opcode, 16) + low for low in range({"": 1, "r": 8, "cc": 16}[span])]


def _missing(forms: list[_Form], selector: str, value: int) -> int:
    """`i64` and `mem` say that the other side is refused; other gaps are merely not known yet."""
    sides = {form.key[selector] for form in forms}
    refused = (selector, value) in {("mode64", 1), ("mod3", 1)} and sides == {0}
    return INVALID if refused else UNKNOWN


def _select(forms: list[_Form], depth: int, cells: list[int], splits: list[tuple[int, int]]) -> int:
    """Return the cell value for `forms`, adding splits for every selector they differ by."""
    while depth < len(SELECTORS) and not any(SELECTORS[depth][0] in form.key for form in forms):
        depth += 1
    if depth == len(SELECTORS):
        return forms[0].cell
    name, width = SELECTORS[depth]
    children = []
    for value in range(width):
        chosen = [form for form in forms if form.key.get(name) == value]
        chosen = chosen or [form for form in forms if name not in form.key]
        missing = UNKNOWN if chosen else _missing(forms, name, value)
        children.append(_select(chosen, depth + 1, cells, splits) if chosen else missing)
    base = len(cells)
    cells.extend(children)
    splits.append((depth, base))
    return SPLIT | (len(splits) - 1)


def _build() -> Tables:
    rows = [_row("INVALID", "", "unknown", []), _row("INVALID", "", "invalid", [])]
    roots: dict[int, list[_Form]] = {}
    for encoding_text, mnemonic, operands, attribute_text in SOURCE:
        encoding, attributes = encoding_text.split(), attribute_text.split()
        form = _Form(_key(encoding, attributes), len(rows))
        rows.append(_row(mnemonic, operands, encoding_text, attributes))
        for opcode in _opcodes(encoding):
            roots.setdefault(opcode, []).append(form)
    cells = [UNKNOWN] * (256 * len(MAPS))
    splits: list[tuple[int, int]] = []
    for opcode, forms in roots.items():
        cells[opcode] = _select(forms, 0, cells, splits)
    return Tables(tuple(rows), tuple(cells), tuple(splits))


TABLES: Final = _build()
ROWS: Final = TABLES.rows


def digest(*more: object) -> str:
    """Fingerprint of everything an engine compiles in; `more` adds the record layouts."""
    compiled_in = (OPS, TABLES, SELECTORS, TYPE_SIZES, KINDS, ATTRIBUTES, MARKS, more)
    return hashlib.sha256(repr(compiled_in).encode()).hexdigest()
