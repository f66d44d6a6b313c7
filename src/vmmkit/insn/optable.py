# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The opcode table: one list of rows that feeds both engines, the docs and the tests.

A row of `opcodes/*.py` is `(encoding, mnemonic, operands, attributes)`.

*Encoding* follows the notation of the SDM's opcode columns (SDM vol. 2A, "Interpreting the
Instruction Reference Pages"). Legacy: an optional mandatory prefix (`NP`, `66`, `F3`, `F2`), an
optional escape `0F`, `0F 38` or `0F 3A`, the opcode byte, `+r` when its low three bits name a
register, `+cc` when the low four are a condition, `/d` when ModRM.reg extends the opcode, `/d:m`
when ModRM.mod is 3 and rm is m as well. Vectors: `VEX` or `EVEX`, the vector length, the mandatory
prefix, the map and W joined by dots, then opcode and digit; a length or W that is not written is
not looked at, `256/512` is either.

*Operands* use the letters of the SDM's opcode map (SDM vol. 2D, appendix "Opcode Map", "Codes for
Addressing Method" and "Codes for Operand Type") where it has one: `OPERANDS` and `TYPES` below.

*Attributes*: `lock` LOCK is legal on a memory destination; `i64` invalid in 64-bit mode; `o64`
valid only there; `d64` operand size defaults to 8 in 64-bit mode; `f64` it is always 8 there;
`mem` / `reg` only ModRM.mod != 3 / == 3; `b0` only without REX.B; `seg` takes a segment override
without a ModRM operand; `anymod` ModRM.rm is a register whatever mod says; `no66` a 66 prefix is
refused; `sibmem` a SIB byte is required. The memory operand is written when it stands first, else read; `r`, `w`,
`rw` and `n` (its address alone matters) say otherwise. EVEX: `k` a mask may be given, `kz` zeroing
too, `k!` a mask must be given; `bc2`, `bc4`, `bc8` broadcasts elements of so many bytes; `er`, `sae`
what EVEX.b means with registers. `uniq`: the destination must not be among the sources.

Rows overlap: of those that match, the one with the longest key counts. Only the standard library is
imported here: `csrc/ffi_build.py` loads this file where vmmkit's dependencies do not exist.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from vmmkit.insn.opcodes import evex, integer, sse, system, vex, x87

__all__ = ["OPS", "ROWS", "TABLES", "Row", "Tables", "digest"]

SOURCE: Final = (
    *integer.ROWS,
    *system.ROWS,
    *x87.ROWS,
    *sse.ROWS,
    *vex.ROWS,
    *evex.ROWS,
)

# Operand letter: what it is; the position is the operand kind's number.
OPERANDS: Final = {
    " ": "none",
    "E": "general register or memory in ModRM.rm",
    "G": "general register in ModRM.reg",
    "M": "memory in ModRM.rm",
    "S": "segment register in ModRM.reg",
    "I": "immediate",
    "J": "relative offset",
    "O": "absolute offset",
    "X": "memory at DS:rSI",
    "Y": "memory at ES:rDI",
    "Z": "general register in the opcode",
    "A": "accumulator",
    "D": "DX",
    "F": "segment register named by the opcode",
    "R": "general register in ModRM.rm",
    "B": "general register in vvvv",
    "V": "vector register in ModRM.reg",
    "W": "vector register or memory in ModRM.rm",
    "U": "vector register in ModRM.rm",
    "H": "vector register in vvvv",
    "L": "vector register in the immediate's high half",
    "P": "MMX register in ModRM.reg",
    "Q": "MMX register or memory in ModRM.rm",
    "N": "MMX register in ModRM.rm",
    "K": "opmask register in ModRM.reg",
    "k": "opmask register or memory in ModRM.rm",
    "h": "opmask register in vvvv",
    "t": "tile register in ModRM.reg",
    "u": "tile register in ModRM.rm",
    "v": "tile register in vvvv",
    "f": "ST(0)",
    "g": "ST(i) in ModRM.rm",
    "r": "bound register in ModRM.reg",
    "s": "bound register or memory in ModRM.rm",
    "C": "control register in ModRM.reg",
    "T": "debug register in ModRM.reg",
    "p": "far pointer",
    "1": "constant 1",
    "c": "CL",
    "m": "memory by vector index (VSIB)",
}
KINDS: Final = "".join(OPERANDS)
IN_MODRM: Final = frozenset("EGMSRVWUPQNKktugrsCTm")
MEMORY_KINDS: Final = frozenset("EMWQksmO")
ONLY_MEMORY: Final = frozenset("Mm")
ONLY_REGISTER: Final = frozenset("RUN")
IN_VVVV: Final = frozenset("HBhv")

