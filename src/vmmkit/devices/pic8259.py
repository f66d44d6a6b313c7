# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The interrupt controllers of a PC: one 8259A, and the pair with the ELCR around it.

Theory of operation of the interrupt controllers
------------------------------------------------
`Pic8259` is one chip. Devices drive its inputs through the callables that `line` returns, the
guest programs it through `read` and `write`, and what it wants leaves through `interrupt(level)`:
the level of INT, told on changes only. The owner answers it when its processor can take an
interrupt, by `acknowledge`, which returns the vector.

No answer is kept: requests are the lines and the edges seen on them, and INT is recomputed after
every change. A request that ends before it is acknowledged (its line fell) takes INT with it. An
owner that had already begun the acknowledgement gets the vector of IR7 and no in-service bit,
as a processor would.

`PicPair` wires two chips as PCs do: the slave's INT is the master's IR2, and the number of an
acknowledged input with a slave goes round the cascade lines, where the slave with that identity
answers. If none does, as when the guest programmed another identity, the vector is FFh, a bus
that nobody drives.

`interrupt` is called after the state is complete and may call back into the chip. An exception
out of it leaves the chip consistent and leaves the access. There is no clock, thread or lock in
it: calls must not overlap in time.

Sources of the register rules: Intel, "8259A Programmable Interrupt Controller (8259A/8259A-2)",
named below as "8259A" with the title of the section, and for the edge/level control registers
Intel, "82371AB PCI-TO-ISA / IDE XCELERATOR (PIIX4)", registers ELCR1 and ELCR2.
"""

from __future__ import annotations

from typing import Final

import attrs

from vmmkit.devices._byte_window import ByteWindow
from vmmkit.devices._fields import check_integer, is_callable
from vmmkit.devices._pic8259_chip import Pic8259, PicLine, PicSnapshot, check_snapshot
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["Elcr", "Pic8259", "PicLine", "PicPair", "PicPairSnapshot", "PicSnapshot"]

_CASCADE: Final = 2  # the master's input that the slave's INT drives
_NOBODY: Final = 0xFF  # a data bus that no chip drives

# PIIX4, ELCR1 and ELCR2: timer, keyboard, cascade, RTC and coprocessor are always edge triggered.
_ELCR_KEPT: Final = (0xF8, 0xDE)


def _unconnected(_level: bool, /) -> None:
    """Stand in for a pin that leads nowhere."""


@attrs.frozen
class PicPairSnapshot:
    """The state of a `PicPair`; the defaults are those of chips just powered on."""

    master: PicSnapshot = attrs.field(factory=PicSnapshot)
    slave: PicSnapshot = attrs.field(factory=PicSnapshot)


@attrs.frozen(eq=False)
class Elcr(ByteWindow):
    """The edge/level control registers of a chipset, to be plugged in at port 4D0h.

    A set bit makes an input level triggered. Those of IRQ 0, 1, 2, 8 and 13 are always zero.
    """

    pics: tuple[Pic8259, Pic8259]

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return 2

    def _read_byte(self, offset: int) -> int:
        return self.pics[offset].level_triggered

    def _write_byte(self, offset: int, value: int) -> None:
        self.pics[offset].level_triggered = value & _ELCR_KEPT[offset]


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class PicPair:
    """Master and slave 8259A and the ELCR of a PC.

    Args:
        interrupt: called with the new level of the master's INT, on changes only.

    Raises:
        DeviceError: `interrupt` cannot be called.

    Plug `master` into port 20h, `slave` into A0h and `elcr` into 4D0h; each has two bytes.
    """

    interrupt: InterruptLine = attrs.field(default=_unconnected, validator=is_callable)
    master: Pic8259 = attrs.field(init=False)
    slave: Pic8259 = attrs.field(init=False)
    elcr: Elcr = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Wire the chips."""
        self.master = Pic8259(self.interrupt, cascade=self._answer_cascade)
        self.slave = Pic8259(self.master.line(_CASCADE), slave=True)
        self.elcr = Elcr((self.master, self.slave))

    def _answer_cascade(self, number: int) -> int:
        """8259A "Cascade Mode": the slave whose identity the master calls gives the vector."""
        return self.slave.acknowledge() if number == self.slave.identity else _NOBODY

    def line(self, number: int) -> PicLine:
        """Return IRQ `number` (0-15, not 2) as a callable that takes its level.

        Raises:
            DeviceError: there is no such line; 2 is the slave's.
        """
        if check_integer("8259A: the IRQ", number, 0, 15) == _CASCADE:
            raise DeviceError("8259A: IRQ 2 is the slave's; its devices use IRQ 9")
        return self.slave.line(number - 8) if number >= 8 else self.master.line(number)

    @property
    def interrupting(self) -> bool:
        """The level of the master's INT, as `interrupt` heard it last."""
        return self.master.interrupting

    def acknowledge(self) -> int:
        """Answer the processor's INTA pulses; return the vector. See `Pic8259.acknowledge`."""
        return self.master.acknowledge()

    def reset(self) -> None:
        """Return to the state of chips just powered on; the IRQ lines are as they are."""
        lines = self.master.snapshot().lines & ~(1 << _CASCADE)
        self.restore(
            PicPairSnapshot(
                PicSnapshot(lines=lines), PicSnapshot(lines=self.slave.snapshot().lines)
            )
        )

    def snapshot(self) -> PicPairSnapshot:
        """Return the whole state."""
        return PicPairSnapshot(self.master.snapshot(), self.slave.snapshot())

    def restore(self, snapshot: PicPairSnapshot) -> None:
        """Take the state of `snapshot`; INT is driven where it differs.

        Raises:
            DeviceError: no snapshot, or one that no pair can have; nothing changes then.
        """
        if not isinstance(snapshot, PicPairSnapshot):
            raise DeviceError(f"8259A: {snapshot!r} is no PicPairSnapshot")
        slave = check_snapshot(snapshot.slave, slave=True)
        # The master first: its IR2 already has the level that the slave then drives it to.
        self.master.restore(snapshot.master)
        self.slave.restore(slave)
        # A snapshot from within `interrupt` may hold a slave that has yet to raise its INT again.
        self.master.drive_line(_CASCADE, self.slave.interrupting)

    def __repr__(self) -> str:
        """Show both chips, for debuggers."""
        return f"<PicPair {self.master!r} {self.slave!r}>"
