# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The opcode table: one list of rows that feeds both engines, the docs and the tests.

The rows are data in `opcodes`, whose package explains their notation; here they become numbers and
the lookup arrays that both engines walk. Rows overlap: of those that match, the one with the
longest key counts. Only the standard library is imported: `csrc/ffi_build.py` loads this file where
vmmkit's dependencies do not exist.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, Final, NamedTuple

from vmmkit.insn.opcodes import evex, integer, sse, system, vex, x87
from vmmkit.insn.opcodes.features import FEATURES, NO_FEATURE, WITHOUT, feature_of
from vmmkit.insn.opcodes.vector_operations import (
    VECTOR_FAMILIES,
    VECTOR_FUNCTIONS,
    VectorOperation,
    vector_operations,
)

__all__ = [
    "FEATURES", "NO_FEATURE", "OPS", "ROWS", "TABLES", "VECTOR_FAMILIES", "VECTOR_FUNCTIONS",
    "VECTOR_OPERATIONS", "Row", "Tables", "VectorOperation", "digest",
]  # fmt: skip

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
TYPES: Final[dict[str, int | str]] = {
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
    *("anymod", "no66", "masking", "zeroing", "masked", "er", "sae", "uniq", "norex2"),
)
IMPLIED: Final = {
    "k": ("masking",),
    "kz": ("masking", "zeroing"),
    "k!": ("masking", "masked"),
    "er": ("sae",),
}
# Bytes that attributes say, for the row's `broadcast`, `disp8` and `index_size`.
ATTRIBUTE_SIZES: Final = (
    {"bc2": 2, "bc4": 4, "bc8": 8},
    {"N1": 1, "N2": 2, "N4": 4, "N8": 8},
    {"vm32": 4, "vm64": 8},
)
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

SELECTOR_NAMES: Final = tuple(name for name, _ in SELECTORS)


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
    disp8: int  #: bytes that a one-byte displacement counts, 0 for the memory operand's size
    index_size: int  #: bytes of one index of a vector index register, 0 without one
    feature: int  #: position in `FEATURES`, or `NO_FEATURE`
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

    key: tuple[int, ...]  #: a value for each of `SELECTORS`, -1 for any
    cell: int


class _Vector(NamedTuple):
    """What the first word of a VEX or EVEX encoding says."""

    map: int
    key: dict[str, int]
    lengths: tuple[int, ...]


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
    if LIMITED & set(kinds) or names & {"no66", "norex2"}:
        names.add("limited")
    return sum(1 << ATTRIBUTES.index(name) for name in names)


def _access(memory: int, attributes: list[str]) -> int:
    """Access of the memory operand: said, or from its place among the operands."""
    said = [ACCESS[name] for name in attributes if name in ACCESS]
    if said or memory == 4:
        return said[0] if said else 0
    return ACCESS["r" if memory else "w"]


@cache
def _parts(operand_text: str, attribute_text: str, digit: bool) -> tuple[Any, ...]:
    """Fields of a row that operands and attributes say, from `kinds` to `index_size`."""
    words, attributes = operand_text.split(), attribute_text.split()
    kinds = "".join(word[0] for word in words)
    types = "".join(word[1] if len(word) > 1 else " " for word in words)
    memory = next((place for place, kind in enumerate(kinds) if kind in MEMORY_KINDS), 4)
    has_modrm = digit or bool(IN_MODRM & set(kinds)) or "reg" in attributes
    return (
        tuple(KINDS.index(kind) for kind in f"{kinds:4}"),
        tuple(TYPE_NAMES.index(name) for name in f"{types:4}"),
        _flags(kinds, has_modrm, attributes),
        _access(memory, attributes),
        memory,
        _immediate_types(kinds, types),
        *(max((sizes.get(name, 0) for name in attributes), default=0) for sizes in ATTRIBUTE_SIZES),
    )


def _row(encoding: str, mnemonic: str, operands: str, attributes: str, number: int) -> Row:
    text = f"{encoding} {mnemonic} {operands}".rstrip()
    parts = _parts(operands, attributes, "/" in encoding)
    feature = feature_of(mnemonic, encoding, operands)
    return Row._make((OP_NUMBER[mnemonic], *parts, feature, number, text, encoding, operands))


def _span(word: str) -> range:
    """Every opcode that the opcode word of an encoding covers."""
    opcode, _, span = word.partition("+")
    first = int(opcode, 16)
    return range(first, first + {"": 1, "r": 8, "cc": 16}[span])


def _digit_key(digit: str) -> dict[str, int]:
    """Key of `/d` or `/d:m`, of which the slash is gone."""
    reg, _, rm = digit.partition(":")
    return {"reg": int(reg)} | ({"mod3": 1, "rm": int(rm)} if rm else {})


@cache
def _vector_word(word: str) -> _Vector:
    """VEX and EVEX: everything in the first word."""
    kind, *fields = word.split(".")
    maps = VEX_MAPS if kind == "VEX" else EVEX_MAPS
    key: dict[str, int] = {}
    number = 0
    lengths: tuple[int, ...] = (-1,)
    for field in fields:
        if field in PREFIXES:
            key["prefix"] = PREFIXES.index(field)
        elif field in maps:
            number = maps[field]
        elif field in {"W0", "W1"}:
            key["w"] = int(field[1])
        else:
            lengths = tuple(LENGTHS[name] for name in field.split("/"))
    return _Vector(number, key, lengths)


