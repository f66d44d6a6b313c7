# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The native engine behind the same two names as `_pure`: `decode` and `Core`.

Importing this module fails with `EngineError` when the extension is missing, or when it was built
from another opcode table or another record layout than the Python files at hand.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from vmmkit.errors import EngineError
from vmmkit.insn import _record, optable
from vmmkit.insn._memory import RamPiece

try:
    from vmmkit.insn import _native
except ImportError as error:
    message = f"the native engine cannot be loaded ({error}); build it, or set VMMKIT_NATIVE=0"
    raise EngineError(message) from error

__all__ = ["NAME", "Core", "decode"]

NAME: Final = "native"

ffi: Final[Any] = _native.ffi
lib: Final[Any] = _native.lib

if ffi.string(lib.vmmkit_digest()).decode() != optable.digest(_record.layout()):
    message = "the native engine was built from another opcode table; rebuild it (make build)"
    raise EngineError(message)

_decode: Final = lib.vmmkit_decode

# Decoded records are written to buffers of our own; each is used by one call at a time.
_INSN: Final = struct.Struct(_record.INSN_FORMAT)
_free: Final[list[tuple[Any, memoryview]]] = []

# A C structure keeps nothing alive that it points at. This does, for as long as anyone holds the
# structure, and the callables below do.
_kept: Final[WeakKeyDictionary[Any, tuple[object, ...]]] = WeakKeyDictionary()


def _new_buffer() -> tuple[Any, memoryview]:
    record = bytearray(ffi.sizeof("vmmkit_insn"))
    return ffi.from_buffer("vmmkit_insn *", record), memoryview(record)


def decode(code: bytes, mode: int) -> tuple[int, ...] | int:
    """As `_decode.decode_fields`."""
    try:
        buffer = _free.pop()
    except IndexError:
        buffer = _new_buffer()
    failure: int = _decode(code, len(code), mode, buffer[0])
    fields = _INSN.unpack_from(buffer[1])
    _free.append(buffer)
    return failure or fields


class Core:
    """One vCPU record and its RAM, bound to this engine; the methods are those of `_pure.Core`."""

    __slots__ = ("resume", "run", "step")

    def __init__(self, record: bytearray, ram: tuple[RamPiece, ...]) -> None:
        """Bind `record` (`CPU_FIELDS`, 8 bytes a word) and the RAM pieces."""
        pieces = ffi.new("vmmkit_piece[]", max(1, len(ram)))
        hosts = [ffi.from_buffer("uint8_t[]", piece.view) for piece in ram]
        for entry, piece, host in zip(pieces, ram, hosts, strict=False):
            entry.gpa, entry.last, entry.writable = piece.gpa, piece.last, piece.writable
            entry.host = ffi.cast("uint8_t *", host)
        cpu = ffi.from_buffer("vmmkit_cpu *", record)
        vcpu = ffi.new("vmmkit_vcpu *", (cpu, pieces, len(ram)))
        _kept[vcpu] = (ram, hosts, pieces, cpu)
        # Bound by partial, not by methods: a method of ours would cost as much as the crossing.
        self.step: Callable[[int], int] = partial(lib.vmmkit_step, vcpu)
        self.run: Callable[[int, int], int] = partial(lib.vmmkit_run, vcpu)
        self.resume: Callable[[int], int] = partial(lib.vmmkit_resume, vcpu)
