# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CPUID features and the instructions that belong to them."""

from __future__ import annotations

from typing import Final

__all__ = ["FEATURES", "FEATURE_OF", "NO_FEATURE", "WITHOUT"]

# CPUID features that instructions the engines execute belong to; the position is the bit number in
# a vCPU's `features`.
FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "CX8": (),  # CMPXCHG8B
    "CX16": (),  # the same row with REX.W
    "CMOV": ("CMOVCC",),
    "CLFSH": ("CLFLUSH",),
    "SSE": ("SFENCE",),
    "SSE2": ("MOVNTI", "LFENCE", "MFENCE"),
    "SSE42": ("CRC32",),
    "MOVBE": ("MOVBE",),
    "POPCNT": ("POPCNT",),
    "LAHF64": (),  # LAHF and SAHF, in 64-bit mode
    "LZCNT": ("LZCNT",),
    "BMI1": ("ANDN", "BEXTR", "BLSR", "BLSMSK", "BLSI", "TZCNT"),
    "BMI2": ("BZHI", "MULX", "PDEP", "PEXT", "RORX", "SARX", "SHLX", "SHRX"),
    "ADX": ("ADCX", "ADOX"),
    "CLFLUSHOPT": ("CLFLUSHOPT",),
    "CLWB": ("CLWB",),
}
FEATURE_OF: Final = {
    mnemonic: number for number, names in enumerate(FEATURES.values()) for mnemonic in names
}
NO_FEATURE: Final = 255
# What a processor without the feature makes of an instruction whose F3 it ignores; else #UD.
WITHOUT: Final = {"TZCNT": "BSF", "LZCNT": "BSR"}
