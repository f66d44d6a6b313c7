# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The FADT's bits and numbers.

ACPI Specification, Fixed ACPI Description Table (FADT): Fixed ACPI Description Table Fixed Feature
Flags, IA-PC Boot Architecture Flags, ARM Architecture Boot Flags, Preferred PM Profile System
Types.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["ArmBootArchFlags", "BootArchFlags", "FadtFlags", "PreferredPmProfile"]


class FadtFlags(IntFlag):
    """Fixed feature flags."""

    WBINVD = 1 << 0  #: the instruction writes back and empties all caches
    WBINVD_FLUSH = 1 << 1  #: it writes them back, but may leave them filled
    PROC_C1 = 1 << 2  #: all processors have C1
    P_LVL2_UP = 1 << 3  #: C2 works with several processors
    PWR_BUTTON = 1 << 4  #: no fixed power button: it is a device, or there is none
    SLP_BUTTON = 1 << 5  #: no fixed sleep button: it is a device, or there is none
    FIX_RTC = 1 << 6  #: the RTC's wake-up status is not among the fixed registers
    RTC_S4 = 1 << 7  #: the RTC can wake from S4
    TMR_VAL_EXT = 1 << 8  #: the PM timer has 32 bits, not 24
    DCK_CAP = 1 << 9
    RESET_REG_SUP = 1 << 10  #: `reset_reg` resets the system
    SEALED_CASE = 1 << 11
    HEADLESS = 1 << 12  #: no screen, keyboard and mouse
    CPU_SW_SLP = 1 << 13
    PCI_EXP_WAK = 1 << 14
    USE_PLATFORM_CLOCK = 1 << 15  #: prefer the PM timer or the HPET to the processors' clocks
    S4_RTC_STS_VALID = 1 << 16
    REMOTE_POWER_ON_CAPABLE = 1 << 17
    FORCE_APIC_CLUSTER_MODEL = 1 << 18
    FORCE_APIC_PHYSICAL_DESTINATION_MODE = 1 << 19
    HW_REDUCED_ACPI = 1 << 20  #: there are no fixed registers
    LOW_POWER_S0_IDLE_CAPABLE = 1 << 21
    # PERSISTENT_CPU_CACHES is a number of two bits; 0: not said, 3: reserved.
    CPU_CACHES_NOT_PERSISTENT = 1 << 22
    CPU_CACHES_PERSISTENT = 2 << 22


class BootArchFlags(IntFlag):
    """IA-PC boot architecture flags."""

    LEGACY_DEVICES = 1 << 0  #: there are devices on an ISA or LPC bus that systems may look for
    PC_8042 = 1 << 1  #: there is a keyboard controller
    VGA_NOT_PRESENT = 1 << 2
    MSI_NOT_SUPPORTED = 1 << 3
    PCIE_ASPM_CONTROLS = 1 << 4  #: systems must not turn on ASPM
    CMOS_RTC_NOT_PRESENT = 1 << 5


class ArmBootArchFlags(IntFlag):
    """ARM boot architecture flags."""

    PSCI_COMPLIANT = 1 << 0
    PSCI_USE_HVC = 1 << 1


class PreferredPmProfile(IntEnum):
    """What kind of machine it is."""

    UNSPECIFIED = 0
    DESKTOP = 1
    MOBILE = 2
    WORKSTATION = 3
    ENTERPRISE_SERVER = 4
    SOHO_SERVER = 5
    APPLIANCE_PC = 6
    PERFORMANCE_SERVER = 7
    TABLET = 8
