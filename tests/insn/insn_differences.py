SAME_NAME = {
    "MOVFROMSEG": {"MOV"},
    "MOVTOSEG": {"MOV"},
    "MOVFROMCR": {"MOV"},
    "MOVTOCR": {"MOV"},
    "MOVFROMDR": {"MOV"},
    "MOVTODR": {"MOV"},
}
CONDITIONS = "O NO B AE E NE BE A S NS P NP L GE LE G".split()
for stem in ("J", "SET", "CMOV"):
    SAME_NAME[stem + "CC"] = {stem + condition for condition in CONDITIONS}
SAME_NAME["CMPCCXADD"] = {f"CMP{c}XADD" for c in (*CONDITIONS, "NB", "Z", "NZ", "NBE", "NL", "NLE")}
for stem in ("MOVS", "STOS", "LODS", "CMPS", "SCAS", "INS", "OUTS"):
    SAME_NAME[stem] = {stem + suffix for suffix in "BWDQ"}

SAME_NAME |= {
    "NOP": {"RESERVEDNOP"},
    "FWAIT": {"WAIT"},
    "XLAT": {"XLATB"},
    "JCXZ": {"JECXZ", "JRCXZ"},
    "PUSHF": {"PUSHFD", "PUSHFQ"},
    "POPF": {"POPFD", "POPFQ"},
    "PUSHA": {"PUSHAD"},
    "POPA": {"POPAD"},
    "SHL": {"SAL"},
    "CBW": {"CWDE", "CDQE"},
    "CWD": {"CDQ", "CQO"},
    "IRET": {"IRETD", "IRETQ"},
    "MOVD": {"MOVQ"},
    "PEXTRD": {"PEXTRQ"},
    "PINSRD": {"PINSRQ"},
    "SYSRET": {"SYSRETQ"},
    "SYSEXIT": {"SYSEXITQ"},
    "GETSEC": {"GETSECQ"},
    "WRUSS": {"WRUSSD", "WRUSSQ"},
    "WRSS": {"WRSSD", "WRSSQ"},
    "RDSSP": {"RDSSPD", "RDSSPQ"},
    "INCSSP": {"INCSSPD", "INCSSPQ"},
    "CALLF": {"CALL"},
    "JMPF": {"JMP"},
    "FXSAVE": {"FXSAVE64"},
    "FXRSTOR": {"FXRSTOR64"},
    "XSAVE": {"XSAVE64"},
    "XRSTOR": {"XRSTOR64"},
    "XSAVEOPT": {"XSAVEOPT64"},
    "XRSTORS": {"XRSTORS64"},
    "XSAVEC": {"XSAVEC64"},
    "XSAVES": {"XSAVES64"},
    "CMPXCHG8B": {"CMPXCHG16B"},
}

SAME_NAME |= {name: {name + "64"} for name in ("PCMPESTRM", "PCMPESTRI", "VPCMPESTRM", "VPCMPESTRI")}
