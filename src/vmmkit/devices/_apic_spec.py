# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers and bits of the local APIC and the I/O APIC; constants and tables, no behaviour.

Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3A, chapter
"Advanced Programmable Interrupt Controller (APIC)", below "SDM" with the title of the section;
"82093AA I/O Advanced Programmable Interrupt Controller (IOAPIC)", below "82093AA".
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

import attrs

__all__ = [
    "APIC_ADDRESSES",
    "BROADCAST_8",
    "BROADCAST_32",
    "DEFAULT_APIC_BASE",
    "DIVIDE_SHIFTS",
    "EXTENDED_LVT",
    "FIRST_LEGAL_VECTOR",
    "IA32_APIC_BASE",
    "IA32_TSC_DEADLINE",
    "ICR_LEVEL",
    "ICR_LOGICAL",
    "ICR_LOW_KEPT",
    "ICR_TRIGGER_LEVEL",
    "LVT_KEPT",
    "MASKED",
    "NANOSECONDS",
    "PAGE_SIZE",
    "REGISTERS",
    "REMOTE_IRR",
    "SVR_KEPT",
    "TRIGGER_LEVEL",
    "VECTORS",
    "X2APIC_MSRS",
    "ApicBase",
    "DeliveryMode",
    "DestinationFormat",
    "ErrorStatus",
    "IoApicRegister",
    "LocalInterrupt",
    "Redirection",
    "Register",
    "RegisterRow",
    "Shorthand",
    "Spurious",
    "TimerMode",
]

NANOSECONDS: Final = 1_000_000_000
"""Per second: the unit of the virtual clock."""

PAGE_SIZE: Final = 0x1000
"""Bytes that the local APIC's registers take in memory."""

DEFAULT_APIC_BASE: Final = 0xFEE0_0000
"""SDM "Local APIC Status and Location"."""

APIC_ADDRESSES: Final = 0xFEE
"""Bits 20-31 of the address that makes a write a message; SDM "Message Address Register Format"."""

IA32_APIC_BASE: Final = 0x1B
IA32_TSC_DEADLINE: Final = 0x6E0
X2APIC_MSRS: Final = range(0x800, 0x900)
"""SDM "x2APIC Register Address Space"."""

VECTORS: Final = 256
FIRST_LEGAL_VECTOR: Final = 16
"""SDM "Valid Interrupt Vectors": 0 to 15 are none."""

BROADCAST_8: Final = 0xFF
BROADCAST_32: Final = 0xFFFF_FFFF
"""Destinations that mean every APIC; SDM "Physical Destination Mode", "ICR Operation in x2APIC
Mode"."""


class ApicBase(IntFlag):
    """IA32_APIC_BASE.

    SDM "Local APIC Status and Location" and "Detecting and Enabling x2APIC Mode".
    """

    BSP = 1 << 8  #: the bootstrap processor
    EXTD = 1 << 10  #: x2APIC mode
    EN = 1 << 11  #: the local APIC is enabled globally


class Register(IntEnum):
    """Registers by number: the MSR address less 800H, or the page offset divided by 16.

    SDM "Local APIC Register Address Map" and "x2APIC Register Address Space". ISR, TMR and IRR
    are the first of eight registers each.
    """

    ID = 0x02
    VERSION = 0x03
    TPR = 0x08  #: task priority
    APR = 0x09  #: arbitration priority
    PPR = 0x0A  #: processor priority
    EOI = 0x0B
    LDR = 0x0D  #: logical destination
    DFR = 0x0E  #: destination format
    SVR = 0x0F  #: spurious interrupt vector
    ISR = 0x10  #: in service
    TMR = 0x18  #: trigger mode
    IRR = 0x20  #: interrupt request
    ESR = 0x28  #: error status
    LVT_CMCI = 0x2F
    ICR = 0x30  #: interrupt command; all 64 bits in x2APIC mode
    ICR_HIGH = 0x31  #: xAPIC mode only
    LVT_TIMER = 0x32
    LVT_THERMAL = 0x33
    LVT_PMC = 0x34
    LVT_LINT0 = 0x35
    LVT_LINT1 = 0x36
    LVT_ERROR = 0x37
    INITIAL_COUNT = 0x38
    CURRENT_COUNT = 0x39
    DIVIDE = 0x3E
    SELF_IPI = 0x3F  #: x2APIC mode only


class LocalInterrupt(IntEnum):
    """Entries of the local vector table, by their register; SDM "Local Vector Table"."""

    CMCI = Register.LVT_CMCI
    TIMER = Register.LVT_TIMER
    THERMAL = Register.LVT_THERMAL
    PMC = Register.LVT_PMC
    LINT0 = Register.LVT_LINT0
    LINT1 = Register.LVT_LINT1
    ERROR = Register.LVT_ERROR


class DeliveryMode(IntEnum):
    """Bits 8-10 of ICR, LVT, redirection entries and MSI data; 3 is reserved everywhere."""

    FIXED = 0
    LOWEST_PRIORITY = 1
    SMI = 2
    NMI = 4
    INIT = 5
    SIPI = 6  #: start-up; in the ICR only
    EXTINT = 7  #: the vector comes from the 8259A


class Shorthand(IntEnum):
    """ICR bits 18-19; SDM "Interrupt Command Register (ICR)"."""

    NONE = 0
    SELF = 1
    ALL = 2  #: including the sender
    OTHERS = 3  #: all excluding the sender


class TimerMode(IntEnum):
    """LVT timer bits 17-18; SDM "APIC Timer". The value 3 is reserved: the timer is off."""

    ONE_SHOT = 0
    PERIODIC = 1
    TSC_DEADLINE = 2
    RESERVED = 3


class DestinationFormat(IntEnum):
    """DFR bits 28-31; SDM "Logical Destination Mode". Other values match nobody."""

    CLUSTER = 0x0
    FLAT = 0xF


