# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The processor as oracle: runs one instruction on the CPU under this program.

`Oracle.run_many` takes `Case`s (registers, segments, flags, memory, the bytes of one instruction)
and returns `Result`s. `native.c` does the work in a child process; this half compiles it on first
use (into `build/oracle/`, keyed by its text), packs the cases, and refuses instructions
that would enter the kernel.

The address space of a case, all of it user memory below 4 GiB::

    CODE   10000000-10000FFF  read, write, execute; INT3 wherever the instruction is not
    DATA   20000000-20001FFF  read, write
           20002000-20002FFF  nothing
           20003000-20003FFF  read only
           20004000-2000EFFF  nothing
           2000F000-2000FFFF  read, write: the top of a 16-bit segment that starts at DATA

Selectors name entries of Linux's GDT (`USER_CODE64`, `USER_CODE32`, `USER_DATA`) or of the LDT,
which is whatever list of `Descriptor`s the `Oracle` was made with.

What the processor cannot show from user mode: CPL 0 to 2, real and virtual-8086 mode, paging
structures. What Linux hides: bit 0 of the error code of a #PF above the user half is always set
(`sanitize_error_code`), and RF and TF in `Result.rflags` are its business. After IRETQ to a 16-bit
stack segment the upper half of ESP is garbage.
"""

import functools
import hashlib
import os
import platform
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import cffi

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE / "native.c"
BUILD: Final = HERE.parents[1] / "build" / "oracle"

PAGE: Final = 0x1000
CODE: Final = 0x1000_0000
DATA: Final = 0x2000_0000
READ_ONLY: Final = DATA + 3 * PAGE
TOP: Final = DATA + 15 * PAGE
# (address, size, writable), in the order of `Case.memory`
WINDOWS: Final = ((DATA, 2 * PAGE, True), (READ_ONLY, PAGE, False), (TOP, PAGE, True))
MEMORY_SIZE: Final = sum(size for _, size, _ in WINDOWS)

USER_CODE32, USER_DATA, USER_CODE64 = 0x23, 0x2B, 0x33
ES, CS, SS, DS, FS, GS = range(6)
SELECTORS64: Final = (0, USER_CODE64, USER_DATA, 0, 0, 0)
SELECTORS32: Final = (USER_DATA, USER_CODE32, USER_DATA, USER_DATA, 0, 0)

TF: Final = 0x100
NOT_ENTERED: Final = 255
DEBUG, BREAKPOINT = 1, 3
BATCH: Final = 1024  # cases in one child; 18 KiB each
AT_HWCAP2, HWCAP2_FSGSBASE = 26, 2

INT3: Final = b"\xcc"
# Instructions that enter the kernel by the system-call door.
KERNEL_ENTRIES: Final = (b"\xcd", b"\x0f\x05", b"\x0f\x34")
LEGACY_PREFIXES: Final = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"

VECTOR_WORDS: Final = 284  # as in the record of a vCPU: ZMM, opmask, MXCSR, x87, CW, SW, tag
VECTOR_SIZE: Final = 8 * VECTOR_WORDS
# All zero but MXCSR and the x87 control word.
DEFAULT_VECTORS: Final = struct.pack("<284Q", *[0] * 264, 0x1F80, *[0] * 16, 0x37F, 0, 0)
CASE_FIELDS: Final = struct.Struct("=16Q Q Q 6Q 2Q 3Q 3Q 16s")
WINDOW_FIELDS: Final = struct.Struct("=3Q")
HEADER: Final = struct.Struct("=6Q")  # cases done, child, socket, then what is set here
DESCRIPTORS_MAX: Final = 64
WINDOWS_MAX: Final = 8
HEADER_SIZE: Final = HEADER.size + WINDOW_FIELDS.size * (WINDOWS_MAX + DESCRIPTORS_MAX)
CASE_SIZE: Final = CASE_FIELDS.size + VECTOR_SIZE + MEMORY_SIZE

SETUP_FAILURES: Final = {
    1: "the child could not map the code page and the data windows",
    2: "the child could not install its signal handlers",
    3: "modify_ldt is not allowed or not compiled into this kernel",
    4: "XSAVE is not enabled",
}


class OracleError(Exception):
    """The oracle could not run a case: the child died, or the case was never entered."""


class Descriptor(NamedTuple):
    """An entry of the LDT; DPL is 3, and the accessed bit is set."""

    base: int
    limit: int
    """Highest offset in bytes; from 1 MiB on it must end in FFF."""
    kind: str = "data"
    """`"data"`, `"expand-down"` or `"code"`."""
    wide: bool = True
    """D/B: 32-bit code or stack."""
    access: bool = True
    """Writable data, readable code."""
    present: bool = True

    def fields(self) -> tuple[int, int, int]:
        """Base, 20-bit limit and flags of `oracle_descriptor`."""
        contents = ("data", "expand-down", "code").index(self.kind)
        pages = self.limit > 0xF_FFFF
        flags = self.wide | contents << 1 | (not self.access) << 3 | pages << 4
        return self.base, self.limit >> 12 * pages, flags | (not self.present) << 5 | 1 << 6

    def attributes(self) -> int:
        """Access rights in the layout of `vmmkit.insn.Segment`."""
        kind = {"data": 1, "expand-down": 5, "code": 9}[self.kind] | self.access << 1
        granular = self.limit > 0xF_FFFF
        available = 1 << 12  # AVL: what Linux calls useable
        return 0x70 | available | kind | self.present << 7 | self.wide << 14 | granular << 15


class Case(NamedTuple):
    """One instruction and everything it sees."""

    code: bytes
    """1 to 15 bytes."""
    mode: int = 64
    """16, 32 or 64; it must be what the CS selector says."""
    gpr: tuple[int, ...] = (0,) * 16
    """rAX, rCX, rDX, rBX, rSP, rBP, rSI, rDI, r8...; the last eight are not used outside 64-bit."""
    rflags: int = 0
    """AC has its effect: Linux sets CR0.AM."""
    selectors: tuple[int, ...] = SELECTORS64
    """ES, CS, SS, DS, FS, GS."""
    bases: tuple[int, int] = (0, 0)
    """FS and GS base in 64-bit mode."""
    memory: bytes = bytes(MEMORY_SIZE)
    """The windows, one after the other."""
    rip: int = CODE
    linear: int | None = None
    """Where `rip` is when CS has a base, else `None`."""
    single_step: bool = False
    """Stop by TF rather than at an INT3: wherever a branch goes, `Result.rip` tells. Not for MOV SS
    and POP SS, which hold the trap back; stops repeated instructions after one element."""
    vectors: bytes = DEFAULT_VECTORS
    """ZMM0-31, K0-7, MXCSR, R0-R7 of the x87 unit, its control, status and tag words (a bit for
    each register that is not empty), as the record of a vCPU has them."""


class Result(NamedTuple):
    """What an instruction did."""

    vector: int | None
    """Exception, `None` when the instruction completed."""
    error: int
    cr2: int
    gpr: tuple[int, ...]
    rip: int
    """Next instruction; after a fault the instruction itself."""
    rflags: int
    selectors: tuple[int, ...]
    memory: bytes
    vectors: bytes = DEFAULT_VECTORS


def _shown(case: Case) -> str:
    return str(case._replace(memory=b"", vectors=b""))


def _linear(case: Case) -> int:
    return case.rip if case.linear is None else case.linear


def _refuse(case: Case) -> None:
    """Raise for a case that is not one harmless instruction in the code page."""
    if not 0 < len(case.code) <= 15 or len(case.memory) != MEMORY_SIZE:
        raise ValueError(f"code has 1 to 15 bytes and memory {MEMORY_SIZE}: {case.code.hex(' ')}")
    if not CODE <= _linear(case) < CODE + PAGE:
        raise ValueError(f"{_linear(case):#x} is not in the code page")
    opcode = case.code.lstrip(LEGACY_PREFIXES)
    if case.mode == 64 and opcode[:1] and opcode[0] & 0xF0 == 0x40:
        opcode = opcode[1:]
    if opcode.startswith(KERNEL_ENTRIES):
        raise ValueError(f"this instruction enters the kernel: {case.code.hex(' ')}")


def _pack(view: memoryview, offset: int, case: Case) -> None:
    _refuse(case)
    flags = case.rflags | (TF if case.single_step else 0)
    registers = (*case.gpr, case.rip, flags, *case.selectors, *case.bases)
    place = case.mode, _linear(case), len(case.code)
    CASE_FIELDS.pack_into(view, offset, *registers, *place, NOT_ENTERED, 0, 0, case.code)
    memory = offset + CASE_FIELDS.size + VECTOR_SIZE
    view[offset + CASE_FIELDS.size : memory] = case.vectors
    view[memory : memory + MEMORY_SIZE] = case.memory


def _completed(case: Case, vector: int, rip: int) -> bool:
    """Whether the vector is one of the two that end a case, and not the instruction's own."""
    if vector == BREAKPOINT:
        return rip != case.rip + len(case.code) or case.code[-1:] != INT3
    return vector == DEBUG and case.single_step


