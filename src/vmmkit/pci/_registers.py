# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The register file under a configuration space: dwords, their masks, and hooks.

Nothing here knows what a register means; `vmmkit.pci.config` does.

Two registers often share a dword, and may have different writers: a guest writes Command while
the device's thread raises the Interrupt Status bit beside it. So each change of a dword is one
step under a lock of the space's own, which is a leaf: no hook is called with it held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, IntFlag
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci.spec import CONVENTIONAL_SIZE, EXTENDED_SIZE

__all__ = [
    "ConfigWrite",
    "Effect",
    "ReadHook",
    "RegisterFile",
    "ResetKind",
    "WriteHook",
    "hooked",
    "whole",
]

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


WriteHook = Callable[[Any, ConfigWrite], int]
"""Called with (space, write) after a write that touched its bytes; returns further effects."""
ReadHook = Callable[[Any, int, int], int]
"""Called with (space, offset of the dword, stored dword); returns the dword that is read."""

Hook = TypeVar("Hook", WriteHook, ReadHook)


def whole(name: str, value: object) -> int:
    """Return an author's integer; `name` is what an error calls it.

    Raises:
        ConfigSpaceError: anything else, truth values among them.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigSpaceError(f"{name} is an integer, not {value!r}")
    return value


def hooked(name: str, hook: Hook) -> Hook:
    """Return an author's hook, so that a wrong one fails before a guest meets it.

    Raises:
        ConfigSpaceError: it cannot be called.
    """
    if not callable(hook):
        raise ConfigSpaceError(f"{name} is a callable, not {hook!r}")
    return hook


class _Reaction(NamedTuple):
    """What a write of one dword entails: effects of changed bits, hooks of written lanes."""

    effects: tuple[tuple[int, int], ...] = ()
    watches: tuple[tuple[int, WriteHook], ...] = ()


class Place(NamedTuple):
    """Bytes that somebody has laid out.

    Attributes:
        offset: first byte.
        size: bytes.
        name: of the register or capability.
    """

    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        """Return the name with its bytes, as errors show it."""
        return f"{self.name or 'register'} [{self.offset:02x}h-{self.offset + self.size - 1:02x}h]"


class RegisterFile:
    """Registers in 256 or 4096 bytes, and what a guest may do to each bit of them.

    Args:
        size: bytes, 256 or 4096.

    Raises:
        ConfigSpaceError: another size.
    """

    __slots__ = (
        "_held",
        "_lock",
        "_places",
        "_reactions",
        "_read_hooks",
        "_registers",
        "_reset",
        "_sticky",
        "_taken",
        "_values",
        "_w1c",
        "_writable",
        "integrated",
        "size",
    )

    def __init__(self, size: int = EXTENDED_SIZE) -> None:
        """Start with a space whose every bit is zero and read-only."""
        if type(size) is not int or size not in (CONVENTIONAL_SIZE, EXTENDED_SIZE):
            raise ConfigSpaceError(f"a config space has 256 or 4096 bytes, not {size!r}")
        self.size = size
        #: Whether the function is on a root bus, a part of the root complex; kept by the bus.
        self.integrated = False
        count = size // 4
        self._values = [0] * count
        self._reset = [0] * count
        self._writable = [0] * count
        self._w1c = [0] * count
        self._sticky = [0] * count
        self._held = [0] * count
        self._reactions: list[_Reaction | None] = [None] * count
        self._read_hooks: list[ReadHook | None] = [None] * count
        self._lock = Lock()
        self._taken = 0  # a bit for each byte that is laid out
        self._places: list[Place] = []  # capabilities and reserved ranges
        self._registers: list[Place] = []

    # -- the guest's side ------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Read as a guest does. Reading changes nothing: no register here has a read effect.

        Args:
            offset: first byte; outside of the space there are ones.
            size: bytes, at least 1; no alignment is needed.

        Returns:
            The bytes as a little-endian integer.
        """
        shift = (offset & 3) << 3
        bits = size << 3
        if shift + bits > 32 or not 0 <= offset < self.size:
            return self._read_dwords(offset, size)
        index = offset >> 2
        hook = self._read_hooks[index]
        if hook is not None:
            return hook(self, offset & ~3, self._values[index]) >> shift & (1 << bits) - 1
        return self._values[index] >> shift & (1 << bits) - 1

    def _read_dwords(self, offset: int, size: int) -> int:
        first = offset & ~3
        value = 0
        for at in range(first, offset + size, 4):
            dword = self.read(at, 4) if 0 <= at < self.size else _DWORD
            value |= dword << 8 * (at - first)
        return value >> 8 * (offset - first) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> int:
        """Write as a guest does: read-only bits stay, W1C bits clear, in the written lanes only.

        Args:
            offset: first byte; what lies outside of the space is dropped.
            size: bytes, at least 1; no alignment is needed.
            value: its low `size` bytes are written.

        Returns:
            `Effect` bits, as a plain integer. A write of several dwords acts on them one after
            the other, the lowest first.
        """
        shift = (offset & 3) << 3
        bits = size << 3
        if shift + bits > 32 or not 0 <= offset < self.size:
            return self._write_dwords(offset, bits, value)
        lanes = (1 << bits) - 1 << shift
        value = value << shift & lanes
        index = offset >> 2
        values = self._values
        allowed, cleared = self._writable[index] & lanes, self._w1c[index] & value
        with self._lock:
            old = values[index]
            values[index] = new = (old ^ (old ^ value) & allowed) & ~cleared
        if self._reactions[index] is None:
            return 0
        return self._react(index, lanes, value, old, new)

    def _write_dwords(self, offset: int, bits: int, value: int) -> int:
        effects = 0
        shift = (offset & 3) << 3
        value = (value & (1 << bits) - 1) << shift
        lanes = (1 << bits) - 1 << shift
        index = offset >> 2
        while lanes:
            first = index << 2
            if 0 <= first < self.size:
                effects |= self._write_lanes(first, lanes & _DWORD, value & _DWORD)
            lanes >>= 32
            value >>= 32
            index += 1
        return effects

    def _write_lanes(self, first: int, lanes: int, value: int) -> int:
        """Write contiguous byte lanes of the dword at `first` as one access."""
        skip = ((lanes & -lanes).bit_length() - 1) >> 3
        size = (lanes.bit_length() >> 3) - skip
        return self.write(first + skip, size, value >> 8 * skip)

    def _react(self, index: int, lanes: int, value: int, old: int, new: int) -> int:
        reaction = self._reactions[index]
        assert reaction is not None
        changed = old ^ new
        effects = 0
        for mask, effect in reaction.effects:
            if changed & mask:
                effects |= effect
        for touched, hook in reaction.watches:
            if touched & lanes:
                written = ConfigWrite(index << 2, lanes, value, old, self._values[index])
                effects |= int(hook(self, written))
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
        value = value << shift & lanes
        index = offset >> 2
        with self._lock:
            self._values[index] = self._values[index] & ~lanes | value

    def amend(self, offset: int, size: int, *, on: int = 0, off: int = 0) -> None:
        """Set the bits `on` and clear the bits `off` in one step, as `set` would.

        For a status bit whose neighbours a guest may clear at the same time.
        """
        shift = (offset & 3) << 3
        lanes = (1 << (size << 3)) - 1 << shift
        on, off = on << shift & lanes, off << shift & lanes
        index = offset >> 2
        with self._lock:
            self._values[index] = self._values[index] & ~off | on

    def preset(self, offset: int, size: int, value: int, *, now: bool = True) -> None:
        """Make bytes what a reset brings back, and store them as `set` does unless `now` is false.

        For what is wired when functions are put together: interrupt pin, multifunction bit.
        """
        if now:
            self.set(offset, size, value)
        shift = (offset & 3) << 3
        lanes = (1 << (size << 3)) - 1 << shift
        index = offset >> 2
        self._reset[index] = self._reset[index] & ~lanes | value << shift & lanes

    def reset(self, kind: ResetKind) -> None:
        """Bring registers to their reset values.

        Sticky bits are left alone by all but `ResetKind.POWER`; what `define` calls held, by
        FUNCTION and D3 too. No hook runs; every effect may have come about.

        Raises:
            ConfigSpaceError: no `ResetKind`.
        """
        if not isinstance(kind, ResetKind):
            raise ConfigSpaceError(f"{kind!r} is no kind of reset")
        gentle = kind is ResetKind.FUNCTION or kind is ResetKind.D3
        for index, value in enumerate(self._reset):
            kept = 0 if kind is ResetKind.POWER else self._sticky[index]
            if gentle:
                kept |= self._held[index]
            with self._lock:
                self._values[index] = value & ~kept | self._values[index] & kept

    # -- layout ----------------------------------------------------------------------------------

    def define(
        self,
        offset: int,
        size: int,
        *,
        value: int = 0,
        rw: int = 0,
        w1c: int = 0,
        sticky: int = 0,
        held: int = 0,
        effects: Sequence[tuple[int, Effect]] = (),
        name: str = "",
    ) -> None:
        """Lay out one register.

        Args:
            offset: a multiple of `size`.
            size: 1, 2 or 4 bytes.
            value: after reset; it is stored at once.
            rw: mask of the bits a guest may write.
            w1c: mask of the bits a guest clears by writing ones to them.
            sticky: mask of the bits that only a power reset brings back to `value`.
            held: mask of the bits that a bus reset brings back too, but no function reset.
            effects: pairs of a mask and the effect that a change of one of its bits has.
            name: what errors and `registers()` call it; unnamed ones are not in the latter.

        Raises:
            ConfigSpaceError: outside of the space or misaligned, bits both rw and w1c or beyond
                the register, or bytes that are laid out already.
        """
        self._check_place(offset, size)
        try:
            acting = tuple((mask, int(effect)) for mask, effect in effects)
            used = value | rw | w1c | sticky | held
            for mask, _effect in acting:
                used |= mask
            beyond = used >> 8 * size
        except (TypeError, ValueError) as error:
            wrong = f"register at {offset:#x}: masks are integers, effects pairs with one"
            raise ConfigSpaceError(wrong) from error
        if rw & w1c or beyond:
            raise ConfigSpaceError(f"register at {offset:#x}: masks overlap or exceed {size} bytes")
        self._take(Place(offset, size, name))
        self._registers.append(Place(offset, size, name))
        index, shift = offset >> 2, (offset & 3) << 3
        for column, bits in (
            (self._values, value),
            (self._reset, value),
            (self._writable, rw),
            (self._w1c, w1c),
            (self._sticky, sticky),
            (self._held, held),
        ):
            column[index] |= bits << shift
        if acting:
            reaction = self._reactions[index] or _Reaction()
            added = tuple((mask << shift, effect) for mask, effect in acting)
            self._reactions[index] = reaction._replace(effects=reaction.effects + added)

    def _check_place(self, offset: int, size: int) -> None:
        whole("offset", offset)
        if (
            whole("size", size) not in (1, 2, 4)
            or offset % size
            or not 0 <= offset <= self.size - size
        ):
            raise ConfigSpaceError(f"no register of {size} bytes at {offset:#x} of {self.size}")

    def _take(self, place: Place) -> None:
        """Mark bytes as laid out; refuse if one is, naming both."""
        self._check_free(place)
        self._taken |= (1 << place.size) - 1 << place.offset

    def _check_free(self, place: Place) -> None:
        overlap = self._taken >> place.offset & (1 << place.size) - 1
        if not overlap:
            return
        byte = place.offset + (overlap & -overlap).bit_length() - 1
        others = (*self._places, *self._registers)
        other = next(one for one in others if one.offset <= byte < one.offset + one.size)
        raise ConfigSpaceError(f"{place} overlaps {other}")

    def on_write(self, offset: int, size: int, hook: WriteHook) -> None:
        """Call `hook` after each write that touches a byte of this range.

        A write of several dwords calls once for each dword touched. The owner's lock, if it has
        one, is held: hooks may use `get` and `set`, and return effects for all else.

        Raises:
            ConfigSpaceError: the range is empty or leaves the space, or the hook is no callable.
        """
        if not 0 <= whole("offset", offset) < offset + whole("size", size) <= self.size:
            raise ConfigSpaceError(f"no {size} bytes to watch at {offset:#x} of {self.size}")
        for index in range(offset >> 2, offset + size + 3 >> 2):
            first, past = max(offset - index * 4, 0), min(offset + size - index * 4, 4)
            lanes = (1 << 8 * past) - (1 << 8 * first)
            reaction = self._reactions[index] or _Reaction()
            watches = (*reaction.watches, (lanes, hooked("a write hook", hook)))
            self._reactions[index] = reaction._replace(watches=watches)

    def on_read(self, offset: int, hook: ReadHook) -> None:
        """Let `hook` answer reads of the dword at `offset`. It must change nothing.

        Raises:
            ConfigSpaceError: no such dword, it has a hook already, or this is no callable.
        """
        self._check_place(offset, 4)
        if self._read_hooks[offset >> 2] is not None:
            raise ConfigSpaceError(f"the dword at {offset:#x} has a read hook already")
        self._read_hooks[offset >> 2] = hooked("a read hook", hook)

    def registers(self) -> dict[str, int]:
        """Return what the named registers hold, by name, in the order of their offsets."""
        named = sorted(place for place in self._registers if place.name)
        return {name: self.get(offset, size) for offset, size, name in named}
