# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The attributes that `CpuState` is made of: words of the record under the names of registers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from vmmkit.errors import StateError
from vmmkit.insn._page_modes import LEAST_PHYSICAL, MOST_PHYSICAL
from vmmkit.insn._record import SEGMENT_NAMES, WORD

if TYPE_CHECKING:
    from vmmkit.insn._state import CpuState

__all__ = ["RegisterFile", "Segment"]

SEGMENT_WORDS: Final = struct.Struct("=4Q")


class Segment(NamedTuple):
    """A segment register with its hidden part."""

    selector: int
    base: int
    limit: int
    """Highest offset in bytes, whatever the granularity bit says."""
    attributes: int
    """SDM vol. 3C, "Guest Register State": type 3:0, S 4, DPL 6:5, P 7, L 13, D/B 14, G 15,
    unusable 16."""


class _Word:
    """A 64-bit word of the record."""

    __slots__ = ("name", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, state: None, owner: type) -> _Word: ...
    @overload
    def __get__(self, state: CpuState, owner: type) -> int: ...
    def __get__(self, state: CpuState | None, owner: type) -> _Word | int:
        if state is None:
            return self
        return state.words[self.number]

    def __set__(self, state: CpuState, value: int) -> None:
        _store(state, self.number, value, self.name)


class _PhysicalWidth(_Word):
    """The width of physical addresses, which has a range of its own."""

    __slots__ = ()

    def __set__(self, state: CpuState, value: int) -> None:
        if not isinstance(value, int) or not LEAST_PHYSICAL <= value <= MOST_PHYSICAL:
            message = f"{self.name} is {LEAST_PHYSICAL} to {MOST_PHYSICAL} bits, not {value!r}"
            raise StateError(message)
        _store(state, self.number, value, self.name)


class _PriorityClass(_Word):
    """CR8: bits 7:4 of the task priority; writing it clears the others."""

    __slots__ = ()

    @overload
    def __get__(self, state: None, owner: type) -> _Word: ...
    @overload
    def __get__(self, state: CpuState, owner: type) -> int: ...
    def __get__(self, state: CpuState | None, owner: type) -> _Word | int:
        return self if state is None else state.words[self.number] >> 4 & 15

    def __set__(self, state: CpuState, value: int) -> None:
        if not isinstance(value, int) or not 0 <= value <= 15:
            message = f"{self.name} is 0 to 15, not {value!r}"
            raise StateError(message)
        state.words[self.number] = value << 4


class _SegmentWords:
    """Four words that are one segment register."""

    __slots__ = ("name", "number")

    def __init__(self, number: int) -> None:
        self.number = WORD["segment"] + 4 * number
        self.name = SEGMENT_NAMES[number]

    @overload
    def __get__(self, state: None, owner: type) -> _SegmentWords: ...
    @overload
    def __get__(self, state: CpuState, owner: type) -> Segment: ...
    def __get__(self, state: CpuState | None, owner: type) -> _SegmentWords | Segment:
        if state is None:
            return self
        return Segment(*state.words[self.number : self.number + 4])

    def __set__(self, state: CpuState, value: tuple[int, int, int, int]) -> None:
        try:
            parts = Segment(*value)
            fits = 0 <= parts.selector <= 0xFFFF and 0 <= parts.limit <= 0xFFFF_FFFF
            packed = SEGMENT_WORDS.pack(*parts)
        except (TypeError, struct.error) as error:
            message = f"{self.name} takes four integers (Segment), not {value!r}"
            raise StateError(message) from error
        if not fits:
            message = f"{self.name} takes a 16-bit selector and a 32-bit limit, not {parts}"
            raise StateError(message)
        start = 8 * self.number
        state.record[start : start + len(packed)] = packed


class RegisterFile:
    """Equal registers of one state, by number: integers of as many bytes each.

    Writing a narrower view of a register (`xmm`, `ymm`, `mmx`) leaves the bytes above it.
    """

    __slots__ = ("_name", "_size", "_start", "_state", "_step", "_total")

    def __init__(self, state: CpuState, name: str, shape: tuple[str, int, int, int]) -> None:
        """Bind a field of the record: its name, registers, bytes from one to the next, bytes."""
        field, self._total, self._step, self._size = shape
        self._state, self._name, self._start = state, name, 8 * WORD[field]

    def __len__(self) -> int:
        """How many registers there are."""
        return self._total

    def _place(self, number: int) -> int:
        if not 0 <= number < self._total:
            message = f"{self._name} registers are 0 to {self._total - 1}, not {number}"
            raise IndexError(message)
        return self._start + self._step * number

    def __getitem__(self, number: int) -> int:
        """Read a register."""
        start = self._place(number)
        return int.from_bytes(self._state.record[start : start + self._size], "little")

    def __setitem__(self, number: int, value: int) -> None:
        """Write a register; `StateError` for a value that does not fit."""
        start = self._place(number)
        try:
            packed = value.to_bytes(self._size, "little")
        except (OverflowError, AttributeError) as error:
            message = f"{self._name}[{number}] takes {self._size} bytes, not {value!r}"
            raise StateError(message) from error
        self._state.record[start : start + self._size] = packed


class _FileOfRegisters:
    """A register file as an attribute."""

    __slots__ = ("_name", "_shape")

    def __init__(self, field: str, total: int, step: int, size: int) -> None:
        self._shape, self._name = (field, total, step, size), ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, state: CpuState, owner: type) -> RegisterFile:
        return RegisterFile(state, self._name, self._shape)


def _store(state: CpuState, number: int, value: int, name: str) -> None:
    try:
        state.words[number] = value
    except (ValueError, TypeError) as error:
        message = f"{name} takes an integer from 0 to 2**64-1, not {value!r}"
        raise StateError(message) from error
