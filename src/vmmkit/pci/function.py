# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PCI function: a config space, BARs, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from vmmkit.errors import PciSnapshotError, TopologyError
from vmmkit.pci._bar_pieces import pieces_of
from vmmkit.pci.bars import Bar, Declaration
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ConfigSnapshot, ConfigSpace, Effect, ResetKind
from vmmkit.pci.decode import bar_offset
from vmmkit.pci.dma import Dma
from vmmkit.pci.interrupts import Interrupts, InterruptsSnapshot
from vmmkit.pci.intx import pin_number
from vmmkit.pci.spec import Header

if TYPE_CHECKING:
    from vmmkit.pci.bus import Bus
    from vmmkit.pci.host_bridge import HostBridge

__all__ = ["Function", "FunctionSnapshot"]

_D3HOT: Final = 3
_MULTIFUNCTION: Final = 0x80
_INTERRUPT: Final = int(Effect.INTERRUPT | Effect.POWER)

BarRead = Callable[[Any, int, int, int], int]
BarWrite = Callable[[Any, int, int, int, int], object]


@attrs.frozen
class FunctionSnapshot:
    """What a function holds.

    Attributes:
        config: the config space.
        interrupts: levels, what pends, the MSI-X table.
        memory: contents of RAM-backed BARs, by index.
    """

    config: ConfigSnapshot
    interrupts: InterruptsSnapshot
    memory: dict[int, bytes]


