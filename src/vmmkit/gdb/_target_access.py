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
from vmmkit.gdb.spec import ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.run_control import RunControl

__all__ = ["TargetAccess"]

LONG_MODE: Final = 64


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
        """Return the registers to a debugger that reads of them from the start."""
        self._description = self.describe()
        return self._description

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
        return self._description.mode != self._wanted_mode(vcpu)

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
