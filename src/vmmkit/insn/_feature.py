# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CPUID features, one bit of a vCPU's `features` each."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from vmmkit.insn.opcodes.features import FEATURES

__all__ = ["Feature"]

_FEATURE: Final = {name: number for number, name in enumerate(FEATURES)}


class Feature(IntFlag):
    """CPUID features by which the owner of a vCPU shows or hides instructions.

    `state.features` is a set of these; after a reset it has every bit. A hidden instruction raises
    #UD; LZCNT and TZCNT become BSR and BSF, whose F3 prefix older processors ignore.
    """

    CX8 = 1 << _FEATURE["CX8"]  #: CMPXCHG8B
    CX16 = 1 << _FEATURE["CX16"]  #: CMPXCHG16B
    CMOV = 1 << _FEATURE["CMOV"]  #: CMOVcc
    CLFSH = 1 << _FEATURE["CLFSH"]  #: CLFLUSH
    SSE = 1 << _FEATURE["SSE"]  #: SFENCE
    SSE2 = 1 << _FEATURE["SSE2"]  #: MOVNTI, LFENCE, MFENCE
    SSE42 = 1 << _FEATURE["SSE42"]  #: CRC32
    MOVBE = 1 << _FEATURE["MOVBE"]  #: MOVBE
    POPCNT = 1 << _FEATURE["POPCNT"]  #: POPCNT
    LAHF64 = 1 << _FEATURE["LAHF64"]  #: LAHF and SAHF in 64-bit mode
    LZCNT = 1 << _FEATURE["LZCNT"]  #: LZCNT
    BMI1 = 1 << _FEATURE["BMI1"]  #: ANDN, BEXTR, BLSR, BLSMSK, BLSI, TZCNT
    BMI2 = 1 << _FEATURE["BMI2"]  #: BZHI, MULX, PDEP, PEXT, RORX, SARX, SHLX, SHRX
    ADX = 1 << _FEATURE["ADX"]  #: ADCX, ADOX
    CLFLUSHOPT = 1 << _FEATURE["CLFLUSHOPT"]  #: CLFLUSHOPT
    CLWB = 1 << _FEATURE["CLWB"]  #: CLWB
    SEP = 1 << _FEATURE["SEP"]  #: SYSENTER, SYSEXIT
    SYSCALL = 1 << _FEATURE["SYSCALL"]  #: SYSCALL, SYSRET, EFER.SCE
    LM = 1 << _FEATURE["LM"]  #: EFER.LME
    NX = 1 << _FEATURE["NX"]  #: EFER.NXE
    RDTSCP = 1 << _FEATURE["RDTSCP"]  #: RDTSCP
    FSGSBASE = 1 << _FEATURE["FSGSBASE"]  #: RDFSBASE and its kin, CR4.FSGSBASE
    PCID = 1 << _FEATURE["PCID"]  #: CR4.PCIDE
    INVPCID = 1 << _FEATURE["INVPCID"]  #: INVPCID
    SMEP = 1 << _FEATURE["SMEP"]  #: CR4.SMEP
    SMAP = 1 << _FEATURE["SMAP"]  #: STAC, CLAC, CR4.SMAP
    UMIP = 1 << _FEATURE["UMIP"]  #: CR4.UMIP
    LA57 = 1 << _FEATURE["LA57"]  #: CR4.LA57
    PKU = 1 << _FEATURE["PKU"]  #: RDPKRU, WRPKRU, CR4.PKE
    XSAVE = 1 << _FEATURE["XSAVE"]  #: XSAVE, XRSTOR, XGETBV, XSETBV, CR4.OSXSAVE
    RDRAND = 1 << _FEATURE["RDRAND"]  #: RDRAND
    RDSEED = 1 << _FEATURE["RDSEED"]  #: RDSEED
    RDPID = 1 << _FEATURE["RDPID"]  #: RDPID
    MONITOR = 1 << _FEATURE["MONITOR"]  #: MONITOR, MWAIT
    SERIALIZE = 1 << _FEATURE["SERIALIZE"]  #: SERIALIZE
    WBNOINVD = 1 << _FEATURE["WBNOINVD"]  #: WBNOINVD; without it WBINVD
    FPU = 1 << _FEATURE["FPU"]  #: the x87 unit
    MMX = 1 << _FEATURE["MMX"]  #: MMX
    FXSR = 1 << _FEATURE["FXSR"]  #: FXSAVE, FXRSTOR
    SSE3 = 1 << _FEATURE["SSE3"]  #: LDDQU, MOVDDUP, MOVSLDUP, MOVSHDUP, FISTTP
    SSSE3 = 1 << _FEATURE["SSSE3"]  #: SSSE3
    SSE41 = 1 << _FEATURE["SSE41"]  #: SSE4.1
    XSAVEOPT = 1 << _FEATURE["XSAVEOPT"]  #: XSAVEOPT
    XSAVEC = 1 << _FEATURE["XSAVEC"]  #: XSAVEC
    XSAVES = 1 << _FEATURE["XSAVES"]  #: XSAVES, XRSTORS
    AVX = 1 << _FEATURE["AVX"]  #: AVX
    AVX2 = 1 << _FEATURE["AVX2"]  #: AVX2, at 256 bits what works on integers
    AVX512F = 1 << _FEATURE["AVX512F"]  #: every EVEX form, opmasks
    AVX512DQ = 1 << _FEATURE["AVX512DQ"]  #: those of AVX512DQ
    AVX512BW = 1 << _FEATURE["AVX512BW"]  #: EVEX on bytes and words, opmasks of 32 and 64 bits
    AVX512VL = 1 << _FEATURE["AVX512VL"]  #: EVEX at 128 and 256 bits, but scalars
    AVX512FP16 = 1 << _FEATURE["AVX512FP16"]  #: VMOVW, VMOVSH
    AVX512VBMI = 1 << _FEATURE["AVX512VBMI"]  #: VPERMB, VPERMI2B, VPERMT2B
    MOVDIRI = 1 << _FEATURE["MOVDIRI"]  #: MOVDIRI
    MOVDIR64B = 1 << _FEATURE["MOVDIR64B"]  #: MOVDIR64B
    ENQCMD = 1 << _FEATURE["ENQCMD"]  #: ENQCMD, ENQCMDS, IA32_PASID
    #: what belongs to a feature without a bit of its own: `Unsupported`, or without it #UD
    OTHER = 1 << _FEATURE["OTHER"]
