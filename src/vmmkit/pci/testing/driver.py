# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A driver's view of one function: what kernel code would do to it, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from vmmkit.errors import PciError
from vmmkit.pci.function import Function
from vmmkit.pci.spec import CapabilityId, Command, Header, Status
from vmmkit.pci.testing.access import ByWidth, ConfigRegisters
from vmmkit.pci.testing.interrupts import Interrupt, MsiVectors, MsixVectors
from vmmkit.pci.testing.scan import (
    BarRegister,
    bar_registers,
    capabilities,
    extended_capabilities,
    read_bar,
)
from vmmkit.protocols import AccessPort

if TYPE_CHECKING:
    from vmmkit.pci.testing.host import Host

__all__ = ["BarWindow", "Driver"]

_POWER_CONTROL: Final = 4  # from the Power Management capability
_DEVICE_CONTROL: Final = 8  # from the PCI Express capability
_INITIATE_RESET: Final = 1 << 15
_ROM_ENABLE: Final = 1


class BarWindow(ByWidth):
    """One BAR as a driver uses it: accesses at offsets, through the address map.

    The address is read from the register each time, so the window follows a BAR that moves.
    Where the BAR does not decode, reads give ones and writes are dropped, as on a bus. An access
    beyond its end would reach whatever lies behind it, and is a `PciError`.

    Args:
        config: of the function.
        register: the BAR, as sizing found it.
        port: into memory or I/O ports, whichever the BAR is for.
    """

    __slots__ = ("_config", "_port", "register")

    def __init__(self, config: ConfigRegisters, register: BarRegister, port: AccessPort) -> None:
        """Access nothing yet."""
        self._config, self.register, self._port = config, register, port

    @property
    def size(self) -> int:
        """Bytes."""
        return self.register.size

    @property
    def address(self) -> int:
        """What the register holds; `write_address` changes it."""
        return read_bar(self._config, self.register)

    def write_address(self, address: int) -> None:
        """Move the BAR, decoding or not."""
        keep = self._config.read32(self.register.offset) & 1 if self.register.kind == "rom" else 0
        self._config.write32(self.register.offset, address & 0xFFFF_FFFF | keep)
        if self.register.kind == "mem64":
            self._config.write32(self.register.offset + 4, address >> 32)

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes at `offset`."""
        self._check(offset, size)
        return self._port.read(self.address + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes at `offset`."""
        self._check(offset, size)
        self._port.write(self.address + offset, size, value)

    def _check(self, offset: int, size: int) -> None:
        if not 0 <= offset <= self.size - size:
            raise PciError(
                f"no {size} bytes at {offset:#x} of BAR {self.register.index}, {self.size:#x} bytes"
            )

    def read64(self, offset: int) -> int:
        """Read eight bytes."""
        return self.read(offset, 8)

    def write64(self, offset: int, value: int) -> None:
        """Write eight bytes."""
        self.write(offset, 8, value)


Driven_co = TypeVar("Driven_co", bound=Function, covariant=True)


