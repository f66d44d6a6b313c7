# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Opcode rows of the system instructions without VEX or EVEX.

Privileged instructions and what stands beside them: descriptor tables, control and debug
registers, MSRs, system calls, far transfers, interrupts, state saving (XSAVE family), CET,
TSX, SGX, VMX, SMX, SVM, TDX, key locker, user interrupts, enqueue and direct stores, waits.

Where REX.W changes only the width of what is transferred, the SDM's second name (`FXSAVE64`,
`SYSRETQ`, `RDSSPQ`, ...) is the same row.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

# 0F 01 with ModRM.mod 3: (prefix, ModRM.reg, ModRM.rm, mnemonic, attributes).
GROUP7: Final = (
    ("NP", 0, 0, "ENCLV", ""),
    ("NP", 0, 1, "VMCALL", ""),
    ("NP", 0, 2, "VMLAUNCH", ""),
    ("NP", 0, 3, "VMRESUME", ""),
    ("NP", 0, 4, "VMXOFF", ""),
    ("NP", 0, 5, "PCONFIG", ""),
    ("NP", 0, 6, "WRMSRNS", ""),
    ("F3", 0, 6, "WRMSRLIST", "o64"),
    ("F2", 0, 6, "RDMSRLIST", "o64"),
    ("NP", 0, 7, "PBNDKB", "o64"),
    ("NP", 1, 0, "MONITOR", "seg"),
    ("NP", 1, 1, "MWAIT", ""),
    ("NP", 1, 2, "CLAC", ""),
    ("F3", 1, 2, "ERETU", "o64"),
    ("F2", 1, 2, "ERETS", "o64"),
    ("NP", 1, 3, "STAC", ""),
    ("66", 1, 4, "TDCALL", ""),
    ("66", 1, 5, "SEAMRET", "o64"),
    ("66", 1, 6, "SEAMOPS", "o64"),
    ("NP", 1, 7, "ENCLS", ""),
    ("66", 1, 7, "SEAMCALL", "o64"),
    ("NP", 2, 0, "XGETBV", ""),
    ("NP", 2, 1, "XSETBV", ""),
    ("NP", 2, 4, "VMFUNC", ""),
    ("NP", 2, 5, "XEND", ""),
    ("NP", 2, 6, "XTEST", ""),
    ("NP", 2, 7, "ENCLU", ""),
    ("", 3, 0, "VMRUN", ""),
    ("", 3, 1, "VMMCALL", ""),
    ("F3", 3, 1, "VMGEXIT", ""),
    ("F2", 3, 1, "VMGEXIT", ""),
    ("", 3, 2, "VMLOAD", ""),
    ("", 3, 3, "VMSAVE", ""),
    ("", 3, 4, "STGI", ""),
    ("", 3, 5, "CLGI", ""),
    ("", 3, 6, "SKINIT", ""),
    ("", 3, 7, "INVLPGA", ""),
    ("NP", 5, 0, "SERIALIZE", ""),
    ("F3", 5, 0, "SETSSBSY", ""),
    ("F2", 5, 0, "XSUSLDTRK", ""),
    ("F2", 5, 1, "XRESLDTRK", ""),
    ("F3", 5, 2, "SAVEPREVSSP", ""),
    ("F3", 5, 4, "UIRET", "o64"),
    ("F3", 5, 5, "TESTUI", "o64"),
    ("NP", 5, 6, "RDPKRU", ""),
    ("F3", 5, 6, "CLUI", "o64"),
    ("NP", 5, 7, "WRPKRU", ""),
    ("F3", 5, 7, "STUI", "o64"),
    ("", 7, 0, "SWAPGS", "o64"),
    ("", 7, 1, "RDTSCP", ""),
    ("NP", 7, 2, "MONITORX", "seg"),
    ("F3", 7, 2, "MCOMMIT", ""),
    ("NP", 7, 3, "MWAITX", ""),
    ("", 7, 4, "CLZERO", "seg"),
    ("NP", 7, 5, "RDPRU", ""),
    ("F3", 7, 5, "RMPQUERY", "o64"),
    ("NP", 7, 6, "INVLPGB", ""),
    ("F3", 7, 6, "RMPADJUST", "o64"),
    ("F2", 7, 6, "RMPUPDATE", "o64"),
    ("NP", 7, 7, "TLBSYNC", ""),
    ("F3", 7, 7, "PSMASH", "o64"),
    ("F2", 7, 7, "PVALIDATE", ""),
)