# Bytes of each operand type: a number, or a name that `_type_size` knows; x, h, f and e follow
# the vector length, D is VMOVDDUP's. The position is the type's number.
TYPES: Final = {
    " ": 0, "b": 1, "w": 2, "d": 4, "q": 8, "o": 16, "O": 32, "Q": 64, "K": 48, "t": 10, "F": 512,
    "v": "v", "z": "z", "y": "y", "Y": "Y", "s": "s", "p": "p", "a": "a", "n": "n", "N": "N",
    "x": 0, "h": 0, "f": 0, "e": 0, "D": 0, "?": 0,
}  # fmt: skip
TYPE_NAMES: Final = "".join(TYPES)


def _type_size(meaning: int | str, size: int) -> int:
    """Bytes of an operand type at operand size `size`."""
    if isinstance(meaning, int):
        return meaning
    return {
        "v": size,
        "z": min(size, 4),
        "y": max(size, 4),  # 66 does not make it 2
        "Y": 2 * max(size, 4),
        "s": 10 if size == 8 else 6,
        "p": size + 2,
        "a": 2 * size,
        "n": 14 if size == 2 else 28,
        "N": 94 if size == 2 else 108,
    }[meaning]


TYPE_SIZES: Final = tuple(
    tuple(_type_size(meaning, size) for meaning in TYPES.values()) for size in range(9)
)
# Bytes of x, h, f, e and D by vector length 0 (128 bits) to 2; all other types say 0.
VECTOR_TYPES: Final = {
    "x": (16, 32, 64),
    "h": (8, 16, 32),
    "f": (4, 8, 16),
    "e": (2, 4, 8),
    "D": (8, 32, 64),
}
VECTOR_SIZES: Final = tuple(
    tuple(VECTOR_TYPES.get(name, (0, 0, 0))[length] for name in TYPES) for length in range(3)
)

# How many registers an operand kind may name in ModRM.reg, in ModRM.rm, in vvvv; the kinds that are
# not named take what the encoding can say.
REGISTER_LIMITS: Final = tuple(
    tuple(counts.get(kind, 32) for kind in OPERANDS)
    for counts in (
        {"S": 6, "K": 8, "r": 4, "t": 8, "T": 8},
        {"s": 4, "u": 8},
        {"h": 8, "v": 8},
    )
)
LIMITED: Final = frozenset("SKrtTsuhvC")

# Bit numbers in a row's flags; `modrm`, `vvvv`, `vsib` and `limited` follow from the operands.
ATTRIBUTES: Final = (
    *("lock", "d64", "f64", "seg", "modrm", "vvvv", "vsib", "limited", "sibmem"),
    *("anymod", "no66", "masking", "zeroing", "masked", "er", "sae", "uniq"),
)
IMPLIED: Final = {
    "k": ("masking",),
    "kz": ("masking", "zeroing"),
    "k!": ("masking", "masked"),
    "er": ("sae",),
}
DISP8: Final = {"N1": 1, "N2": 2, "N4": 4, "N8": 8}
ACCESS: Final = {"n": 0, "r": 1, "w": 2, "rw": 3}
LEGACY_MAPS: Final = {"": 0, "0F": 1, "0F38": 2, "0F3A": 3}
VEX_MAPS: Final = {"0F": 4, "0F38": 5, "0F3A": 6}
EVEX_MAPS: Final = {"0F": 7, "0F38": 8, "0F3A": 9, "MAP5": 10, "MAP6": 11}
MAP_COUNT: Final = 12
COMPLETE_MAPS: Final = 2  # what the first two maps leave blank is no instruction, now or later
PREFIXES: Final = ("NP", "66", "F3", "F2")
LENGTHS: Final = {"128": 0, "256": 1, "512": 2}

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
SELECTORS: Final = (
    *(("mode64", 2), ("rexb", 2), ("prefix", 4), ("w", 2)),
    *(("reg", 8), ("mod3", 2), ("rm", 8), ("length", 4)),
)


