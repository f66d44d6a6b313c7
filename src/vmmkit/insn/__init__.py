# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The x86 instruction decoder and emulator.

`decode` turns bytes into an `Instruction` and knows nothing else. `Cpu` executes: it owns registers
(`CpuState`), is handed guest RAM once, and returns whatever it cannot do itself, a device access or
a fault, as an outcome; the caller does it and calls again. Two engines do the same: the native one
in C, and the pure one in Python (`IMPLEMENTATION` tells which is live).

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

from typing import TYPE_CHECKING, Final

from vmmkit.errors import DecodeError, DecodeReason
from vmmkit.insn._cpu import STEP_BATCH, Cpu, ExitKind
from vmmkit.insn._engine import IMPLEMENTATION, available_engines, engine_named
from vmmkit.insn._instruction import RIP_BASE, Instruction, MemoryAccess, Prefixes
from vmmkit.insn._operands import OperandAccess, operand_accesses, verify_gla
from vmmkit.insn._outcomes import (
    BudgetSpent,
    Done,
    Fault,
    Halt,
    Outcome,
    PortIn,
    PortOut,
    Read,
    Unsupported,
    UnsupportedReason,
    Write,
)
from vmmkit.insn._record import DECODE_FAILURES, MAX_LENGTH, WORD
from vmmkit.insn._state import CpuState, Feature, Segment

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "decode",
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
    "Done",
    "Fault",
    "Halt",
    "Unsupported",
    "UnsupportedReason",
    "BudgetSpent",
    "ExitKind",
    "WORD",
    "STEP_BATCH",
    "IMPLEMENTATION",
    "available_engines",
]  # fmt: skip

_DECODE: Final = {name: engine_named(name).decode for name in available_engines()}
_DEFAULT: Final = _DECODE[IMPLEMENTATION]
_MODES: Final = {16: 16, 32: 32, 64: 64}
_NEW: Final = tuple.__new__  # a third of the cost of calling the class


def decode(code: Buffer, mode: int, *, engine: str | None = None) -> Instruction:
    """Decode the instruction at the start of `code`.

    Args:
        code: bytes; what follows the instruction does not matter, nor does anything past 15.
        mode: 16, 32 or 64, the default operand width of the code segment.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.

    Raises:
        DecodeError: with `reason` TRUNCATED (more bytes are needed), INVALID (the processor raises
            #UD), TOO_LONG (more than 15 bytes: #GP) or UNKNOWN (not in the opcode table).
        ValueError: a mode that is none of the three.
        EngineError: no such engine.
    """
    window = bytes(memoryview(code)[:MAX_LENGTH]) if type(code) is not bytes else code
    try:
        known_mode = _MODES[mode]
    except (KeyError, TypeError):
        message = f"mode is 16, 32 or 64, not {mode!r}"
        raise ValueError(message) from None
    function = _DEFAULT if engine is None else engine_named(engine).decode
    fields = function(window, known_mode)
    if isinstance(fields, int):
        raise _failure(fields, window[:MAX_LENGTH], mode)
    return _NEW(Instruction, fields)


def _failure(number: int, code: bytes, mode: int) -> DecodeError:
    reason = DecodeReason[DECODE_FAILURES[number]]
    text = code.hex(" ") or "nothing"
    return DecodeError(f"{reason.value} in {mode}-bit mode: {text}", reason, code)
