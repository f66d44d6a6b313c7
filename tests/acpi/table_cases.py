# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of tables share: limits of every field, and bytes damaged in every way."""

import attrs
import pytest
from hypothesis import strategies as st

from vmmkit.acpi.structure import Layout
from vmmkit.acpi.tables.table import HEADER_SIZE, checksum
from vmmkit.errors import AcpiError, TableParseError, TableValueError

INTEGERS = frozenset("BHIQ")


def hexed(text: str) -> bytes:
    """Return the bytes of hexadecimal text, in which `;` begins a comment to the end of a line."""
    return bytes.fromhex("".join(line.partition(";")[0] for line in text.splitlines()))


def body(table) -> bytes:
    """Return the bytes of a table after its header."""
    return table.to_bytes()[HEADER_SIZE:]


def sealed(data: bytes) -> bytes:
    """Return a table's bytes with the right length and checksum."""
    content = bytearray(data)
    content[4:8] = len(content).to_bytes(4, "little")
    content[9] = 0
    content[9] = checksum(content)
    return bytes(content)


def table_bytes(signature: str, content: bytes, revision: int = 1) -> bytes:
    """Return a table made by hand: a header of zeros, and content."""
    head = bytearray(HEADER_SIZE)
    head[:4] = signature.encode()
    head[8] = revision
    return sealed(bytes(head) + content)


def integer_fields(record):
    """Yield name and bytes of the fields that hold an integer and are given by the caller."""
    layout: Layout = record.layout()
    given = {field.name for field in attrs.fields(type(record)) if field.init}
    for field in layout.fields:
        letter = field.codec.format.strip("x0123456789")
        if field.name in given and letter in INTEGERS:
            yield field.name, {"B": 1, "H": 2, "I": 4, "Q": 8}[letter]


def check_limits(record, *, apart=()) -> None:
    """Check that each integer field takes its largest value, and neither one more nor -1.

    Args:
        record: of valid values.
        apart: fields whose values mean more, and whose own tests check them.
    """
    tried = 0
    for name, size in integer_fields(record):
        if name in apart:
            continue
        largest = (1 << 8 * size) - 1
        assert getattr(attrs.evolve(record, **{name: largest}), name) == largest
        for value in (largest + 1, -1, "x", None):
            with pytest.raises(TableValueError, match=rf"\b{name}\b"):
                attrs.evolve(record, **{name: value})
        tried += 1
    assert tried


def check_reading(kind, data: bytes) -> None:
    """Check that bytes are read without loss, or refused with table and offset."""
    table, error = _read(kind, data)
    if table is not None:
        assert table.to_bytes() == data
        repr(table)
    else:
        assert isinstance(error, TableParseError), error
        assert error.table == kind.SIGNATURE, error
        assert error.offset is not None, error


def _read(kind, data):
    try:
        return kind.from_bytes(data), None
    except AcpiError as error:
        return None, error


def check_damage(kind, data: bytes) -> None:
    """Check reading with each byte after the header changed, and cut at each length."""
    for at in range(HEADER_SIZE, len(data)):
        for value in {0, 1, 3, 0x7F, 0xFF, data[at] ^ 0x80, (data[at] + 1) & 0xFF}:
            check_reading(kind, sealed(data[:at] + bytes([value]) + data[at + 1 :]))
        check_reading(kind, sealed(data[:at]))
    check_reading(kind, sealed(data + b"\x01\x02\x03"))


@st.composite
def contents(draw, data: bytes):
    """Draw what may follow the header: parts of a valid table, zeros, and any bytes."""
    content = data[HEADER_SIZE:]
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, len(content)))
        last = draw(st.integers(first, len(content)))
        parts.append(draw(st.sampled_from([content[first:last], content[:first], bytes(4)])))
        parts.append(draw(st.binary(max_size=12)))
    return b"".join(parts)
