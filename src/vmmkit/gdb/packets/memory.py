# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets that read, write, search and describe memory.

Sources: the GDB manual, appendix "GDB Remote Serial Protocol", sections "Packets", "General Query
Packets" and "Memory Map Format"; for qMemoryRegionInfo LLDB's "GDB Remote Protocol Extensions".

What those leave open:

- Reads end at the first hole, at the end of the address space (4 GiB where the debugger has been
  told of a 32-bit or 16-bit processor), and where the reply would be longer than a packet may be.
  Without the first byte they are an error. Reading nothing gives an empty reply to `m`, and `b` to
  `x`.
- Writes are done as a whole or refused. Writing nothing is always fine: it is how GDB asks whether
  `X` exists.
- A search skips what cannot be read, page by page. It is an error if nothing can be read, or
  nothing within 256 MiB.
"""

from __future__ import annotations

import re
import zlib
from binascii import hexlify
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from vmmkit.errors import TargetError
from vmmkit.gdb.codec import escape_within, from_hex, hex_number, transfer, unescape
from vmmkit.gdb.packets.table import Handler, PacketError
from vmmkit.gdb.spec import ErrorCode
from vmmkit.gdb.target import MemoryRange

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub
    from vmmkit.gdb.target import MemoryMapper

__all__ = ["PACKETS", "features"]

PAGE: Final = 0x1000
SLICE: Final = 0x10000  # bytes of one slice of a long operation, well below a millisecond
MOST_UNREADABLE: Final = 0x10000  # pages in a row
NARROW: Final = 1 << 32
WIDE: Final = 1 << 64
LONG_MODE: Final = 64
# LLDB goes from region to region up to the address 2**64-1; at one that ends beyond it, it begins
# again at 0, for ever.
LAST_OF_REGIONS: Final = WIDE - 2
RANGE: Final = re.compile(rb"([^,]*),([^,]*)")
SEARCH: Final = re.compile(rb"([^;]*);([^;]*);(.+)", re.DOTALL)


def features(stub: Stub) -> Iterator[bytes]:
    """Announce binary reads, and a memory map if the target has one."""
    yield b"binary-upload+"
    if stub.capabilities.memory_mapper:
        yield b"qXfer:memory-map:read+"


def _number(text: bytes) -> int:
    try:
        return hex_number(text)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from None


def _range(text: bytes) -> tuple[int, int]:
    """Return the two numbers of `address,length`."""
    found = RANGE.fullmatch(text)
    if found is None:
        raise PacketError(ErrorCode.MALFORMED, f"{text[:40]!r} is no address and length")
    return _number(found[1]), _number(found[2])


def _room(stub: Stub, address: int, size: int) -> int:
    """Return how many of `size` bytes there are before addresses begin again at 0."""
    if address < NARROW < address + size and stub.description.mode != LONG_MODE:
        return NARROW - address
    return min(size, WIDE - address)


def _no_memory(address: int) -> PacketError:
    return PacketError(ErrorCode.NO_MEMORY, f"no memory at {address:#x}")


def _read(stub: Stub, text: bytes, most: int) -> bytes:
    address, size = _range(text)
    size = _room(stub, address, min(size, most))
    if not size:
        return b""
    data = stub.read_memory(stub.selected, address, size)
    if not data:
        raise _no_memory(address)
    return data


def read_hex(stub: Stub, rest: bytes) -> bytes:
    """Answer `m addr,length`."""
    return hexlify(_read(stub, rest, stub.options.packet_size // 2))


def read_binary(stub: Stub, rest: bytes) -> bytes:
    """Answer `x addr,length` as GDB has it: a `b`, and escaped data."""
    room = stub.options.packet_size - 1
    return b"b" + escape_within(_read(stub, rest, room), room)


def _write(stub: Stub, text: bytes, data: bytes) -> bytes:
    address, size = _range(text)
    if size != len(data):
        raise PacketError(ErrorCode.BAD_VALUE, f"{len(data)} bytes of data, not {size}")
    if not size:
        return b"OK"
    stub.require_writable()
    if _room(stub, address, size) < size:
        raise PacketError(ErrorCode.NO_MEMORY, "addresses beyond the last one")
    try:
        stub.write_memory(stub.selected, address, data)
    except TargetError as error:
        raise PacketError(ErrorCode.NO_MEMORY, str(error)) from error
    return b"OK"


def write_hex(stub: Stub, rest: bytes) -> bytes:
    """Answer `M addr,length:XX...`."""
    place, _colon, text = rest.partition(b":")
    try:
        data = from_hex(text)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from None
    return _write(stub, place, data)


def write_binary(stub: Stub, rest: bytes) -> bytes:
    """Answer `X addr,length:...`, with escaped data."""
    place, _colon, escaped = rest.partition(b":")
    return _write(stub, place, _unescaped(escaped))


def _unescaped(data: bytes) -> bytes:
    try:
        return unescape(data)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from None


def search(stub: Stub, rest: bytes) -> Generator[None, None, bytes]:
    """Answer `qSearch:memory:addr;length;pattern`: `1,address` of the first match, or `0`."""
    found = SEARCH.fullmatch(rest)
    if found is None:
        raise PacketError(ErrorCode.MALFORMED, "a search wants an address, a length and a pattern")
    first, size = _number(found[1]), _number(found[2])
    return _search(stub, first, first + _room(stub, first, size), _unescaped(found[3]))


def _search(stub: Stub, first: int, beyond: int, pattern: bytes) -> Generator[None, None, bytes]:
    vcpu, position, window = stub.selected, first, b""
    unreadable, readable = 0, first == beyond
    while position < beyond:
        size = min(SLICE, beyond - position)
        data = stub.read_memory(vcpu, position, size)
        window += data
        position += len(data)
        found = window.find(pattern)
        if found >= 0:
            return b"1,%x" % (position - len(window) + found)
        # A match may begin in what was read and end in what is read next.
        window = window[max(0, len(window) - len(pattern) + 1) :]
        readable |= bool(data)
        unreadable = 0 if data else unreadable + 1
        if unreadable == MOST_UNREADABLE:
            raise _no_memory(position)
        if len(data) < size:
            window, position = b"", (position | PAGE - 1) + 1
        yield
    if not readable:
        raise _no_memory(first)
    return b"0"


REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc(value: int) -> int:
    """Return the manual's CRC for zlib's CRC of the same data with the bits of bytes reversed.

    They are the same polynomial (IEEE 802.3) and start; the manual takes the most significant bit
    of each byte first and does not invert the result.
    """
    return int(f"{value ^ 0xFFFFFFFF:032b}"[::-1], 2)


def crc(stub: Stub, rest: bytes) -> Generator[None, None, bytes]:
    """Answer `qCRC:addr,length`."""
    address, size = _range(rest)
    if _room(stub, address, size) < size:
        raise PacketError(ErrorCode.NO_MEMORY, "addresses beyond the last one")
    return _checksummed(stub, address, address + size)


def _checksummed(stub: Stub, position: int, beyond: int) -> Generator[None, None, bytes]:
    vcpu, value = stub.selected, 0
    while position < beyond:
        data = stub.read_memory(vcpu, position, min(SLICE, beyond - position))
        if not data:
            raise _no_memory(position)
        value = zlib.crc32(data.translate(REVERSED_BITS), value)
        position += len(data)
        yield
    return b"C%x" % _crc(value)


MAP_HEAD: Final = (
    '<?xml version="1.0"?>\n'
    '<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" '
    '"http://sourceware.org/gdb/gdb-memory-map.dtd">\n'
    "<memory-map>\n"
)
MAP_TAIL: Final = "</memory-map>\n"


def _size(item: MemoryRange) -> int:
    # All 2**64 bytes are one more than a number in the protocol can say.
    return min(item.last - item.first + 1, WIDE - 1)


def _memory_element(item: MemoryRange) -> str:
    kind, start, length = item.kind.value, hex(item.first), hex(_size(item))
    return f'<memory type="{kind}" start="{start}" length="{length}"/>\n'


def _mapper(stub: Stub) -> MemoryMapper:
    mapper: MemoryMapper = stub.target
    return mapper


def memory_map(stub: Stub, rest: bytes) -> bytes:
    """Answer `qXfer:memory-map:read::offset,length`."""
    if not stub.capabilities.memory_mapper:
        return b""
    annex, _colon, window = rest.partition(b":")
    if annex:
        raise PacketError(ErrorCode.MALFORMED, "the memory map has no annex")
    offset, length = _range(window)
    # GDB warns of a map without any memory; in this one everything is as if there were no map.
    ranges = list(_mapper(stub).memory_map()) or [MemoryRange(0, WIDE - 1)]
    elements = "".join(map(_memory_element, ranges))
    document = (MAP_HEAD + elements + MAP_TAIL).encode()
    try:
        return transfer(document, offset, length, stub.options.packet_size)
    except ValueError as error:
        raise PacketError(ErrorCode.BAD_VALUE, str(error)) from None


def memory_region(stub: Stub, rest: bytes) -> bytes:
    """Answer `qMemoryRegionInfo:addr`, with the range around an address or the hole it is in."""
    if not stub.capabilities.memory_mapper:
        return b""
    address = _number(rest)
    found = _mapper(stub).memory_range(stub.selected, address)
    if found is None:
        return b"start:%x;size:%x;" % _hole(stub, address)
    rights = b"r" + b"w" * found.writable + b"x" * found.executable
    size = min(found.last, LAST_OF_REGIONS) - found.first + 1
    reply = b"start:%x;size:%x;permissions:%s;" % (found.first, size, rights)
    return reply + (b"name:%s;" % hexlify(found.name.encode()) if found.name else b"")


def _hole(stub: Stub, address: int) -> tuple[int, int]:
    """Return start and size of a hole, as far as the map tells; without a map, of its page."""
    starts = [item.first for item in _mapper(stub).memory_map()]
    if not starts:
        first = address & -PAGE
        starts = [first + PAGE]
    else:
        first = address
    beyond = min((start for start in starts if start > address), default=WIDE)
    return first, min(beyond - 1, LAST_OF_REGIONS) - first + 1


PACKETS: Final[Mapping[str, Handler]] = {
    "m": read_hex,
    "x": read_binary,
    "M": write_hex,
    "X": write_binary,
    "qSearch:memory": search,
    "qCRC": crc,
    "qXfer:memory-map:read": memory_map,
    "qMemoryRegionInfo": memory_region,
}