# Without an operand and without ModRM.
PLAIN: Final = (
    ("CB", "RETF", ""),
    ("CC", "INT3", ""),
    ("CE", "INTO", "i64"),
    ("CF", "IRET", ""),
    ("F1", "INT1", ""),
    # AMD processors run SYSCALL and SYSRET outside 64-bit mode too, Intel's raise #UD there.
    ("0F 05", "SYSCALL", ""),
    ("0F 06", "CLTS", ""),
    ("0F 07", "SYSRET", ""),
    ("0F 08", "INVD", ""),
    ("0F 09", "WBINVD", ""),
    ("F3 0F 09", "WBNOINVD", ""),
    ("0F 30", "WRMSR", ""),
    ("0F 31", "RDTSC", ""),
    ("0F 32", "RDMSR", ""),
    ("0F 33", "RDPMC", ""),
    ("0F 34", "SYSENTER", ""),
    ("0F 35", "SYSEXIT", ""),
    ("NP 0F 37", "GETSEC", ""),
    ("0F A2", "CPUID", ""),
    ("0F AA", "RSM", ""),
)

# State images in memory, all with NP: (encoding, mnemonic, area, access). An XSAVE area's size
# depends on XCR0 and the requested components; XSAVE and XSAVEOPT keep parts of its header.
STATE: Final = (
    ("AE /0", "FXSAVE", "MF", ""),
    ("AE /1", "FXRSTOR", "MF", "r"),
    ("AE /4", "XSAVE", "M", "rw norex2"),
    ("AE /5", "XRSTOR", "M", "r norex2"),
    ("AE /6", "XSAVEOPT", "M", "rw norex2"),
    ("C7 /3", "XRSTORS", "M", "r norex2"),
    ("C7 /4", "XSAVEC", "M", "norex2"),
    ("C7 /5", "XSAVES", "M", "norex2"),
)

