# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Each device through its driver, over both rings, with and without MSI-X."""

import os
import socket
import struct

import pytest

from devices.virtio.driver import INDIRECT, VERSION_1, Board, Driver
from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.console import VirtioConsole
from vmmkit.devices.virtio.disk import BufferDisk, FileDisk
from vmmkit.devices.virtio.net import VirtioNet
from vmmkit.devices.virtio.rng import VirtioRng
from vmmkit.errors import DeviceError

MAC = bytes.fromhex("52540012ab01")
HEADER = bytes(10) + b"\0\0"
STATUS, MRG_RXBUF, SIZE = 1 << 16, 1 << 15, 1 << 0

WAYS = [
    pytest.param(
        {"ring": ring, "indirect": indirect, "event_index": event},
        interrupts,
        id=f"{ring}{'-indirect' * indirect}{'-event' * event}-{interrupts}",
    )
    for ring in ("split", "packed")
    for indirect in (False, True)
    for event in (False, True)
    for interrupts in ("msix", "intx")
]


def started(device, interrupts="msix", **driver):
    return Driver(Board(device), **driver).start(interrupts=interrupts)


def queue_interrupt(interrupts, queue):
    return [queue + 1] if interrupts == "msix" else ["queue"]


# -- Entropy Device ------------------------------------------------------------------------------


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_rng(ways, interrupts):
    asked = []
    source = lambda size: asked.append(size) or os.urandom(size)  # noqa: E731
    driver = started(VirtioRng(source), interrupts, **ways)
    seen = set()
    for _ in range(100):
        first, second = driver.request(0, [], [16, 48])
        seen |= {first, second}
        assert driver.interrupts() == queue_interrupt(interrupts, 0)
    assert len(seen) == 200
    assert set(asked) == {64}


@pytest.mark.parametrize(("gives", "written"), [(b"", 0), (b"abc", 3), (b"x" * 100, 8)])
def test_rng_takes_what_the_source_gives(gives, written):
    driver = started(VirtioRng(lambda size: gives))
    driver.offer(0, [], [driver.buffer(8)], "x")
    assert driver.rings[0].collect() == [("x", written)]


def test_rng_bounds_a_request():
    driver = started(VirtioRng(bytes))
    driver.offer(0, [], [(0x20_0000, 0xA0_0000)], "x")
    assert driver.rings[0].collect() == [("x", 0x1_0000)]


def test_rng_ignores_a_chain_without_room():
    driver = started(VirtioRng())
    driver.offer(0, [driver.buffer(b"?")], [], "x")
    assert driver.rings[0].collect() == [("x", 0)]


# -- Console Device ------------------------------------------------------------------------------


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
def test_console(ways, interrupts):
    printed = bytearray()
    driver = started(VirtioConsole(printed.extend), interrupts, **ways)
    for turn in range(50):
        driver.request(1, [b"turn ", b"%d\n" % turn])
        assert driver.interrupts() == queue_interrupt(interrupts, 1)
        address, _ = driver.buffer(8)
        driver.offer(0, [], [(address, 8)], turn)
        assert driver.interrupts() == []
        assert driver.board.device.receive(b"in %d" % turn) == len(b"in %d" % turn)
        assert driver.interrupts() == queue_interrupt(interrupts, 0)
        [(token, written)] = driver.rings[0].collect()
        assert (token, driver.ram.read(address, written)) == (turn, b"in %d" % turn)
    assert printed == b"".join(b"turn %d\n" % turn for turn in range(50))


def test_console_input_waits_for_room():
    rooms = []
    device = VirtioConsole(lambda data: None, ready=lambda: rooms.append(1))
    assert device.receive(b"nobody listens") == 0
    driver = started(device)
    rooms.clear()
    assert device.receive(b"hello world") == 0
    for token in (1, 2):
        driver.offer(0, [], [driver.buffer(4)], token)
    assert rooms == [1, 1]
    assert device.receive(b"hello world") == 8
    assert driver.rings[0].collect() == [(1, 4), (2, 4)]


