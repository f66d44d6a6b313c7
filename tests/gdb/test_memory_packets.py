# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets that read, write, search and describe memory, through the stub and its framing."""

import random
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.errors import TargetError
from vmmkit.gdb import codec
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.stub import Stub
from vmmkit.gdb.target import MemoryKind, MemoryRange

PAGE = 0x1000
TOP = 2**64


class Guest:
    """A vCPU that never runs, and memory of whole pages."""

    def __init__(self, pages=()):
        self.pages = {page: bytearray(PAGE) for page in pages}

    def vcpus(self):
        return [0]

    def read_registers(self, _vcpu):
        return {"rip": 0}

    def read_memory(self, _vcpu, address, size):
        assert 0 <= address < address + size <= TOP
        data = bytearray()
        while size and (page := address // PAGE) in self.pages:
            piece = self.pages[page][address % PAGE :][:size]
            data += piece
            address, size = address + len(piece), size - len(piece)
        return bytes(data)

    def stop(self, report):
        report()

    def resume(self, actions, report):
        raise NotImplementedError


class WritableGuest(Guest):
    def write_memory(self, _vcpu, address, data):
        assert 0 <= address < address + len(data) <= TOP
        if not {*range(address // PAGE, (address + len(data) - 1) // PAGE + 1)} <= set(self.pages):
            raise TargetError("a hole")
        for place, byte in enumerate(data, address):
            self.pages[place // PAGE][place % PAGE] = byte

    def put(self, address, data):
        self.write_memory(0, address, data)


class NarrowGuest(WritableGuest):
    def mode(self, _vcpu):
        return 32


RANGES = (
    MemoryRange(0x0, 0x9FFFF),
    MemoryRange(0xF0000, 0xFFFFF, MemoryKind.ROM, writable=False, name="firmware"),
    MemoryRange(0xFFFF_FFFF_FFFF_0000, TOP - 1, executable=False),
)


class MappedGuest(Guest):
    ranges = RANGES

    def memory_map(self):
        return self.ranges

    def memory_range(self, _vcpu, address):
        found = [item for item in self.ranges if item.first <= address <= item.last]
        return found[0] if found else None


def framed(payload):
    return b"$%b#%02x" % (payload, sum(payload) % 256)


def attached(target, **options):
    stub = Stub(target, StubOptions(**options))
    stub.attach()
    stub.receive(b"")
    stub.session.start_no_ack()
    return stub


def ask(stub, packet):
    """Return the payload of the reply, which is one packet of legal size and form."""
    sent = stub.receive(framed(packet))
    while stub.busy:
        sent += stub.work()
    assert sent[:1] == b"$"
    assert sent[-3:-2] == b"#"
    reply = sent[1:-3]
    assert not set(reply) & set(b"#$*")
    assert sent == framed(reply)
    assert len(reply) <= stub.options.packet_size
    return reply


@pytest.fixture
def guest():
    target = WritableGuest(pages=[1, 2, 5, TOP // PAGE - 1])
    target.put(0x1000, bytes(range(256)))
    target.put(0x2FF0, b"the end of it...")
    target.put(0x5000, b"after the hole")
    target.put(TOP - 4, b"last")
    return target


@pytest.fixture
def stub(guest):
    return attached(guest)


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"m1000,4", b"00010203"),
        (b"m1000,1", b"00"),
        (b"m0000000000001001,4", b"01020304"),
        (b"m1FFF,2", b"0000"),
        (b"m2ff0,20", b"the end of it...".hex().encode()),
        (b"m3000,1", b"E04"),
        (b"m0,4", b"E04"),
        (b"mfffffffffffffffc,4", b"last".hex().encode()),
        (b"mfffffffffffffffc,10", b"last".hex().encode()),
        (b"mffffffffffffffff,ffffffffffffffff", b"74"),
        (b"m1000,0", b""),
        (b"m0,0", b""),
        (b"m", b"E01"),
        (b"m1000", b"E01"),
        (b"m1000,", b"E01"),
        (b"m,4", b"E01"),
        (b"m-1,4", b"E01"),
        (b"m0x1000,4", b"E01"),
        (b"m1000,4,4", b"E01"),
        (b"m10000000000000000,4", b"E01"),
        (b"x1020,8", b"b !\"}\x03}\x04%&'"),
        (b"x1079,5", b"byz{|}]"),
        (b"x1000,0", b"b"),
        (b"x0,0", b"b"),
        (b"x2ffe,20", b"b.."),
        (b"x3000,1", b"E04"),
        (b"x3000", b"E01"),
    ],
)
def test_reads(stub, packet, reply):
    assert ask(stub, packet) == reply


@pytest.mark.parametrize("packet_size", [0x400, 0x1001, 0x20000])
@pytest.mark.parametrize("fill", [b"a", b"}", b"a}"])
def test_replies_are_no_longer_than_a_packet(packet_size, fill):
    target = WritableGuest(pages=range(64))
    data = (fill * PAGE * 64)[: PAGE * 64]
    target.put(0, data)
    stub = attached(target, packet_size=packet_size)
    reply = ask(stub, b"m0,ffffffff")
    assert len(reply) == packet_size // 2 * 2
    assert bytes.fromhex(reply.decode()) == data[: len(reply) // 2]
    reply = ask(stub, b"x0,ffffffff")
    assert packet_size - 1 <= len(reply) <= packet_size
    assert data.startswith(codec.unescape(reply[1:]))


@pytest.mark.parametrize(
    ("packet", "reply", "written"),
    [
        (b"M1000,3:aAbBcC", b"OK", b"\xaa\xbb\xcc\x03"),
        (b"X1000,3:abc", b"OK", b"abc\x03"),
        (b"X1000,3:}\x03}\x04}]", b"OK", b"#$}\x03"),
        (b"X1000,2:*\x03", b"OK", b"*\x03\x02\x03"),
        (b"M1000,0:", b"OK", b""),
        (b"X1000,0:", b"OK", b""),
        (b"X0,0:", b"OK", b""),
        (b"M1000,3:aabb", b"E05", b""),
        (b"M1000,1:aabb", b"E05", b""),
        (b"M1000,3", b"E05", b""),
        (b"M1000,0:aa", b"E05", b""),
        (b"X1000,3:ab", b"E05", b""),
        (b"X1000,2:abc", b"E05", b""),
        (b"M1000,1:a", b"E01", b""),
        (b"M1000,1:0g", b"E01", b""),
        (b"M1000,2: aabb", b"E01", b""),
        (b"M1000:aa", b"E01", b""),
        (b"Mzz,1:aa", b"E01", b""),
        (b"X1000,1:}", b"E01", b""),
        (b"X:", b"E01", b""),
        (b"M2fff,2:aabb", b"E04", b""),
        (b"X3000,1:a", b"E04", b""),
        (b"Xffffffffffffffff,2:ab", b"E04", b""),
    ],
)
def test_writes(guest, stub, packet, reply, written):
    before = {page: bytes(data) for page, data in guest.pages.items()}
    assert ask(stub, packet) == reply
    assert guest.pages[1].startswith(written)
    guest.pages[1][: len(written)] = before[1][: len(written)]
    assert guest.pages == before


@pytest.mark.parametrize("packet", [b"M1000,1:aa", b"X1000,1:a"])
def test_writes_that_are_refused(guest, packet):
    assert ask(attached(guest, read_only=True), packet) == b"E07"
    assert ask(attached(Guest(pages=[1])), packet) == b"E0a"
    assert guest.pages[1][0] == 0


def test_addresses_of_32_bits():
    target = NarrowGuest(pages=[0x7FFFF, 0xFFFFF, 0x100000])
    stub = attached(target, mode=32)
    assert ask(stub, b"mfffffffe,8") == b"0000"
    assert ask(stub, b"Xfffffffe,3:abc") == b"E04"
    assert ask(stub, b"qCRC:fffffffe,3") == b"E04"
    assert ask(stub, b"m7ffffffe,8") == b"0000"
    assert ask(stub, b"m100000000,2") == b"0000"  # physical addresses may be wider
    wide = attached(target)
    assert ask(wide, b"mfffffffe,8") == b"00" * 8
    assert ask(wide, b"Xfffffffe,3:abc") == b"OK"


def slow_crc(data):
    """Manual, "General Query Packets", `qCRC`: bit by bit, the most significant one first."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x104C11DB7 if register & 0x80000000 else 0)
    return register


def test_the_slow_crc_is_the_known_one():
    """CRC-32/MPEG-2 in the catalogues: the check value of "123456789"."""
    assert slow_crc(b"123456789") == 0x0376E6E7


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_crc(data):
    target = WritableGuest(pages=[1])
    if data:
        target.put(0x1000, data)
    assert ask(attached(target), b"qCRC:1000,%x" % len(data)) == b"C%x" % slow_crc(data)


def test_crc_of_much_memory():
    target = WritableGuest(pages=range(48))
    data = random.Random(7).randbytes(PAGE * 48)
    for page in target.pages:
        target.pages[page][:] = data[page * PAGE :][:PAGE]
    stub = attached(target)
    assert stub.receive(framed(b"qCRC:1,2fffe")) == b""  # in slices
    assert stub.busy
    sent = b""
    while stub.busy:
        sent += stub.work()
    assert sent == framed(b"C%x" % slow_crc(data[1:-1]))


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"qCRC:1000,3000", b"E04"),
        (b"qCRC:0,1", b"E04"),
        (b"qCRC:0,0", b"Cffffffff"),
        (b"qCRC:ffffffffffffffff,2", b"E04"),
        (b"qCRC:1000", b"E01"),
        (b"qCRC:", b"E01"),
        (b"qCRC:1000,zz", b"E01"),
    ],
)
def test_crc_errors(stub, packet, reply):
    assert ask(stub, packet) == reply


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"qSearch:memory:1000;1000;\x07\x08\x09", b"1,1007"),
        (b"qSearch:memory:1008;1000;\x07\x08\x09", b"0"),
        (b"qSearch:memory:1000;9;\x07\x08\x09", b"0"),
        (b"qSearch:memory:1000;a;\x07\x08\x09", b"1,1007"),
        (b"qSearch:memory:1000;100;}\x03}\x04", b"1,1023"),
        (b"qSearch:memory:1000;100;)*+", b"1,1029"),
        (b"qSearch:memory:1000;100;:;<", b"1,103a"),
        (b"qSearch:memory:1000;ffff;hole", b"1,500a"),  # beyond one
        (b"qSearch:memory:0;ffff;hole", b"1,500a"),  # from within one
        (b"qSearch:memory:2000;3fff;...after", b"0"),  # what is around one is not adjacent
        (b"qSearch:memory:fffffffffffff000;ffffffffffffffff;last", b"1,fffffffffffffffc"),
        (b"qSearch:memory:3000;2000;a", b"E04"),
        (b"qSearch:memory:0;ffffffffffffffff;nowhere", b"E04"),  # but not for ever
        (b"qSearch:memory:1000;0;a", b"0"),
        (b"qSearch:memory:1000;10;", b"E01"),
        (b"qSearch:memory:1000;10;}", b"E01"),
        (b"qSearch:memory:1000;10", b"E01"),
        (b"qSearch:memory:1000", b"E01"),
        (b"qSearch:memory:", b"E01"),
        (b"qSearch:memory:z;10;a", b"E01"),
        (b"qSearch:memory:1000;z;a", b"E01"),
        (b"qSearch:registers:1000;10;a", b""),
    ],
)
def test_search(stub, packet, reply):
    assert ask(stub, packet) == reply


def test_search_across_slices():
    """Wherever the slices of a search begin and end, and however the pattern lies across."""
    target = WritableGuest(pages=range(0x40))
    stub = attached(target)
    pattern = b"abcabd"
    for border in (0x10000, 0x20000, 0x1000):
        for before in range(len(pattern) + 1):
            place = border - before
            target.put(place, pattern)
            for first in (0, 1, PAGE, place - 0x10000, place):
                if 0 <= first <= place:
                    reply = ask(stub, b"qSearch:memory:%x;30000;%b" % (first, pattern))
                    assert reply == b"1,%x" % place
            target.put(place, bytes(len(pattern)))


@settings(max_examples=50)
@given(st.data())
def test_search_finds_the_first(data):
    size = 0x12 * PAGE
    memory = bytearray(size)
    pattern = data.draw(st.binary(min_size=1, max_size=40))
    for place in data.draw(st.lists(st.integers(0, size - 50), max_size=3)):
        memory[place : place + len(pattern)] = pattern
    target = WritableGuest(pages=range(0x12))
    target.put(0, memory)
    first = data.draw(st.integers(0, 0x100))
    found = memory.find(pattern, first)
    wanted = b"0" if found < 0 else b"1,%x" % found
    packet = b"qSearch:memory:%x;%x;%b" % (first, size - first, codec.escape(pattern))
    assert ask(attached(target), packet) == wanted


def test_interrupt_ends_a_search():
    stub = attached(WritableGuest(pages=range(64)))
    assert stub.receive(framed(b"qSearch:memory:0;40000;abc")) == b""
    assert stub.work() == b""
    assert stub.receive(b"\x03") == framed(b"E0d")
    assert not stub.busy
    assert ask(stub, b"m0,1") == b"00"


def read_map(stub, length):
    document, mark = b"", b"m"
    while mark == b"m":
        reply = ask(stub, b"qXfer:memory-map:read::%x,%x" % (len(document), length))
        mark, piece = reply[:1], codec.unescape(reply[1:])
        assert len(piece) <= length
        document += piece
    assert mark == b"l"
    return document.decode()


@pytest.mark.parametrize("length", [1, 100, 0xFFFF])
def test_memory_map(length):
    root = ET.fromstring(read_map(attached(MappedGuest()), length))
    assert root.tag == "memory-map"
    assert [element.attrib for element in root] == [
        {"type": "ram", "start": "0x0", "length": "0xa0000"},
        {"type": "rom", "start": "0xf0000", "length": "0x10000"},
        {"type": "ram", "start": "0xffffffffffff0000", "length": "0x10000"},
    ]


def test_memory_map_of_everything():
    """All addresses are one more than a number of 64 bits holds."""
    target = MappedGuest()
    target.ranges = (MemoryRange(0, TOP - 1),)
    root = ET.fromstring(read_map(attached(target), 0xFFFF))
    assert root[0].attrib["length"] == "0xffffffffffffffff"
    assert ask(attached(target), b"qMemoryRegionInfo:5") == (
        b"start:0;size:ffffffffffffffff;permissions:rwx;"
    )


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"qXfer:memory-map:read:annex:0,10", b"E01"),
        (b"qXfer:memory-map:read::0", b"E01"),
        (b"qXfer:memory-map:read::z,10", b"E01"),
        (b"qXfer:memory-map:read:", b"E01"),
        (b"qXfer:memory-map:read::ffffffff,10", b"E05"),
        (b"qXfer:memory-map:write::0:abc", b""),
        (b"qMemoryRegionInfo:10", b"start:0;size:a0000;permissions:rwx;"),
        (b"qMemoryRegionInfo:a0000", b"start:a0000;size:50000;"),
        (b"qMemoryRegionInfo:a0001", b"start:a0001;size:4ffff;"),
        (
            b"qMemoryRegionInfo:fffff",
            b"start:f0000;size:10000;permissions:rx;name:%b;" % b"firmware".hex().encode(),
        ),
        (b"qMemoryRegionInfo:100000", b"start:100000;size:ffffffffffef0000;"),
        (
            b"qMemoryRegionInfo:ffffffffffffffff",
            b"start:ffffffffffff0000;size:ffff;permissions:rw;",
        ),
        (b"qMemoryRegionInfo:10000000000000000", b"E01"),
        (b"qMemoryRegionInfo:", b"E01"),
        (b"qMemoryRegionInfo:-1", b"E01"),
    ],
)
def test_memory_map_packets(packet, reply):
    assert ask(attached(MappedGuest()), packet) == reply


def test_holes_without_a_map():
    target = MappedGuest()
    target.ranges = ()
    stub = attached(target)
    assert ask(stub, b"qMemoryRegionInfo:12345") == b"start:12000;size:1000;"
    assert ET.fromstring(read_map(stub, 0xFFFF)).tag == "memory-map"
    target.ranges = RANGES[:1]
    assert ask(stub, b"qMemoryRegionInfo:a0000") == b"start:a0000;size:fffffffffff5ffff;"


def test_targets_without_a_map(stub):
    assert ask(stub, b"qXfer:memory-map:read::0,10") == b""
    assert ask(stub, b"qMemoryRegionInfo:0") == b""


class BrokenGuest(WritableGuest):
    def read_memory(self, _vcpu, _address, _size):
        raise ZeroDivisionError

    write_memory = memory_map = memory_range = read_memory


NAMES = st.sampled_from(
    ["m", "x", "M", "X", "qSearch:memory:", "qCRC:", "qXfer:memory-map:read:", "qMemoryRegionInfo:"]
).map(str.encode)
NUMBERS = st.one_of(
    st.integers(0, 0x6000),
    st.integers(TOP - 0x2000, TOP + 1),
    st.integers(2**32 - 5, 2**32 + 5),
).map(lambda number: b"%x" % number)
WORDS = st.one_of(
    NUMBERS, st.sampled_from(list(b",;:}-")).map(lambda b: b"%c" % b), st.binary(max_size=9)
)
ARGUMENTS = st.one_of(
    st.lists(WORDS, max_size=6).map(b"".join),
    st.tuples(
        NUMBERS,
        st.sampled_from([b",", b";"]),
        NUMBERS,
        st.sampled_from([b"", b":", b";"]),
        st.binary(max_size=9),
    ).map(b"".join),
)


class EveryGuest(MappedGuest, WritableGuest):
    """All that memory packets can make use of."""


@settings(max_examples=300)
@given(
    NAMES,
    ARGUMENTS,
    st.sampled_from([WritableGuest, EveryGuest, BrokenGuest]),
    st.sampled_from([None, 32]),
)
def test_any_arguments_get_a_reply(name, arguments, kind, mode):
    stub = attached(kind(pages=[1, 2, 5, 0xFFFFF, 0x100000, TOP // PAGE - 1]), mode=mode)
    packet = (name + arguments).translate(bytes(b if b not in b"#$" else 65 for b in range(256)))
    ask(stub, packet)
    assert ask(stub, b"qCRC:0,0") == b"Cffffffff"
