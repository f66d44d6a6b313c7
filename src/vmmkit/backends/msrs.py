# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MSRs that no instruction of the engine depends on: a file of values for `SoftVcpu`.

>>> from vmmkit.backends.msrs import MsrFile
>>> msrs = MsrFile()
>>> hex(msrs.read(0x1B))
'0xfee00900'
>>> msrs.values[0xC001_0015] = 0  # HWCR, for a guest that asks for it
>>> msrs.write(0xC001_0015, 1), msrs.read(0xC001_0015)
(True, 1)
>>> msrs.write(0xFE, 1), msrs.read(0x1234)  # read-only, unknown: #GP(0)
(False, None)
"""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["DEFAULT_READ_ONLY", "DEFAULT_VALUES", "MsrFile", "MsrSource"]

# What does not trouble a processor that speculates on nothing, as an operating system wants to
# know before it separates page tables, flushes buffers and guards branches: RDCL_NO,
# SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO,
# BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
ARCH_CAPABILITIES: Final = sum(
    1 << bit for bit in (0, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62)
)

# SDM vol. 4, "Architectural MSRs". Among them, with those that the engine holds, is every MSR that
# a Linux kernel reads on a processor with `CpuidModel`'s CPUID without being ready for #GP.
DEFAULT_VALUES: Final = {
    0x17: 0,  # IA32_PLATFORM_ID
    0x1B: 0xFEE0_0900,  # IA32_APIC_BASE: enabled, bootstrap processor
    0x3A: 1,  # IA32_FEATURE_CONTROL: locked, with nothing in it
    0x8B: 0,  # IA32_BIOS_SIGN_ID: no microcode
    0xFE: 0,  # IA32_MTRRCAP: no MTRRs
    0x10A: ARCH_CAPABILITIES,
    0x179: 0,  # IA32_MCG_CAP: no machine-check banks
    0x17A: 0,  # IA32_MCG_STATUS
    0x1A0: 0x1801,  # IA32_MISC_ENABLE: fast strings, neither branch trace storage nor PEBS
    0x1D9: 0,  # IA32_DEBUGCTL: nothing in it has an effect
    0x2FF: 6,  # IA32_MTRR_DEF_TYPE: write-back
}
DEFAULT_READ_ONLY: Final = frozenset({0x17, 0xFE, 0x10A, 0x179})


class MsrSource(Protocol):
    """What `SoftVcpu` asks for MSRs that the engine does not hold."""

    def read(self, index: int) -> int | None:
        """Return the value, or `None`: the guest gets #GP(0)."""
        ...

    def write(self, index: int, value: int) -> bool:
        """Write; `False` refuses, and the guest gets #GP(0)."""
        ...


class MsrFile:
    """MSRs with plain values.

    `values` and `read_only` are the owner's to change: an index in `values` can be read, and
    written unless it is in `read_only`; any other is refused.
    """

    def __init__(self) -> None:
        """Start with `DEFAULT_VALUES` and `DEFAULT_READ_ONLY`."""
        self.values = dict(DEFAULT_VALUES)
        self.read_only = set(DEFAULT_READ_ONLY)

    def read(self, index: int) -> int | None:
        """Return the value of an MSR, or `None` for one that is not there."""
        return self.values.get(index)

    def write(self, index: int, value: int) -> bool:
        """Set the 64-bit value of an MSR; `False` if it is not there or read-only."""
        if index not in self.values or index in self.read_only:
            return False
        self.values[index] = value
        return True
