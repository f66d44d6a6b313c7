# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How the pure engine reaches memory and devices; `csrc/memory.c` is the same.

An access goes in two halves. *Locating* it does every check (`_segments`, then `_paging`) and
yields a span: one or two fragments, cut at a page boundary, each in RAM or at a device. *Loading*
and *storing* then touch the span. An instruction locates all its spans before it touches any, so a
fault never leaves half an instruction behind.

A device access is an ordinal in the replay log. If the log already has it, its answer is used
again; if not, the engine stops with a READ, WRITE, PORT_IN or PORT_OUT exit and will run the
instruction from its start once the caller has answered. A store touches its device fragments before
its RAM fragments, so that a replayed read-modify-write still finds the RAM as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from vmmkit.insn._flags import DF
from vmmkit.insn._record import CPU_WORDS, EXIT_KINDS, LOG_CAPACITY, UNSUPPORTED, WORD

if TYPE_CHECKING:
    from vmmkit.insn.optable import Row

__all__ = [
    "BLOCK_KINDS",
    "BLOCK_READ",
    "BLOCK_WRITE",
    "BUDGET",
    "CPUID",
    "DONE",
    "ENQUEUE",
    "FAULT",
    "HALT",
    "HYPERCALL",
    "PAGE",
    "PORT_BLOCK_IN",
    "PORT_BLOCK_OUT",
    "PORT_IN",
    "PORT_OUT",
    "RAM_LOCK",
    "RANDOM",
    "READ",
    "READ_MSR",
    "READ_PMC",
    "VALUE_KINDS",
    "WRITE",
    "WRITE_MSR",
    "Context",
    "Fragment",
    "RamPiece",
    "Span",
    "Stop",
    "device_load",
    "device_store",
]

PAGE: Final = 4096

BUDGET, DONE, READ, WRITE, PORT_IN, PORT_OUT, FAULT, HALT, STOP_UNSUPPORTED = range(
    EXIT_KINDS.index("BLOCK_READ")
)
BLOCK_KINDS: Final = range(EXIT_KINDS.index("BLOCK_READ"), EXIT_KINDS.index("PORT_BLOCK_OUT") + 1)
VALUE_KINDS: Final = range(EXIT_KINDS.index("READ_MSR"), EXIT_KINDS.index("WRITE_MSR"))
BLOCK_READ, BLOCK_WRITE, PORT_BLOCK_IN, PORT_BLOCK_OUT = BLOCK_KINDS
READ_MSR, READ_PMC, CPUID, RANDOM = VALUE_KINDS
WRITE_MSR: Final = EXIT_KINDS.index("WRITE_MSR")
HYPERCALL: Final = EXIT_KINDS.index("HYPERCALL")
ENQUEUE: Final = EXIT_KINDS.index("ENQUEUE")

RFLAGS: Final = WORD["rflags"]
EXIT_ADDRESS: Final = WORD["exit_address"]
EXIT_SIZE: Final = WORD["exit_size"]
EXIT_VALUE: Final = WORD["exit_value"]
BLOCK_RAM: Final = WORD["block_ram"]
BLOCK_ANSWER: Final = WORD["block_answer"]
LOG_PENDING: Final = WORD["log_pending"]
LOG_COUNT: Final = WORD["log_count"]
LOG_VALUE: Final = WORD["log_value"]
WIDE_VALUE: Final = WORD["wide_value"]
WIDE_SIZES: Final = frozenset({16, 32, 64})


RAM_LOCK: Final = threading.RLock()
"""Held by every store to RAM, and by a locked instruction from its load to its store."""


class Stop(Exception):  # noqa: N818 - control flow inside the engine, never seen outside
    """Leaves the instruction with an exit kind; the exit record is already filled."""

    def __init__(self, kind: int) -> None:
        """Carry the exit kind."""
        super().__init__(kind)
        self.kind = kind


class RamPiece(NamedTuple):
    """Guest RAM: `last` is inclusive."""

    gpa: int
    last: int
    view: memoryview
    writable: bool


class Fragment(NamedTuple):
    """A part of an access within one page; `piece` is `None` for a device."""

    gpa: int
    size: int
    piece: RamPiece | None


Span = tuple[Fragment, ...]


