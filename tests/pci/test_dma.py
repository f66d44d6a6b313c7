# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bus mastering: gates, RAM in pieces, other devices, aborts, and maps that change."""

import gc
import sys
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pci.wired import BUS_MASTER, config_space
from vmmkit.errors import BusError, DmaError, HandlerError
from vmmkit.memregion import READ, AccessPolicy, RegionMap
from vmmkit.pci.dma import MAX_NESTING, MAX_TRANSFER, Dma

MASTER_ABORT, TARGET_ABORT = 1 << 13, 1 << 12
ABORTS = MASTER_ABORT | TARGET_ABORT
RAM = 0x1000


class Bench:
    """Two adjoining pieces of RAM at 1000h and 2000h, a hole behind them, and a function."""

    def __init__(self, **config):
        self.low, self.high = bytearray(range(256)) * 16, bytearray(b"\xa5" * 0x1000)
        self.map = RegionMap(address_bits=40)
        self.low_region = self.map.add_ram(RAM, self.low, name="low")
        self.high_region = self.map.add_ram(RAM + 0x1000, self.high, name="high")
        self.config = config_space(**config)
        self.config.write(4, 2, BUS_MASTER)
        self.dma = Dma(self.config, self.map, "requester")

    def aborts(self):
        seen = self.config.read(6, 2) & ABORTS
        self.config.write(6, 2, ABORTS)
        assert self.config.read(6, 2) & ABORTS == 0
        return seen


class Peer:
    """A device whose registers are bytes; it writes down what reaches it."""

    def __init__(self, size=0x100):
        self.bytes = bytearray(range(size))
        self.seen = []

    def read(self, vcpu, offset, size):
        self.seen.append((vcpu, "read", offset, size))
        return int.from_bytes(self.bytes[offset : offset + size], "little")

    def write(self, vcpu, offset, size, value):
        self.seen.append((vcpu, "write", offset, size))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


# -- gates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bus_master", "state"), [(False, 0), (True, 3), (False, 3)])
def test_nothing_moves_while_the_way_is_closed(bus_master, state):
    bench = Bench()
    bench.config.write(4, 2, BUS_MASTER * bus_master)
    bench.config.write(bench.config.find(1) + 4, 1, state)
    before = bytes(bench.low)
    dma = bench.dma
    assert dma.enabled is False
    assert dma.read(RAM, 4) == b"\xff" * 4
    assert dma.write(RAM, b"gone") is False
    assert dma.view(RAM, 4) is None
    assert dma.read_scatter([(RAM, 2), (RAM, 1)]) == b"\xff" * 3
    assert dma.write_scatter([(RAM, 4)], b"gone") is False
    assert (bytes(bench.low), dma.refused, bench.aborts()) == (before, 6, 0)


def test_the_way_opens_and_closes_with_each_write_of_the_guest():
    bench = Bench()
    for value in (BUS_MASTER, 0, BUS_MASTER | 3, 3):
        bench.config.write(4, 1, value)
        assert bench.dma.write(RAM, b"ab") == bool(value & BUS_MASTER)
    assert bench.dma.refused == 2


# -- RAM ---------------------------------------------------------------------------------------

SPANS = [
    (0, 1),
    (0, 16),
    (1, 3),
    (0xFFF, 1),
    (0xFFF, 2),
    (0x800, 0x1000),
    (0, 0x2000),
    (0x1FFF, 1),
    (5, 0),
]


@pytest.mark.parametrize(("at", "size"), SPANS)
def test_ram_in_one_or_two_pieces(at, size):
    bench = Bench()
    both = bytes(bench.low + bench.high)
    for _ in range(2):  # the second time by what the first one learnt
        assert bench.dma.read(RAM + at, size) == both[at : at + size]
    data = bytes(size * [0x3C])
    assert bench.dma.write(RAM + at, data) is True
    assert bytes(bench.low + bench.high) == both[:at] + data + both[at + size :]
    assert bench.aborts() == 0


@pytest.mark.parametrize(("at", "size"), SPANS)
def test_views_are_of_one_piece(at, size):
    bench = Bench()
    view = bench.dma.view(RAM + at, size)
    if at < 0x1000 < at + size:
        assert view is None
    else:
        view[:] = bytes(size * [0x3C])
        assert bench.dma.read(RAM + at, size) == bytes(size * [0x3C])


@pytest.mark.parametrize(
    ("address", "size"), [(0, 4), (RAM - 1, 4), (RAM + 0x2000, 1), (1 << 40, 1)]
)
def test_there_are_no_views_of_nothing(address, size):
    bench = Bench()
    assert bench.dma.view(address, size) is None
    assert bench.aborts() == 0