def _unpack(view: memoryview, offset: int, case: Case) -> Result:
    fields = CASE_FIELDS.unpack_from(view, offset)
    rip, (vector, error, cr2) = fields[16], fields[29:32]
    if vector == NOT_ENTERED:
        raise OracleError(f"error code {error:#x} before the instruction: {_shown(case)}")
    completed = _completed(case, vector, rip)
    memory = offset + CASE_FIELDS.size + VECTOR_SIZE
    return Result(
        None if completed else vector,
        0 if completed else error,
        cr2,
        fields[:16],
        rip - (completed and vector == BREAKPOINT),
        fields[17],
        fields[18:24],
        bytes(view[memory : memory + MEMORY_SIZE]),
        bytes(view[memory - VECTOR_SIZE : memory]),
    )


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))), None)


def _shared_object() -> Path:
    """Compile `native.c` unless that was done before."""
    text = SOURCE.read_bytes()
    finished = BUILD / f"native-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if not finished.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as folder:
            fresh = Path(folder) / finished.name
            flags = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-stack-protector")
            command = [_compiler() or "cc", *flags, "-fPIC", "-shared", str(SOURCE), "-o"]
            subprocess.run([*command, str(fresh)], check=True, capture_output=True, text=True)
            fresh.replace(finished)  # at once, whoever else may be building it
    return finished


