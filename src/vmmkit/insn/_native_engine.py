# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The native engine behind the same two names as `_pure`: `decode` and `Core`.

Importing this module fails with `EngineError` when the extension is missing, or when it was built
from another opcode table or another record layout than the Python files at hand.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from vmmkit.errors import EngineError
from vmmkit.insn import _record, optable
from vmmkit.insn._memory import RamPiece

try:
    from vmmkit.insn import _native
except ImportError as error:
    message = "the native engine is not built; build with a C compiler or set VMMKIT_NATIVE=0"
    raise EngineError(message) from error

__all__ = ["NAME", "Core", "decode"]

NAME: Final = "native"

ffi: Final[Any] = _native.ffi
lib: Final[Any] = _native.lib

if ffi.string(lib.vmmkit_digest()).decode() != optable.digest(
    _record.CPU_FIELDS, _record.INSN_FIELDS, _record.reasons()
):
    message = "the native engine was built from another opcode table; rebuild it (make build)"
    raise EngineError(message)

_run: Final = lib.vmmkit_run
_decode: Final = lib.vmmkit_decode

# Decoded records are written to buffers of our own; each is used by one call at a time.
_INSN: Final = struct.Struct(_record.INSN_FORMAT)
_free: Final[list[tuple[Any, memoryview]]] = []


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
    """One vCPU record and its RAM, bound to this engine."""

    __slots__ = ("_count", "_cpu", "_kept", "_pieces")

    def __init__(self, record: bytearray, ram: tuple[RamPiece, ...]) -> None:
        """Bind `record` (`CPU_FIELDS`, 8 bytes a word) and the RAM pieces."""
        hosts = [ffi.from_buffer("uint8_t[]", piece.view) for piece in ram]
        self._cpu = ffi.from_buffer("vmmkit_cpu *", record)
        self._pieces = ffi.new("vmmkit_piece[]", max(1, len(ram)))
        self._count = len(ram)
        self._kept = (record, ram, hosts)
        for place, (piece, host) in enumerate(zip(ram, hosts, strict=True)):
            entry = self._pieces[place]
            entry.gpa, entry.last = piece.gpa, piece.last
            entry.host = ffi.cast("uint8_t *", host)
            entry.writable = piece.writable

    def run(self, budget: int, batch: int, answer: int) -> int:
        """As `_pure.Core.run`."""
        kind: int = _run(self._cpu, self._pieces, self._count, budget, batch, answer)
        return kind
