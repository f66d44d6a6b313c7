# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What functions send upstream passes each bridge above only if the guest made it bus master."""

import pytest

from pci.machine import Machine
from vmmkit.pci import Msi, PowerManagement, ResetKind

BUS_MASTER = 4
RAM = 0x10_0000


class Tree:
    """A function with MSI behind two bridges, all of them bus masters."""

    def __init__(self):
        self.sent = []
        self.machine = Machine(send_msi=lambda *message: self.sent.append(message))
        self.machine.mmio.add_ram(RAM, bytearray(0x1000), name="RAM")
        power = PowerManagement(no_soft_reset=True)
        self.outer = self.machine.plug_bridge(1, capabilities=[power])
        self.inner = self.machine.plug_bridge(2, bus=self.outer.secondary, capabilities=[power])
        self.dev = self.machine.plug(3, bus=self.inner.secondary, capabilities=[Msi()], name="dev")
        self.machine.number(self.outer, 1, 2)
        self.machine.number(self.inner, 2)
        for function in (self.outer, self.inner, self.dev):
            self.machine.write(function, 4, 2, BUS_MASTER)
        self.machine.write(self.dev, self.dev.config.offset_of(Msi) + 2, 2, 1)

    def pulse(self):
        self.dev.interrupts.vector(0).pulse()

    def set_power(self, bridge, state):
        self.machine.write(bridge, bridge.config.offset_of(PowerManagement) + 4, 2, state)


@pytest.fixture
def tree():
    return Tree()


def test_with_all_bridges_as_masters_everything_passes(tree):
    tree.pulse()
    assert len(tree.sent) == 1
    assert tree.dev.dma.write(RAM, b"data")
    assert tree.dev.dma.read(RAM, 4) == b"data"


@pytest.mark.parametrize("name", ["outer", "inner"])
def test_a_bridge_that_is_no_master_holds_messages_and_refuses_dma(tree, name):
    bridge = getattr(tree, name)
    tree.machine.write(bridge, 4, 2, 0)
    tree.pulse()
    assert tree.sent == []
    assert tree.dev.interrupts.pending(0)
    assert not tree.dev.dma.enabled
    assert (tree.dev.dma.read(RAM, 2), tree.dev.dma.write(RAM, b"x")) == (b"\xff\xff", False)
    assert tree.dev.dma.view(RAM, 4) is None
    tree.machine.write(bridge, 4, 2, BUS_MASTER)
    assert len(tree.sent) == 1
    assert tree.dev.dma.read(RAM, 2) == b"\x00\x00"


def test_a_sleeping_bridge_holds_messages(tree):
    tree.set_power(tree.outer, 3)
    tree.pulse()
    assert tree.sent == []
    tree.set_power(tree.outer, 0)
    assert len(tree.sent) == 1


def test_a_bridge_that_was_reset_alone_is_no_master(tree):
    tree.outer.reset(ResetKind.FUNCTION)
    tree.pulse()
    assert tree.sent == []


def test_the_order_of_enabling_does_not_matter(tree):
    for function in (tree.dev, tree.outer):
        tree.machine.write(function, 4, 2, 0)
    tree.pulse()
    tree.machine.write(tree.dev, 4, 2, BUS_MASTER)
    assert tree.sent == []
    tree.machine.write(tree.outer, 4, 2, BUS_MASTER)
    assert len(tree.sent) == 1


def test_a_function_that_moves_to_the_root_bus_needs_no_bridge(tree):
    tree.machine.write(tree.inner, 4, 2, 0)
    tree.pulse()
    tree.inner.secondary.detach(tree.dev)
    assert tree.sent == []
    tree.machine.host.bus.attach(tree.dev, 9)
    assert len(tree.sent) == 1


def test_a_snapshot_keeps_what_a_bridge_holds_back(tree):
    tree.machine.write(tree.outer, 4, 2, 0)
    tree.pulse()
    saved = tree.machine.host.snapshot()
    tree.machine.write(tree.outer, 4, 2, BUS_MASTER)
    tree.machine.host.restore(saved)
    assert len(tree.sent) == 1
    assert tree.dev.interrupts.pending(0)
    tree.machine.write(tree.outer, 4, 2, BUS_MASTER)
    assert len(tree.sent) == 2