@pytest.mark.parametrize(
    "data",
    [
        b"abcd",
        bytearray(b"abcd"),
        memoryview(b"abcd"),
        memoryview(b"abcd").cast("I"),
        memoryview(b"dcba")[::-1],
    ],
)
def test_any_buffer_can_be_written(data):
    bench = Bench()
    assert bench.dma.write(RAM, data)
    assert bench.low[:4] == b"abcd"
    peer = Peer()
    bench.map.add(0x8000, 0x100, peer)
    assert bench.dma.write(0x8001, data)
    assert peer.bytes[1:5] == b"abcd"


# -- what nobody answers for -------------------------------------------------------------------

HOLES = [
    (0, 8),
    (RAM - 4, 8),
    (RAM + 0x1FFC, 8),
    (RAM - 4, 0x2008),
    ((1 << 40) - 4, 8),
    (1 << 40, 8),
    ((1 << 64) - 4, 8),
    (1 << 70, 8),
]


@pytest.mark.parametrize(("address", "size"), HOLES)
def test_bytes_nobody_answers_for(address, size):
    bench = Bench()

    def flat():
        both = bench.low + bench.high
        places = range(address - RAM, address - RAM + size)
        return bytes(both[place] if 0 <= place < len(both) else 0xFF for place in places)

    assert bench.dma.read(address, size) == flat()
    assert bench.aborts() == MASTER_ABORT
    assert bench.dma.write(address, b"\xff" * size) is False
    assert bench.aborts() == MASTER_ABORT
    assert flat() == b"\xff" * size


def test_ram_on_both_sides_of_a_hole():
    bench = Bench()
    bench.high_region.move(0x3000)
    bench.low[-2:] = b"ab"
    bench.high[:2] = b"yz"
    data = bench.dma.read(RAM + 0xFFE, 2 + 0x1000 + 2)
    assert data == b"ab" + b"\xff" * 0x1000 + b"yz"
    assert bench.aborts() == MASTER_ABORT
    assert bench.dma.write(RAM + 0xFFE, b"AB" + bytes(0x1000) + b"YZ") is False
    assert (bytes(bench.low[-2:]), bytes(bench.high[:2])) == (b"AB", b"YZ")


def test_fallbacks_are_for_processors():
    bench = Bench()
    asked = []
    bench.map.add_fallback(0, 0x1000, read=lambda *access: asked.append(access) or 0)
    assert (bench.dma.read(0, 4), asked) == (b"\xff" * 4, [])
    assert bench.aborts() == MASTER_ABORT


def test_rom_is_read_and_not_written():
    bench = Bench()
    bench.map.add_rom(0x8000, bytearray(b"firmware"))
    assert bench.dma.read(0x8000, 8) == b"firmware"
    assert bench.dma.write(0x8000, b"overwrit") is True  # dropped by who took it, as on a bus
    assert bench.dma.read(0x8000, 8) == b"firmware"
    assert (bench.aborts(), bench.dma.view(0x8000, 8)) == (0, None)


def test_read_only_ram():
    bench = Bench()
    bench.map.add_ram(0x8000, bytearray(b"constant"), flags=READ)
    assert bench.dma.read(0x8000, 8) == b"constant"
    assert bench.dma.write(0x8000, b"variable") is False
    assert (bench.aborts(), bench.dma.read(0x8000, 8)) == (MASTER_ABORT, b"constant")


# -- other devices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "size", "accesses"),
    [
        (0, 16, [(0, 8), (8, 8)]),
        (4, 8, [(4, 4), (8, 4)]),
        (1, 7, [(1, 1), (2, 2), (4, 4)]),
        (3, 1, [(3, 1)]),
        (7, 10, [(7, 1), (8, 8), (16, 1)]),
        (0, 7, [(0, 4), (4, 2), (6, 1)]),
    ],
)
def test_peers_get_natural_accesses(offset, size, accesses):
    bench, peer = Bench(), Peer()
    bench.map.add(0x8000, 0x100, peer)
    assert bench.dma.read(0x8000 + offset, size) == bytes(range(offset, offset + size))
    assert peer.seen == [("requester", "read", *access) for access in accesses]
    peer.seen.clear()
    assert bench.dma.write(0x8000 + offset, bytes(size)) is True
    assert peer.seen == [("requester", "write", *access) for access in accesses]
    assert (bytes(peer.bytes[offset : offset + size]), bench.aborts()) == (bytes(size), 0)


