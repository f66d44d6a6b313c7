# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A stub for GDB's remote protocol, for any backend.

`serve` lets a debugger connect to a `Target`: whatever has five methods. `Stub` is the protocol
without a socket, `Session` its framing alone.

>>> from vmmkit.gdb import Stub
>>> class Still:
...     def vcpus(self):
...         return [0]
...
...     def read_registers(self, vcpu):
...         return {"rip": 0x1000, "rax": 42}
...
...     def read_memory(self, vcpu, address, size):
...         return bytes(size)
...
...     def stop(self, report):
...         report()
...
...     def resume(self, actions, report):
...         pass
>>> stub = Stub(Still())
>>> stub.attach()
>>> stub.receive(b"$m1000,4#8e")
b'+$00000000#80'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports
from vmmkit.errors import ExpressionError, GdbError, ServeError, StubConfigError, TargetError

if TYPE_CHECKING:
    from vmmkit.gdb.asynchronous import AsyncServer, serve_async
    from vmmkit.gdb.expression import Expression
    from vmmkit.gdb.options import Capabilities, StubOptions
    from vmmkit.gdb.registers import REGISTERS, Register
    from vmmkit.gdb.serve import Server, serve
    from vmmkit.gdb.session import Session
    from vmmkit.gdb.spec import ErrorCode, Signal
    from vmmkit.gdb.stub import Stub
    from vmmkit.gdb.target import (
        CONTINUE,
        STEP,
        Action,
        ActionKind,
        AttachListener,
        BreakpointKind,
        Breakpoints,
        Killer,
        MemoryKind,
        MemoryMapper,
        MemoryRange,
        MemoryWriter,
        ModeSource,
        MonitorSource,
        PackedRegisters,
        PerVcpuControl,
        RegisterWriter,
        Report,
        Resetter,
        Reverser,
        Stepper,
        Stop,
        StopKind,
        Target,
        ThreadDescriber,
    )
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "asynchronous": "AsyncServer serve_async",
            "expression": "Expression",
            "options": "Capabilities StubOptions",
            "registers": "Register REGISTERS",
            "serve": "serve Server",
            "session": "Session",
            "spec": "ErrorCode Signal",
            "stub": "Stub",
            "target": (
                "Action ActionKind AttachListener BreakpointKind Breakpoints CONTINUE Killer "
                "MemoryKind MemoryMapper MemoryRange MemoryWriter ModeSource MonitorSource "
                "PackedRegisters PerVcpuControl RegisterWriter Report Resetter Reverser STEP "
                "Stepper Stop StopKind Target ThreadDescriber"
            ),
        },
    )

__all__ = [
    "serve",
    "Server",
    "serve_async",
    "AsyncServer",
    "Target",
    "Report",
    "Stop",
    "StopKind",
    "Action",
    "ActionKind",
    "CONTINUE",
    "STEP",
    "PackedRegisters",
    "RegisterWriter",
    "MemoryWriter",
    "Stepper",
    "BreakpointKind",
    "Breakpoints",
    "PerVcpuControl",
    "Reverser",
    "Resetter",
    "Killer",
    "AttachListener",
    "ModeSource",
    "ThreadDescriber",
    "MemoryKind",
    "MemoryRange",
    "MemoryMapper",
    "MonitorSource",
    "Stub",
    "StubOptions",
    "Capabilities",
    "Session",
    "Register",
    "REGISTERS",
    "Expression",
    "Signal",
    "ErrorCode",
    "GdbError",
    "TargetError",
    "StubConfigError",
    "ExpressionError",
    "ServeError",
]
