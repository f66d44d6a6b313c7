# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SLIT: how far proximity domains are from each other.

ACPI Specification 6.5, System Locality Information Table (SLIT).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import attrs

from vmmkit.acpi.structure import KEY, Codec, structure
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableParseError, TableValueError

__all__ = ["LOCAL", "UNREACHABLE", "Slit"]

LOCAL = 10  #: the distance of a locality to itself, by which all others are measured
UNREACHABLE = 255
_TOO_SMALL_ELSEWHERE = bytes(range(LOCAL + 1))
_MATRIX_OFFSET = 44


def _rows(distances: Iterable[Sequence[int]]) -> tuple[bytes, ...]:
    if not isinstance(distances, Iterable):
        raise TableValueError(f"Slit.distances is no matrix: {distances!r}", "SLIT")
    return tuple(_row(number, row) for number, row in enumerate(distances))


def _row(number: int, row: Sequence[int]) -> bytes:
    try:
        return bytes(row)
    except (TypeError, ValueError):
        raise TableValueError(
            f"Slit.distances: row {number} holds what is no distance of 0 to 255: {row!r}", "SLIT"
        ) from None


@structure
class Slit(Table):
    """The System Locality Information Table, ACPI Specification 6.5, section of that title.

    Args:
        distances: a square matrix: row by row, the distance from locality `i` to locality `j` at
            `distances[i][j]`. 10 from each to itself; else 11 to 254, or `UNREACHABLE`. Each row
            is kept as `bytes`, which is a sequence of ints.

    Raises:
        TableValueError: another shape or another diagonal, or a distance to another locality that
            is not beyond 10.
    """

    SIGNATURE = "SLIT"

    distances: Sequence[Sequence[int]] = attrs.field(converter=_rows)
    number_of_system_localities: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda table: len(table.distances), takes_self=True),
        metadata={KEY: Codec("Q")},
    )

    @classmethod
    def uniform(cls, localities: int, remote: int = 20, **header: Any) -> Self:
        """Return a table in which all other localities are equally far.

        Args:
            localities: how many.
            remote: distance from each to any other.
            header: other fields of `Table`.
        """
        far = _row(0, [remote]) * localities
        local = bytes([LOCAL])
        rows = [far[:here] + local + far[here + 1 :] for here in range(localities)]
        return cls(rows, **header)

    def _tail(self) -> bytes:
        rows = [bytes(row) for row in self.distances]
        for number, row in enumerate(rows):
            self._check(number, row)
        return b"".join(rows)

    def _check(self, number: int, row: bytes) -> None:
        """Check a row.

        Raises:
            TableValueError: see the class.
        """
        size = len(self.distances)
        offset = _MATRIX_OFFSET + number * size
        if len(row) != size:
            raise TableValueError(
                f"Slit.distances: row {number} has {len(row)} distances, not {size}", "SLIT", offset
            )
        if row[number] != LOCAL:
            raise TableValueError(
                f"Slit.distances[{number}][{number}] is {row[number]}, not {LOCAL}",
                "SLIT",
                offset + number,
            )
        if len(row.translate(None, _TOO_SMALL_ELSEWHERE)) != size - 1:
            column = next(at for at, value in enumerate(row) if value <= LOCAL and at != number)
            raise TableValueError(
                f"Slit.distances[{number}][{column}] is {row[column]}, not more than {LOCAL}",
                "SLIT",
                offset + column,
            )

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        size = fields.pop("number_of_system_localities")
        last = rest + size * size
        if last > len(data):
            raise TableParseError(
                f"SLIT has {len(data) - rest} distances, fewer than {size} localities have",
                "SLIT",
                rest - 8,
            )
        rows = [data[at : at + size] for at in range(rest, last, size)] if size else []
        return cls(rows, **fields, trailing=data[last:])