@functools.cache
def _library() -> tuple[Any, Any]:
    ffi = cffi.FFI()
    ffi.cdef(
        """
        void *oracle_allocate(uint64_t count);
        void oracle_free(void *batch, uint64_t count);
        int oracle_run(void *batch, uint64_t count);
        """
    )
    return ffi, ffi.dlopen(str(_shared_object()))


class Oracle:
    """Runs cases with one LDT, in a child process that lives as long as the oracle.

    Args:
        descriptors: the LDT, at most 64 entries; entry n has selector `8 * n | 7`.

    Raises:
        OracleError: from `run` and `run_many`, when the child cannot be set up or does not survive.
        ValueError: for a case that is no instruction in the code page, or would enter the kernel.
    """

    def __init__(self, descriptors: Sequence[Descriptor] = ()) -> None:
        if len(descriptors) > DESCRIPTORS_MAX:
            raise ValueError(f"an LDT here has {DESCRIPTORS_MAX} entries, not {len(descriptors)}")
        self.descriptors = tuple(descriptors)
        self._ffi, self._lib = _library()
        batch = self._lib.oracle_allocate(BATCH)
        if batch == self._ffi.NULL:
            raise OracleError("no memory for a batch of cases")
        free = self._lib.oracle_free
        self._batch = self._ffi.gc(batch, lambda raw: free(raw, BATCH))
        self._view = memoryview(self._ffi.buffer(self._batch, HEADER_SIZE + BATCH * CASE_SIZE))
        self._fill_header()

    def _fill_header(self) -> None:
        HEADER.pack_into(self._view, 0, 0, 0, 0, CODE, len(WINDOWS), len(self.descriptors))
        offset = HEADER.size
        for window in WINDOWS:
            WINDOW_FIELDS.pack_into(self._view, offset, *window)
            offset += WINDOW_FIELDS.size
        offset = HEADER.size + WINDOWS_MAX * WINDOW_FIELDS.size
        for descriptor in self.descriptors:
            WINDOW_FIELDS.pack_into(self._view, offset, *descriptor.fields())
            offset += WINDOW_FIELDS.size

    @property
    def child(self) -> int:
        """Process id of the child, 0 before the first case and after a death."""
        return int(HEADER.unpack_from(self._view)[1])

    def close(self) -> None:
        """End the child; the oracle cannot be used any more."""
        self._view.release()
        self._ffi.release(self._batch)

    def run(self, case: Case) -> Result:
        """Run one case."""
        return next(self.run_many((case,)))

    def run_many(self, cases: Iterable[Case]) -> Iterator[Result]:
        """Run cases in order, `BATCH` at a time."""
        remaining = iter(cases)
        while batch := tuple(islice(remaining, BATCH)):
            for number, case in enumerate(batch):
                _pack(self._view, HEADER_SIZE + number * CASE_SIZE, case)
            self._execute(batch)
            for number, case in enumerate(batch):
                yield _unpack(self._view, HEADER_SIZE + number * CASE_SIZE, case)

    def _execute(self, batch: Sequence[Case]) -> None:
        status = self._lib.oracle_run(self._batch, len(batch))
        if status == 0:
            return
        if status < 0:
            raise OracleError("no child process can be started")
        done, ended = HEADER.unpack_from(self._view)[0], os.waitstatus_to_exitcode(status)
        if ended in SETUP_FAILURES:
            raise OracleError(SETUP_FAILURES[ended])
        raise OracleError(f"case {done} ended the child with {ended}: {_shown(batch[done])}")


