# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Devices that the tests of the address map share."""


class Recorder:
    """Answers reads with its offset and notes every access."""

    def __init__(self, name="device"):
        self.name = name
        self.log = []

    def read(self, vcpu, offset, size):
        self.log.append(("read", vcpu, offset, size))
        return offset

    def write(self, vcpu, offset, size, value):
        self.log.append(("write", vcpu, offset, size, value))


class Registers:
    """Bytes that can be read and written, little-endian."""

    def __init__(self, size):
        self.data = bytearray(size)

    def read(self, vcpu, offset, size):
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, vcpu, offset, size, value):
        self.data[offset : offset + size] = value.to_bytes(size, "little")


class Journal:
    """A listener that notes what it hears, with the bases as they were at that moment."""

    def __init__(self):
        self.heard = []

    def region_added(self, region):
        self.heard.append(("added", region.name, region.base))

    def region_removed(self, region):
        self.heard.append(("removed", region.name))

    def region_moved(self, region, old_base):
        self.heard.append(("moved", region.name, old_base, region.base))


class Slots:
    """A listener as a hypervisor has it: memory slots that must never overlap."""

    def __init__(self):
        self.slots = {}

    def _claim(self, region):
        for base, size in self.slots.values():
            assert region.base + region.size <= base or base + size <= region.base
        self.slots[region] = region.base, region.size

    def region_added(self, region):
        assert region not in self.slots
        self._claim(region)

    def region_removed(self, region):
        del self.slots[region]

    def region_moved(self, region, old_base):
        assert self.slots.pop(region) == (old_base, region.size)
        self._claim(region)
