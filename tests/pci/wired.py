# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A function's interrupts with everything they do written down, driven as a guest does."""

from vmmkit.pci.capabilities import Msi, Msix, PowerManagement
from vmmkit.pci.config import ConfigSpace, Effect, ResetKind
from vmmkit.pci.interrupts import Interrupts

COMMAND, STATUS = 0x04, 0x06
BUS_MASTER, DISABLE_INTX = 1 << 2, 1 << 10
INTERRUPT_STATUS = 1 << 3
MSI_ENABLE, MSIX_ENABLE, FUNCTION_MASK = 1 << 0, 1 << 15, 1 << 14


def address_of(entry):
    return 0xFEE0_0000 + (entry << 12) + (entry << 32)


def config_space(msix=0, msi=0, address64=True, maskable=True):
    """A config space with power management and the interrupt capabilities asked for."""
    config = ConfigSpace.type0(vendor_id=0x1234, device_id=0x5678, class_code=0xFF0000)
    config.add(PowerManagement())
    if msi:
        config.add(Msi(vectors=msi, address64=address64, maskable=maskable))
    if msix:
        config.add(Msix(vectors=msix, table_bar=0, pba_bar=0, pba_offset=0x8000))
    return config


class Wired:
    """Interrupts whose messages are in `sent` and whose pin's levels are in `pin`."""

    def __init__(self, *, pin=None, bus_master=True, **capabilities):
        self.config = config_space(**capabilities)
        self.interrupts = Interrupts(self.config, pin=pin)
        self.sent, self.pin = [], []
        self.interrupts.send = lambda address, data: self.sent.append((address, data))
        self.interrupts.set_pin = self.pin.append
        if bus_master:
            self.command(BUS_MASTER)

    # -- what a guest does -----------------------------------------------------------------------

    def write(self, offset, size, value):
        effects = self.config.write(offset, size, value)
        if effects & (Effect.INTERRUPT | Effect.POWER):
            self.interrupts.config_changed()
        return effects

    def command(self, value):
        self.write(COMMAND, 2, value)

    def power(self, state):
        at = self.config.find(1) + 4
        self.write(at, 1, state)

    def msix(self, *, enable=True, function_mask=False):
        value = MSIX_ENABLE * enable | FUNCTION_MASK * function_mask
        self.write(self.config.msix.offset + 2, 2, value)

    def msi(self, *, enable=True, granted=1, address=0x1_FEE0_1000, data=0x4560):
        at = self.config.msi.offset
        wide = self.config.get(at + 2, 2) >> 7 & 1
        self.write(at + 4, 4, address & 0xFFFF_FFFF)
        if wide:
            self.write(at + 8, 4, address >> 32)
        self.write(at + 12 if wide else at + 8, 2, data)
        self.write(at + 2, 2, MSI_ENABLE * enable | granted.bit_length() - 1 << 4)

    def msi_mask(self, bits):
        at = self.config.msi.offset
        wide = self.config.get(at + 2, 2) >> 7 & 1
        self.write(at + (16 if wide else 12), 4, bits)

    def entry(self, number, *, masked=False, address=None, data=None):
        """Write a whole entry as Linux does: address, data, then vector control."""
        address = address_of(number) if address is None else address
        data = 0x40 + number if data is None else data
        write, at = self.interrupts.table.write, 16 * number
        write(None, at, 4, address & 0xFFFF_FFFF)
        write(None, at + 4, 4, address >> 32)
        write(None, at + 8, 4, data)
        write(None, at + 12, 4, masked)

    def mask(self, number, masked=True):
        self.interrupts.table.write(None, 16 * number + 12, 4, masked)

    def unmask(self, number):
        self.mask(number, masked=False)

    # -- what is seen ----------------------------------------------------------------------------

    def irq(self, number=0):
        return self.interrupts.vector(number)

    def take(self):
        sent = list(self.sent)
        self.sent.clear()
        return sent

    def pending(self):
        """Pending bits as the guest reads them from the MSI-X array."""
        table = self.interrupts.table
        return table.pba.read(None, 0, table.pba.size)

    def status(self):
        return self.config.read(STATUS, 2) & INTERRUPT_STATUS

    def reset(self, kind=ResetKind.FUNCTION):
        self.config.reset(kind)
        self.interrupts.reset(kind)


def message(entry):
    """What `Wired.entry` programs by default."""
    return address_of(entry), 0x40 + entry