def test_console_size_and_resize():
    driver = started(VirtioConsole(lambda data: None, size=(80, 25)), features=SIZE)
    assert (driver.config("H", 0), driver.config("H", 2), driver.config("I", 4)) == (80, 25, 1)
    generation = driver.get("config_generation")
    driver.board.device.resize(132, 43)
    assert driver.interrupts() == [0]
    assert driver.get("config_generation") != generation
    assert (driver.config("H", 0), driver.config("H", 2)) == (132, 43)


def test_console_tells_of_its_size_only_who_asked():
    driver = started(VirtioConsole(lambda data: None, size=(80, 25)))
    generation = driver.get("config_generation")
    driver.board.device.resize(132, 43)
    assert driver.interrupts() == []
    assert driver.get("config_generation") != generation


def test_console_emergency_write_needs_no_driver():
    printed = bytearray()
    driver = Driver(Board(VirtioConsole(printed.extend)))
    for character in b"oops":
        driver.port.write(driver.device_config + 8, 4, character)
    assert printed == b"oops"


def test_console_output_is_cut_into_portions_and_bounded():
    portions = []
    driver = started(VirtioConsole(lambda data: portions.append(len(data))))
    driver.offer(1, [(0x20_0000, 0x90_0000)])
    assert portions == [0x1_0000] * 16


@pytest.mark.parametrize("size", [(-1, 25), (80, 65536), (80.0, 25)])
def test_console_refuses_sizes(size):
    with pytest.raises(DeviceError, match="size"):
        VirtioConsole(lambda data: None, size=size)


def test_console_without_a_size_cannot_be_resized():
    with pytest.raises(DeviceError, match="without a size"):
        VirtioConsole(lambda data: None).resize(80, 25)


# -- Network Device ------------------------------------------------------------------------------


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
@pytest.mark.parametrize("features", [0, MRG_RXBUF], ids=["plain", "mrg_rxbuf"])
def test_net(ways, interrupts, features):
    sent = []
    driver = started(VirtioNet(sent.append, MAC), interrupts, features=features, **ways)
    for turn in range(30):
        frame = bytes([turn]) * (60 + turn)
        driver.request(1, [HEADER + frame[:20], frame[20:]])
        assert sent.pop() == frame
        assert driver.interrupts() == queue_interrupt(interrupts, 1)
        address, size = driver.buffer(1526)
        driver.offer(0, [], [(address, 12), (address + 12, size - 12)], turn)
        assert driver.board.device.receive(frame)
        assert driver.interrupts() == queue_interrupt(interrupts, 0)
        assert driver.rings[0].collect() == [(turn, 12 + len(frame))]
        assert driver.ram.read(address, 12 + len(frame)) == bytes(10) + b"\1\0" + frame


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_net_merges_receive_buffers(ring):
    driver = started(VirtioNet(print, MAC), ring=ring, features=MRG_RXBUF)
    places = [driver.buffer(256) for _ in range(8)]
    for token, place in enumerate(places):
        driver.offer(0, [], [place], token)
    frame = os.urandom(1000)
    assert driver.board.device.receive(frame)
    assert driver.rings[0].collect() == [(0, 256), (1, 256), (2, 256), (3, 244)]
    data = b"".join(driver.ram.read(address, 256) for address, _ in places[:4])
    assert data[:1012] == bytes(10) + b"\4\0" + frame
    assert not driver.board.device.receive(os.urandom(1200))
    assert driver.board.device.receive(frame)
    assert driver.rings[0].collect() == [(4, 256), (5, 256), (6, 256), (7, 244)]


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_net_does_not_merge_unasked(ring):
    driver = started(VirtioNet(print, MAC), ring=ring)
    for _ in range(8):
        driver.offer(0, [], [driver.buffer(256)])
    assert not driver.board.device.receive(bytes(1000))
    assert driver.board.device.receive(bytes(244))
    assert len(driver.rings[0].collect()) == 1


def test_net_configuration_and_link():
    driver = started(VirtioNet(print, MAC, mtu=9000), features=STATUS | 8)
    config = driver.device_config
    assert bytes(driver.port.read(config + at, 1) for at in range(6)) == MAC
    assert (driver.config("H", 6), driver.config("H", 10)) == (1, 9000)
    device = driver.board.device
    device.set_link(False)
    device.set_link(False)
    assert driver.interrupts() == [0]
    assert driver.config("H", 6) == 0
    driver.offer(0, [], [driver.buffer(1526)])
    assert not device.receive(bytes(60))
    device.set_link(True)
    assert device.link_up
    assert driver.interrupts() == [0]
    assert device.receive(bytes(60))


