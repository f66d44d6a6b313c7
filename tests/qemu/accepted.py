# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bits of configuration registers in which QEMU 7.2 and vmmkit differ on purpose.

Each row names functions of `pairs.py`, a register, its bits, and why; a row that no longer is
needed fails a test. "Base" is the PCI Express Base Specification, "Bridge" the PCI-to-PCI Bridge
Architecture Specification 1.2, "Local Bus" the PCI Local Bus Specification 3.0.
"""

from __future__ import annotations

from typing import NamedTuple

ROOT = ("root port", "root port with MSI")
SWITCH = ("upstream port", "downstream port")
DOWNSTREAM = (*ROOT, "downstream port")
PORTS = (*ROOT, *SWITCH)
EXPRESS = (*PORTS, "endpoint")
GEN1 = ("root port with MSI", *SWITCH, "endpoint")
WIDE = ("root port",)
ALL = (*EXPRESS, "edu", "PCI bridge")


class Accepted(NamedTuple):
    pairs: tuple[str, ...]
    register: str
    bits: int
    why: str


OPTIONAL = "optional; QEMU's function has it, ours does not"
OURS_OPTIONAL = "optional; our function has it, QEMU's does not"

ACCEPTED = (
    # -- header ----
    Accepted(ALL, "Command", 0x0040, "Local Bus, Device Control: Parity Error Response is rw"),
    Accepted(
        ("edu", "PCI bridge"),
        "Latency Timer",
        0xFF,
        "Local Bus, Latency Timer: rw for masters that burst; QEMU's is zero",
    ),
    Accepted(PORTS, "Secondary Latency", 0xFF, "Base, type 1 header: wired to zero"),
    Accepted(ROOT, "I/O Base", 0xF0, "Bridge: undefined after a reset; ours are zero"),
    Accepted(ROOT, "Memory Base", 0xFFF0, "the same"),
    Accepted(ROOT, "Prefetchable Base", 0xFFF0, "the same"),
    Accepted(("PCI bridge",), "Status", 0x00A0, "66 MHz and fast back-to-back: " + OPTIONAL),
    Accepted(("PCI bridge",), "Secondary Status", 0x00A0, "the same on the secondary side"),
    Accepted(("PCI bridge",), "Bridge Control", 0x0080, "fast back-to-back: " + OPTIONAL),
    # -- PCI Express ----
    Accepted(PORTS, "Device Capabilities", 0x0020, "8-bit tags: " + OURS_OPTIONAL),
    Accepted(
        SWITCH,
        "Device Capabilities",
        1 << 28,
        "Base, Device Capabilities: FLR is for endpoints; QEMU's ports say they have it",
    ),
    Accepted(
        EXPRESS,
        "Device Control",
        0x78F0,
        "Base, Device Control: relaxed ordering, payload, no snoop and read request are rw and "
        "begin as 2810h",
    ),
    Accepted(PORTS, "Device Control", 0x0100, "8-bit tags, as above"),
    Accepted(
        EXPRESS,
        "Link Capabilities",
        0x0070_0C00,
        "ASPM, its optionality, link active reporting, bandwidth notification: choices",
    ),
    Accepted(("downstream port",), "Link Capabilities", 0x3FF, "QEMU's says speed 0 and width 0"),
    Accepted(EXPRESS, "Link Status", 0x1000, "Slot Clock Configuration: a choice"),
    Accepted(
        EXPRESS,
        "Link Control",
        0x02D3,
        "Base, Link Control: ASPM, Link Disable, common clock, extended synch, width are rw",
    ),
    Accepted(WIDE, "Link Control", 0x0C00, "Base, Link Control: bandwidth interrupts are rw"),
    Accepted(("endpoint",), "Link Control", 0x0008, "Base: Read Completion Boundary is rw"),
    Accepted(GEN1, "Link Capabilities 2", 0xFE, "Base: speeds; QEMU gives them above 2.5 GT/s"),
    Accepted(EXPRESS, "Link Control 2", 0xFFFF, "Base, Link Control 2: rw; zero in QEMU"),
    Accepted(
        DOWNSTREAM,
        "Slot Capabilities",
        1 << 17,
        "electromechanical interlock: " + OPTIONAL,
    ),
    Accepted(DOWNSTREAM, "Slot Status", 1 << 7, "the interlock's status, likewise"),
    Accepted(
        DOWNSTREAM,
        "Slot Control",
        0x1002,
        "Base, Slot Control: power fault and link state enables are rw",
    ),
    Accepted(ROOT, "Root Control", 0x0008, "Base, Root Control: PME Interrupt Enable is rw"),
    Accepted(EXPRESS, "Device Capabilities 2", 0x0030_0000, "TLP prefixes: " + OPTIONAL),
    Accepted(EXPRESS, "Device Control 2", 0x8000, "TLP prefix blocking, likewise"),
    Accepted(
        (*ROOT, "endpoint"),
        "Device Capabilities 2",
        0x0010,
        "Completion Timeout Disable: needed by endpoints, optional for root ports",
    ),
    Accepted((*ROOT, "endpoint"), "Device Control 2", 0x0010, "the same"),
    # -- advanced error reporting ----
    Accepted(
        EXPRESS,
        "Uncorrectable Mask",
        0x007F_F030,
        "Base, Uncorrectable Error Mask: rw, internal errors begin masked; QEMU's is zero",
    ),
    Accepted(
        EXPRESS,
        "Uncorrectable Severity",
        0x0380_0000,
        "multicast, atomic and prefix blocking: " + OPTIONAL,
    ),
    Accepted(PORTS, "AER Control", 0x0600, "several headers recorded: " + OPTIONAL),
)


def accepted_bits(pair: str, register: str) -> int:
    """Return the bits of a register that are not compared."""
    bits = 0
    for row in ACCEPTED:
        if pair in row.pairs and row.register == register:
            bits |= row.bits
    return bits