class Context:
    """One vCPU as the pure engine sees it while instructions run."""

    __slots__ = (
        "address_size",
        "batch",
        "blocks",
        "canonical_bits",
        "checks_alignment",
        "code",
        "cpl",
        "debug",
        "displacement",
        "elements",
        "hit",
        "hit_address",
        "hit_kind",
        "immediate",
        "index",
        "keeps_rf",
        "mask",
        "memory_size",
        "mode",
        "modrm",
        "next_rip",
        "opcode",
        "operand_size",
        "ordinal",
        "pages",
        "pages_known",
        "prefixes",
        "ram",
        "real",
        "reg_base",
        "rex",
        "row",
        "scale",
        "second_immediate",
        "segment",
        "shadow",
        "vector_length",
        "vvvv",
        "watched",
        "wide",
        "words",
    )

    def __init__(
        self,
        words: memoryview,
        ram: tuple[RamPiece, ...],
        *,
        blocks: bool = False,
        wide: bool = False,
    ) -> None:
        """Start with nothing fetched."""
        assert len(words) == CPU_WORDS
        self.words = words
        self.ram = ram
        self.blocks = blocks
        self.wide = wide
        self.code = b""
        self.mode = 64
        self.real = False
        self.checks_alignment = False
        self.cpl = 0
        self.canonical_bits = 48
        self.ordinal = self.pages = self.pages_known = 0
        self.batch = 1
        self.elements = 1
        self.shadow = 0
        self.debug = 0  # bits of DR6 for the trap after the instruction
        self.watched = 0  # which breakpoints are to be looked for, see `_breakpoints`
        self.hit = 0  # 1 more than the owner's slot that was hit, else 0
        self.hit_kind = self.hit_address = 0
        self.keeps_rf = False
        self.next_rip = 0
        self.row: Row  # the engine sets it when it has decoded
        self.displacement = self.immediate = self.prefixes = self.rex = self.opcode = 0
        self.operand_size = self.address_size = self.scale = 0
        self.second_immediate = self.vvvv = self.vector_length = self.mask = 0
        self.memory_size = 0
        self.modrm = self.segment = self.reg_base = self.index = -1

    def stop(self, kind: int, address: int, size: int, value: int) -> Stop:
        """Fill the exit record; the caller raises what this returns."""
        words = self.words
        words[EXIT_ADDRESS] = address
        words[EXIT_SIZE] = size
        words[EXIT_VALUE] = value
        return Stop(kind)

    def fault(self, vector: int, error: int = 0, address: int = 0) -> Stop:
        """Stop with an exception for the guest."""
        return self.stop(FAULT, vector, error, address)

    def unsupported(self, reason: str, address: int = 0) -> Stop:
        """Stop because this engine cannot go on; no guest state has changed."""
        return self.stop(STOP_UNSUPPORTED, address, 0, UNSUPPORTED.index(reason))

    def piece_at(self, gpa: int, size: int) -> RamPiece | None:
        """RAM that holds all `size` bytes at `gpa`, else `None`."""
        for piece in self.ram:
            if piece.gpa <= gpa and gpa + size - 1 <= piece.last:
                return piece
        return None

    def forget_accesses(self) -> None:
        """What comes next is a new instruction, element or phase: its accesses count from zero."""
        self.words[LOG_COUNT] = self.words[BLOCK_ANSWER] = self.ordinal = 0
        self.pages = self.pages_known = 0

    def start_over(self) -> None:
        """Run the instruction again; what it has learned from outside stays as it is."""
        self.ordinal = 0
        self.pages_known, self.pages = self.pages, 0

    def access(self, kind: int, address: int, size: int, value: int) -> int:
        """Do the next device access: answered by the log, or by stopping."""
        ordinal = self.ordinal
        self.ordinal = ordinal + 1
        words = self.words
        if ordinal < words[LOG_COUNT]:
            return words[LOG_VALUE + ordinal % LOG_CAPACITY]
        if ordinal >= LOG_CAPACITY:
            raise self.unsupported("TOO_MANY_ACCESSES", address)
        words[LOG_PENDING] = kind
        raise self.stop(kind, address, size, value)

    def access_wide(self, kind: int, address: int, size: int, value: int) -> int:
        """The next device access, of 16, 32 or 64 bytes: as many ordinals as it has words."""
        words, count = self.words, size // 8
        ordinal = self.ordinal
        self.ordinal = ordinal + count
        if ordinal + count > LOG_CAPACITY:
            raise self.unsupported("TOO_MANY_ACCESSES", address)
        if ordinal < words[LOG_COUNT]:
            start = LOG_VALUE + ordinal
            return int.from_bytes(words[start : start + count].tobytes(), "little")
        for number in range(count):
            words[WIDE_VALUE + number] = value >> 64 * number & (1 << 64) - 1
        words[LOG_PENDING] = kind
        kind = WRITE if kind == ENQUEUE else kind
        raise self.stop(kind, address, size, value & (1 << 64) - 1)

    def offer_block(self, kind: int, address: int, ram: int, size: int, count: int) -> None:
        """Stop for `count` elements between a device and RAM at `ram`, if the caller takes blocks.

        Those go upwards in memory; elements that go downwards stay alone.

        The answer, how many were done, is not in the log but in `block_answer`: a block is offered
        once for an element, and whatever else the element accesses keeps its ordinals.
        """
        if not self.blocks or self.words[RFLAGS] & DF:
            return
        self.words[BLOCK_RAM] = ram
        self.words[LOG_PENDING] = kind
        raise self.stop(kind, address, size, count)

    def load_physical(self, gpa: int, size: int) -> int:
        """Load from a physical address that does not cross a page."""
        piece = self.piece_at(gpa, size)
        if piece is None:
            return device_load(self, gpa, size)
        offset = gpa - piece.gpa
        return int.from_bytes(piece.view[offset : offset + size], "little")

    def mark_physical(self, gpa: int, size: int, entry: int, marked: int) -> bool:
        """Set bits of the lowest byte of a page-table entry; `False` if it is `entry` no more.

        Nobody else on a pure engine stores between the comparison and this. Only that byte is
        stored, so that what others do to the rest of the entry is not lost. The native engine
        compares and swaps the whole.
        """
        piece = self.piece_at(gpa, size)
        if piece is None:
            device_store(self, gpa, size, marked)
            return True
        if not piece.writable:
            return True
        offset = gpa - piece.gpa
        with RAM_LOCK:
            if int.from_bytes(piece.view[offset : offset + size], "little") != entry:
                return False
            piece.view[offset] = marked & 0xFF
        return True

    def load(self, span: Span) -> int:
        """Load a located span, lowest address first."""
        value = shift = 0
        for fragment in span:
            value |= self.load_physical(fragment.gpa, fragment.size) << shift
            shift += 8 * fragment.size
        return value

    def store(self, span: Span, value: int) -> None:
        """Store to a located span, device fragments first."""
        self.store_all(((span, value),))

    def store_all(self, stores: Iterable[tuple[Span, int]]) -> None:
        """Store to several located spans, device fragments of all of them first."""
        in_ram = []
        for span, value in stores:
            shift = 0
            for fragment in span:
                part = value >> shift & ((1 << 8 * fragment.size) - 1)
                shift += 8 * fragment.size
                if fragment.piece is None:
                    device_store(self, fragment.gpa, fragment.size, part)
                else:
                    in_ram.append((fragment, fragment.piece, part))
        with RAM_LOCK:
            for fragment, piece, part in in_ram:
                offset = fragment.gpa - piece.gpa
                piece.view[offset : offset + fragment.size] = part.to_bytes(fragment.size, "little")

    def fragment(self, gpa: int, size: int, *, write: bool) -> Fragment:
        """Classify a range within one page; ROM is RAM for reads and a device for writes."""
        piece = self.piece_at(gpa, size)
        if piece is not None and write and not piece.writable:
            piece = None
        return Fragment(gpa, size, piece)