@pytest.mark.parametrize(("features", "longest"), [(8, 1518), (0, 0x1_0000)])
def test_net_receives_no_frame_beyond_the_mtu_agreed_on(features, longest):
    driver = started(VirtioNet(print, MAC, mtu=1500), features=features)
    for _ in range(2):
        driver.offer(0, [], [driver.buffer(0x1_1000)])
    assert not driver.board.device.receive(bytes(longest + 1))
    assert driver.board.device.receive(bytes(longest))


def test_net_drops_what_is_no_frame():
    sent = []
    device = VirtioNet(sent.append, MAC)
    driver = started(device)
    for parts in ([b"short"], [HEADER], [bytes(0x1_0100)]):
        driver.request(1, parts)
    device.set_link(False)
    driver.request(1, [HEADER + b"frame"])
    assert sent == []
    assert not device.receive(b"")
    assert not device.receive(bytes(0x1_0001))


def test_net_tells_of_room():
    rooms = []
    driver = started(VirtioNet(print, MAC, ready=lambda: rooms.append(1)))
    rooms.clear()
    driver.offer(0, [], [driver.buffer(1526)])
    assert rooms == [1]


@pytest.mark.parametrize(
    "options",
    [{"mac": MAC[:5]}, {"mac": b"\1" + MAC[1:]}, {"mtu": 67}, {"mtu": 65536}],
)
def test_net_refuses(options):
    with pytest.raises(DeviceError):
        VirtioNet(print, **({"mac": MAC} | options))


def test_two_interfaces_back_to_back():
    boards = [Board(VirtioNet(print, MAC[:5] + bytes([at]))) for at in (0, 1)]
    drivers = [Driver(board).start() for board in boards]
    devices = [board.device for board in boards]
    devices[0].transmit, devices[1].transmit = devices[1].receive, devices[0].receive
    for driver in drivers:
        address, size = driver.buffer(1526)
        driver.place = address
        driver.offer(0, [], [(address, size)])
    for sender, receiver in ((0, 1), (1, 0)):
        drivers[sender].request(1, [HEADER + b"from %d" % sender])
        assert drivers[receiver].rings[0].collect() == [(None, 18)]
        assert drivers[receiver].ram.read(drivers[receiver].place + 12, 6) == b"from %d" % sender


def test_an_interface_on_a_socket_pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        driver = started(VirtioNet(ours.send, MAC))
        driver.request(1, [HEADER + b"to the world"])
        assert theirs.recv(2048) == b"to the world"
        theirs.send(b"to the guest")
        address, size = driver.buffer(1526)
        driver.offer(0, [], [(address, size)])
        assert driver.board.device.receive(ours.recv(2048))
        assert driver.ram.read(address + 12, 12) == b"to the guest"


def test_an_interface_that_was_unplugged_takes_nothing():
    driver = started(VirtioNet(print, MAC))
    driver.offer(0, [], [driver.buffer(1526)])
    device = driver.board.device
    driver.board.host.bus.detach(device)
    assert not device.receive(b"a frame")
    device.set_link(False)
    assert driver.board.messages == []


# -- Block Device --------------------------------------------------------------------------------

IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = 0, 1, 2
F_FLUSH, F_DISCARD, F_ZEROES, F_RO = 1 << 9, 1 << 13, 1 << 14, 1 << 5
WRITABLE = F_FLUSH | F_DISCARD | F_ZEROES


def request(driver, kind, sector=0, data=b"", room=0):
    """Do a block request; return (status, data read)."""
    header = struct.pack("<IIQ", kind, 0, sector)
    found = driver.request(0, [header, data] if data else [header], [room, 1] if room else [1])
    return found[-1][0], b"".join(found[:-1])


def ranges(*segments):
    return b"".join(struct.pack("<QII", *segment) for segment in segments)