class Function:
    """One function, to be attached to a bus.

    Args:
        config: its config space, type 0, with whatever capabilities it has.
        bars: declarations; their registers are laid out in `config`.
        name: for maps, errors and pictures; by default the class's name.
        intx: the interrupt pin it uses, `"A"` to `"D"`, or `None`.
        read: `read(vcpu, bar, offset, size)` answers reads of BARs that declare no `read`; `bar`
            is the index. A subclass may have a method of that name instead.
        write: `write(vcpu, bar, offset, size, value)`, likewise.

    Raises:
        ConfigSpaceError: a BAR that this header does not have, or whose register is taken; an
            MSI-X table in a BAR that it has not.
        TopologyError: no such pin.

    Attributes:
        config: the config space.
        bars: handles, by index.
        name: as given.
        interrupts: what it interrupts with; they go nowhere while it is attached nowhere.
        dma: how it reaches memory; it reaches none while it is attached nowhere.
        bus: where it is attached, or `None`.
        devfn: device number times 8 plus function number.
    """

    def __init__(
        self,
        config: ConfigSpace,
        bars: Iterable[Declaration] = (),
        *,
        name: str = "",
        intx: Literal["A", "B", "C", "D"] | None = None,
        read: BarRead | None = None,
        write: BarWrite | None = None,
    ) -> None:
        """Lay out the BARs; the function is attached to no bus yet."""
        self.config = config
        self.name = name or type(self).__name__
        self.bus: Bus | None = None
        self.devfn = 0
        self.intx = intx
        if intx is not None:
            config.preset(Header.INTERRUPT_PIN, 1, pin_number(intx) + 1)
        self.dma = Dma(config)
        self._power = config.power_state
        self.hears_config_writes = type(self).on_config_write is not Function.on_config_write
        self.bar_read: BarRead | None = read or getattr(self, "read", None)
        self.bar_write: BarWrite | None = write or getattr(self, "write", None)
        self.bars = tuple(self._bars(sorted(bars, key=lambda declaration: declaration.index)))
        config.check_complete()
        self.interrupts = Interrupts(config, pin=intx)

    def _bars(self, declarations: Iterable[Declaration]) -> Iterable[Bar]:
        for declaration in declarations:
            self.config.define_bar(declaration.index, declaration.kind, declaration.size)
            yield Bar(declaration, self, bar_offset(self.config, declaration.index))

    # -- where it is -----------------------------------------------------------------------------

    @property
    def host(self) -> HostBridge | None:
        """The host bridge it is below, or `None`."""
        return None if self.bus is None else self.bus.host

    @property
    def bdf(self) -> int:
        """Bus number times 256 plus `devfn`, as the guest has numbered buses so far."""
        return (0 if self.bus is None else self.bus.number << 8) | self.devfn

    def bar(self, index: int) -> Bar:
        """Return a BAR by index; 6 is the expansion ROM.

        Raises:
            TopologyError: the function has no such BAR.
        """
        for bar in self.bars:
            if bar.index == index:
                return bar
        raise TopologyError(f"{self.name} has no BAR {index}")

    def cut_bars(self) -> None:
        """Decide which ranges of the BARs are trapped, memory, or the core's own tables."""
        table = self.interrupts.table
        for bar in self.bars:
            bar.pieces = pieces_of(bar, () if table is None else table.pieces(bar.index))

    # -- what it is told -------------------------------------------------------------------------

    def on_mapped(self, bar: Bar) -> None:
        """Hear that a BAR answers now, at `bar.address`."""

    def on_unmapped(self, bar: Bar) -> None:
        """Hear that a BAR answers no more."""

    def on_moved(self, bar: Bar, old_base: int) -> None:
        """Hear that a BAR answers elsewhere; all its memory moved with it."""

    def on_reset(self, kind: ResetKind) -> None:
        """Hear of a reset, after registers and interrupts have been reset."""

    def on_config_write(self, offset: int, size: int, value: int) -> None:
        """Hear of a guest's config write, after it."""

    def reset_state(self, kind: ResetKind) -> None:
        """Bring back what is reset beside config space and interrupts; for subclasses."""

    def on_effects(self, effects: int) -> None:
        """Act on a config write with effects, when maps and routing have been brought in step.

        It is called by the thread that wrote, with no lock held. For subclasses such as ports,
        which call this one as well.

        Args:
            effects: bits of `Effect`, as a plain integer.
        """
        self.interrupts_follow(effects)

    def interrupts_follow(self, effects: int) -> None:
        """Have the interrupts look at the registers again, if a write's effects ask for it."""
        if effects & _INTERRUPT:
            self.interrupts.config_changed()

    # -- what the owner does ---------------------------------------------------------------------

    def reset(self, kind: ResetKind = ResetKind.FUNCTION) -> None:
        """Reset it: config space, interrupts, the subclass's state; then `on_reset` is called."""
        host = self.host
        if host is not None:
            host.reset_function(self, kind)
            return
        self.config.reset(kind)
        self.finish_reset(kind)
        self.on_reset(kind)

    def snapshot(self) -> FunctionSnapshot:
        """Return registers, interrupts, and the memory of BARs that keep it."""
        memory = {
            bar.index: bytes(bar.buffer)
            for bar in self.bars
            if bar.buffer is not None and getattr(bar.declaration, "keep", False)
        }
        return FunctionSnapshot(self.config.snapshot(), self.interrupts.snapshot(), memory)

    def restore(self, snapshot: FunctionSnapshot) -> None:
        """Take a snapshot of this function or of one that is built alike; BARs decode as in it.

        Raises:
            PciSnapshotError: of a function that is built in another way.
        """
        self.check_snapshot(snapshot)
        host = self.host
        if host is None:
            self.restore_registers(snapshot)
        else:
            host.restore_functions({self: snapshot})
        self.restore_rest(snapshot)

    def check_snapshot(self, snapshot: FunctionSnapshot) -> None:
        """Refuse what is no snapshot of such a function.

        Raises:
            PciSnapshotError: it is not.
        """
        if not isinstance(snapshot, FunctionSnapshot):
            raise PciSnapshotError(f"{self.name}: {snapshot!r} is no FunctionSnapshot")
        self.config.check_snapshot(snapshot.config)
        self.interrupts.check_snapshot(snapshot.interrupts)
        if not isinstance(snapshot.memory, dict) or not all(
            isinstance(contents, bytes) for contents in snapshot.memory.values()
        ):
            raise PciSnapshotError(f"{self.name}: the memory of BARs in the snapshot is not bytes")
        sizes = {index: len(contents) for index, contents in snapshot.memory.items()}
        own = {bar.index: bar.size for bar in self.bars if getattr(bar.declaration, "keep", False)}
        if not sizes.items() <= own.items():
            raise PciSnapshotError(f"{self.name}: the snapshot has memory of BARs {sizes}")

    def restore_registers(self, snapshot: FunctionSnapshot) -> None:
        """Take config space and memory of a snapshot, and no more; for the host bridge."""
        several = self.config.get(Header.HEADER_TYPE, 1) & _MULTIFUNCTION
        self.config.restore(snapshot.config)
        show_multifunction(self.config, shown=bool(several))  # says what is there, not what was
        self._power = self.config.power_state
        for bar in self.bars:
            if bar.buffer is not None and bar.index in snapshot.memory:
                bar.buffer[:] = snapshot.memory[bar.index]

    def restore_rest(self, snapshot: FunctionSnapshot) -> None:
        """Take what is not config space or memory, when that was; for the host bridge."""
        self.interrupts.restore(snapshot.interrupts)

    def finish_reset(self, kind: ResetKind) -> None:
        """Reset what is not config space; called with no lock held."""
        self.interrupts.reset(kind)
        self.reset_state(kind)

    def note_power(self) -> bool:
        """Take note of the D-state; return whether it left D3hot in a way that resets it."""
        before, self._power = self._power, self.config.power_state
        if before != _D3HOT or self._power != 0:
            return False
        power = self.config.capability(PowerManagement)
        return power is not None and not power.no_soft_reset

    def __repr__(self) -> str:
        """Show name and place."""
        where = "unattached" if self.bus is None else f"{self.bdf >> 8:02x}:{place(self.devfn)}"
        return f"<{type(self).__name__} {self.name!r} {where}>"


def show_multifunction(config: ConfigSpace, *, shown: bool) -> None:
    """Set or clear bit 7 of the Header Type register, whatever a reset does."""
    header_type = config.get(Header.HEADER_TYPE, 1) & ~_MULTIFUNCTION
    config.preset(Header.HEADER_TYPE, 1, header_type | shown * _MULTIFUNCTION)


def place(devfn: int) -> str:
    """Write a devfn as tools do: device, point, function."""
    return f"{devfn >> 3:02x}.{devfn & 7}"