def test_peers_that_take_only_narrow_accesses():
    bench, peer = Bench(), Peer()
    bench.map.add(0x8000, 0x100, peer, policy=AccessPolicy(max_size=2))
    assert bench.dma.read(0x8000, 8) == bytes(range(8))
    assert bench.dma.write(0x8000, b"\0" * 8)
    assert [access[3] for access in peer.seen] == [2] * 8
    assert bench.aborts() == 0


def test_peers_that_take_only_wide_accesses():
    bench, peer = Bench(), Peer()
    bench.map.add(0x8000, 0x100, peer, policy=AccessPolicy(min_size=4))
    assert bench.dma.read(0x8000, 6) == bytes(range(4)) + b"\xff\xff"
    assert bench.aborts() == MASTER_ABORT
    assert bench.dma.write(0x8000, bytes(6)) is False
    assert (bench.aborts(), peer.bytes[:8].hex()) == (MASTER_ABORT, "0000000004050607")


def test_peers_that_refuse():
    bench = Bench()

    def refuse(vcpu, offset, size, *value):
        raise BusError("busy", offset, size)

    bench.map.add(0x8000, 0x100, read=refuse, write=refuse)
    assert bench.dma.read(0x8000, 8) == b"\xff" * 8
    assert bench.aborts() == TARGET_ABORT
    assert bench.dma.write(0x8000, bytes(8)) is False
    assert bench.aborts() == TARGET_ABORT


def test_peers_that_are_write_only():
    bench = Bench()
    bench.map.add(0x8000, 0x100, write=lambda *access: None)
    assert bench.dma.read(0x8000, 4) == b"\xff" * 4
    assert bench.aborts() == MASTER_ABORT
    assert bench.dma.write(0x8000, bytes(4)) is True