class Recorder(BufferDisk):
    """A disk that remembers what was asked of it."""

    def __init__(self, size):
        self.bytes = bytearray(os.urandom(size))
        super().__init__(self.bytes)
        self.calls = []

    def flush(self):
        self.calls.append("flush")

    def discard(self, offset, size):
        self.calls.append(("discard", offset, size))

    def zero(self, offset, size, *, unmap):
        self.calls.append(("zero", offset, size, unmap))
        super().zero(offset, size, unmap=unmap)


@pytest.mark.parametrize(("ways", "interrupts"), WAYS)
@pytest.mark.parametrize("backing", ["buffer", "file"])
def test_blk(ways, interrupts, backing, tmp_path):
    content = os.urandom(1 << 16)
    path = tmp_path / "disk"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDWR)
    try:
        disk = FileDisk(fd) if backing == "file" else BufferDisk(bytearray(content))
        driver = started(VirtioBlk(disk), interrupts, features=WRITABLE, **ways)
        model = bytearray(content)
        for turn in range(40):
            sector = turn * 7 % 120
            assert request(driver, IN, sector, room=2048) == (
                OK,
                model[512 * sector : 512 * sector + 2048],
            )
            data = os.urandom(1024)
            assert request(driver, OUT, sector, data) == (OK, b"")
            model[512 * sector : 512 * sector + 1024] = data
            assert driver.interrupts() == queue_interrupt(interrupts, 0) * (
                2 if interrupts == "msix" else 1
            )
        assert request(driver, FLUSH) == (OK, b"")
        assert request(driver, IN, 0, room=1 << 16) == (OK, model)
        if backing == "file":
            assert path.read_bytes() == model
    finally:
        os.close(fd)


def test_blk_configuration():
    device = VirtioBlk(
        BufferDisk(bytearray(10_000)),
        block_size=4096,
        physical_block_exp=1,
        optimal_blocks=8,
        max_segments=100,
    )
    driver = started(device)
    fields = {
        "capacity": ("Q", 0, 19),
        "size_max": ("I", 8, 0),
        "seg_max": ("I", 12, 100),
        "blk_size": ("I", 20, 4096),
        "physical_block_exp": ("B", 24, 1),
        "min_io_size": ("H", 26, 1),
        "opt_io_size": ("I", 28, 8),
        "writeback": ("B", 32, 1),
        "max_discard_sectors": ("I", 36, 0x2000),
        "max_discard_seg": ("I", 40, 4),
        "discard_sector_alignment": ("I", 44, 8),
        "max_write_zeroes_seg": ("I", 52, 4),
        "write_zeroes_may_unmap": ("B", 56, 1),
    }
    assert {name: driver.config(code, at) for name, (code, at, _) in fields.items()} == {
        name: value for name, (_, _, value) in fields.items()
    }


def test_blk_tells_of_another_capacity():
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk))
    disk.size = 2048
    driver.board.device.resized()
    assert driver.interrupts() == [0]
    assert driver.config("Q", 0) == 4
    assert request(driver, IN, 4, room=512)[0] == IOERR


def test_blk_read_only():
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk, read_only=True), features=F_RO | WRITABLE)
    assert driver.offered() & (F_RO | F_DISCARD | F_ZEROES | F_FLUSH) == F_RO | F_FLUSH
    assert request(driver, OUT, 0, bytes(512)) == (IOERR, b"")
    assert request(driver, DISCARD, 0, ranges((0, 1, 0)))[0] == UNSUPP
    assert request(driver, WRITE_ZEROES, 0, ranges((0, 1, 0)))[0] == UNSUPP
    assert request(driver, IN, 1, room=512) == (OK, bytes(disk.bytes[512:1024]))


