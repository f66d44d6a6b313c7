# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A function's configuration space: registers, what a guest may do to them, and what that means.

Theory of operation
-------------------
The space is a list of dwords with parallel lists of masks: which bits a guest may write, which it
clears by writing ones, which survive a reset. An access of any width and alignment is cut into
byte lanes of dwords, and a register sees the lanes that were written and no others: a byte write
beside a W1C bit does not clear it.

A write returns an `Effect`: what somebody else has to look at again. The space knows no address
map, no interrupt controller and no bus; those who do, act on the effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, IntFlag
from typing import Final, NamedTuple

from vmmkit.errors import ConfigSpaceError

__all__ = ["ConfigSpace", "ConfigWrite", "Effect", "ResetKind"]

CONVENTIONAL_SIZE: Final = 0x100
EXTENDED_SIZE: Final = 0x1000

_DWORD: Final = 0xFFFF_FFFF


class Effect(IntFlag):
    """What a configuration write may have changed beyond the register. Hot paths use plain ints."""

    NONE = 0
    DECODE = 1  #: what the function or bridge decodes: command, BAR, ROM, window, D-state
    INTERRUPT = 2  #: whether and how interrupts leave: gates, enables, masks, addresses
    NUMBERS = 4  #: a bridge's bus numbers
    POWER = 8  #: the D-state
    FUNCTION_RESET = 16  #: a function-level reset was asked for
    SECONDARY_RESET = 32  #: a bridge's Secondary Bus Reset bit changed
    SLOT = 64  #: slot control or status of a hot-plug port


class ResetKind(Enum):
    """What resets a function; sticky bits survive all but POWER."""

    POWER = "power"  #: cold: power was applied
    BUS = "bus"  #: conventional reset that arrives by the bus or link
    FUNCTION = "function"  #: function-level reset (FLR)
    D3 = "d3"  #: the way from D3hot to D0, where No_Soft_Reset is clear


class ConfigWrite(NamedTuple):
    """One dword of a guest's write, as hooks see it; the space holds `new` already.

    Attributes:
        offset: of the dword, a multiple of 4.
        lanes: mask of the bits that were written, whole bytes of it.
        value: what the guest wrote, zero outside of `lanes`.
        old: the dword before.
        new: the dword after.
    """

    offset: int
    lanes: int
    value: int
    old: int
    new: int


WriteHook = Callable[["ConfigSpace", ConfigWrite], int]
"""Called after a write that touched its bytes; returns further effects, 0 for none."""
ReadHook = Callable[["ConfigSpace", int, int], int]
"""Called with (space, offset of the dword, stored dword); returns the dword that is read."""


class _Watch(NamedTuple):
    lanes: int
    hook: WriteHook