ROWS: Final = (
    *(
        (f"{prefix} 0F 01 /{reg}:{rm}".strip(), name, "", limit)
        for prefix, reg, rm, name, limit in GROUP7
    ),
    *((encoding, mnemonic, "", limit) for encoding, mnemonic, limit in PLAIN),
    *((f"NP 0F {encoding}", mnemonic, area, access) for encoding, mnemonic, area, access in STATE),
    # Far transfers, interrupts, transactions.
    ("9A", "CALLF", "pp", "i64"),
    ("CA", "RETF", "Iw", ""),
    ("CD", "INT", "Ib", ""),
    ("EA", "JMPF", "pp", "i64"),
    ("FF /3", "CALLF", "Mp", "r"),
    ("FF /5", "JMPF", "Mp", "r"),
    ("C6 /7:0", "XABORT", "Ib", ""),
    ("C7 /7:0", "XBEGIN", "Jz", ""),
    # Descriptor tables and machine status.
    ("0F 00 /0", "SLDT", "Ew", ""),
    ("0F 00 /1", "STR", "Ew", ""),
    ("0F 00 /2", "LLDT", "Ew", "r"),
    ("0F 00 /3", "LTR", "Ew", "r"),
    ("0F 00 /4", "VERR", "Ew", "r"),
    ("0F 00 /5", "VERW", "Ew", "r"),
    ("F2 0F 00 /6", "LKGS", "Ew", "r o64"),
    ("0F 01 /0", "SGDT", "Ms", "f64"),
    ("0F 01 /1", "SIDT", "Ms", "f64"),
    ("0F 01 /2", "LGDT", "Ms", "r f64"),
    ("0F 01 /3", "LIDT", "Ms", "r f64"),
    ("0F 01 /4", "SMSW", "Ew", ""),
    ("F3 0F 01 /5", "RSTORSSP", "Mq", "rw"),
    ("0F 01 /6", "LMSW", "Ew", "r"),
    ("0F 01 /7", "INVLPG", "M", "n"),
    ("0F 02", "LAR", "Gv Ew", ""),
    ("0F 03", "LSL", "Gv Ew", ""),
    # ModRM.mod counts as 3 whatever it is (SDM vol. 2B, "MOV - Move to/from Control Registers").
    ("0F 20", "MOVFROMCR", "Ry Cy", "f64 anymod"),
    ("0F 21", "MOVFROMDR", "Ry Ty", "f64 anymod"),
    ("0F 22", "MOVTOCR", "Cy Ry", "f64 anymod"),
    ("0F 23", "MOVTODR", "Ty Ry", "f64 anymod"),
    # CET.
    ("F3 0F 1E /1", "RDSSP", "Ry", ""),
    ("F3 0F 1E /7:2", "ENDBR64", "", ""),
    ("F3 0F 1E /7:3", "ENDBR32", "", ""),
    ("F3 0F AE /5", "INCSSP", "Ry", ""),
    ("F3 0F AE /6", "CLRSSBSY", "Mq", "rw"),
    ("66 0F 38 F5", "WRUSS", "My Gy", ""),
    ("NP 0F 38 F6", "WRSS", "My Gy", ""),
    # FS and GS bases, tracing, waits.
    ("F3 0F AE /0", "RDFSBASE", "Ry", "o64"),
    ("F3 0F AE /1", "RDGSBASE", "Ry", "o64"),
    ("F3 0F AE /2", "WRFSBASE", "Ry", "o64"),
    ("F3 0F AE /3", "WRGSBASE", "Ry", "o64"),
    ("F3 0F AE /4", "PTWRITE", "Ey", "r no66"),
    ("66 0F AE /6", "TPAUSE", "Ry", ""),
    ("F3 0F AE /6", "UMONITOR", "R", "seg"),  # an address: as wide as the address size
    ("F2 0F AE /6", "UMWAIT", "Ry", ""),
    # Random numbers, processor number, user interrupts.
    ("NP 0F C7 /6", "RDRAND", "Rv", ""),
    ("66 0F C7 /6", "RDRAND", "Rv", ""),
    ("NP 0F C7 /7", "RDSEED", "Rv", ""),
    ("66 0F C7 /7", "RDSEED", "Rv", ""),
    ("F3 0F C7 /6", "SENDUIPI", "Rq", "o64"),
    ("F3 0F C7 /7", "RDPID", "Ry", "f64"),
    # VMX.
    ("NP 0F 78", "VMREAD", "Ey Gy", "f64"),
    ("NP 0F 79", "VMWRITE", "Gy Ey", "f64"),
    ("NP 0F C7 /6", "VMPTRLD", "Mq", "r"),
    ("66 0F C7 /6", "VMCLEAR", "Mq", "r"),
    ("F3 0F C7 /6", "VMXON", "Mq", "r"),
    ("NP 0F C7 /7", "VMPTRST", "Mq", ""),
    ("66 0F 38 80", "INVEPT", "Gy Mo", "f64"),
    ("66 0F 38 81", "INVVPID", "Gy Mo", "f64"),
    ("66 0F 38 82", "INVPCID", "Gy Mo", "f64"),
    # Key locker.
    ("F3 0F 38 D8 /0", "AESENCWIDE128KL", "MK", "r"),
    ("F3 0F 38 D8 /1", "AESDECWIDE128KL", "MK", "r"),
    ("F3 0F 38 D8 /2", "AESENCWIDE256KL", "MQ", "r"),
    ("F3 0F 38 D8 /3", "AESDECWIDE256KL", "MQ", "r"),
    ("F3 0F 38 DC", "AESENC128KL", "Vo MK", ""),
    ("F3 0F 38 DC", "LOADIWKEY", "Vo Uo", ""),
    ("F3 0F 38 DD", "AESDEC128KL", "Vo MK", ""),
    ("F3 0F 38 DE", "AESENC256KL", "Vo MQ", ""),
    ("F3 0F 38 DF", "AESDEC256KL", "Vo MQ", ""),
    ("F3 0F 38 FA", "ENCODEKEY128", "Gd Rd", ""),
    ("F3 0F 38 FB", "ENCODEKEY256", "Gd Rd", ""),
    # Direct stores, enqueue stores and remote atomics. G holds the offset of a 64-byte destination
    # in ES for MOVDIR64B and ENQCMD(S): as wide as the address size.
    ("66 0F 38 F8", "MOVDIR64B", "G MQ", ""),
    ("F3 0F 38 F8", "ENQCMDS", "G MQ", ""),
    ("F2 0F 38 F8", "ENQCMD", "G MQ", ""),
    ("NP 0F 38 F9", "MOVDIRI", "My Gy", ""),
    ("NP 0F 38 FC", "AADD", "My Gy", "rw"),
    ("66 0F 38 FC", "AAND", "My Gy", "rw"),
    ("F3 0F 38 FC", "AXOR", "My Gy", "rw"),
    ("F2 0F 38 FC", "AOR", "My Gy", "rw"),
    ("F3 0F 3A F0 /0:0", "HRESET", "Ib", ""),
)
