# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Third parties' classes against the protocols: read by the type checker, never run.

A line that must be refused carries the refusal's code; the checker fails on an ignore that
nothing needs, so what must not fit is checked as firmly as what must.
"""

from contextlib import AbstractContextManager, nullcontext

from vmmkit.protocols import (
    AccessPort,
    AccessSink,
    AddressSpace,
    InterruptLine,
    MapListener,
    MmioDevice,
    ReadHandler,
    WriteHandler,
)


class Vcpu:
    """Somebody's vCPU type; vmmkit hands it through and asks nothing of it."""


class Device:
    """Fits without importing anything, and with its own parameter names."""

    def read(self, vcpu: Vcpu, where: int, width: int) -> int:
        return where + width

    def write(self, vcpu: Vcpu, where: int, width: int, value: int) -> None:
        del vcpu, where, width, value


class DeviceOfBytes:
    """Does not fit: registers are integers, not bytes."""

    def read(self, vcpu: Vcpu, offset: int, size: int) -> bytes:
        return bytes(size + offset)

    def write(self, vcpu: Vcpu, offset: int, size: int, value: bytes) -> None:
        del vcpu, offset, size, value


class DeviceWithoutWrite:
    """Does not fit: half of it is missing."""

    def read(self, vcpu: Vcpu, offset: int, size: int) -> int:
        return offset + size


class Port:
    def read(self, address: int, size: int) -> int:
        return address + size

    def write(self, address: int, size: int, value: int) -> None:
        del address, size, value


class Slots:
    """Keeps memory slots, as a hypervisor backend does."""

    def region_added(self, region: object) -> None:
        del region

    def region_removed(self, region: object) -> None:
        del region

    def region_moved(self, region: object, old_base: int) -> None:
        del region, old_base


class Windows:
    """An address space of another monitor."""

    def add(self, base: int, size: int, handler: object = None, *, name: str = "") -> str:
        return f"{name}{base}{size}{handler}"

    def remove(self, region: str) -> None:
        del region

    def move(self, region: str, base: int) -> None:
        del region, base

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()


def drive(level: bool) -> None:
    del level


def read_zero(vcpu: Vcpu, offset: int, size: int) -> int:
    return 0 * offset * size


def read_alone(offset: int) -> int:
    return offset


device: MmioDevice = Device()
of_bytes: MmioDevice = DeviceOfBytes()  # type: ignore[assignment]
half: MmioDevice = DeviceWithoutWrite()  # type: ignore[assignment]
reader: ReadHandler = Device().read
reader_function: ReadHandler = read_zero
reader_of_one: ReadHandler = read_alone  # type: ignore[assignment]
writer: WriteHandler = Device().write
writer_that_reads: WriteHandler = read_zero  # type: ignore[assignment]
port: AccessPort = Port()
device_as_port: AccessPort = Device()  # type: ignore[assignment]
listener: MapListener = Slots()
sink: AccessSink = print
sink_list: AccessSink = [].append
space: AddressSpace = Windows()
line: InterruptLine = drive
line_value: InterruptLine = True  # type: ignore[assignment]
