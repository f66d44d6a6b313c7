# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Third parties' devices, listeners and instruments on an address map: read by the type checker.

A line that must be refused carries the refusal's code; the checker fails on an ignore that
nothing needs, so what must not fit is checked as firmly as what must.
"""

from vmmkit.memregion import (
    IMMUTABLE,
    READ,
    WRITE,
    AccessPolicy,
    AccessRecord,
    BreakOn,
    Counters,
    Instrument,
    Port,
    Region,
    RegionMap,
    TraceRing,
    all_ones,
)
from vmmkit.protocols import AccessPort, AddressSpace, MmioDevice

SEEN: list[tuple[int, int, str]] = []


class Vcpu:
    """Somebody's vCPU type."""

    number = 0


class Uart:
    """A device with its own parameter names and its own vCPU type."""

    def read(self, cpu: Vcpu, where: int, width: int) -> int:
        return cpu.number + where + width

    def write(self, cpu: Vcpu, where: int, width: int, value: int) -> None:
        del cpu, where, width, value


class Slots:
    """A listener as a hypervisor backend has it."""

    def region_added(self, region: Region) -> None:
        if region.buffer is not None:
            SEEN.append((region.base, len(region.buffer), region.name))

    def region_removed(self, region: Region) -> None:
        SEEN.append((region.last, region.size, region.name))

    def region_moved(self, region: Region, old_base: int) -> None:
        SEEN.append((region.base, old_base, region.kind))


def doorbell(vcpu: Vcpu, offset: int, size: int, value: int) -> bool:
    """A write handler may return anything."""
    return vcpu.number == offset == size == value


def read_bytes(vcpu: Vcpu, offset: int, size: int) -> bytes:
    """Does not fit: registers are integers."""
    return bytes(vcpu.number + offset + size)


def log(record: AccessRecord) -> None:
    SEEN.append((record.address, record.size, record.region or ""))


mmio = RegionMap(address_bits=52, name="mmio", straddle="split")
uart: Region = mmio.add(0x1000, 8, Uart(), name="uart", flags=READ | WRITE | IMMUTABLE)
mmio.add(0x2000, 4, write=doorbell, absolute=True)
mmio.add(0x3000, 4, read=Uart().read, policy=AccessPolicy(max_size=4, too_wide="split"))
mmio.add_ram(0, bytearray(4096), name="ram")
mmio.add_rom(0xF000, b"rom", on_write="raise")
mmio.add_rom(0xE000, b"flash", on_write=doorbell)
hole: Region = mmio.add_fallback(0xC000_0000, 0x1000, all_ones)

mmio.add(0x4000, 4, read=read_bytes)  # type: ignore[arg-type]
mmio.add(0x4000, 4, write=Uart().read)  # type: ignore[arg-type]
mmio.add_rom(0xD000, b"rom", on_write="drop")  # type: ignore[arg-type]
RegionMap(straddle="wrap")  # type: ignore[arg-type]
AccessPolicy(too_narrow="split")  # type: ignore[arg-type]
uart.base = 5  # type: ignore[misc]

with mmio.transaction():
    uart.move(0x5000)
    hole.close(wait=False)

port: Port = mmio.port(Vcpu(), instruments=[log, TraceRing(), Counters(), BreakOn(0x1000)])
value: int = port.read(0x1000, 4)
port.write(0x1000, 4, value)
nothing: None = port.write(0x1000, 4, value)

mmio.subscribe(Slots(), replay=True)
mmio.subscribe(Uart())  # type: ignore[arg-type]

as_port: AccessPort = port
as_space: AddressSpace = mmio
as_device: MmioDevice = all_ones
as_instrument: Instrument = log
names: list[str] = [region.name for region in mmio]
found: Region | None = mmio.find(0x1000)