@pytest.mark.parametrize(
    ("kind", "sector", "data", "room", "status"),
    [
        (IN, 8, b"", 512, IOERR),
        (IN, 7, b"", 1024, IOERR),
        (IN, (1 << 64) - 1, b"", 512, IOERR),
        (IN, 0, b"", 100, IOERR),
        (IN, 0, b"", 0, OK),
        (OUT, 8, bytes(512), 0, IOERR),
        (OUT, (1 << 55) - 1, bytes(512), 0, IOERR),
        (OUT, 0, bytes(513), 0, IOERR),
        (2, 0, b"", 0, UNSUPP),
        (14, 0, b"", 0, UNSUPP),
        (0xFFFF_FFFF, 0, b"", 0, UNSUPP),
        (DISCARD, 0, ranges((0, 8, 0)), 0, OK),
        (DISCARD, 0, ranges((0, 1, 0), (7, 1, 0)), 0, OK),
        (DISCARD, 0, ranges((0, 8, 1)), 0, UNSUPP),
        (DISCARD, 0, ranges((1, 8, 0)), 0, IOERR),
        (DISCARD, 0, ranges(((1 << 64) - 1, 1, 0)), 0, IOERR),
        (DISCARD, 0, ranges((0, 1, 0))[:-1], 0, IOERR),
        (DISCARD, 0, ranges(*[(0, 1, 0)] * 5), 0, IOERR),
        (DISCARD, 0, b"", 0, IOERR),
        (WRITE_ZEROES, 0, ranges((0, 8, 1)), 0, OK),
        (WRITE_ZEROES, 0, ranges((0, 8, 2)), 0, UNSUPP),
        (WRITE_ZEROES, 0, ranges((0, 0xFFFF_FFFF, 0)), 0, IOERR),
    ],
)
def test_blk_status(kind, sector, data, room, status):
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk), features=WRITABLE)
    assert request(driver, kind, sector, data, room)[0] == status
    assert driver.board.device.fault is None
    assert len(disk.bytes) == 4096


def test_blk_discard_and_write_zeroes():
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk), features=WRITABLE)
    request(driver, DISCARD, 0, ranges((1, 2, 0), (4, 1, 0)))
    request(driver, WRITE_ZEROES, 0, ranges((2, 3, 0), (6, 1, 1)))
    assert disk.calls == [
        ("discard", 512, 1024),
        ("discard", 2048, 512),
        ("zero", 1024, 1536, False),
        ("zero", 3072, 512, True),
    ]
    assert not any(disk.bytes[1024:2560])
    assert any(disk.bytes[2560:3072])


def test_blk_requests_that_were_not_negotiated():
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk))
    assert request(driver, DISCARD, 0, ranges((0, 1, 0)))[0] == UNSUPP
    assert request(driver, WRITE_ZEROES, 0, ranges((0, 1, 0)))[0] == UNSUPP


def test_blk_writes_through_for_drivers_that_do_not_flush():
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk))
    request(driver, OUT, 0, bytes(512))
    assert disk.calls == ["flush"]
    driver = started(VirtioBlk(disk), features=F_FLUSH)
    request(driver, OUT, 0, bytes(512))
    assert disk.calls == ["flush"]


@pytest.mark.parametrize(
    ("serial", "room", "answer"),
    [
        ("vmmkit-0001", 20, b"vmmkit-0001" + bytes(9)),
        ("12345678901234567890", 20, b"12345678901234567890"),
        ("", 20, bytes(20)),
        ("short room", 4, b"shor"),
    ],
)
def test_blk_get_id(serial, room, answer):
    driver = started(VirtioBlk(BufferDisk(bytearray(512)), serial=serial))
    assert request(driver, GET_ID, 0, room=room) == (OK, answer)


@pytest.mark.parametrize("kind", [IN, OUT, FLUSH, DISCARD, WRITE_ZEROES])
def test_blk_errors_of_the_disk_are_io_errors(kind):
    class Failing(BufferDisk):
        def fail(self, *_arguments, **_options):
            raise OSError(5, "a bad block")

        readinto = write = flush = discard = zero = fail

    driver = started(VirtioBlk(Failing(bytearray(4096))), features=WRITABLE)
    data = {OUT: bytes(512), DISCARD: ranges((0, 1, 0)), WRITE_ZEROES: ranges((0, 1, 0))}
    assert request(driver, kind, 0, data.get(kind, b""), 512 * (kind == IN))[0] == IOERR


