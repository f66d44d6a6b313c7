# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What holds for every record, asked of each class in its own test file."""

import struct

import pytest

from vmmkit.errors import TableParseError, TableValueError

NUMBERS = {"B": 8, "Bx": 8, "H": 16, "I": 32, "Q": 64}


def number_fields(kind):
    """Return name and bits of the fields of a class that hold a number and nothing else."""
    return [
        (field.name, NUMBERS[field.codec.format])
        for field in kind.layout().fields
        if field.codec.format in NUMBERS and field.name not in {"length", "revision"}
    ]


def check_limits(kind, **fields):
    """Check that every number may be as large as its field, and not a bit larger.

    Args:
        kind: class of the record.
        fields: that have no default.
    """
    offsets = {field.name: field.offset for field in kind.layout().fields}
    for name, bits in number_fields(kind):
        top = (1 << bits) - 1
        record = kind(**{**fields, name: top})
        offset = offsets[name]
        assert getattr(record, name) == top
        assert record.to_bytes()[offset : offset + bits // 8] == b"\xff" * (bits // 8)
        for wrong in (top + 1, -1, 0.5, "1", None):
            with pytest.raises(TableValueError, match=rf"{kind.__name__}\.{name}\b") as caught:
                kind(**{**fields, name: wrong})
            assert caught.value.offset == offset


def check_truncation(table):
    """Check that no shorter or longer piece of a table can be read as it."""
    data = table.to_bytes()
    for size in range(len(data)):
        with pytest.raises(TableParseError):
            type(table).from_bytes(data[:size])
    with pytest.raises(TableParseError):
        type(table).from_bytes(data + b"\0")


def with_length(data, size):
    """Return the first bytes of a table as a table of that length, with a right checksum."""
    cut = bytearray(data[:size])
    struct.pack_into("<I", cut, 4, size)
    cut[9] = 0
    cut[9] = -sum(cut) & 0xFF
    return bytes(cut)