class ConfigSpace:
    """The registers of one function.

    Args:
        size: bytes: 256, or 4096 for a PCI Express function.

    Raises:
        ConfigSpaceError: another size.
    """

    __slots__ = (
        "_effects",
        "_read_hooks",
        "_reset",
        "_sticky",
        "_values",
        "_w1c",
        "_watches",
        "_writable",
        "size",
    )

    def __init__(self, size: int = EXTENDED_SIZE) -> None:
        """Start with a space whose every bit is zero and read-only."""
        if size not in (CONVENTIONAL_SIZE, EXTENDED_SIZE):
            raise ConfigSpaceError(f"a config space has 256 or 4096 bytes, not {size!r}")
        self.size = size
        count = size // 4
        self._values = [0] * count
        self._reset = [0] * count
        self._writable = [0] * count
        self._w1c = [0] * count
        self._sticky = [0] * count
        self._effects: list[tuple[tuple[int, int], ...]] = [()] * count
        self._watches: list[tuple[_Watch, ...]] = [()] * count
        self._read_hooks: list[ReadHook | None] = [None] * count

    # -- the guest's side ------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Read as a guest does.

        Args:
            offset: first byte; beyond the space there are ones.
            size: bytes, at least 1; no alignment is needed.

        Returns:
            The bytes as a little-endian integer.
        """
        index, shift = offset >> 2, (offset & 3) << 3
        if shift + (size << 3) <= 32 and offset < self.size:
            hook = self._read_hooks[index]
            value = self._values[index]
            if hook is not None:
                value = hook(self, offset & ~3, value)
            return value >> shift & (1 << (size << 3)) - 1
        return self._read_bytes(offset, size)

    def _read_bytes(self, offset: int, size: int) -> int:
        value = 0
        for at in range(size):
            place = offset + at
            byte = self.read(place, 1) if 0 <= place < self.size else 0xFF
            value |= byte << 8 * at
        return value

    def write(self, offset: int, size: int, value: int) -> int:
        """Write as a guest does: read-only bits stay, W1C bits clear, in the written lanes only.

        Args:
            offset: first byte; what lies beyond the space is dropped.
            size: bytes, at least 1; no alignment is needed.
            value: its low `size` bytes are written.

        Returns:
            `Effect` bits, as a plain integer.
        """
        shift = (offset & 3) << 3
        bits = size << 3
        effects = 0
        value = (value & (1 << bits) - 1) << shift
        lanes = (1 << bits) - 1 << shift
        index = offset >> 2
        while lanes:
            if lanes & _DWORD and index < len(self._values):
                effects |= self._write_dword(index, lanes & _DWORD, value & _DWORD)
            lanes >>= 32
            value >>= 32
            index += 1
        return effects

    def _write_dword(self, index: int, lanes: int, value: int) -> int:
        old = self._values[index]
        writable = self._writable[index] & lanes
        new = (old & ~writable | value & writable) & ~(value & self._w1c[index])
        self._values[index] = new
        changed = old ^ new
        effects = 0
        for mask, effect in self._effects[index]:
            if changed & mask:
                effects |= effect
        for watch in self._watches[index]:
            if watch.lanes & lanes:
                written = ConfigWrite(index << 2, lanes, value, old, self._values[index])
                effects |= watch.hook(self, written)
        return effects

    # -- the device's side -----------------------------------------------------------------------

    def get(self, offset: int, size: int) -> int:
        """Return stored bytes: no hook runs. `offset` is a multiple of `size`, which is 1, 2, 4."""
        shift = (offset & 3) << 3
        return self._values[offset >> 2] >> shift & (1 << (size << 3)) - 1

    def set(self, offset: int, size: int, value: int) -> None:
        """Store bytes, whatever a guest might do to them: no mask, no hook, no effect."""
        shift = (offset & 3) << 3
        lanes = (1 << (size << 3)) - 1 << shift
        index = offset >> 2
        self._values[index] = self._values[index] & ~lanes | value << shift & lanes

    def define(
        self,
        offset: int,
        size: int,
        *,
        value: int = 0,
        rw: int = 0,
        w1c: int = 0,
        sticky: int = 0,
        effects: Iterable[tuple[int, Effect]] = (),
    ) -> None:
        """Lay out one register.

        Args:
            offset: a multiple of `size`.
            size: 1, 2 or 4 bytes.
            value: after reset; it is stored at once.
            rw: mask of the bits a guest may write.
            w1c: mask of the bits a guest clears by writing ones to them.
            sticky: mask of the bits that only a power reset brings back to `value`.
            effects: pairs of a mask and the effect that a change of one of its bits has.

        Raises:
            ConfigSpaceError: outside of the space or misaligned, or bits both rw and w1c.
        """
        self._check_place(offset, size)
        if rw & w1c or (value | rw | w1c | sticky) >> 8 * size:
            raise ConfigSpaceError(f"register at {offset:#x}: masks overlap or exceed {size} bytes")
        index, shift = offset >> 2, (offset & 3) << 3
        keep = ~((1 << 8 * size) - 1 << shift)
        for column, bits in (
            (self._values, value),
            (self._reset, value),
            (self._writable, rw),
            (self._w1c, w1c),
            (self._sticky, sticky),
        ):
            column[index] = column[index] & keep | bits << shift
        self._effects[index] += tuple((mask << shift, int(effect)) for mask, effect in effects)

    def _check_place(self, offset: int, size: int) -> None:
        if size not in (1, 2, 4) or offset % size or not 0 <= offset <= self.size - size:
            raise ConfigSpaceError(f"no register of {size} bytes at {offset:#x} of {self.size}")

    def on_write(self, offset: int, size: int, hook: WriteHook) -> None:
        """Call `hook` after each write that touches a byte of this range.

        A write of several dwords calls once for each dword touched. The owner's lock, if it has
        one, is held: hooks may use `get` and `set`, and return effects for all else.
        """
        for index in range(offset >> 2, offset + size + 3 >> 2):
            first, past = max(offset - index * 4, 0), min(offset + size - index * 4, 4)
            lanes = (1 << 8 * past) - (1 << 8 * first)
            self._watches[index] += (_Watch(lanes, hook),)

    def on_read(self, offset: int, hook: ReadHook) -> None:
        """Let `hook` answer reads of the dword at `offset`; there is one for each dword."""
        self._check_place(offset, 4)
        if self._read_hooks[offset >> 2] is not None:
            raise ConfigSpaceError(f"the dword at {offset:#x} has a read hook already")
        self._read_hooks[offset >> 2] = hook

    def reset(self, kind: ResetKind) -> None:
        """Bring registers to their reset values; sticky bits only for `ResetKind.POWER`."""
        for index, value in enumerate(self._reset):
            sticky = 0 if kind is ResetKind.POWER else self._sticky[index]
            self._values[index] = value & ~sticky | self._values[index] & sticky