class Row(NamedTuple):
    """One instruction form, as the engines see it, and as it was written."""

    op: int
    kinds: tuple[int, int, int, int]
    types: tuple[int, int, int, int]
    flags: int  #: bits in the order of `ATTRIBUTES`
    access: int  #: of the memory operand: 1 read, 2 written, 3 both
    memory: int  #: place of the memory operand among `kinds`, 4 without one
    immediates: tuple[int, int]  #: types of the immediates that follow, 0 for none
    broadcast: int  #: bytes of an element that EVEX.b broadcasts, 0 when it may not
    disp8: int  #: bytes that a compressed displacement counts, 0 for the memory operand's size
    map: int
    text: str
    encoding: str
    operands: str


class Tables(NamedTuple):
    """The rows and the lookup arrays that lead to them."""

    rows: tuple[Row, ...]
    cells: tuple[int, ...]
    splits: tuple[tuple[int, int], ...]


class _Form(NamedTuple):
    """A row with its key, while the lookup arrays are being built."""

    key: dict[str, int]
    cell: int


class _Encoding(NamedTuple):
    """What an encoding says."""

    map: int
    opcodes: tuple[int, ...]
    keys: tuple[dict[str, int], ...]  #: several where several vector lengths are written


OPS: Final = ("INVALID", *dict.fromkeys(row[1] for row in SOURCE if row[1] != "INVALID"))
OP_NUMBER: Final = {name: number for number, name in enumerate(OPS)}


def _immediate_types(kinds: str, types: str) -> tuple[int, int]:
    """Types of the immediates; a far pointer is an offset and a selector, /is4 is a byte."""
    found: list[str] = []
    for kind, name in zip(kinds, types, strict=True):
        if kind in "IJ":
            found.append(name)
        elif kind == "L":
            found.append("b")
        elif kind == "p":
            found += "v", "w"
    numbers = [TYPE_NAMES.index(name) for name in found] + [0, 0]
    return numbers[0], numbers[1]


def _flags(kinds: str, has_modrm: bool, attributes: list[str]) -> int:
    names = {name for name in attributes if name in ATTRIBUTES}
    names.update(*(IMPLIED.get(name, ()) for name in attributes))
    if has_modrm:
        names.add("modrm")
    if IN_VVVV & set(kinds):
        names.add("vvvv")
    if "m" in kinds:
        names.add("vsib")
    if "X" in kinds:
        names.add("seg")
    if LIMITED & set(kinds) or "no66" in names:
        names.add("limited")
    return sum(1 << ATTRIBUTES.index(name) for name in names)


def _access(memory: int, attributes: list[str]) -> int:
    """Access of the memory operand: said, or from its place among the operands."""
    said = [ACCESS[name] for name in attributes if name in ACCESS]
    if said or memory == 4:
        return said[0] if said else 0
    return ACCESS["r" if memory else "w"]


def _row(mnemonic: str, operand_text: str, encoding: str, attributes: list[str]) -> Row:
    words = operand_text.split()
    kinds = "".join(word[0] for word in words)
    types = "".join(word[1] if len(word) > 1 else " " for word in words)
    memory = next((place for place, kind in enumerate(kinds) if kind in MEMORY_KINDS), 4)
    broadcast = [int(name[2:]) for name in attributes if name.startswith("bc")]
    kind_numbers = (*(KINDS.index(kind) for kind in kinds), 0, 0, 0, 0)
    type_numbers = (*(TYPE_NAMES.index(name) for name in types), 0, 0, 0, 0)
    first, second, third, fourth, *_ = kind_numbers
    has_modrm = "/" in encoding or bool(IN_MODRM & set(kinds)) or "reg" in attributes
    return Row(
        op=OP_NUMBER[mnemonic],
        kinds=(first, second, third, fourth),
        types=(type_numbers[0], type_numbers[1], type_numbers[2], type_numbers[3]),
        flags=_flags(kinds, has_modrm, attributes),
        access=_access(memory, attributes),
        memory=memory,
        immediates=_immediate_types(kinds, types),
        broadcast=broadcast[0] if broadcast else 0,
        disp8=DISP8.get(attributes[-1], 0) if attributes else 0,
        map=0,
        text=f"{encoding} {mnemonic} {operand_text}".strip(),
        encoding=encoding,
        operands=operand_text,
    )


def _span(word: str) -> tuple[int, ...]:
    """Every opcode that the opcode word of an encoding covers."""
    opcode, _, span = word.partition("+")
    return tuple(int(opcode, 16) + low for low in range({"": 1, "r": 8, "cc": 16}[span]))


