# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the stub asks of its target: vCPUs, registers, memory, and how registers are described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vmmkit.errors import TargetError
from vmmkit.gdb.description import Description, describe
from vmmkit.gdb.options import Capabilities, StubOptions
from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.registers import CORE, REGISTERS, SSE
from vmmkit.gdb.spec import ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.run_control import RunControl

__all__ = ["TargetAccess"]

LONG_MODE, SHORT_MODE = 64, 32
LONG_PC, SHORT_PC = 16, 8  # numbers of RIP and EIP in GDB's own layouts
BUILT_IN: Final = frozenset(row.name for row in REGISTERS if row.feature in {CORE, SSE})
"""What GDB takes a processor to have that is not described to it."""


class TargetAccess:
    """The half of a stub that faces the target; `Stub` documents the attributes."""

    capabilities: Capabilities
    options: StubOptions
    run: RunControl
    features: frozenset[str]
    selected: int
    mode: int | None
    # Any: what of `vmmkit.gdb.target` it has is known at run time, by `capabilities`.
    target: Any
    _values: dict[int, Mapping[str, int]]
    _description: Description | None
    brief: bool
    knows_layout: bool
    _rejected: bool

    def vcpus(self) -> list[int]:
        """List the vCPUs."""
        return list(self.target.vcpus())

    def require_writable(self) -> None:
        """Refuse what changes the guest, in read-only mode.

        Raises:
            PacketError: the stub is read-only.
        """
        if self.options.read_only:
            raise PacketError(ErrorCode.READ_ONLY, "the server is read-only")

    def require_stopped(self, vcpu: int) -> None:
        """Refuse what needs a vCPU that stands.

        Raises:
            PacketError: it runs.
        """
        if self.run.is_running(vcpu):
            raise PacketError(ErrorCode.RUNNING, f"vCPU {vcpu} runs")

    def registers(self, vcpu: int) -> Mapping[str, int]:
        """Return the registers of a vCPU, read at most once while it stands."""
        values = self._values.get(vcpu)
        if values is None:
            self.require_stopped(vcpu)
            values = self._values[vcpu] = self.target.read_registers(vcpu)
        return values

    def write_registers(self, vcpu: int, values: Mapping[str, int]) -> None:
        """Set registers of a vCPU.

        Raises:
            PacketError: read-only, running, or not possible with this target.
            TargetError: the target refuses.
        """
        self.require_writable()
        self.require_stopped(vcpu)
        if not self.capabilities.register_writer:
            raise PacketError(ErrorCode.UNSUPPORTED, "the target's registers cannot be written")
        try:
            self.target.write_registers(vcpu, values)
        finally:
            self.forget_registers()

    def forget_registers(self) -> None:
        """Read registers afresh: something may have changed them."""
        self._values.clear()

    def reset_target(self) -> None:
        """Reset the machine, all of whose vCPUs stand."""
        try:
            self.target.reset()
        finally:
            self.forget_registers()
            self.run.forget_stops()

    def read_memory(self, vcpu: int, address: int, size: int) -> bytes:
        """Read what can be read of `size` bytes."""
        self.require_stopped(vcpu)
        return bytes(self.target.read_memory(vcpu, address, size))

    def write_memory(self, vcpu: int, address: int, data: bytes) -> None:
        """Write all of `data`.

        Raises:
            PacketError: read-only, running, or not possible with this target.
            TargetError: the target refuses.
        """
        self.require_writable()
        self.require_stopped(vcpu)
        if not self.capabilities.memory_writer:
            raise PacketError(ErrorCode.UNSUPPORTED, "the target's memory cannot be written")
        try:
            self.target.write_memory(vcpu, address, data)
        finally:
            self.forget_registers()  # a page table may have changed what the target derives

    # -- the target description --------------------------------------------------------------------

    @property
    def description(self) -> Description:
        """The registers as the debugger has read of them, and takes them to be."""
        if self._description is None:
            self._description = self.describe()
        return self._description

    def describe(self) -> Description:
        """Return the registers as they should be described now."""
        options, available = self.options, frozenset(self.registers(self.selected))
        mode = LONG_MODE if options.layout == "qemu" else self._wanted_mode(self.selected)
        return describe(mode, options.layout, available, linear_pc=options.linear_pc)

    def serve_description(self) -> Description:
        """Return the registers to a debugger that reads of them from the start.

        GDB rejects the description of a 16-bit processor while it has a 64-bit program loaded, and
        the other way round, and goes on with a layout of its own; it does not say so. A `g` reply
        longer than that layout would be the end of the connection. So a GDB gets its registers by
        `p`, but for the few bytes that are alike, and the number of the first one it asks for, the
        program counter, tells which layout it has: see `reveal`.
        """
        self._description = self.describe()
        self.brief = self.may_follow
        self.knows_layout = not self.brief
        self._rejected = False
        return self._description

    def reveal(self, number: int) -> None:
        """Learn from a register that the debugger asks for which layout it has."""
        if self.knows_layout:
            return
        self.knows_layout = True
        wide = LONG_PC if self.description.mode == LONG_MODE else SHORT_PC
        if number in {LONG_PC, SHORT_PC} - {wide}:
            mode = LONG_MODE if number == LONG_PC else SHORT_MODE
            self._description = describe(mode, "gdb", BUILT_IN)
            self._rejected = True

    def _wanted_mode(self, vcpu: int) -> int:
        if self.mode is not None:
            return self.mode
        if not self.may_follow or not self.capabilities.mode_source:
            return LONG_MODE
        return int(self.target.mode(vcpu))

    @property
    def may_follow(self) -> bool:
        """Whether the debugger can be told to read the description again."""
        options = self.options
        switches = options.mode_switch == "exec" and options.layout == "gdb"
        return switches and "exec-events" in self.features

    def must_switch(self, vcpu: int) -> bool:
        """Whether the debugger is to read the description again before it hears of a stop."""
        if self._description is None or not self.may_follow:
            return False
        return self._rejected or self._description.mode != self._wanted_mode(vcpu)

    # -- for conditions, on vCPU threads too -------------------------------------------------------

    def _read_register(self, vcpu: int, number: int) -> int:
        values = self.target.read_registers(vcpu)
        value = self._description_at(vcpu, values).integer(number, values)
        if value is None:
            raise TargetError(f"register {number} is not available")
        return value

    def _description_at(self, vcpu: int, values: Mapping[str, int]) -> Description:
        """Return how a condition names registers: as the code that it belongs to is described.

        That code may be in a mode that the debugger has not been told of yet.
        """
        if not self.must_switch(vcpu):
            return self.description
        mode = self._wanted_mode(vcpu)
        return describe(mode, "gdb", frozenset(values), linear_pc=self.options.linear_pc)

    def _read_number(self, vcpu: int, address: int, size: int) -> int:
        data = self.target.read_memory(vcpu, address, size)
        if len(data) < size:
            raise TargetError(f"no memory at {address:#x}")
        return int.from_bytes(data, "little")
