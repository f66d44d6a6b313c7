# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who answers where, by a naive model: raw bytes of config spaces in, no code of the library.

It knows nothing of trees, increments or history: each question looks at everything anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TOP = 0xFFFF_FFFF


@dataclass
class ModelBar:
    """A BAR as the model knows it: what a data sheet would say."""

    index: int
    size: int
    kind: str  # "io", "mem32", "mem64", "rom"
    label: str = ""


@dataclass
class ModelFunction:
    """A function: how its bytes are read, and where it sits."""

    name: str
    read: object  # read(offset, size) of the config space
    devfn: int
    bars: list[ModelBar]
    parent: ModelFunction | None = None  # a bridge
    children: list[ModelFunction] = field(default_factory=list)
    attached: bool = True

    def word(self, offset, size=2):
        return self.read(offset, size)

    @property
    def is_bridge(self):
        return self.word(0x0E, 1) & 0x7F == 1

    @property
    def d_state(self):
        if not self.word(6) & 0x10:
            return 0
        at = self.word(0x34, 1)
        while at:
            if self.word(at, 1) == 1:
                return self.word(at + 4) & 3
            at = self.word(at + 1, 1)
        return 0

    @property
    def path(self):
        above = [] if self.parent is None else [*self.parent.path[0], self.parent.path[1]]
        return above, self.devfn

    @property
    def present(self):
        return self.attached and (self.parent is None or self.parent.present)


def window(base, limit, low_bits):
    last = limit | low_bits
    return (base, last) if base <= last else None


def bridge_windows(bridge, is_io):
    """List what a bridge forwards; a port must also satisfy `isa`."""
    control = bridge.word(0x3E)
    if control & 0x40 or bridge.d_state:
        return []
    vga = bool(control & 8)
    if is_io:
        if not bridge.word(4) & 1:
            return []
        base, limit = bridge.word(0x1C, 1), bridge.word(0x1D, 1)
        found = [window((base & 0xF0) << 8, (limit & 0xF0) << 8, 0xFFF)]
        if vga:
            aliases = [0] if control & 0x10 else range(0, 0x10000, 0x400)
            for alias in aliases:
                found += [(0x3B0 + alias, 0x3BB + alias), (0x3C0 + alias, 0x3DF + alias)]
        return [one for one in found if one]
    if not bridge.word(4) & 2:
        return []
    found = [
        window((bridge.word(0x20) & 0xFFF0) << 16, (bridge.word(0x22) & 0xFFF0) << 16, 0xFFFFF)
    ]
    base = (bridge.word(0x24) & 0xFFF0) << 16 | bridge.word(0x28, 4) << 32
    limit = (bridge.word(0x26) & 0xFFF0) << 16 | bridge.word(0x2C, 4) << 32
    found.append(window(base, limit, 0xFFFFF))
    if vga:
        found.append((0xA0000, 0xBFFFF))
    return [one for one in found if one]


def forwarded(bridge, is_io, first, last):
    for number, (low, high) in enumerate(bridge_windows(bridge, is_io)):
        if low <= first and last <= high:
            own_window = number == 0 and not 0x3B0 <= low % 0x400 <= 0x3DF
            blocked = is_io and own_window and bridge.word(0x3E) & 4 and first & 0x300
            if not blocked:
                return True
    return False


def decoded(function, bar):
    """Return where a BAR decodes by all there is to say, or None."""
    is_io = bar.kind == "io"
    if not function.present or function.d_state:
        return None
    if not function.word(4) & (1 if is_io else 2):
        return None
    if bar.kind == "rom":
        raw = function.word(0x38 if function.is_bridge else 0x30, 4)
        if not raw & 1:
            return None
        base = raw & ~0x7FF
    else:
        raw = function.word(0x10 + 4 * bar.index, 4)
        base = raw & (~3 if is_io else ~15)
        if bar.kind == "mem64":
            base |= function.word(0x14 + 4 * bar.index, 4) << 32
    last = base + bar.size - 1
    if base == 0 or (last == TOP and not is_io) or last >= (1 << 16 if is_io else 1 << 40):
        return None
    above = function.parent
    while above is not None:
        if not forwarded(above, is_io, base, last):
            return None
        above = above.parent
    return base


def answers(functions, foreign, *, io):
    """Return `(base, size, label)` of everything that is live.

    Args:
        functions: all of them.
        foreign: `(base, size)` of what the map's owner has placed.
        io: ports or memory.
    """
    placed = [(base, size, None) for base, size in foreign]
    for function in sorted(functions, key=lambda one: one.path):
        for bar in sorted(function.bars, key=lambda one: one.index):
            if (bar.kind == "io") is not io:
                continue
            base = decoded(function, bar)
            if base is None:
                continue
            if all(base >= at + size or at >= base + bar.size for at, size, _ in placed):
                placed.append((base, bar.size, bar.label))
    return [one for one in placed if one[2] is not None]


def answer_at(placed, address):
    """Return the label of who answers at an address, or None."""
    for base, size, label in placed:
        if base <= address < base + size:
            return label
    return None


def routes(functions, root_bus=0, last_bus=255):
    """Return bdf -> name as config accesses reach functions, by trying every bus number."""
    found = {}
    for number in range(root_bus, last_bus + 1):
        parent = behind(functions, None, number, root_bus)
        if parent is NOBODY:
            continue
        for function in functions:
            if function.attached and function.present and function.parent is parent:
                found[number << 8 | function.devfn] = function.name
    return found


NOBODY = object()


def behind(functions, bridge, number, own):
    """Follow a config access to bus `number` from the bus behind `bridge`, whose number is own."""
    if number == own:
        return bridge
    below = [one for one in functions if one.present and one.parent is bridge and one.is_bridge]
    for one in sorted(below, key=lambda one: one.devfn):
        secondary, subordinate = one.word(0x19, 1), one.word(0x1A, 1)
        if secondary <= number <= subordinate:
            if one.word(0x3E) & 0x40 or one.d_state:
                return NOBODY
            return behind(functions, one, number, secondary)
    return NOBODY