@cache
def _limit_key(operands: str, attributes: str) -> dict[str, int]:
    """The part of a key that operands and attributes say."""
    names, kinds = attributes.split(), {word[0] for word in operands.split()}
    key = {selector: value for name, selector, value in LIMITS if name in names}
    if kinds & ONLY_MEMORY:
        key["mod3"] = 0
    if kinds & ONLY_REGISTER and "anymod" not in names:
        key["mod3"] = 1
    return key


def _encoding(text: str, limits: dict[str, int]) -> tuple[int, range, list[tuple[int, ...]]]:
    """Opcode map, opcodes, and the keys: several where several vector lengths are written."""
    opcode_text, _, digit = text.partition(" /")
    *words, opcode = opcode_text.split()
    key = dict.fromkeys(SELECTOR_NAMES, -1) | limits
    if digit:
        key |= _digit_key(digit)
    lengths: tuple[int, ...] = (-1,)
    if words and "." in words[0]:
        number, vector_key, lengths = _vector_word(words[0])
        key |= vector_key
    else:
        if words and words[0] in PREFIXES:
            key["prefix"] = PREFIXES.index(words.pop(0))
        number = LEGACY_MAPS["".join(words)]
    keys = [tuple((key | {"length": length}).values()) for length in lengths]
    return number, _span(opcode), keys


def _openness(form: _Form) -> int:
    """How much a key leaves open; the first written is taken among equals."""
    return form.key.count(-1)


class _Lookup:
    """The lookup arrays while they are being built; equal selections are shared."""

    def __init__(self) -> None:
        blanks = [INVALID] * COMPLETE_MAPS + [UNKNOWN] * (MAP_COUNT - COMPLETE_MAPS)
        self.cells = [blank for blank in blanks for _ in range(256)]
        self.splits: list[tuple[int, int]] = []
        self._known: dict[tuple[int, ...], int] = {}

    def select(self, forms: list[_Form], depth: int, blank: int) -> int:
        """Return the cell for `forms`, with a split for every selector they differ by."""
        if not forms:
            return blank
        first = forms[0]
        used = tuple(map(max, *(form.key for form in forms))) if len(forms) > 1 else first.key
        while depth < len(SELECTORS) and used[depth] < 0:
            depth += 1
        if depth == len(SELECTORS):
            return min(forms, key=_openness).cell if len(forms) > 1 else first.cell
        children = [
            self.select(
                [form for form in forms if form.key[depth] < 0 or form.key[depth] == value],
                depth + 1,
                blank,
            )
            for value in range(SELECTORS[depth][1])
        ]
        return children[0] if len(set(children)) == 1 else SPLIT | self._split(depth, children)

    def _split(self, depth: int, children: list[int]) -> int:
        key = (depth, *children)
        if key not in self._known:
            self._known[key] = len(self.splits)
            self.splits.append((depth, len(self.cells)))
            self.cells.extend(children)
        return self._known[key]


def _build() -> Tables:
    rows = [_row(name, "INVALID", "", "", 0) for name in ("unknown", "invalid")]
    roots: dict[int, list[_Form]] = {}
    for encoding, mnemonic, operands, attributes in SOURCE:
        number, opcodes, keys = _encoding(encoding, _limit_key(operands, attributes))
        for key in keys:
            form = _Form(key, len(rows))
            for opcode in opcodes:
                roots.setdefault(number * 256 + opcode, []).append(form)
        rows.append(_row(encoding, mnemonic, operands, attributes, number))
    lookup = _Lookup()
    for root, forms in roots.items():
        lookup.cells[root] = lookup.select(forms, 0, lookup.cells[root])
    return Tables(tuple(rows), tuple(lookup.cells), tuple(lookup.splits))


TABLES: Final = _build()
ROWS: Final = TABLES.rows


def _without() -> tuple[int, ...]:
    """For every row the row that stands for it without its feature, 0 for #UD."""
    numbers = {OPS[row.op]: number for number, row in enumerate(ROWS)}
    return tuple(numbers.get(WITHOUT.get(OPS[row.op], ""), 0) for row in ROWS)


ROW_WITHOUT: Final = _without()

VECTOR_OPERATIONS: Final = vector_operations(OPS)


def digest(*more: object) -> str:
    """Fingerprint of everything an engine compiles in; `more` adds the record layouts."""
    features = tuple(FEATURES), ROW_WITHOUT
    sizes = TYPE_SIZES, VECTOR_SIZES, REGISTER_LIMITS, KINDS, ATTRIBUTES, MARKS, MAP_COUNT
    vectors = VECTOR_FAMILIES, VECTOR_FUNCTIONS, VECTOR_OPERATIONS
    compiled_in = OPS, TABLES, SELECTORS, sizes, features, vectors, more
    return hashlib.sha256(repr(compiled_in).encode()).hexdigest()
