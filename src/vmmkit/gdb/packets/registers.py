# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets about registers: their values, and which ones there are.

GDB manual, "Packets" (`g`, `G`, `p`, `P`) and "General Query Packets" (`qXfer:features:read`).
LLDB names a thread at the end of the first four, once it has sent QThreadSuffixSupported, and asks
for registers one by one with qRegisterInfo where it cannot read XML (LLDB documentation, "GDB
Remote Protocol Extensions").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from vmmkit.errors import RegisterLayoutError
from vmmkit.gdb.codec import hex_number, transfer
from vmmkit.gdb.description import DescribedRegister, Description
from vmmkit.gdb.packets.table import Handler, PacketError
from vmmkit.gdb.registers import READ_ONLY
from vmmkit.gdb.spec import ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS", "features"]

ANNEX: Final = b"target.xml"
THREAD: Final = b"thread:"
BRIEF: Final = 16  # digits: RAX, or EAX and ECX; in each layout these are whole registers
STACK: Final = tuple(f"st{n}" for n in range(8))
NO_MORE: Final = b"E45"  # what LLDB's documentation has after the last register


def features(_stub: Stub) -> Iterator[bytes]:
    """Announce the target description."""
    yield b"qXfer:features:read+"


def _of_thread(stub: Stub, rest: bytes) -> tuple[bytes, int]:
    """Return a packet's argument without LLDB's suffix, and the vCPU that it is about."""
    text, separator, suffix = rest.partition(b";")
    if not separator:
        return text, stub.selected
    if not suffix.startswith(THREAD):
        raise PacketError(ErrorCode.MALFORMED, f"{suffix!r:.40} names no thread")
    thread = suffix.removeprefix(THREAD).removesuffix(b";")
    return text, stub.threads.one_of(thread, stub.vcpus())


def _number(description: Description, text: bytes) -> int:
    try:
        number = hex_number(text)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from error
    if number >= len(description.registers):
        raise PacketError(ErrorCode.NO_REGISTER, f"there is no register {number}")
    return number


def _read_all(stub: Stub, rest: bytes) -> bytes:
    """Answer `g`."""
    text, vcpu = _of_thread(stub, rest)
    if text:
        raise PacketError(ErrorCode.MALFORMED, "g has no arguments")
    registers = stub.description.pack(stub.registers(vcpu))
    return registers[:BRIEF] if stub.brief else registers


def _read_one(stub: Stub, rest: bytes) -> bytes:
    """Answer `p`."""
    text, vcpu = _of_thread(stub, rest)
    with suppress(ValueError):
        stub.reveal(hex_number(text))
    description = stub.description
    return description.value(_number(description, text), stub.registers(vcpu))


def _write_all(stub: Stub, rest: bytes) -> bytes:
    """Answer `G`: write what differs from what the debugger has read."""
    stub.require_writable()
    text, vcpu = _of_thread(stub, rest)
    try:
        registers = stub.registers(vcpu)
        changed = stub.description.unpack(text, registers)
        if "fstat" in changed:  # perhaps another register is ST(0) then: the whole stack counts
            for held in (0, 1):
                stack = {**registers, **dict.fromkeys(STACK, held)}
                changed |= stub.description.unpack(text, stack)
    except RegisterLayoutError as error:
        raise PacketError(ErrorCode.BAD_VALUE, str(error)) from error
    return _write(stub, vcpu, changed)


def _write_one(stub: Stub, rest: bytes) -> bytes:
    """Answer `P`."""
    stub.require_writable()
    text, vcpu = _of_thread(stub, rest)
    name, equals, digits = text.partition(b"=")
    if not equals:
        raise PacketError(ErrorCode.MALFORMED, "P has no value")
    number = _number(stub.description, name)
    try:
        target_name, value = stub.description.parse_value(number, digits, stub.registers(vcpu))
    except RegisterLayoutError as error:
        raise PacketError(ErrorCode.BAD_VALUE, str(error)) from error
    if target_name in READ_ONLY and value == stub.description.integer(number, stub.registers(vcpu)):
        return b"OK"  # GDB restores all registers after a call of a function in the guest
    return _write(stub, vcpu, {target_name: value})


def _write(stub: Stub, vcpu: int, values: Mapping[str, int]) -> bytes:
    refused = READ_ONLY & values.keys()
    if refused:
        raise PacketError(ErrorCode.BAD_VALUE, f"{', '.join(sorted(refused))} cannot be written")
    if values:
        stub.write_registers(vcpu, values)
    return b"OK"


def _read_description(stub: Stub, rest: bytes) -> bytes:
    """Answer `qXfer:features:read`.

    From the first byte on the debugger reads what is the case now, and has `g` in that form from
    then on; the rest is of the same text, whatever mode the processor is in meanwhile.
    """
    annex, _, place = rest.partition(b":")
    if annex != ANNEX:
        raise PacketError(ErrorCode.MALFORMED, f"there is no annex {annex!r:.40}")
    offset, _, length = place.partition(b",")
    try:
        first, wanted = hex_number(offset), hex_number(length)
        description = stub.description if first else stub.serve_description()
        return transfer(description.xml, first, wanted, stub.options.packet_size)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from error


SETS: Final = {
    "general": "General Purpose Registers",
    "float": "Floating Point Registers",
    "vector": "Vector Registers",
    "system": "System Registers",
}
# What LLDB takes for the program counter and so on, by the target's name; arguments are those of
# the System V ABI for 64-bit code, whose 32-bit one has them in memory.
GENERIC: Final = {"rip": "pc", "rsp": "sp", "rbp": "fp", "eflags": "flags"}
ARGUMENTS: Final = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
GENERIC_64: Final = GENERIC | {name: f"arg{n}" for n, name in enumerate(ARGUMENTS, 1)}


def _dwarf(names: str, first: int = 0) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names.split(), first)}