def _has_fsgsbase() -> bool:
    """Whether user code may load the bases (Linux says so in the auxiliary vector)."""
    words = struct.iter_unpack("=QQ", Path("/proc/self/auxv").read_bytes())
    return any(key == AT_HWCAP2 and value & HWCAP2_FSGSBASE for key, value in words)


@functools.cache
def available() -> str | None:
    """Why the oracle cannot run here, or `None` when it can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64" or struct.calcsize("P") != 8:
        return "the oracle needs a 64-bit program on x86-64 Linux"
    if _compiler() is None:
        return "the oracle needs a C compiler"
    if "libasan" in Path("/proc/self/maps").read_text():
        return "the oracle clears the first 4 GiB, where AddressSanitizer has its shadow memory"
    if not _has_fsgsbase():
        return "the oracle needs FSGSBASE"
    try:
        oracle = Oracle(
            [Descriptor(0, 0xFFFF_FFFF, "code"), Descriptor(CODE, 0xFFFF, "code", False)]
        )
        probes = [Case(b"\xf9"), Case(b"\xf9", 32, selectors=(0x2B, 7, 0x2B, 0x2B, 0, 0))]
        probes.append(Case(b"\xf9", 16, selectors=(0x2B, 15, 0x2B, 0x2B, 0, 0), rip=0, linear=CODE))
        results = list(oracle.run_many(probes))
    except OracleError as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        return f"the C compiler refused the oracle: {error.stderr[:200]}"
    wrong = [case.mode for case, result in zip(probes, results, strict=True) if result.vector]
    return f"modes {wrong} do not run here" if wrong else None