def _digit_key(words: list[str]) -> dict[str, int]:
    """Key of `/d` or `/d:m`, which is taken off `words`."""
    if not words[-1].startswith("/"):
        return {}
    digit, _, rm = words.pop()[1:].partition(":")
    return {"reg": int(digit)} | ({"mod3": 1, "rm": int(rm)} if rm else {})


def _vector_encoding(words: list[str], key: dict[str, int]) -> _Encoding:
    """VEX and EVEX: everything in the first word, then the opcode."""
    kind, *fields = words[0].split(".")
    maps = VEX_MAPS if kind == "VEX" else EVEX_MAPS
    lengths: list[int] = []
    number = 0
    for field in fields:
        if field in PREFIXES:
            key["prefix"] = PREFIXES.index(field)
        elif field in maps:
            number = maps[field]
        elif field in {"W0", "W1"}:
            key["w"] = int(field[1])
        else:
            lengths = [LENGTHS[name] for name in field.split("/")]
    keys = tuple(key | {"length": length} for length in lengths) or (key,)
    return _Encoding(number, _span(words[1]), keys)


def _legacy_encoding(words: list[str], key: dict[str, int]) -> _Encoding:
    if words[0] in PREFIXES and len(words) > 1:
        key["prefix"] = PREFIXES.index(words[0])
        words = words[1:]
    return _Encoding(LEGACY_MAPS["".join(words[:-1])], _span(words[-1]), (key,))


def _encoding(text: str, operands: str, attributes: list[str]) -> _Encoding:
    words = text.split()
    kinds = {word[0] for word in operands.split()}
    key = _digit_key(words)
    key |= {selector: value for name, selector, value in LIMITS if name in attributes}
    if kinds & ONLY_MEMORY:
        key["mod3"] = 0
    if kinds & ONLY_REGISTER and "anymod" not in attributes:
        key["mod3"] = 1
    vector = words[0].startswith(("VEX.", "EVEX."))
    return (_vector_encoding if vector else _legacy_encoding)(words, key)


def _select(
    forms: list[_Form], depth: int, blank: int, cells: list[int], splits: list[tuple[int, int]]
) -> int:
    """Return the cell value for `forms`, adding splits for every selector they differ by."""
    while depth < len(SELECTORS) and not any(SELECTORS[depth][0] in form.key for form in forms):
        depth += 1
    if depth == len(SELECTORS):
        return max(forms, key=lambda form: len(form.key)).cell if forms else blank
    name, width = SELECTORS[depth]
    children = []
    for value in range(width):
        chosen = [form for form in forms if form.key.get(name, value) == value]
        children.append(_select(chosen, depth + 1, blank, cells, splits))
    base = len(cells)
    cells.extend(children)
    splits.append((depth, base))
    return SPLIT | (len(splits) - 1)


def _roots(rows: list[Row]) -> dict[int, list[_Form]]:
    """The forms of every root cell (map * 256 + opcode); `rows` grows by a row for each."""
    roots: dict[int, list[_Form]] = {}
    for encoding_text, mnemonic, operands, attribute_text in SOURCE:
        attributes = attribute_text.split()
        encoding = _encoding(encoding_text, operands, attributes)
        row = _row(mnemonic, operands, encoding_text, attributes)
        for key in encoding.keys:
            for opcode in encoding.opcodes:
                form = _Form(key, len(rows))
                roots.setdefault(encoding.map * 256 + opcode, []).append(form)
        rows.append(row._replace(map=encoding.map))
    return roots


def _build() -> Tables:
    rows = [_row("INVALID", "", "unknown", []), _row("INVALID", "", "invalid", [])]
    cells = [INVALID] * (256 * COMPLETE_MAPS) + [UNKNOWN] * (256 * (MAP_COUNT - COMPLETE_MAPS))
    splits: list[tuple[int, int]] = []
    for root, forms in _roots(rows).items():
        blank = cells[root]
        cells[root] = _select(forms, 0, blank, cells, splits)
    return Tables(tuple(rows), tuple(cells), tuple(splits))


TABLES: Final = _build()
ROWS: Final = TABLES.rows


def digest(*more: object) -> str:
    """Fingerprint of everything an engine compiles in; `more` adds the record layouts."""
    sizes = TYPE_SIZES, VECTOR_SIZES, REGISTER_LIMITS, KINDS, ATTRIBUTES, MARKS, MAP_COUNT
    compiled_in = OPS, TABLES, SELECTORS, sizes, more
    return hashlib.sha256(repr(compiled_in).encode()).hexdigest()
