# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MSI: message data, fewer messages than vectors, writes of every shape, the Pending register."""

import pytest

from pci.wired import MSI_ENABLE, Wired

ADDRESS = 0x1_FEE0_1000


@pytest.mark.parametrize("address64", [False, True])
@pytest.mark.parametrize("maskable", [False, True])
def test_every_layout(address64, maskable):
    wired = Wired(msi=4, address64=address64, maskable=maskable)
    wired.msi(granted=4, address=ADDRESS, data=0x4567)
    wired.irq(2).pulse()
    assert wired.take() == [(ADDRESS if address64 else ADDRESS & 0xFFFF_FFFF, 0x4566)]


# Vectors offered, messages granted, data, and the data each vector sends.
GRANTS = [
    (1, 1, 0x41, [0x41]),
    (4, 4, 0x41, [0x40, 0x41, 0x42, 0x43]),
    (4, 2, 0x41, [0x40, 0x41, 0x40, 0x41]),
    (4, 1, 0x41, [0x41, 0x41, 0x41, 0x41]),
    (8, 4, 0xFFFF, [0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF]),
    (4, 32, 0x41, [0x40, 0x41, 0x42, 0x43]),  # more than offered is what is offered
    (4, 128, 0x41, [0x40, 0x41, 0x42, 0x43]),  # a reserved encoding
]


@pytest.mark.parametrize(("vectors", "granted", "data", "sent"), GRANTS)
def test_vector_modulo_messages_granted(vectors, granted, data, sent):
    wired = Wired(msi=vectors)
    wired.msi(granted=granted, data=data)
    for number in range(vectors):
        wired.irq(number).pulse()
    assert [data for _, data in wired.take()] == sent


def test_vectors_that_share_a_message_leave_as_one():
    wired = Wired(msi=4)
    wired.msi(granted=2)
    wired.msi_mask(0b10)
    wired.irq(1).pulse()
    wired.irq(3).set_level(True)
    assert wired.config.msi.pending == 0b10
    wired.irq(3).set_level(False)
    assert wired.config.msi.pending == 0b10  # the pulse of vector 1 still waits
    wired.irq(3).set_level(True)
    wired.msi_mask(0)
    assert (len(wired.take()), wired.config.msi.pending) == (1, 0)


def test_granting_more_spreads_what_waits():
    wired = Wired(msi=4)
    wired.msi(granted=1)
    wired.msi_mask(0b1111)
    for number in range(4):
        wired.irq(number).pulse()
    assert wired.config.msi.pending == 0b1
    wired.msi(granted=4)
    assert wired.config.msi.pending == 0b1111
    wired.msi_mask(0b0110)
    assert [data & 3 for _, data in wired.take()] == [0, 3]
    assert wired.config.msi.pending == 0b0110


def test_pending_bits_are_read_only():
    wired = Wired(msi=4)
    wired.msi(granted=4)
    wired.msi_mask(0b1)
    wired.irq(0).pulse()
    at = wired.config.msi.offset + 0x14
    wired.write(at, 4, 0xFFFF_FFFE)
    assert wired.config.read(at, 4) == 1


def test_without_mask_bits_a_closed_gate_still_keeps_messages():
    wired = Wired(msi=1, maskable=False)
    wired.msi()
    wired.command(0)
    wired.irq().pulse()
    assert (wired.sent, wired.irq().pending) == ([], True)
    wired.command(4)
    assert len(wired.take()) == 1


# The enable bit, written in every shape that reaches it: (offset from the capability, bytes).
SHAPES = [(2, 1), (2, 2), (0, 4), (1, 2), (1, 4), (0, 8), (2, 4)]


@pytest.mark.parametrize(("at", "size"), SHAPES)
def test_enable_reaches_by_every_write(at, size):
    """A dword write onto the header that reached only the control word broke guests elsewhere."""
    wired = Wired(msi=1)
    wired.msi(enable=False, address=0, data=0x41)
    wired.irq().pulse()
    start = wired.config.msi.offset
    wired.write(start + at, size, MSI_ENABLE << 8 * (2 - at))
    assert wired.interrupts.mode == "msi"
    assert len(wired.take()) == 1


def test_the_message_may_change_while_enabled():
    wired = Wired(msi=1)
    wired.msi(data=0x41)
    at = wired.config.msi.offset
    wired.write(at + 12, 1, 0x42)
    wired.write(at + 8, 4, 5)
    wired.irq().pulse()
    assert wired.take() == [(5 << 32 | ADDRESS & 0xFFFF_FFFF, 0x42)]


def test_pending_after_reset():
    wired = Wired(msi=4)
    wired.msi(granted=4)
    wired.msi_mask(0b1111)
    wired.irq(2).pulse()
    wired.reset()
    assert (wired.config.msi.pending, wired.irq(2).pending) == (0, False)
