# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a target adds to a debugger's `monitor` command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from vmmkit.backends._debug_io import IoBreaks, IoRange
from vmmkit.backends._debug_memory import DebugMemory
from vmmkit.errors import TargetError
from vmmkit.insn import Read, Translation
from vmmkit.memregion import RegionMap

if TYPE_CHECKING:
    from vmmkit.backends._debug_view import DebugView

__all__ = ["commands_of"]

SWITCH: Final = {"on": True, "off": False}
LEVELS: Final = {2: ("PDE", "PTE"), 3: ("PDPTE", "PDE", "PTE")}
LONG_LEVELS: Final = ("PML5E", "PML4E", "PDPTE", "PDE", "PTE")
ENTRY_BITS: Final = ((1, "P"), (2, "W"), (4, "U"), (0x20, "A"), (0x40, "D"), (0x80, "PS"))
ENTRY_XD: Final = 1 << 63
SIZES: Final = {1 << 12: "4 KiB", 1 << 21: "2 MiB", 1 << 22: "4 MiB", 1 << 30: "1 GiB"}
ENTRY_4: Final = 4
EFER_LMA: Final = 1 << 10
CR4_LA57: Final = 1 << 12
PORTS: Final = 1 << 16
SPACE: Final = 1 << 64
PAGE_FAULT: Final = 14


def commands_of(
    target: DebugView,
    memory: DebugMemory,
    io: IoBreaks,
    maps: tuple[RegionMap | None, RegionMap | None],
) -> Mapping[str, Callable[..., str | None]]:
    """Return the commands of a target, by name."""
    commands = Commands(target, memory, io, maps)
    return {
        "translate": commands.translate,
        "map": commands.map,
        "physical": commands.physical,
        "mmio": commands.mmio,
        "hold": commands.hold,
        "break-on-io": commands.break_on_io,
    }


class Commands:
    """The commands; each takes the selected vCPU and the words after the command."""

    def __init__(
        self,
        target: DebugView,
        memory: DebugMemory,
        io: IoBreaks,
        maps: tuple[RegionMap | None, RegionMap | None],
    ) -> None:
        """Remember what they are about."""
        self._target, self._memory, self._io, self._maps = target, memory, io, maps

    def translate(self, vcpu: int, *words: str) -> str:
        """Show the walk from a virtual address to a guest-physical one: translate ADDRESS."""
        if len(words) != 1:
            raise TargetError("translate takes an address")
        chosen = self._target.vcpu(vcpu)
        linear = _number(words[0])
        found = chosen.translate(linear, None)
        if isinstance(found, Read):
            return f"the page-table entry at {found.gpa:#x} is not in RAM"
        if not isinstance(found, Translation):
            cause = "no page" if found.vector == PAGE_FAULT else "not canonical"
            return f"{linear:#x}: {cause} (exception {found.vector}, error code {found.error:#x})"
        lines = [*_walk_lines(found, _level_names(chosen.state, found))]
        rights = [
            name
            for name, has in (
                ("user", found.user),
                ("writable", found.writable),
                ("executable", found.executable),
            )
            if has
        ]
        if found.entries:
            size = SIZES.get(found.page_size, f"{found.page_size:#x} bytes")
            lines.append(f"{linear:#x} -> {found.gpa:#x} ({size}: {', '.join(rights) or 'none'})")
        else:
            lines.append(f"{linear:#x} -> {found.gpa:#x} (no paging)")
        return "\n".join(lines)

    def map(self, _vcpu: int, *words: str) -> str:
        """Show the address maps, of memory and of I/O ports."""
        if words:
            raise TargetError("map takes nothing")
        trees = [space.tree() for space in self._maps if space is not None]
        pieces = "\n".join(
            f"{piece.first:#x}-{piece.last:#x} {piece.name}" for piece in self._memory.pieces()
        )
        return "\n".join(trees) if trees else pieces

    def physical(self, _vcpu: int, *words: str) -> str:
        """Take addresses as guest-physical ones: physical [on|off].

        GDB shows code and stacks that it has read before from memory of its own; "maintenance flush
        dcache" has it read them again.
        """
        if words:
            self._target.physical = _switch(words)
        return f"addresses are {'guest-physical' if self._target.physical else 'virtual'}"

    def mmio(self, _vcpu: int, *words: str) -> str:
        """Read and write devices, or refuse to: mmio [on|off]."""
        if words:
            self._memory.devices = _switch(words)
        return f"devices are {'accessed' if self._memory.devices else 'not accessed'}"

    def hold(self, _vcpu: int, *words: str) -> str:
        """Let interrupts wait while stepping: hold [on|off]."""
        if words:
            self._target.hold_interrupts_while_stepping = _switch(words)
        held = self._target.hold_interrupts_while_stepping
        return f"interrupts {'wait' if held else 'are taken'} while stepping"

    def break_on_io(self, _vcpu: int, *words: str) -> str:
        """Stop at accesses: break-on-io PORT[-PORT] | mmio ADDRESS[-ADDRESS] [off] | list | off."""
        ranges = self._io.ranges
        if words == ("off",):
            self._io.ranges = ()
        elif words and words != ("list",):
            wanted, off = _io_range(words)
            if off and wanted not in ranges:
                raise TargetError(f"{wanted} is not watched")
            others = tuple(watched for watched in ranges if watched != wanted)
            self._io.ranges = others if off else (*others, wanted)
        return "\n".join(map(str, self._io.ranges)) or "no accesses are watched"


def _number(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < SPACE:
        raise TargetError(f"{text!r} is no address")
    return value


def _switch(words: tuple[str, ...]) -> bool:
    if len(words) != 1 or words[0] not in SWITCH:
        raise TargetError("on or off")
    return SWITCH[words[0]]


def _io_range(words: tuple[str, ...]) -> tuple[IoRange, bool]:
    """Take the words of `break-on-io` apart: the range, and whether it is to be forgotten."""
    is_port = words[0] != "mmio"
    rest = words if is_port else words[1:]
    off = rest[1:] == ("off",)
    if not rest or (rest[1:] and not off):
        raise TargetError("break-on-io takes a port or range, or mmio and an address or range")
    first, _, last = rest[0].partition("-")
    low = _number(first)
    high = _number(last) if last else low
    if high < low or (is_port and high >= PORTS):
        raise TargetError(f"{rest[0]} is no range")
    return IoRange(is_port, low, high), off


def _level_names(state: object, found: Translation) -> tuple[str, ...]:
    """Name the entries of a walk, from the root on."""
    if getattr(state, "efer", 0) & EFER_LMA:
        return LONG_LEVELS[0 if getattr(state, "cr4", 0) & CR4_LA57 else 1 :]
    wide = bool(found.entries) and found.entries[0].size != ENTRY_4
    return LEVELS[3 if wide else 2]


def _walk_lines(found: Translation, names: tuple[str, ...]) -> list[str]:
    lines = []
    for entry, name in zip(found.entries, names, strict=False):
        bits = [text for bit, text in ENTRY_BITS if entry.value & bit]
        if entry.size != ENTRY_4 and entry.value & ENTRY_XD:
            bits.append("XD")
        lines.append(f"{name:<5} at {entry.gpa:#x}: {entry.value:#018x} {' '.join(bits)}")
    return lines