def _pieces(gpa: int, size: int) -> list[tuple[int, int]]:
    """Cut a device access into sizes of 1, 2, 4 or 8; only a page crossing makes odd ones."""
    if size in {1, 2, 4, 8}:
        return [(gpa, size)]
    if size % 8 == 0:
        return [(gpa + offset, 8) for offset in range(0, size, 8)]
    cut = []
    while size:
        piece = 8 if size > 8 else 4
        while piece > size or gpa % piece:
            piece //= 2
        cut.append((gpa, piece))
        gpa, size = gpa + piece, size - piece
    return cut


def device_load(context: Context, gpa: int, size: int) -> int:
    """Load from a device, in several accesses where it takes no such size at once."""
    if context.wide and size in WIDE_SIZES:
        return context.access_wide(READ, gpa, size, 0)
    value = shift = 0
    for address, piece in _pieces(gpa, size):
        value |= context.access(READ, address, piece, 0) << shift
        shift += 8 * piece
    return value


def device_store(context: Context, gpa: int, size: int, value: int) -> None:
    """Store to a device, in several accesses where it takes no such size at once."""
    if context.wide and size in WIDE_SIZES:
        context.access_wide(WRITE, gpa, size, value)
        return
    for address, piece in _pieces(gpa, size):
        context.access(WRITE, address, piece, value & ((1 << 8 * piece) - 1))
        value >>= 8 * piece