def test_mistakes_in_a_peer_are_loud():
    bench = Bench()
    bench.map.add(0x8000, 0x100, read=lambda *access: 1 // 0, write=lambda *access: 1 // 0)
    with pytest.raises(HandlerError):
        bench.dma.read(0x8000, 4)
    with pytest.raises(HandlerError):
        bench.dma.write(0x8000, bytes(4))


def test_ram_and_a_peer_in_one_transfer():
    bench, peer = Bench(), Peer()
    bench.map.add(RAM + 0x2000, 0x100, peer)
    data = bench.dma.read(RAM + 0x1FFE, 6)
    assert data == b"\xa5\xa5\x00\x01\x02\x03"
    assert bench.dma.write(RAM + 0x1FFE, b"abcdef")
    assert (bytes(bench.high[-2:]), bytes(peer.bytes[:4])) == (b"ab", b"cdef")


def test_a_handler_may_reach_itself():
    bench = Bench()

    def read(vcpu, offset, size):
        return offset or int.from_bytes(bench.dma.read(0x8004, 4), "little")

    bench.map.add(0x8000, 8, read=read)
    assert bench.map.port("cpu").read(0x8000, 4) == 4


class Doorbell:
    """A register that, when written, has its owner's DMA do the same to another one."""

    def __init__(self, bench, target):
        self.dma = Dma(bench.config, bench.map)
        self.target = target
        self.results = []

    def read(self, vcpu, offset, size):
        return int.from_bytes(self.dma.read(self.target, size), "little")

    def write(self, vcpu, offset, size, value):
        self.results.append(self.dma.write(self.target, value.to_bytes(size, "little")))
        self.dma.write(RAM, b"here")


def test_a_transfer_that_starts_itself_again_comes_to_an_end():
    bench = Bench()
    bell = Doorbell(bench, 0x8000)
    bench.map.add(0x8000, 4, bell)
    port = bench.map.port("cpu")
    port.write(0x8000, 4, 1)
    assert bell.results == [False, True]  # the inner one, then the one that led to it
    assert bench.low[:4] == b"here"  # memory is reached all the same
    assert bench.aborts() == MASTER_ABORT
    assert port.read(0x8000, 4) == 0xFFFF_FFFF
    port.write(0x8000, 4, 1)
    assert bell.results == [False, True] * 2


def test_functions_that_start_each_other_come_to_an_end():
    bench = Bench()
    bells = [Doorbell(bench, 0x8000 + (number + 1) % 64 * 4) for number in range(64)]
    for number, bell in enumerate(bells):
        bench.map.add(0x8000 + 4 * number, 4, bell)
    bench.map.port("cpu").write(0x8000, 4, 1)
    assert [bell.results for bell in bells[: MAX_NESTING + 2]] == [
        *[[True]] * MAX_NESTING,
        [False],
        [],
    ]


# -- scatter lists -----------------------------------------------------------------------------


def test_scatter_lists():
    bench = Bench()
    parts = [(RAM, 3), (RAM + 0x1000, 2), (RAM + 0x10, 0), (RAM + 0xFFF, 2)]
    assert bench.dma.read_scatter(parts) == bytes([0, 1, 2, 0xA5, 0xA5, 0xFF, 0xA5])
    assert bench.dma.write_scatter(parts, b"abcdefg") is True
    assert bench.dma.read_scatter(parts) == b"abcgefg"
    assert bench.dma.read_scatter([]) == b""


def test_scatter_lists_longer_and_shorter_than_the_data():
    bench = Bench()
    assert bench.dma.write_scatter([(RAM, 4), (RAM + 8, 4)], b"abcde") is True
    assert bytes(bench.low[:12]) == b"abcd\x04\x05\x06\x07e\x09\x0a\x0b"
    assert bench.dma.write_scatter([(RAM, 4)], b"vwxyz") is False
    assert bytes(bench.low[:5]) == b"vwxy\x04"
    assert bench.dma.write_scatter([], b"") is True


def test_scatter_lists_go_on_behind_a_hole():
    bench = Bench()
    assert bench.dma.write_scatter([(0, 2), (RAM, 2)], b"abcd") is False
    assert bytes(bench.low[:2]) == b"cd"
    assert bench.dma.read_scatter([(0, 2), (RAM, 2)]) == b"\xff\xffcd"
    assert bench.aborts() == MASTER_ABORT


# -- maps that change --------------------------------------------------------------------------


def test_what_was_learnt_ends_with_every_change():
    bench = Bench()
    dma, region = bench.dma, bench.low_region
    assert dma.read(RAM, 2) == b"\0\1"
    region.move(0x8000)
    assert (dma.read(RAM, 2), dma.read(0x8000, 2)) == (b"\xff\xff", b"\0\1")
    region.disable()
    assert (dma.read(0x8000, 2), dma.view(0x8000, 2)) == (b"\xff\xff", None)
    region.enable()
    assert dma.read(0x8000, 2) == b"\0\1"
    region.close()
    assert dma.write(0x8000, b"ab") is False
    other = bytearray(b"other RAM")
    bench.map.add_ram(0x8000, other)
    assert (dma.read(0x8000, 5), bench.low[:2]) == (b"other", b"\0\1")


def test_a_peer_that_replaces_ram():
    bench, peer = Bench(), Peer()
    assert bench.dma.write(RAM, b"ab")
    with bench.map.transaction():
        bench.map.remove(bench.low_region)
        bench.map.add(RAM, 0x100, peer)
    assert bench.dma.read(RAM, 2) == b"\0\1"
    assert peer.seen


def test_functions_on_one_map_share_what_they_learnt():
    bench = Bench()
    others = [Dma(bench.config, bench.map) for _ in range(3)]
    assert len(bench.map._ledger.announcer.listeners) == 1
    bench.dma.read(RAM, 1)
    assert all(other._ram.windows for other in others)


def test_more_pieces_of_ram_than_are_remembered():
    bench = Bench()
    for number in range(20):
        bench.map.add_ram(0x10_0000 + number * 0x1000, bytearray([number]) * 0x1000)
    for _ in range(2):
        for number in range(20):
            assert bench.dma.read(0x10_0000 + number * 0x1000, 4) == bytes([number]) * 4
    assert len(bench.dma._ram.windows) == 8


def test_maps_are_not_kept_alive():
    bench = Bench()
    gone = weakref.ref(bench.map)
    bench.dma.read(RAM, 1)
    del bench
    gc.collect()
    assert gone() is None


def test_a_change_in_the_middle_of_a_search_is_not_forgotten():
    bench = Bench()
    find = bench.map.find

    def find_while_it_moves(address):
        found = find(address)
        found.move(0x8000)
        return found

    bench.dma._ram._memory = Silent(bench)
    bench.dma._ram._memory.find = find_while_it_moves
    bench.dma.read(RAM, 2)
    assert bench.dma._ram.windows == ()


class Silent:
    """A map that tells nobody of its changes."""

    def __init__(self, bench):
        self.find, self.conflicts, self.port = bench.map.find, bench.map.conflicts, bench.map.port


def test_maps_that_tell_nobody_are_asked_each_time():
    bench = Bench()
    dma = Dma(bench.config, Silent(bench))
    assert dma.read(RAM, 2) == b"\0\1"
    bench.low_region.move(0x8000)
    assert dma.read(RAM, 2) == b"\xff\xff"
    assert (dma.read(0x8000, 2), dma.write(0x8000, b"ab"), dma.view(0x8000, 2)) == (
        b"\0\1",
        True,
        b"ab",
    )


def test_connect_and_disconnect():
    bench = Bench()
    dma = Dma(bench.config)
    assert (dma.read(RAM, 2), dma.write(RAM, b"ab"), dma.view(RAM, 2)) == (b"\xff\xff", False, None)
    dma.connect(bench.map)
    assert dma.read(RAM, 2) == b"\0\1"
    dma.disconnect()
    assert dma.read(RAM, 2) == b"\xff\xff"
    assert bench.aborts() == MASTER_ABORT


@pytest.mark.stress
def test_no_transfer_after_a_change_sees_what_was_there_before():
    bench = Bench()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    stop, failures = threading.Event(), []

    def transfer():
        while not stop.is_set():
            try:
                data = bench.dma.read(0x8000, 1)
                assert data in (b"\x00", b"\xff", b"\xa5")
                bench.dma.write(0x8000, data[:0])
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=transfer) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(600):
            bench.low_region.move(0x8000)
            assert bench.dma.read(0x8000, 1) == b"\x00"
            bench.low_region.move(RAM)
            assert bench.dma.read(0x8000, 1) == b"\xff"
            bench.high_region.move(0x8000)
            assert bench.dma.read(0x8000, 1) == b"\xa5"
            bench.high_region.move(RAM + 0x1000)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert failures == []


