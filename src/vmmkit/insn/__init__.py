# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The x86 instruction decoder and emulator.

`decode` turns bytes into an `Instruction` and knows nothing else; `DecodeCache` remembers what it
returned. `Cpu` executes: it owns registers (`CpuState`), is handed guest RAM once, and returns
whatever it cannot do itself, a device access or a fault, as an `Outcome`; the caller does it and
calls again. `Cpu.translate` walks the guest's page tables, and `verify_gla` holds the address of an
exit against the operands of the instruction at RIP. `Feature` hides instructions as CPUID does. Two
engines do the same: the native one in C, and the pure one in Python (`IMPLEMENTATION` tells which
is live).

>>> from vmmkit.insn import Cpu, Write, decode
>>> decode(bytes.fromhex("8903"), 64).mnemonic
'MOV'
>>> ram = bytearray(4096)
>>> ram[:2] = bytes.fromhex("8907")  # mov [bx], ax
>>> cpu = Cpu([(0, ram)])
>>> cpu.state.enter_real_mode(ip=0)
>>> cpu.state.rax, cpu.state.rbx = 0xBEEF, 0x9000
>>> cpu.step()
Write(gpa=36864, size=2, value=48879)
>>> cpu.step()
Done(rip=2, interrupt_shadow=0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.insn._cpu import STEP_BATCH, Cpu, ExitKind
    from vmmkit.insn._debugging import BREAKPOINT_SLOTS, BreakKind, Breakpoint
    from vmmkit.insn._decoder import DecodeCache, decode
    from vmmkit.insn._engine import IMPLEMENTATION, available_engines
    from vmmkit.insn._feature import Feature
    from vmmkit.insn._injection import EventKind
    from vmmkit.insn._instruction import RIP_BASE, Instruction, MemoryAccess, Prefixes
    from vmmkit.insn._operands import OperandAccess, operand_accesses, verify_gla
    from vmmkit.insn._outcomes import (
        BlockRead,
        BlockWrite,
        BudgetSpent,
        Cpuid,
        DebugExit,
        Done,
        Fault,
        Halt,
        Hypercall,
        InterruptWindow,
        Outcome,
        PortBlockIn,
        PortBlockOut,
        PortIn,
        PortOut,
        Random,
        Read,
        ReadMsr,
        ReadPmc,
        TprBelowThreshold,
        TripleFault,
        Unsupported,
        UnsupportedReason,
        Write,
        WriteMsr,
    )
    from vmmkit.insn._record import MAX_LENGTH, WORD
    from vmmkit.insn._state import CpuState, Segment
    from vmmkit.insn._translate import PageAccess, PageEntry, Translation
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_cpu": "Cpu ExitKind STEP_BATCH",
            "_debugging": "BreakKind Breakpoint BREAKPOINT_SLOTS",
            "_decoder": "decode DecodeCache",
            "_engine": "available_engines IMPLEMENTATION",
            "_feature": "Feature",
            "_injection": "EventKind",
            "_instruction": "Instruction MemoryAccess Prefixes RIP_BASE",
            "_operands": "operand_accesses OperandAccess verify_gla",
            "_outcomes": (
                "BlockRead BlockWrite BudgetSpent Cpuid DebugExit Done Fault Halt Hypercall "
                "InterruptWindow Outcome PortBlockIn PortBlockOut PortIn PortOut Random Read "
                "ReadMsr ReadPmc TprBelowThreshold TripleFault Unsupported UnsupportedReason "
                "Write WriteMsr"
            ),
            "_record": "MAX_LENGTH WORD",
            "_state": "CpuState Segment",
            "_translate": "PageAccess PageEntry Translation",
        },
    )

__all__ = [
    "decode",
    "DecodeCache",
    "Instruction",
    "Prefixes",
    "MemoryAccess",
    "RIP_BASE",
    "OperandAccess",
    "operand_accesses",
    "verify_gla",
    "Feature",
    "MAX_LENGTH",
    "Cpu",
    "CpuState",
    "Segment",
    "Outcome",
    "Read",
    "Write",
    "PortIn",
    "PortOut",
    "BlockRead",
    "BlockWrite",
    "PortBlockIn",
    "PortBlockOut",
    "Done",
    "Fault",
    "Halt",
    "ReadMsr",
    "WriteMsr",
    "ReadPmc",
    "Cpuid",
    "Random",
    "Hypercall",
    "TripleFault",
    "InterruptWindow",
    "TprBelowThreshold",
    "Unsupported",
    "UnsupportedReason",
    "DebugExit",
    "BudgetSpent",
    "Breakpoint",
    "BreakKind",
    "BREAKPOINT_SLOTS",
    "Translation",
    "PageAccess",
    "PageEntry",
    "EventKind",
    "ExitKind",
    "WORD",
    "STEP_BATCH",
    "IMPLEMENTATION",
    "available_engines",
]  # fmt: skip