def test_blk_on_a_file_that_shrank(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file:
        driver = started(VirtioBlk(FileDisk(file.fileno())))
        file.truncate(1000)
        assert request(driver, IN, 0, room=512) == (OK, bytes(512))
        assert request(driver, IN, 1, room=512)[0] == IOERR


def test_blk_on_a_file_that_was_closed(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(4096))
    with path.open("r+b") as file:
        driver = started(VirtioBlk(FileDisk(os.dup(file.fileno()))))
        os.close(driver.board.device.disk.fd)
        assert request(driver, IN, 0, room=512)[0] == IOERR


def test_blk_punches_holes_where_it_may(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 4096)
    holes = []
    with path.open("r+b") as file:
        disk = FileDisk(file.fileno(), punch_hole=lambda *hole: holes.append(hole))
        driver = started(VirtioBlk(disk), features=WRITABLE)
        request(driver, DISCARD, 0, ranges((0, 1, 0)))
        request(driver, WRITE_ZEROES, 0, ranges((1, 1, 1), (2, 1, 0)))
    assert holes == [(0, 512), (512, 512)]
    assert path.read_bytes() == b"x" * 1024 + bytes(512) + b"x" * 2560


def test_blk_does_not_rely_on_how_a_request_is_cut():
    disk = Recorder(4096)
    driver = started(VirtioBlk(disk))
    header = struct.pack("<IIQ", OUT, 0, 1)
    data = os.urandom(512)
    whole = header + data
    for cuts in ((3, 7), (16, 16), (10, 300), (100, 500)):
        parts = [whole[: cuts[0]], whole[cuts[0] : cuts[1]], whole[cuts[1] :]]
        disk.bytes[512:1024] = bytes(512)
        assert driver.request(0, parts, [1]) == [b"\0"]
        assert disk.bytes[512:1024] == data
    header = struct.pack("<IIQ", IN, 0, 1)
    assert b"".join(driver.request(0, [header], [100, 400, 13])) == data + b"\0"


@pytest.mark.parametrize("parts", [[], [bytes(15)]])
def test_blk_a_request_without_a_header_is_an_io_error(parts):
    driver = started(VirtioBlk(Recorder(512)))
    assert driver.request(0, parts, [1]) == [b"\1"]


def test_blk_a_request_without_room_for_its_status_breaks_the_ring():
    driver = started(VirtioBlk(Recorder(512)))
    driver.offer(0, [driver.buffer(16)])
    assert "status" in driver.board.device.fault


def test_blk_more_segments_than_it_told_of():
    driver = started(VirtioBlk(Recorder(4096), max_segments=2))
    header = struct.pack("<IIQ", OUT, 0, 0)
    assert driver.request(0, [header, bytes(256), bytes(256)], [1]) == [b"\0"]
    assert driver.request(0, [header, bytes(256), bytes(128), bytes(128)], [1]) == [b"\1"]


@pytest.mark.parametrize(
    "options",
    [
        {"block_size": 256},
        {"block_size": 1000},
        {"serial": "x" * 21},
        {"serial": "é"},
        {"max_segments": 0},
        {"max_segments": 255},
        {"physical_block_exp": -1},
        {"physical_block_exp": 256},
        {"block_size": 4096, "physical_block_exp": 20},
        {"optimal_blocks": -1},
        {"optimal_blocks": 1 << 32},
    ],
)
def test_blk_refuses(options):
    with pytest.raises(DeviceError):
        VirtioBlk(BufferDisk(bytearray(512)), **options)


def test_a_pipe_is_no_disk():
    reader, writer = os.pipe()
    try:
        with pytest.raises(DeviceError, match="end"):
            FileDisk(reader)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_disk_of_constant_bytes_cannot_be_written():
    driver = started(VirtioBlk(BufferDisk(bytes(512))))
    assert request(driver, OUT, 0, bytes(512))[0] == IOERR


def test_features_of_each_device():
    table = {
        VirtioRng(): 0,
        VirtioConsole(print): 1 << 2,
        VirtioConsole(print, size=(80, 25)): 1 << 2 | 1,
        VirtioNet(print, MAC): 1 << 5 | 1 << 15 | 1 << 16,
        VirtioNet(print, MAC, mtu=1500): 1 << 3 | 1 << 5 | 1 << 15 | 1 << 16,
        VirtioBlk(Recorder(512)): 1 << 2 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 13 | 1 << 14,
    }
    for device, features in table.items():
        offered = Driver(Board(device)).offered()
        assert offered & 0xFF_FFFF == features
        assert offered & (VERSION_1 | INDIRECT) == VERSION_1 | INDIRECT