# -- the author's mistakes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "size"),
    [(-1, 4), (0, -1), (RAM, -1), (RAM, -(1 << 70)), (0, MAX_TRANSFER + 1), (0.5, 4)],
)
@pytest.mark.parametrize("bus_master", [False, True])
def test_arguments_without_sense(address, size, bus_master):
    bench = Bench()
    bench.dma.read(RAM, 1)
    bench.config.write(4, 2, BUS_MASTER * bus_master)
    for transfer in (bench.dma.read, bench.dma.view):
        with pytest.raises(DmaError, match="transfer"):
            transfer(address, size)
    with pytest.raises(DmaError, match="transfer"):
        bench.dma.read_scatter([(address, size)])
    if size <= MAX_TRANSFER:
        with pytest.raises(DmaError, match="transfer"):
            bench.dma.write_scatter([(address, size)], b"abcd")


@pytest.mark.parametrize("bus_master", [False, True])
def test_room_that_a_guest_says_is_there_may_be_any(bus_master):
    """A descriptor that is read while bus mastering is off consists of ones."""
    bench = Bench()
    bench.config.write(4, 2, BUS_MASTER * bus_master)
    assert bench.dma.write_scatter([(RAM, 0xFFFF_FFFF)], b"abcd") is bus_master
    assert not bench.dma.write_scatter([((1 << 64) - 1, 0xFFFF_FFFF)], b"abcd")


@pytest.mark.parametrize("data", ["text", None, 5, [1, 2]])
def test_data_that_is_no_buffer(data):
    with pytest.raises(DmaError, match="no contiguous buffer"):
        Bench().dma.write(RAM, data)


def test_a_write_to_no_address():
    with pytest.raises(DmaError, match="transfer"):
        Bench().dma.write(-1, b"a")


def test_repr():
    bench = Bench()
    assert repr(bench.dma) == "<Dma enabled, 0 refused>"


# -- against a flat model ----------------------------------------------------------------------

LAYOUT = [(0x00, 0x20), (0x20, 0x13), (0x40, 0x08), (0x48, 0x18)]


@given(
    st.lists(
        st.tuples(st.integers(0, 0x70), st.integers(0, 0x40), st.integers(0, 255)), max_size=12
    ),
    st.sets(st.integers(0, 3)),
)
def test_transfers_against_a_flat_memory(transfers, devices):
    space, model = RegionMap(address_bits=16), [None] * 0x100
    for number, (base, size) in enumerate(LAYOUT):
        if number in devices:
            peer = Peer(size)
            peer.bytes[:] = bytes(size)
            space.add(base, size, peer)
        else:
            space.add_ram(base, bytearray(size))
        model[base : base + size] = [0] * size
    config = config_space()
    config.write(4, 2, BUS_MASTER)
    dma = Dma(config, space)
    for address, size, value in transfers:
        there = all(byte is not None for byte in model[address : address + size])
        assert dma.write(address, bytes([value]) * size) == there
        for place in range(address, address + size):
            if model[place] is not None:
                model[place] = value
        whole = bytes(0xFF if byte is None else byte for byte in model)
        assert dma.read(0, 0x100) == whole
        assert dma.read(address, size) == whole[address : address + size]