class Spurious(IntFlag):
    """SVR; SDM "Spurious Interrupt". The vector is in bits 0-7."""

    ENABLED = 1 << 8  #: APIC software enable
    FOCUS_DISABLED = 1 << 9
    NO_EOI_BROADCAST = 1 << 12


SVR_KEPT: Final = 0xFF | int(Spurious.ENABLED | Spurious.FOCUS_DISABLED | Spurious.NO_EOI_BROADCAST)
"""Bits that software sets in SVR."""


class ErrorStatus(IntFlag):
    """ESR; SDM "Error Handling". The other bits belong to the APIC bus of old processors."""

    SEND_ILLEGAL_VECTOR = 1 << 5
    RECEIVE_ILLEGAL_VECTOR = 1 << 6
    ILLEGAL_REGISTER = 1 << 7


# Bits that LVT entries, redirection entries and (the first two) MSI data share.
TRIGGER_LEVEL: Final = 1 << 15
REMOTE_IRR: Final = 1 << 14
MASKED: Final = 1 << 16

ICR_LOGICAL: Final = 1 << 11
ICR_LEVEL: Final = 1 << 14  #: 0 with INIT and a level trigger: de-assert
ICR_TRIGGER_LEVEL: Final = 1 << 15
ICR_LOW_KEPT: Final = 0x000C_CFFF
"""Bits of the ICR that software sets: all but the delivery status (12) and reserved ones."""

_DELIVERY_STATUS: Final = 1 << 12
_LVT_PLAIN: Final = 0x0001_07FF  # mask, delivery mode, vector
_LVT_LINT: Final = 0x0001_A7FF  # trigger and polarity besides

LVT_KEPT: Final[dict[int, int]] = {
    Register.LVT_CMCI: _LVT_PLAIN,
    Register.LVT_TIMER: 0x0007_00FF,
    Register.LVT_THERMAL: _LVT_PLAIN,
    Register.LVT_PMC: _LVT_PLAIN,
    Register.LVT_LINT0: _LVT_LINT,
    Register.LVT_LINT1: _LVT_LINT,
    Register.LVT_ERROR: 0x0001_00FF,
}
"""Bits that software sets in each entry; SDM "Local Vector Table", figure "Local Vector Table
(LVT)"."""

EXTENDED_LVT: Final = Register.LVT_CMCI
"""The entry that not every processor has."""

DIVIDE_SHIFTS: Final = (1, 2, 3, 4, 5, 6, 7, 0)
"""Binary logarithm of the divisor, by bits 3, 1 and 0 of the divide configuration register; SDM
"APIC Timer", figure "Divide Configuration Register"."""


@attrs.frozen
class RegisterRow:
    """How software may reach one register.

    Attributes:
        xapic: accesses in the page: "r", "w", "rw" or "" for a register that is not there.
        x2apic: accesses by MSR; what is missing is #GP.
        kept: bits that a write changes. In x2APIC mode any other bit is #GP, except those of
            `ignored`; in xAPIC mode it is dropped.
        ignored: bits beyond `kept` that may be written without effect.
    """

    xapic: str
    x2apic: str
    kept: int = 0
    ignored: int = 0


_WORD: Final = 0xFFFF_FFFF
_READ_ONLY: Final = RegisterRow("r", "r")

# SDM "Local APIC Register Address Map", "x2APIC Register Address Space" and "Reserved Bit
# Checking". EOI and ESR take zero only in x2APIC mode.
REGISTERS: Final[dict[int, RegisterRow]] = {
    Register.ID: _READ_ONLY,
    Register.VERSION: _READ_ONLY,
    Register.TPR: RegisterRow("rw", "rw", 0xFF),
    Register.APR: RegisterRow("r", ""),
    Register.PPR: _READ_ONLY,
    Register.EOI: RegisterRow("w", "w"),
    Register.LDR: RegisterRow("rw", "r", 0xFF00_0000),
    Register.DFR: RegisterRow("rw", "", 0xF000_0000),
    Register.SVR: RegisterRow("rw", "rw", SVR_KEPT),
    **{first + n: _READ_ONLY for first in (0x10, 0x18, 0x20) for n in range(8)},
    Register.ESR: RegisterRow("rw", "rw"),
    Register.ICR: RegisterRow("rw", "rw", ICR_LOW_KEPT, _DELIVERY_STATUS),
    Register.ICR_HIGH: RegisterRow("rw", "", 0xFF00_0000),
    **{
        entry: RegisterRow(
            "rw", "rw", kept, _DELIVERY_STATUS | (kept & _LVT_LINT == _LVT_LINT) << 14
        )
        for entry, kept in LVT_KEPT.items()
    },
    Register.INITIAL_COUNT: RegisterRow("rw", "rw", _WORD),
    Register.CURRENT_COUNT: _READ_ONLY,
    Register.DIVIDE: RegisterRow("rw", "rw", 0x0B),
    Register.SELF_IPI: RegisterRow("", "w", 0xFF),
}


class IoApicRegister(IntEnum):
    """Registers behind the index; 82093AA "IOAPIC Registers"."""

    ID = 0x00
    VERSION = 0x01
    ARBITRATION = 0x02
    REDIRECTION = 0x10  #: the first of two for each pin


class Redirection(IntFlag):
    """A redirection entry; 82093AA "I/O Redirection Table Registers"."""

    LOGICAL = 1 << 11
    DELIVERY_STATUS = 1 << 12  #: read only: a message waits to be accepted
    ACTIVE_LOW = 1 << 13
    REMOTE_IRR = REMOTE_IRR  #: read only: accepted, and no EOI yet
    LEVEL = TRIGGER_LEVEL
    MASKED = MASKED
