# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where a KVM does something else on a device than on RAM, and the second chance has no say.

All were seen where KVM is itself a guest without hardware virtualization, which interprets ring 0
and runs 64-bit code of ring 3 on the processor. The kernel accepts these instructions, and executes
them otherwise than the processor; or it shows the guest a processor without them, while the real
one has them. Another machine may agree in everything.
"""

from typing import Final, NamedTuple

__all__ = ["KNOWN", "UNENDING", "reason_of"]

UNENDING: Final = frozenset({"SGDT", "SIDT", "LGDT", "LIDT", "LLDT", "LTR"})
NO_END = "on a device the kernel tries it for ever, and never exits; a kick ends the run"
HOST_SELECTORS = "on RAM, where the processor runs it, it stores a selector of the host's"


class Known(NamedTuple):
    """One kind of disagreement."""

    mnemonics: frozenset[str]
    rings: frozenset[int]
    reason: str


def _known(mnemonics, reason, rings=(0, 3)):
    return Known(frozenset(mnemonics.split()), frozenset(rings), reason)


KNOWN: Final = (
    Known(UNENDING, frozenset({0, 3}), NO_END),
    _known(
        "PUSHA POPA",
        "with the stack in a device the kernel starts over from the rSP that it has changed",
        (0,),
    ),
    _known("INS", "with F2 into a device the kernel reads the port more often than rCX says", (0,)),
    _known("LZCNT TZCNT", "the kernel's emulator executes BSR and BSF in their place", (3,)),
    _known(
        "MOVBE MOVDIRI",
        "#UD on a device, since the guest's CPUID has it not; on RAM the processor executes it",
        (3,),
    ),
    _known(
        "CALL RET",
        "with 66 in 64-bit mode the kernel's emulator uses another operand size than the processor",
        (3,),
    ),
    _known("LAR", "on RAM the processor looks at the host's descriptor table", (3,)),
    _known("MOVFROMSEG PUSH", HOST_SELECTORS, (3,)),
    _known("PUSHF", "on RAM the processor pushes IF and IOPL as the host has them", (3,)),
)


def reason_of(verdict):
    """Why a form may differ, or `None`."""
    for one in KNOWN:
        if verdict.form.insn.mnemonic in one.mnemonics and verdict.cpl in one.rings:
            return one.reason
    return None
