# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where a virtual machine is known not to do what the SDM says, and the engines do.

All were seen where KVM is itself a guest without hardware virtualization: it runs 64-bit code of
ring 3 natively, interprets ring 0 and compatibility mode, and delivers what comes up. There a case
compares nothing of `fields`; what the engines must do stands in the case, from the SDM. Another
machine may agree in everything.
"""

from typing import Final, NamedTuple

__all__ = ["DIFFERENCES", "Difference"]


class Difference(NamedTuple):
    """One kind of disagreement."""

    fields: frozenset[str]
    """What is left out of the comparison: registers, `frame` for what is pushed, `*` for all."""
    what: str
    """What the peer does, and what the SDM says."""


def _difference(fields: str, what: str) -> Difference:
    return Difference(frozenset(fields.split()), what)


DIFFERENCES: Final = {
    "software-interrupt": _difference(
        "*",
        "INT n, and in compatibility mode INT3, INTO and BOUND, raise #UD; SDM vol. 2A, INT n: "
        "they go through the IDT, with #GP where the gate's DPL is below CPL",
    ),
    "int1": _difference(
        "frame", "INT1 pushes its own address; SDM vol. 3A, #DB: a trap, so that of the next one"
    ),
    "syscall": _difference(
        "*",
        "SYSCALL goes to LSTAR without leaving ring 3 and whatever EFER.SCE says; SDM vol. 2B, "
        "SYSCALL: CPL becomes 0, and #UD with SCE clear",
    ),
    "compatibility-syscall": _difference(
        "*",
        "SYSCALL goes to CSTAR in compatibility mode, as on AMD's processors; SYSENTER raises #UD "
        "there. SDM vol. 2B: SYSCALL is #UD, SYSENTER #GP with SYSENTER_CS zero",
    ),
    "breakpoint": _difference(
        "*", 'DR0 to DR3 have no effect; SDM vol. 3B, "Debug Registers": #DB with DR6.B0 to B3'
    ),
    "ac": _difference(
        "rflags",
        "AC is clear in the handler; SDM vol. 2A, INT n: gates clear TF, NT, RF and VM, and "
        "interrupt gates IF",
    ),
    "compatibility-ac": _difference(
        "*",
        "no #AC in compatibility mode; SDM vol. 3A, #AC: with CR0.AM and AC set, in ring 3 of any "
        "mode",
    ),
    "iopl": _difference(
        "*", "ring 3 has IOPL 0 whatever RFLAGS says; SDM vol. 2A, CLI: allowed with CPL <= IOPL"
    ),
    "stack-load": _difference(
        "frame",
        'a single-step trap comes right after MOV SS; SDM vol. 3A, "Masking Exceptions and '
        'Interrupts When Switching Stacks": after the instruction that follows it',
    ),
    "segment-load": _difference(
        "*",
        "segment registers are loaded from a GDT of the host's, and keep their selector; far "
        'transfers, LES to LGS and ARPL raise #UD. SDM vol. 3A, "Segment Registers"',
    ),
    "base": _difference(
        "*", "RDFSBASE and its like work with CR4.FSGSBASE clear; SDM vol. 2B, RDFSBASE: #UD"
    ),
    "repeat-rf": _difference(
        "frame",
        'a single-step trap between two elements pushes RF clear; SDM vol. 3B, "Instruction-'
        'Breakpoint Exception Condition": set, as for all that comes between two elements',
    ),
    "second-fault": _difference(
        "*",
        '#NP in the delivery of #UD is #DF; SDM vol. 3A, table "Conditions for Generating a Double '
        'Fault": after a benign exception it is delivered by itself',
    ),
    "canonical-end": _difference(
        "*",
        "an access across the end of the lower canonical half is a page fault of the part below; "
        "SDM vol. 3A, #GP: an address that is not canonical comes before paging",
    ),
    "alignment-mask": _difference(
        "*", "#AC with CR0.AM clear; SDM vol. 3A, #AC: only with CR0.AM and RFLAGS.AC both set"
    ),
    "double-fault-rf": _difference(
        "frame", "#DF pushes RF set; SDM vol. 3A: RF is set for faults, and #DF is an abort"
    ),
}
