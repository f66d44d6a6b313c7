# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The accesses of a Linux guest, from probe to removal, in their order and widths.

What is imitated: the modern virtio-pci transport, and the probes of its drivers for block devices,
network interfaces, consoles and entropy. A guest polls some registers for ever: a test that does
not get what Linux waits for fails.
"""

import struct

import pytest

from devices.virtio.driver import COMMON, MSI_ADDRESS, NO_VECTOR, VERSION_1, Board
from devices.virtio.rings import RINGS
from vmmkit.devices.virtio.blk import VirtioBlk
from vmmkit.devices.virtio.console import VirtioConsole
from vmmkit.devices.virtio.disk import BufferDisk
from vmmkit.devices.virtio.net import VirtioNet
from vmmkit.devices.virtio.rng import VirtioRng

MAC = bytes.fromhex("52540012ab01")
PACKED, EVENT_IDX, INDIRECT, RING_RESET = 1 << 34, 1 << 29, 1 << 28, 1 << 40
PAGE = 4096
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8


class LinuxGuest:
    """One device as `virtio_pci_modern` sees it."""

    def __init__(self, device, ring="split"):
        self.board = Board(device)
        self.kind, self.port = ring, self.board.port
        self.probe()

    # -- vp_modern_probe -------------------------------------------------------------------------

    def probe(self):
        read = self.board.config_read
        vendor, identity = read(0x00, 2), read(0x02, 2)
        assert (vendor, 0x1040 <= identity <= 0x107F) == (0x1AF4, True)
        self.type = identity - 0x1040
        self.common, length = self.map_capability(self.find(1), 56, 4)
        self.common_length = length
        self.isr, _ = self.map_capability(self.find(3), 1, 1)
        notify = self.find(2)
        self.multiplier = read(notify + 16, 4)
        assert read(notify + 12, 4) + read(notify + 8, 4) % PAGE <= PAGE
        self.notify, self.notify_length = self.map_capability(notify, 2, 2)
        self.config, self.config_length = self.map_capability(self.find(4), 0, 4)

    def find(self, kind):
        """virtio_pci_find_capability: the first one of a type whose BAR exists."""
        for at, identity in self.board.capabilities():
            if identity == 0x09:
                found, bar = self.board.config_read(at + 3, 1), self.board.config_read(at + 4, 1)
                if found == kind and bar < 6 and bar in self.board.bars:
                    return at
        raise AssertionError(f"no structure of type {kind}")

    def map_capability(self, at, minimum, alignment):
        read = self.board.config_read
        bar, offset, length = read(at + 4, 1), read(at + 8, 4), read(at + 12, 4)
        assert length >= minimum
        assert offset % alignment == 0
        return self.board.bars[bar] + offset, length

    def get(self, field):
        offset, size = COMMON[field]
        return self.port.read(self.common + offset, size)

    def set(self, field, value):
        offset, size = COMMON[field]
        if size == 8:
            self.port.write(self.common + offset, 4, value & 0xFFFF_FFFF)
            self.port.write(self.common + offset + 4, 4, value >> 32)
        else:
            self.port.write(self.common + offset, size, value)

    # -- register_virtio_device, virtio_dev_probe ------------------------------------------------

    def reset(self):
        """vp_reset: until the status reads as 0."""
        self.set("device_status", 0)
        assert self.get("device_status") == 0

    def add_status(self, bit):
        self.set("device_status", self.get("device_status") | bit)

    def negotiate(self, supported):
        self.reset()
        self.add_status(ACKNOWLEDGE)
        self.add_status(DRIVER)
        features = 0
        for half in range(4):  # newer kernels ask for 128 bits
            self.set("device_feature_select", half)
            features |= self.get("device_feature") << 32 * half
        transport = VERSION_1 | EVENT_IDX | INDIRECT | RING_RESET | (self.kind == "packed") * PACKED
        self.features = features & (supported | transport)
        assert self.features & VERSION_1
        assert self.common_length >= 0x3C  # check_common: queue_reset is inside
        for half in range(4):
            self.set("driver_feature_select", half)
            self.set("driver_feature", self.features >> 32 * half & 0xFFFF_FFFF)
        self.add_status(FEATURES_OK)
        assert self.get("device_status") & FEATURES_OK

    # -- vp_modern_find_vqs ----------------------------------------------------------------------

    def find_queues(self, count, interrupts):
        if interrupts == "msix":
            self.enable_msix(1 + count)
        self.rings = [
            self.set_up_queue(index, 1 + index if interrupts == "msix" else NO_VECTOR)
            for index in range(count)
        ]
        for index in range(count):
            self.set("queue_select", index)
            self.set("queue_enable", 1)

    def enable_msix(self, vectors):
        """pci_alloc_irq_vectors: function mask on, entries masked, then written and unmasked."""
        read, write = self.board.config_read, self.board.config_write
        at = next(at for at, identity in self.board.capabilities() if identity == 0x11)
        assert (read(at + 2, 2) & 0x7FF) + 1 >= vectors
        write(at + 2, 2, read(at + 2, 2) | 0xC000)
        place = read(at + 4, 4)
        table = self.board.bars[place & 7] + (place & ~7)
        for vector in range(vectors):
            self.port.write(table + 16 * vector + 12, 4, 1)
        write(0x04, 2, read(0x04, 2) | 0x400)
        write(at + 2, 2, read(at + 2, 2) & ~0x4000)
        for vector in range(vectors):
            entry = table + 16 * vector
            for offset, value in ((0, MSI_ADDRESS), (4, 0), (8, 0x40 + vector), (12, 0)):
                self.port.write(entry + offset, 4, value)
        self.set("config_msix_vector", 0)
        assert self.get("config_msix_vector") != NO_VECTOR

    def set_up_queue(self, index, vector):
        assert index < self.get("num_queues")
        self.set("queue_select", index)
        size = self.get("queue_size")
        self.set("queue_select", index)
        assert size
        assert not self.get("queue_enable")
        ram = self.board.ram
        ram.write(ram.next, bytes(1 << 16))  # dma_alloc_coherent gives zeros
        ring = RINGS[self.kind](ram, size, indirect=True, event_index=True)
        self.activate(index, ring, vector)
        self.set("queue_select", index)
        offset = self.get("queue_notify_off") * self.multiplier
        assert offset + 2 <= self.notify_length
        ring.notify, ring.vector = self.notify + offset, vector
        return ring

    def activate(self, index, ring, vector):
        """vp_active_vq"""
        self.set("queue_select", index)
        self.set("queue_size", ring.size)
        self.set("queue_select", index)
        self.set("queue_desc", ring.areas[0])
        self.set("queue_driver", ring.areas[1])
        self.set("queue_device", ring.areas[2])
        if vector != NO_VECTOR:
            self.set("queue_select", index)
            self.set("queue_msix_vector", vector)
            assert self.get("queue_msix_vector") == vector

    def reset_queue(self, index):
        """vp_modern_disable_vq_and_reset, then vp_modern_enable_vq_after_reset."""
        self.set("queue_select", index)
        self.set("queue_reset", 1)
        assert self.get("queue_reset") == 0
        assert self.get("queue_enable") == 0
        vector = self.rings[index].vector
        self.rings[index] = self.set_up_queue(index, vector)
        self.set("queue_select", index)
        self.set("queue_enable", 1)

    def read_config(self, offset, code):
        """__virtio_cread_many: between two reads of the generation; 8 bytes in halves."""
        size = struct.calcsize("<" + code)
        assert offset + size <= self.config_length
        while True:
            generation = self.get("config_generation")
            data = b"".join(
                self.port.read(self.config + offset + at, min(size, 4)).to_bytes(
                    min(size, 4), "little"
                )
                for at in range(0, size, 4)
            )
            if self.get("config_generation") == generation:
                return struct.unpack("<" + code, data)[0]

    # -- operation -------------------------------------------------------------------------------

    def buffer(self, data):
        address = self.board.ram.alloc(len(data), 8)
        self.board.ram.write(address, data)
        return address, len(data)

    def add(self, index, readable, writable=(), token="request"):
        ring = self.rings[index]
        assert ring.add(list(readable), list(writable), token)
        if ring.kick_wanted():
            self.port.write(ring.notify, 2, index)

    def interrupted(self, index):
        """vp_vring_interrupt of a vector of its own, or vp_interrupt after the ISR status."""
        if self.rings[index].vector != NO_VECTOR:
            found = self.board.messages == [0x40 + self.rings[index].vector]
            self.board.messages.clear()
            return found
        found = self.board.level and self.port.read(self.isr, 1) == 1
        assert self.port.read(self.isr, 1) == 0
        return found

    def remove(self):
        """virtio_dev_remove, vp_del_vqs"""
        self.reset()
        for index in range(len(self.rings)):
            self.set("queue_select", index)
            self.set("queue_msix_vector", NO_VECTOR)
            assert self.get("queue_msix_vector") == NO_VECTOR
            assert not self.get("queue_enable")
        self.set("config_msix_vector", NO_VECTOR)


WAYS = pytest.mark.parametrize(
    ("ring", "interrupts"), [(ring, how) for ring in RINGS for how in ("msix", "intx")]
)
TWICE = range(2)  # bound, unbound and bound again


@WAYS
def test_virtio_blk(ring, interrupts):
    guest = LinuxGuest(VirtioBlk(BufferDisk(bytearray(b"\x5a" * 65536)), serial="disk0"), ring)
    supported = sum(1 << bit for bit in (1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14, 16, 17))
    for _ in TWICE:
        guest.negotiate(supported)
        assert guest.read_config(12, "I") == 254
        guest.find_queues(1, interrupts)
        assert 512 <= guest.read_config(20, "I") <= PAGE
        assert [guest.read_config(at, code) for at, code in ((24, "B"), (25, "B"))] == [0, 0]
        assert [guest.read_config(at, code) for at, code in ((26, "H"), (28, "I"))] == [1, 0]
        assert guest.read_config(44, "I") == 1
        assert min(guest.read_config(at, "I") for at in (36, 40, 48, 52)) > 0
        assert guest.read_config(0, "Q") == 128
        guest.add_status(DRIVER_OK)
        for turn in range(300):
            header = guest.buffer(struct.pack("<IIQ", 0, 0, turn % 120))
            data, status = guest.buffer(bytes(4096)), guest.buffer(b"\xff")
            guest.add(0, [header], [data, status])
            assert guest.interrupted(0)
            assert guest.rings[0].collect() == [("request", 4097)]
            guest.rings[0].interrupts(True)
            assert guest.board.ram.read(*data) == b"\x5a" * 4096
            assert guest.board.ram.read(*status) == b"\0"
            guest.board.ram.next = header[0]
        guest.remove()


@WAYS
def test_virtio_net(ring, interrupts):
    sent = []
    guest = LinuxGuest(VirtioNet(sent.append, MAC, mtu=1400), ring)
    supported = sum(1 << bit for bit in (0, 1, 3, 5, 7, 10, 11, 15, 16, 17, 18, 21, 22, 23))
    for _ in TWICE:
        guest.negotiate(supported)
        assert guest.read_config(10, "H") == 1400
        assert bytes(guest.read_config(at, "B") for at in range(6)) == MAC
        guest.find_queues(2, interrupts)
        guest.add_status(DRIVER_OK)
        assert guest.read_config(6, "H") == 1
        for token in range(4):
            guest.add(0, [], [guest.buffer(bytes(1536))], token)
        guest.add(1, [guest.buffer(bytes(12)), guest.buffer(b"frame")])
        assert guest.interrupted(1)
        assert sent.pop() == b"frame"
        assert guest.board.device.receive(bytes(60))
        assert guest.interrupted(0)
        assert guest.rings[0].collect() == [(0, 72)]
        guest.reset_queue(0)  # what AF_XDP and a change of ring sizes do
        guest.add(0, [], [guest.buffer(bytes(1536))], "again")
        assert guest.board.device.receive(bytes(60))
        assert guest.interrupted(0)
        assert guest.rings[0].collect() == [("again", 72)]
        guest.remove()


@WAYS
def test_virtio_console(ring, interrupts):
    printed = bytearray()
    guest = LinuxGuest(VirtioConsole(printed.extend, size=(80, 25)), ring)
    for _ in TWICE:
        guest.negotiate(0b11)
        guest.find_queues(2, interrupts)
        guest.add_status(DRIVER_OK)
        assert [guest.read_config(at, "H") for at in (0, 2)] == [80, 25]
        guest.add(0, [], [guest.buffer(bytes(PAGE))], "in")
        guest.add(1, [guest.buffer(b"out")])
        assert guest.interrupted(1)
        assert guest.board.device.receive(b"in") == 2
        assert guest.interrupted(0)
        guest.remove()
    assert printed == b"outout"


@WAYS
def test_virtio_rng(ring, interrupts):
    guest = LinuxGuest(VirtioRng(), ring)
    for _ in TWICE:
        guest.negotiate(0)
        guest.find_queues(1, interrupts)
        guest.add_status(DRIVER_OK)
        guest.add(0, [], [guest.buffer(bytes(64))])
        assert guest.interrupted(0)
        assert guest.rings[0].collect() == [("request", 64)]
        guest.remove()
