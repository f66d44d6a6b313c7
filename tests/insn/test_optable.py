# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The opcode table itself: no two rows for one encoding, every row reachable, words that exist."""

from collections import defaultdict
from itertools import combinations

import pytest

from insn.row_encodings import INSTRUCTIONS, REFUSED, candidates, forms
from vmmkit.insn import optable
from vmmkit.insn._decode import decode_fields
from vmmkit.insn._record import DECODE_FAILURES
from vmmkit.insn.optable import (
    ACCESS,
    ATTRIBUTE_SIZES,
    ATTRIBUTES,
    IMPLIED,
    KINDS,
    LIMITS,
    MEMORY_KINDS,
    OPERANDS,
    OPS,
    ROWS,
    SELECTORS,
    SOURCE,
    SPLIT,
    TABLES,
    TYPE_NAMES,
    TYPES,
)

WORDS = {
    *ATTRIBUTES,
    *IMPLIED,
    *ACCESS,
    *(name for name, _, _ in LIMITS),
    *(name for sizes in ATTRIBUTE_SIZES for name in sizes),
}


def keys():
    """Every (map, opcode) with the forms that are written for it."""
    found = defaultdict(list)
    for encoding, mnemonic, operands, attributes in SOURCE:
        limits = optable._limit_key(operands, attributes)
        number, opcodes, row_keys = optable._encoding(encoding, limits)
        for opcode in opcodes:
            for key in row_keys:
                found[number, opcode].append((key, f"{encoding} {mnemonic} {operands}"))
    return found


def overlap(first, second):
    """Whether some bytes match both keys."""
    return all(a < 0 or b < 0 or a == b for a, b in zip(first, second, strict=True))


def test_no_bytes_match_two_rows_equally_well():
    ambiguous = [
        (first[1], second[1])
        for found in keys().values()
        for first, second in combinations(found, 2)
        if overlap(first[0], second[0]) and first[0].count(-1) == second[0].count(-1)
    ]
    assert not ambiguous


def test_of_overlapping_rows_one_is_the_narrower():
    """Where two rows match, one says everything that the other says, and more."""
    crossed = [
        (first[1], second[1])
        for found in keys().values()
        for first, second in combinations(found, 2)
        if overlap(first[0], second[0])
        and not all(b < 0 for a, b in zip(first[0], second[0], strict=True) if a < 0)
        and not all(a < 0 for a, b in zip(first[0], second[0], strict=True) if b < 0)
    ]
    assert not crossed


def test_every_row_is_reached():
    assert {form.row for form in forms()} == INSTRUCTIONS


def test_every_row_that_says_so_is_refused():
    invalid = DECODE_FAILURES.index("INVALID")
    for number in REFUSED:
        for code in candidates(ROWS[number]):
            assert decode_fields(code + bytes(10), 32) == invalid, ROWS[number].text


def test_every_row_that_can_has_a_memory_form_and_a_register_form():
    """Kinds that are both reach both, unless the row itself says otherwise."""
    found = {(form.row, form.memory) for form in forms()}
    limited = {"mem", "reg"}
    for number in INSTRUCTIONS:
        row = ROWS[number]
        attributes = set(SOURCE[number - 2][3].split())
        kinds = {KINDS[kind] for kind in row.kinds}
        if kinds & set("EWQks") and not attributes & limited and ":" not in row.encoding:
            assert {(number, True), (number, False)} <= found, row.text


@pytest.mark.parametrize("number", [0, 1])
def test_two_rows_are_no_instructions(number):
    assert OPS[ROWS[number].op] == "INVALID"


def test_mnemonics_are_identifiers_and_all_are_used():
    assert len(set(OPS)) == len(OPS)
    for name in OPS:
        assert name.isidentifier()
        assert name.isupper()
        assert name.isascii()
    assert {row.op for row in ROWS} == set(range(len(OPS)))


def test_operands_and_types_are_known():
    assert len(KINDS) == len(OPERANDS)
    for row in ROWS:
        for word in row.operands.split():
            assert word[0] in KINDS
            assert word[1:] in TYPE_NAMES
            assert len(word) <= 2
        assert len(row.operands.split()) <= 4
        assert sum(KINDS[kind] in MEMORY_KINDS for kind in row.kinds) <= 1, row.text


def test_every_operand_kind_and_type_is_used():
    kinds = {KINDS[kind] for row in ROWS for kind in row.kinds}
    assert set(KINDS) - kinds <= {"r", "s"}  # bound registers: MPX is not in the table
    types = {TYPE_NAMES[name] for row in ROWS for name in row.types}
    assert set(TYPES) - types <= {"?"}


def test_attributes_are_known():
    for _, mnemonic, _, attributes in SOURCE:
        unknown = set(attributes.split()) - WORDS
        assert not unknown, (mnemonic, unknown)


def test_lockable_rows_write_memory():
    for number, (_, mnemonic, _, attributes) in enumerate(SOURCE, 2):
        if "lock" in attributes.split():
            assert ROWS[number].access == 3, mnemonic


def test_splits_stay_inside_and_go_forward():
    """A walk ends: every split selects by a later selector than the one that led to it."""
    for selector, base in TABLES.splits:
        for cell in TABLES.cells[base : base + SELECTORS[selector][1]]:
            if cell & SPLIT:
                assert TABLES.splits[cell & ~SPLIT][0] > selector
            else:
                assert cell < len(ROWS)
        assert base + SELECTORS[selector][1] <= len(TABLES.cells)


def test_numbers_fit_the_arrays_of_the_native_engine():
    assert len(ROWS) < SPLIT
    assert len(TABLES.splits) < SPLIT
    assert len(TABLES.cells) < 1 << 16
    assert len(ATTRIBUTES) <= 32
    for row in ROWS:
        assert max(row.broadcast, row.disp8, row.index_size, *row.immediates) < 256