class Driver(Generic[Driven_co]):
    """What a driver can do with one function; made by `Host.plug` and `Host.drivers`.

    All goes through config accesses and ports, so what works here works for a guest.
    """

    def __init__(self, host: Host, function: Driven_co) -> None:
        """Drive a function that is attached to a host."""
        self._host = host
        self._function = function

    def __repr__(self) -> str:
        """Show name and place."""
        return f"<Driver of {self.function!r}>"

    @property
    def function(self) -> Driven_co:
        """The object that was plugged in, for a test that wants to look behind the curtain."""
        return self._function

    @property
    def bdf(self) -> int:
        """Where the function is: bus << 8 | device << 3 | function."""
        return self.function.bdf

    @property
    def config(self) -> ConfigRegisters:
        """Its configuration registers."""
        return ConfigRegisters(self._host.config, self.bdf)

    # -- capabilities ----------------------------------------------------------------------------

    def capability(self, cap_id: int) -> int | None:
        """Return the offset of the first capability with this ID, or `None`."""
        return next((at for found, at in capabilities(self.config) if found == cap_id), None)

    def extended_capability(self, cap_id: int) -> int | None:
        """Return the offset of the first extended capability with this ID, or `None`."""
        found = extended_capabilities(self.config)
        return next((at for one, at in found if one == cap_id), None)

    def _need(self, cap_id: CapabilityId) -> int:
        offset = self.capability(cap_id)
        if offset is None:
            raise PciError(f"{self.function.name} has no {cap_id.name} capability")
        return offset

    # -- BARs ------------------------------------------------------------------------------------

    def bars(self) -> tuple[BarRegister, ...]:
        """Size all BARs; decoding is off meanwhile."""
        return bar_registers(self.config)

    def bar(self, index: int) -> BarWindow:
        """Return a BAR to read and write.

        Args:
            index: 0-5, 6 for the expansion ROM, whose enable bit is set by this.

        Raises:
            PciError: the function has no such BAR.
        """
        registers = self._host.bar_registers_of(self.function)
        if index not in registers:
            raise PciError(f"{self.function.name} has no BAR {index}, only {sorted(registers)}")
        register = registers[index]
        if register.kind == "rom":
            self.config.update(register.offset, 4, ones=_ROM_ENABLE)
        port = self._host.io_port if register.kind == "io" else self._host.port
        return BarWindow(self.config, register, port)

    def enable(self, *, memory: bool = True, io: bool = True, bus_master: bool = True) -> None:
        """Set the three enable bits of the Command register as told; other bits stay."""
        bits = {Command.MEMORY: memory, Command.IO: io, Command.BUS_MASTER: bus_master}
        ones = sum(int(bit) for bit, wanted in bits.items() if wanted)
        self.config.update(Header.COMMAND, 2, clear=int(sum(bits)), ones=ones)

    def disable(self) -> None:
        """Clear the three enable bits."""
        self.enable(memory=False, io=False, bus_master=False)

    # -- interrupts ------------------------------------------------------------------------------

    def enable_msix(self, vectors: int | None = None) -> MsixVectors:
        """Fill the table with messages of our own, unmask and enable them.

        Args:
            vectors: how many; by default all the function has.

        Raises:
            PciError: the function has no MSI-X.
        """
        offset = self._need(CapabilityId.MSIX)
        msix = MsixVectors(self.config, offset, self._read_bar, self._write_bar)
        count = min(vectors or msix.capable, msix.capable)
        msix.enable(self._host.interrupts.allocate(count), count)
        return msix

    def _read_bar(self, bar: int, offset: int) -> int:
        return self.bar(bar).read32(offset)

    def _write_bar(self, bar: int, offset: int, value: int) -> None:
        self.bar(bar).write32(offset, value)

    def enable_msi(self, vectors: int | None = None) -> MsiVectors:
        """Set address and data and enable MSI.

        Args:
            vectors: how many, a power of two; by default all the function asks for.

        Raises:
            PciError: the function has no MSI.
        """
        msi = MsiVectors(self.config, self._need(CapabilityId.MSI))
        count = min(vectors or msi.capable, msi.capable)
        msi.enable(self._host.interrupts.allocate(count), count)
        return msi

    def enable_intx(self) -> None:
        """Let the pin work: MSI-X and MSI off, Interrupt Disable clear.

        Raises:
            PciError: the function has no pin.
        """
        if not self.config.read8(Header.INTERRUPT_PIN):
            raise PciError(f"{self.function.name} has no interrupt pin")
        for cap_id, enable_bit in ((CapabilityId.MSIX, 1 << 15), (CapabilityId.MSI, 1)):
            offset = self.capability(cap_id)
            if offset is not None:
                self.config.update(offset + 2, 2, clear=enable_bit)
        self.config.update(Header.COMMAND, 2, clear=Command.INTERRUPT_DISABLE)

    @property
    def gsi(self) -> int | None:
        """The system interrupt that its pin is wired to, as firmware's `_PRT` tells; or `None`."""
        return self._host.gsi_of(self.bdf, self.config.read8(Header.INTERRUPT_PIN))

    @property
    def intx_level(self) -> bool:
        """Level of the line its pin is wired to; others may share that line."""
        gsi = self.gsi
        return gsi is not None and self._host.interrupts.levels.get(gsi, False)

    @property
    def interrupt_status(self) -> bool:
        """The Interrupt Status bit: whether this function is one of those asserting the line."""
        return bool(self.config.read16(Header.STATUS) & Status.INTERRUPT)

    def take_interrupts(self) -> list[int | None]:
        """Return the vectors of the messages that came from this function, and forget them."""
        return [one.vector for one in self.take_messages()]

    def take_messages(self) -> list[Interrupt]:
        """Return the messages that came from this function, and forget them."""
        return self._host.interrupts.take(self.bdf)

    # -- power and resets ------------------------------------------------------------------------

    @property
    def power_state(self) -> int:
        """The D-state: 0 to 3."""
        return self.config.read16(self._need(CapabilityId.POWER_MANAGEMENT) + _POWER_CONTROL) & 3

    @power_state.setter
    def power_state(self, state: int) -> None:
        offset = self._need(CapabilityId.POWER_MANAGEMENT) + _POWER_CONTROL
        self.config.update(offset, 2, clear=3, ones=state)

    def _address_registers(self) -> list[int]:
        """Return the offsets of all dwords that BARs have."""
        found = []
        for bar in self._host.bar_registers_of(self.function).values():
            found += [bar.offset, bar.offset + 4] if bar.kind == "mem64" else [bar.offset]
        return found

    def function_reset(self, *, restore: bool = True) -> None:
        """Do a function-level reset (FLR).

        Args:
            restore: whether to put the Command register and the BARs back afterwards, as
                operating systems do.

        Raises:
            PciError: the function has no PCI Express capability.
        """
        offset = self._need(CapabilityId.PCI_EXPRESS)
        config = self.config
        saved = [(at, config.read32(at)) for at in self._address_registers()]
        command = config.read16(Header.COMMAND)
        config.update(offset + _DEVICE_CONTROL, 2, ones=_INITIATE_RESET)
        if restore:
            for at, value in saved:
                config.write32(at, value)
            config.write16(Header.COMMAND, command)
