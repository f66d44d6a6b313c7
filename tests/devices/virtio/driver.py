# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A virtio driver that knows the specification and nothing of the device's code.

`Board` is the machine: RAM, a host bridge, and a list of what interrupted. `Driver` finds a
device's structures through its vendor capabilities, negotiates, sets up rings and does requests,
as virtio 1.2 "Device Initialization" and "Virtio Over PCI Bus" lay it down.
"""

import struct

from devices.virtio.rings import RINGS, Ram
from vmmkit.memregion import RegionMap
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import IntxRouting

VERSION_1, INDIRECT, EVENT_IDX, PACKED, RING_RESET = 1 << 32, 1 << 28, 1 << 29, 1 << 34, 1 << 40
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, FAILED = 1, 2, 4, 8, 64, 128
NO_VECTOR = 0xFFFF
MSI_ADDRESS = 0xFEE0_0000
BAR_BASE = 0xC000_0000
GSI = 16

# struct virtio_pci_common_cfg: offset and size of each field.
COMMON = {
    "device_feature_select": (0x00, 4),
    "device_feature": (0x04, 4),
    "driver_feature_select": (0x08, 4),
    "driver_feature": (0x0C, 4),
    "config_msix_vector": (0x10, 2),
    "num_queues": (0x12, 2),
    "device_status": (0x14, 1),
    "config_generation": (0x15, 1),
    "queue_select": (0x16, 2),
    "queue_size": (0x18, 2),
    "queue_msix_vector": (0x1A, 2),
    "queue_enable": (0x1C, 2),
    "queue_notify_off": (0x1E, 2),
    "queue_desc": (0x20, 8),
    "queue_driver": (0x28, 8),
    "queue_device": (0x30, 8),
    "queue_reset": (0x3A, 2),
}


class Board:
    """RAM below 16 MiB, one device on a host bridge, and what it sends."""

    def __init__(self, device, *, enumerate_now=True):
        self.ram = Ram(base=0, size=16 << 20)
        self.ram.next = 0x10_0000
        self.mmio = RegionMap(name="mmio")
        self.mmio.add_ram(0, self.ram.bytes, name="ram")
        self.mmio.add_fallback(BAR_BASE, 0x1000_0000, name="pci hole")
        self.messages = []
        self.levels = []
        self.level = False
        self.host = HostBridge(
            self.mmio,
            RegionMap(address_bits=16, name="pio"),
            routing=IntxRouting.swizzled(first_gsi=GSI, links=4),
            set_gsi=self.set_gsi,
            send_msi=lambda address, data, requester: self.messages.append(data),
        )
        self.device = device
        self.host.bus.attach(device, 4)
        self.bdf = 4 << 3
        self.port = self.mmio.port("vcpu0")
        if enumerate_now:
            self.enumerate()

    def set_gsi(self, gsi, level):
        assert gsi == GSI
        self.level = level
        self.levels.append(level)

    def config_read(self, offset, size):
        return self.host.config_read(self.bdf, offset, size)

    def config_write(self, offset, size, value):
        self.host.config_write(self.bdf, offset, size, value)

    def enumerate(self):
        """Size the BARs, place them one behind the other, and enable memory and bus mastering."""
        at, self.bars = BAR_BASE, {}
        index = 0
        while index < 6:
            register = 0x10 + 4 * index
            self.config_write(register, 4, 0xFFFF_FFFF)
            low = self.config_read(register, 4)
            wide = low & 6 == 4
            mask = low & ~0xF
            if wide:
                self.config_write(register + 4, 4, 0xFFFF_FFFF)
                mask |= self.config_read(register + 4, 4) << 32
            else:
                mask |= 0xFFFF_FFFF_0000_0000 if mask else 0
            if mask:
                size = -mask & (1 << 64) - 1
                at = -(-at // size) * size
                self.config_write(register, 4, at & 0xFFFF_FFFF)
                if wide:
                    self.config_write(register + 4, 4, at >> 32)
                self.bars[index] = at
                at += size
            index += 1 + wide
        self.config_write(0x04, 2, 0x0006)

    def capabilities(self):
        """Yield (offset, id) of the list."""
        at = self.config_read(0x34, 1)
        while at:
            yield at, self.config_read(at, 1)
            at = self.config_read(at + 1, 1)


class Driver:
    """Drives one device from probe to removal."""

    def __init__(self, board, *, ring="split", features=0, indirect=False, event_index=False):
        self.board, self.ram, self.port = board, board.ram, board.port
        self.make_ring = RINGS[ring]
        self.indirect, self.event_index = indirect, event_index
        self.wanted = VERSION_1 | features
        self.wanted |= (ring == "packed") * PACKED | indirect * INDIRECT | event_index * EVENT_IDX
        self.rings = {}
        self.msix = None
        self.find_structures()

    # -- structures ------------------------------------------------------------------------------

    def find_structures(self):
        read = self.board.config_read
        for at, identity in self.board.capabilities():
            if identity == 0x11:
                self.msix = at
            if identity != 0x09:
                continue
            kind, bar = read(at + 3, 1), read(at + 4, 1)
            if kind == 5:
                self.window = at
                continue
            address = self.board.bars[bar] + read(at + 8, 4)
            if kind == 1:
                self.common = address
            elif kind == 2:
                self.notify_base, self.multiplier = address, read(at + 16, 4)
            elif kind == 3:
                self.isr = address
            elif kind == 4:
                self.device_config = address

    def get(self, field):
        offset, size = COMMON[field]
        if size == 8:
            low, high = (self.port.read(self.common + offset + half, 4) for half in (0, 4))
            return low | high << 32
        return self.port.read(self.common + offset, size)

    def set(self, field, value):
        offset, size = COMMON[field]
        if size == 8:
            self.port.write(self.common + offset, 4, value & 0xFFFF_FFFF)
            self.port.write(self.common + offset + 4, 4, value >> 32)
        else:
            self.port.write(self.common + offset, size, value)

    def config(self, code, offset):
        """Read one field of the device's configuration."""
        size = struct.calcsize("<" + code)
        parts = range(0, size, 4) if size == 8 else [0]
        data = b"".join(
            self.port.read(self.device_config + offset + part, min(size, 4)).to_bytes(
                min(size, 4), "little"
            )
            for part in parts
        )
        return struct.unpack("<" + code, data)[0]

    # -- Device Initialization ---------------------------------------------------------------------

    def offered(self):
        features = 0
        for half in (0, 1):
            self.set("device_feature_select", half)
            features |= self.get("device_feature") << 32 * half
        return features

    def accept(self, features):
        for half in (0, 1):
            self.set("driver_feature_select", half)
            self.set("driver_feature", features >> 32 * half & 0xFFFF_FFFF)

    def negotiate(self):
        """Go to FEATURES_OK; False if the device refuses."""
        self.set("device_status", 0)
        assert self.get("device_status") == 0
        self.set("device_status", ACKNOWLEDGE)
        self.set("device_status", ACKNOWLEDGE | DRIVER)
        self.features = self.wanted & (self.offered() | PACKED)
        self.accept(self.features)
        self.set("device_status", ACKNOWLEDGE | DRIVER | FEATURES_OK)
        return bool(self.get("device_status") & FEATURES_OK)

    def use_msix(self):
        """Give queue n vector n + 1, and vector 0 to configuration changes."""
        read, write = self.board.config_read, self.board.config_write
        count = (read(self.msix + 2, 2) & 0x7FF) + 1
        place = read(self.msix + 4, 4)
        self.table = self.board.bars[place & 7] + (place & ~7)
        for vector in range(count):
            entry = self.table + 16 * vector
            for at, value in ((0, MSI_ADDRESS), (4, 0), (8, 0x40 + vector), (12, 0)):
                self.port.write(entry + at, 4, value)
        write(self.msix + 2, 2, 0x8000)
        self.set("config_msix_vector", 0)
        assert self.get("config_msix_vector") == 0

    def mask(self, vector, masked):
        self.port.write(self.table + 16 * vector + 12, 4, int(masked))

    def set_up_queue(self, index, size=None):
        self.set("queue_select", index)
        size = size or self.get("queue_size")
        ring = self.make_ring(self.ram, size, indirect=self.indirect, event_index=self.event_index)
        self.set("queue_size", size)
        for field, address in zip(
            ("queue_desc", "queue_driver", "queue_device"), ring.areas, strict=True
        ):
            self.set(field, address)
        if self.board.config_read(self.msix + 2, 2) & 0x8000:
            self.set("queue_msix_vector", index + 1)
        ring.notify = self.notify_base + self.multiplier * self.get("queue_notify_off")
        self.set("queue_enable", 1)
        self.rings[index] = ring
        return ring

    def start(self, *, interrupts="msix", size=None):
        """Do the whole of initialization; return self."""
        assert self.negotiate()
        if interrupts == "msix":
            self.use_msix()
        for index in range(self.get("num_queues")):
            self.set_up_queue(index, size)
        self.set("device_status", ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
        return self

    # -- operation ---------------------------------------------------------------------------------

    def notify(self, index):
        self.port.write(self.rings[index].notify, 2, index)

    def buffer(self, data_or_size):
        data = bytes(data_or_size)
        address = self.ram.alloc(len(data), 1)
        self.ram.write(address, data)
        return address, len(data)

    def offer(self, index, readable=(), writable=(), token=None):
        """Make a chain available and notify if the device wants that."""
        ring = self.rings[index]
        assert ring.add(list(readable), list(writable), token)
        if ring.kick_wanted():
            self.notify(index)

    def request(self, index, parts, room=()):
        """Do one request; return the bytes written to each buffer of `room` (sizes)."""
        heap = self.ram.next
        readable = [self.buffer(part) for part in parts]
        writable = [self.buffer(size) for size in room]
        self.offer(index, readable, writable, "request")
        [(_, written)] = self.rings[index].collect()
        found = []
        for address, size in writable:
            found.append(self.ram.read(address, min(size, written)))
            written -= len(found[-1])
        self.ram.next = heap
        return found

    def interrupts(self):
        """Return what interrupted since the last call: vectors, or the ISR status as {bits}."""
        if self.board.config_read(self.msix + 2, 2) & 0x8000:
            vectors = [data - 0x40 for data in self.board.messages]
            self.board.messages.clear()
            return vectors
        if not self.board.level:
            return []
        assert self.board.config_read(0x06, 2) & 8
        causes = self.port.read(self.isr, 1)
        assert not self.board.level
        assert not self.board.config_read(0x06, 2) & 8
        return [name for bit, name in ((1, "queue"), (2, "config")) if causes & bit]