# System V ABI, AMD64 and Intel386 Architecture Processor Supplements, "DWARF Register Number
# Mapping".
DWARF_64: Final = {
    **_dwarf("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip"),
    **{f"xmm{n}": 17 + n if n < 16 else 51 + n for n in range(32)},
    **{f"st{n}": 33 + n for n in range(8)},
    **_dwarf("eflags es cs ss ds fs gs", 49),
    **_dwarf("fs_base gs_base", 58),
    **_dwarf("tr ldtr mxcsr fctrl fstat", 62),
    **{f"k{n}": 118 + n for n in range(8)},
}
DWARF_32: Final = {
    **_dwarf("rax rcx rdx rbx rsp rbp rsi rdi rip eflags"),
    **{f"st{n}": 11 + n for n in range(8)},
    **{f"xmm{n}": 21 + n for n in range(8)},
    **_dwarf("fctrl fstat mxcsr es cs ss ds fs gs", 37),
    **_dwarf("tr ldtr", 48),
}


def _register_fields(mode: int, register: DescribedRegister) -> Iterator[tuple[str, object]]:
    """Yield keys and values of a reply to qRegisterInfo."""
    yield "name", register.name
    yield "bitsize", register.bits
    yield "offset", register.offset
    wide = register.bits > 64
    yield "encoding", "vector" if wide else "uint"
    yield "format", "vector-uint8" if wide else "hex"
    yield "set", SETS[register.group]
    number = (DWARF_64 if mode == 64 else DWARF_32).get(register.source)
    if number is not None:
        yield "gcc", number
        yield "dwarf", number
    generic = (GENERIC_64 if mode == 64 else GENERIC).get(register.source)
    if generic is not None:
        yield "generic", generic


def _describe_one(stub: Stub, rest: bytes) -> bytes:
    """Answer `qRegisterInfo`; the first one begins a description, as in `qXfer:features:read`."""
    try:
        number = hex_number(rest)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from error
    description = stub.description if number else stub.serve_description()
    if number >= len(description.registers):
        return NO_MORE
    fields = _register_fields(description.mode, description.registers[number])
    return "".join(f"{key}:{value};" for key, value in fields).encode()


PACKETS: Final[Mapping[str, Handler]] = {
    "g": _read_all,
    "G": _write_all,
    "p": _read_one,
    "P": _write_one,
    "qXfer:features:read": _read_description,
    "qRegisterInfo": _describe_one,
}
