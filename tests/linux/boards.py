# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The two machines of QEMU that the presets are given for, as plain facts.

What is here is where QEMU 7.2 has its devices: the presets are told it, and the guest must find it
through the tables alone. Neither machine shows the guest any table of QEMU's own: q35 has none with
acpi=off, and on microvm (whose power registers exist only with acpi=on) ours take precedence.
"""

from __future__ import annotations

from typing import NamedTuple

RAM = 512  # MiB
GIB = 1 << 30


class Accepted(NamedTuple):
    """A line of the kernel's log, of level warning or worse, that no table is to blame for."""

    pattern: str
    why: str


class Board(NamedTuple):
    """One machine and the devices on its bus."""

    name: str
    options: tuple[str, ...]
    parameters: tuple[str, ...]  # of the kernel
    ecam: int  # the base; all 256 buses
    windows: tuple[tuple[int, int], ...]  # base and size of the host bridge's memory windows
    io_windows: tuple[tuple[int, int], ...]
    gsi_base: int  # of the four lines that INTA to INTD are spread over
    interrupts: dict[str, int]  # GSI of what each virtio device is on
    express: tuple[str, ...]  # functions with extended configuration registers
    config_ports: bool  # there are CF8h and CFCh, the other way to configuration space
    clocks: frozenset[str]  # clock sources that the tables alone make known
    accepted: tuple[Accepted, ...]

    def routing(self) -> list[tuple[int, int, int]]:
        """Return the GSI of each pin of each device on bus 0, as (device, pin, GSI)."""
        return [
            (device, pin, self.gsi_base + (device + pin) % 4)
            for device in range(32)
            for pin in range(4)
        ]


# The kernel takes QEMU's own vendor and family for a processor that needs the timer of the board
# to wake up (AMD's erratum 400), which makes a guest of many processors slow.
_CPU = ("-cpu", "max,vendor=GenuineIntel,family=6,model=42,stepping=7")

# Sources of random numbers, since reading one causes its interrupts: two on bus 0, one behind a
# root port and one behind a bridge to conventional PCI, whose INTA becomes INTB on the way up.
_DEVICES = (
    *("-device", "virtio-rng-pci,addr=3"),
    *("-device", "virtio-rng-pci,addr=4"),
    *("-device", "pcie-root-port,id=root_port,addr=5,chassis=1,slot=1"),
    *("-device", "virtio-rng-pci,bus=root_port"),
    *("-device", "pcie-pci-bridge,id=pci_bridge,addr=6"),
    *("-device", "virtio-rng-pci,bus=pci_bridge,addr=1"),
)
_EXPRESS = ("0000:00:05.0", "0000:00:06.0", "0000:01:00.0")


def _interrupts(base: int) -> dict[str, int]:
    pins = {"00:03.0": 3, "00:04.0": 4, "01:00.0": 5, "02:01.0": 6 + 1}
    return {f"0000:{bdf}": base + place % 4 for bdf, place in pins.items()}


_BUSY_HOST = (
    Accepted("hpet: Lost [0-9]+ RTC interrupts", "the emulated clock was late"),
    Accepted("TSC found unstable after boot", "the same; TCG's counter is that of the host"),
)

# Base of the power management registers of q35's chip set. The firmware sets it: to the first
# value, or to the second where it is given a script for tables.
PM_BASE, PM_BASE_SCRIPTED = 0xB000, 0x600

Q35 = Board(
    name="q35",
    options=(
        # Without a keyboard controller, the kernel's second way to reset leads nowhere.
        *("-machine", "q35,acpi=off,i8042=off,accel=tcg", *_CPU),
        # Slots of root ports are theirs, not those of tables that QEMU would make.
        *("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
        *_DEVICES,
    ),
    parameters=(),
    ecam=0xB000_0000,
    windows=((0xA_0000, 0x2_0000), (0xC000_0000, 0x3EC0_0000), (32 * GIB, 32 * GIB)),
    io_windows=((0, 0xCF8), (0xD00, 0xF300)),
    gsi_base=20,
    interrupts=_interrupts(20),
    express=_EXPRESS,
    config_ports=True,
    clocks=frozenset({"hpet", "acpi_pm"}),
    accepted=(
        *_BUSY_HOST,
        Accepted("ACPI: setting ELCR to", "without I/O APICs the kernel sets the SCI's trigger"),
    ),
)

# Address, first GSI, number of inputs and id of microvm's two I/O APICs.
IO_APICS = ((0xFEC0_0000, 0, 24, 0), (0xFEC1_0000, 24, 24, 1))
# The first of its places for a virtio device without PCI. It gets one that the guest has no driver
# for: under TCG its interrupt does not arrive, with tables of QEMU's own neither.
VIRTIO_MMIO, VIRTIO_MMIO_GSI = 0xFEB0_0000, 24

MICROVM = Board(
    name="microvm",
    options=(
        *("-machine", "microvm,acpi=on,pcie=on,accel=tcg", *_CPU, *_DEVICES),
        *("-device", "virtio-balloon-device,bus=virtio-mmio-bus.0"),
    ),
    # The processor's own counter is the only clock of a hardware-reduced machine. The kernel
    # measures it against the PIT, gives up where the host is busy, and then stands still.
    parameters=("tsc_early_khz=2000000",),
    ecam=0xE000_0000,
    windows=((0xC000_0000, 0x2000_0000), (768 * GIB, 256 * GIB)),
    io_windows=(),
    gsi_base=16,
    interrupts=_interrupts(16),
    express=_EXPRESS,
    config_ports=False,
    clocks=frozenset(),
    accepted=(
        *_BUSY_HOST,
        Accepted("PCI: Fatal: No config space access function found", "microvm has no CF8h port"),
    ),
)
