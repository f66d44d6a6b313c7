# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The part of a target that looks: registers, memory, breakpoints, and what is told about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from vmmkit.backends._debug_breakpoints import BreakpointSet
from vmmkit.backends._debug_commands import commands_of
from vmmkit.backends._debug_control import Driver, RunControl
from vmmkit.backends._debug_io import IoBreaks
from vmmkit.backends._debug_memory import DebugMemory
from vmmkit.backends._debug_registers import RegisterView, privilege, write_registers
from vmmkit.errors import TargetError
from vmmkit.gdb.target import BreakpointKind, MemoryKind, MemoryRange
from vmmkit.insn import Translation
from vmmkit.memregion import RegionMap

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DebugView"]

LAST_ADDRESS: Final = (1 << 64) - 1


class DebugView(ABC):
    """What a debugger sees of vCPUs in this process.

    Attributes:
        hold_interrupts_while_stepping: whether external interrupts and NMIs wait during a step.
        breakpoint_kinds: all of them.
        kill: what the debugger's `kill` calls, to be set before the target is served; with `None`,
            as at first, that detaches only.
    """

    breakpoint_kinds = frozenset(BreakpointKind)

    def __init__(
        self,
        vcpus: Sequence[Any],
        ram: Iterable[tuple[int, Buffer]],
        maps: tuple[RegionMap | None, RegionMap | None],
        drivers: Iterable[int],
    ) -> None:
        """Put the parts together.

        Args:
            vcpus: those that are debugged.
            ram: `(gpa, buffer)` pieces.
            maps: of guest-physical addresses, and of I/O ports.
            drivers: for each vCPU the number of the driver that runs it.
        """
        self._vcpus = tuple(vcpus)
        self._control = RunControl(drivers, self._kick)
        self._memory = DebugMemory(self._vcpus, ram, maps[0], lambda: self._control.still)
        self._maps = maps
        self._breakpoints = BreakpointSet(self._vcpus, self._memory)
        self._io = IoBreaks(self._end_at_next)
        self._attached = False
        self.kill: Callable[[], object] | None = None
        self.hold_interrupts_while_stepping = True

    @property
    def physical(self) -> bool:
        """Whether addresses are guest-physical, for memory and for software breakpoints."""
        return self._memory.physical

    @physical.setter
    def physical(self, value: bool) -> None:
        self._memory.physical = value

    # -- what the two differ in ------------------------------------------------------------------

    @abstractmethod
    def _kick(self, driver: Driver, /) -> None:
        """End the run in progress; called under the lock of run control."""

    @abstractmethod
    def _end_at_next(self, vcpu: int) -> None:
        """Have a vCPU stop at its next instruction; called on its own thread, in an access."""

    # -- registers and memory --------------------------------------------------------------------

    def vcpus(self) -> Sequence[int]:
        """As `Target.vcpus`."""
        return range(len(self._vcpus))

    def vcpu(self, vcpu: int) -> Any:
        """Return the vCPU of a number.

        Raises:
            TargetError: there is none.
        """
        return self._vcpus[self._control.seat(vcpu).index]

    def read_registers(self, vcpu: int, /) -> Mapping[str, int]:
        """As `Target.read_registers`."""
        return RegisterView(self.vcpu(vcpu))

    def write_registers(self, vcpu: int, values: Mapping[str, int], /) -> None:
        """As `RegisterWriter.write_registers`.

        A selector brings its descriptor along; control registers are taken as they are.

        Raises:
            TargetError: a value out of range, a register that is not there, or an instruction of
                this vCPU that waits for its owner's answer.
        """
        chosen = self.vcpu(vcpu)
        if getattr(chosen, "awaits_answer", False):
            raise TargetError(f"vCPU {vcpu} is in an instruction that its owner has to complete")
        write_registers(chosen, values, lambda at, size: self._memory.code(vcpu, at, size))
        self._memory.forget()
        self._breakpoints.forget_hits()

    def read_memory(self, vcpu: int, address: int, size: int, /) -> bytes:
        """As `Target.read_memory`; devices are read in aligned accesses of up to 8 bytes."""
        self.vcpu(vcpu)
        return self._memory.read(vcpu, address, size)

    def write_memory(self, vcpu: int, address: int, data: bytes, /) -> None:
        """As `MemoryWriter.write_memory`; ROM cannot be written."""
        self.vcpu(vcpu)
        self._breakpoints.forget_hits()
        self._memory.write(vcpu, address, data)

    # -- breakpoints -----------------------------------------------------------------------------

    def insert_breakpoint(
        self, kind: BreakpointKind, vcpu: int, address: int, size: int, /
    ) -> None:
        """As `Breakpoints.insert_breakpoint`."""
        self.vcpu(vcpu)
        self._breakpoints.insert(kind, vcpu, address, size)
        try:
            self._spread_breakpoints()
        except TargetError:
            self._breakpoints.remove(kind, address, size)
            self._spread_breakpoints()
            raise

    def remove_breakpoint(
        self, kind: BreakpointKind, vcpu: int, address: int, size: int, /
    ) -> None:
        """As `Breakpoints.remove_breakpoint`."""
        self.vcpu(vcpu)
        self._breakpoints.remove(kind, address, size)
        self._spread_breakpoints()

    def _spread_breakpoints(self) -> None:
        """Tell the vCPUs that stand now, and the others before they go on."""
        with self._control.lock:
            for seat in self._control.seats:
                if seat.moving:
                    self._control.nudge(seat.driver)
                else:
                    self._breakpoints.apply(seat.index)

    def _disarm(self) -> None:
        self._breakpoints.clear()
        self._breakpoints.listen(False)
        self._io.ranges = ()
        self._spread_breakpoints()

    # -- what there is to be told ----------------------------------------------------------------

    def mode(self, vcpu: int, /) -> int:
        """As `ModeSource.mode`."""
        mode: int = self.vcpu(vcpu).state.mode
        return mode

    def describe_vcpu(self, vcpu: int, /) -> str:
        """As `ThreadDescriber.describe_vcpu`."""
        chosen = self.vcpu(vcpu)
        state = chosen.state
        lapic = getattr(chosen, "lapic", None)
        words = [f"{state.mode}-bit", f"CPL {privilege(state)}"]
        if lapic is not None and lapic.waits_for_sipi:
            words.append("waits for SIPI")
        elif state.halted:
            words.append("halted")
        return f"vCPU {vcpu} [{', '.join(words)}]"

    def memory_map(self) -> Sequence[MemoryRange]:
        """As `MemoryMapper.memory_map`: empty while addresses are virtual ones.

        Where nothing is known, devices included, is called RAM, so that a debugger may try.
        """
        if any(self._memory.pages(vcpu) for vcpu in self.vcpus()):
            return ()
        found: list[MemoryRange] = []
        at = 0
        for piece in sorted(self._memory.pieces()):
            if piece.first < at:
                continue
            if piece.first > at:
                found.append(MemoryRange(at, piece.first - 1, executable=False))
            kind = MemoryKind.RAM if piece.writable else MemoryKind.ROM
            found.append(
                MemoryRange(piece.first, piece.last, kind, piece.writable, name=piece.name)
            )
            at = piece.last + 1
        return (*found, MemoryRange(at, LAST_ADDRESS, executable=False))

    def memory_range(self, vcpu: int, address: int, /) -> MemoryRange | None:
        """As `MemoryMapper.memory_range`: a page, or RAM, ROM or a device."""
        chosen = self.vcpu(vcpu)
        if not self._memory.pages(vcpu):
            return self._physical_range(address)
        page = chosen.translate(address, None)
        if not isinstance(page, Translation):
            return None
        first = address & -page.page_size
        there = self._physical_range(page.gpa)
        return MemoryRange(
            first,
            first + page.page_size - 1,
            MemoryKind.RAM if there is None else there.kind,
            page.writable,
            page.executable,
            "" if there is None else there.name,
        )

    def _physical_range(self, gpa: int) -> MemoryRange | None:
        piece = self._memory.piece_at(gpa)
        if piece is not None:
            kind = MemoryKind.RAM if piece.writable else MemoryKind.ROM
            return MemoryRange(piece.first, piece.last, kind, piece.writable, name=piece.name)
        region = self._memory.region_at(gpa)
        if region is None:
            return None
        return MemoryRange(region.base, region.last, executable=False, name=region.name)

    def monitor_commands(self) -> Mapping[str, Callable[..., str | None]]:
        """As `MonitorSource.monitor_commands`."""
        return commands_of(self, self._memory, self._io, self._maps)
