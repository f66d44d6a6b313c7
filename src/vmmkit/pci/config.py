# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A function's configuration space: registers, what a guest may do to them, and what that means.

Theory of operation: config spaces
----------------------------------
The space is a list of dwords with parallel lists of masks: which bits a guest may write, which it
clears by writing ones, which survive a reset. An access of any width and alignment is cut into
byte lanes of dwords, and a register sees the lanes that were written and no others: a byte write
beside a W1C bit does not clear it.

A write returns an `Effect`: what somebody else has to look at again. A read has no effects. The
space knows no address map, no interrupt controller and no bus; those who do, act on the effects.

A space begins as a header (`ConfigSpace.type0`, `ConfigSpace.type1`), gets base address registers
(`define_bar`) and capabilities (`add`), which choose their place and chain themselves, and may get
registers of the device's own (`define`). Bytes that two of them want are an error naming both.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, Self, TypeVar

import attrs

from vmmkit.errors import ConfigSpaceError, PciSnapshotError
from vmmkit.pci._registers import (
    ConfigWrite,
    Effect,
    Place,
    ReadHook,
    RegisterFile,
    ResetKind,
    WriteHook,
    whole,
)
from vmmkit.pci.capabilities.base import Capability, ExtendedCapability
from vmmkit.pci.capabilities.msi import Msi, MsiView
from vmmkit.pci.capabilities.msix import Msix, MsixView
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.header import define_bar, define_type0, define_type1
from vmmkit.pci.spec import (
    CONVENTIONAL_SIZE,
    EXTENDED_SIZE,
    FIRST_CAPABILITY,
    FIRST_EXTENDED_CAPABILITY,
    BarKind,
    Header,
    HeaderType,
    Status,
)

__all__ = [
    "ConfigSnapshot",
    "ConfigSpace",
    "ConfigWrite",
    "Effect",
    "ReadHook",
    "ResetKind",
    "WriteHook",
]

_SNAPSHOT_VERSION: Final = 1
_PM_CONTROL: Final = 4

AnyCapability = TypeVar("AnyCapability", bound=Capability)


@attrs.frozen
class ConfigSnapshot:
    """All that a configuration space holds.

    Attributes:
        version: of this format.
        layout: digest of the registers, their masks, and the function's ids.
        values: the dwords.
    """

    version: int
    layout: str
    values: tuple[int, ...]


class ConfigSpace(RegisterFile):
    """The registers of one function.

    Args:
        size: bytes: 256, or 4096 for a PCI Express function.

    Raises:
        ConfigSpaceError: another size.

    The constructor makes an empty space; `type0` and `type1` make one with a header.
    """

    __slots__ = ("_bars", "_capabilities", "_msi", "_msix", "_pm_control")

    def __init__(self, size: int = EXTENDED_SIZE) -> None:
        """Start with a space whose every bit is zero and read-only."""
        super().__init__(size)
        self._capabilities: list[tuple[int, Capability]] = []
        self._bars: dict[int, tuple[BarKind, int]] = {}
        self._msi: MsiView | None = None
        self._msix: MsixView | None = None
        self._pm_control = 0

    @classmethod
    def type0(
        cls,
        *,
        vendor_id: int,
        device_id: int,
        revision: int = 0,
        class_code: int,
        subsystem_vendor_id: int = 0,
        subsystem_id: int = 0,
        size: int = EXTENDED_SIZE,
    ) -> Self:
        """Make the space of a function that is no bridge.

        Args:
            vendor_id: 16 bits.
            device_id: 16 bits.
            revision: 8 bits.
            class_code: 24 bits: base class, sub-class, programming interface.
            subsystem_vendor_id: 16 bits.
            subsystem_id: 16 bits.
            size: bytes: 256, or 4096 for a PCI Express function.

        Raises:
            ConfigSpaceError: a value that does not fit its register.
        """
        config = cls(size)
        define_type0(
            config,
            vendor_id=vendor_id,
            device_id=device_id,
            revision=revision,
            class_code=class_code,
            subsystem_vendor_id=subsystem_vendor_id,
            subsystem_id=subsystem_id,
        )
        return config

    @classmethod
    def type1(
        cls,
        *,
        vendor_id: int,
        device_id: int,
        revision: int = 0,
        class_code: int = 0x060400,
        io_bits: int = 16,
        prefetchable_bits: int = 64,
        size: int = EXTENDED_SIZE,
    ) -> Self:
        """Make the space of a PCI-to-PCI bridge, root port or switch port.

        Args:
            vendor_id: 16 bits.
            device_id: 16 bits.
            revision: 8 bits.
            class_code: 24 bits: base class, sub-class, programming interface.
            io_bits: width of the I/O window, 16 or 32; 0 for a bridge without one.
            prefetchable_bits: width of the prefetchable window, 32 or 64; 0 for none.
            size: bytes: 256, or 4096 for a PCI Express function.

        Raises:
            ConfigSpaceError: a value that does not fit its register.
        """
        config = cls(size)
        define_type1(
            config,
            vendor_id=vendor_id,
            device_id=device_id,
            revision=revision,
            class_code=class_code,
            io_bits=io_bits,
            prefetchable_bits=prefetchable_bits,
        )
        return config

    # -- what others look at ---------------------------------------------------------------------

    @property
    def command(self) -> int:
        """The Command register."""
        return self._values[1] & 0xFFFF

    @property
    def header_type(self) -> HeaderType:
        """The layout of the header, without the multifunction bit."""
        return HeaderType(self.get(Header.HEADER_TYPE, 1) & 0x7F)

    @property
    def power_state(self) -> int:
        """The D-state, 0-3; 0 without power management."""
        at = self._pm_control
        return self._values[at >> 2] & 3 if at else 0

    @property
    def msi(self) -> MsiView | None:
        """The MSI registers, if there are any."""
        return self._msi

    @property
    def msix(self) -> MsixView | None:
        """The MSI-X registers, if there are any."""
        return self._msix

    @property
    def bars(self) -> dict[int, tuple[BarKind, int]]:
        """Kind and size of the base address registers, by index; the ROM's index is 6."""
        return dict(self._bars)

    # -- base address registers ------------------------------------------------------------------

    def define_bar(self, index: int, kind: BarKind, size: int) -> None:
        """Lay out a base address register.

        Args:
            index: 0-5, in a type 1 header 0-1; 6 for the expansion ROM. A 64-bit BAR takes the
                next one too.
            kind: what it decodes.
            size: a power of two: 4-256 bytes of I/O, at least 16 of memory, 2 KiB-16 MiB of ROM.

        Raises:
            ConfigSpaceError: no such BAR, a size it cannot have, its register is taken, or an
                MSI-X table that does not fit into it.
        """
        define_bar(self, self.header_type, index, kind, size)
        self._bars[index] = kind, size
        self._check_msix()

    def _check_msix(self) -> None:
        """Refuse MSI-X structures outside of the memory BARs that are there so far."""
        msix = self.capability(Msix)
        if msix is not None:
            msix.check_bars(self._bars)

    def check_complete(self) -> None:
        """Refuse MSI-X structures in a BAR that is not there, once all BARs are.

        Raises:
            ConfigSpaceError: they are in one that is not there.
        """
        msix = self.capability(Msix)
        if msix is not None:
            msix.check_bars(self._bars, complete=True)

    # -- capabilities ----------------------------------------------------------------------------

    def add(self, capability: Capability, at: int | None = None) -> int:
        """Place a capability and chain it behind those that are there.

        Args:
            capability: what to place.
            at: its offset, a multiple of 4; default: the first room from 40h on, of extended
                ones from 100h on.

        Returns:
            Its offset.

        Raises:
            ConfigSpaceError: no room, bytes that are taken, an extended capability in a space of
                256 bytes, or a second one of a kind that a function has once.
        """
        name = f"capability {type(capability).__name__}"
        self._check_addable(capability, name)
        size = capability.size + 3 & ~3
        offset = self._find_room(capability, size) if at is None else whole("at", at)
        place = Place(offset, size, name)
        self._check_span(capability, place)
        self._check_free(place)
        self._lay_out(capability, place)
        self._capabilities.append((offset, capability))
        self._chain()
        self._remember(capability, offset)
        return offset

    def _check_addable(self, capability: Capability, name: str) -> None:
        if not isinstance(capability, Capability):
            raise ConfigSpaceError(f"{capability!r} is no capability")
        if capability.extended and self.size != EXTENDED_SIZE:
            raise ConfigSpaceError(f"{name} needs a space of 4096 bytes")
        for offset, other in self._capabilities:
            if type(other) is type(capability) and not capability.repeats:
                raise ConfigSpaceError(f"{name}: there is one already, at {offset:02x}h")

    def _span(self, capability: Capability) -> tuple[int, int]:
        """Return the first byte and the end of the part that a capability may be in."""
        if capability.extended:
            return FIRST_EXTENDED_CAPABILITY, EXTENDED_SIZE
        return FIRST_CAPABILITY, CONVENTIONAL_SIZE

    def _check_span(self, capability: Capability, place: Place) -> None:
        first, end = self._span(capability)
        if place.offset & 3 or not first <= place.offset <= end - place.size:
            limits = f"at a multiple of 4 in [{first:02x}h-{end - 1:02x}h]"
            raise ConfigSpaceError(f"{place} is not {limits}")

    def _find_room(self, capability: Capability, size: int) -> int:
        first, end = self._span(capability)
        wanted = (1 << size) - 1
        for offset in range(first, end - size + 1, 4):
            if not self._taken >> offset & wanted:
                return offset
        name = type(capability).__name__
        raise ConfigSpaceError(f"no room for capability {name} of {size} bytes below {end:x}h")

    def _lay_out(self, capability: Capability, place: Place) -> None:
        """Let a capability define its registers, and take all its bytes."""
        before = self._taken
        capability.define(self, place.offset)
        area = (1 << place.size) - 1 << place.offset
        header = 4 if capability.extended else 2
        if (self._taken ^ before) & ~(area & area << header):
            raise ConfigSpaceError(f"{place} defined registers outside of it or in its header")
        self._taken |= area
        self._places.append(place)

    def _chain(self) -> None:
        """Write the headers: standard ones in the order of adding, extended ones by offset."""
        standard = [pair for pair in self._capabilities if not pair[1].extended]
        link = int(Header.CAPABILITIES_POINTER)
        for offset, capability in standard:
            self.preset(link, 1, offset)
            self.preset(offset, 2, capability.identity)
            link = offset + 1
        if standard:
            self.preset(Header.STATUS, 2, self.get(Header.STATUS, 2) | Status.CAPABILITIES)
        self._chain_extended()

    def _chain_extended(self) -> None:
        """Chain from 100h, with a null capability there if no other is."""
        extended = {
            offset: capability.identity | capability.revision << 16
            for offset, capability in self._capabilities
            if isinstance(capability, ExtendedCapability)
        }
        if not extended:
            return
        headers = sorted({FIRST_EXTENDED_CAPABILITY: 0, **extended}.items())
        following = [offset for offset, _ in headers[1:]] + [0]
        for (offset, header), link in zip(headers, following, strict=True):
            self.preset(offset, 4, header | link << 20)

    def _remember(self, capability: Capability, offset: int) -> None:
        """Keep at hand what is looked at often."""
        if isinstance(capability, Msi):
            self._msi = MsiView(self, offset)
        elif isinstance(capability, Msix):
            self._msix = MsixView(self, offset)
            self._check_msix()
        elif isinstance(capability, PowerManagement):
            self._pm_control = offset + _PM_CONTROL

    @property
    def capabilities(self) -> tuple[tuple[int, Capability], ...]:
        """Offset and value of each capability, in the order of adding."""
        return tuple(self._capabilities)

    def capability(self, kind: type[AnyCapability]) -> AnyCapability | None:
        """Return the first capability of a class, or `None`."""
        return next((one for _, one in self._capabilities if isinstance(one, kind)), None)

    def offset_of(self, kind: type[Capability]) -> int | None:
        """Return the offset of the first capability of a class, or `None`."""
        return next((at for at, one in self._capabilities if isinstance(one, kind)), None)

    def find(self, cap_id: int, *, extended: bool = False) -> int | None:
        """Return the offset of the first capability with an ID, or `None`."""
        for offset, capability in self._capabilities:
            if capability.identity == cap_id and capability.extended is extended:
                return offset
        return None

    # -- state -----------------------------------------------------------------------------------

    @property
    def layout(self) -> str:
        """Digest of what a snapshot has to agree with: registers, masks, and the ids."""
        columns = (self._writable, self._w1c, self._sticky, self._held)
        ids = self._reset[0], self._reset[2]
        capabilities = [
            (offset, repr(one) if attrs.has(type(one)) else type(one).__qualname__)
            for offset, one in self._capabilities
        ]
        described = repr((self.size, ids, columns, sorted(self._registers), capabilities))
        return blake2b(described.encode(), digest_size=16).hexdigest()

    def snapshot(self) -> ConfigSnapshot:
        """Return all that the registers hold."""
        return ConfigSnapshot(_SNAPSHOT_VERSION, self.layout, tuple(self._values))

    def restore(self, snapshot: ConfigSnapshot) -> None:
        """Take what `snapshot` holds. No hook runs; every effect may have come about.

        Raises:
            PciSnapshotError: no snapshot, of another version, or of a space that is laid out in
                another way; nothing changed then.
        """
        self.check_snapshot(snapshot)
        with self._lock:
            self._values[:] = snapshot.values

    def check_snapshot(self, snapshot: object) -> None:
        """Refuse what `restore` would not take.

        Raises:
            PciSnapshotError: see there.
        """
        if not isinstance(snapshot, ConfigSnapshot):
            raise PciSnapshotError(f"{snapshot!r} is no ConfigSnapshot")
        if snapshot.version != _SNAPSHOT_VERSION:
            raise PciSnapshotError(f"config snapshot of version {snapshot.version!r}")
        if snapshot.layout != self.layout:
            raise PciSnapshotError("the config snapshot is of another layout or function")
        values = snapshot.values if isinstance(snapshot.values, (tuple, list)) else ()
        if len(values) != len(self._values) or not all(map(_is_dword, values)):
            raise PciSnapshotError(f"the config snapshot does not hold {len(self._values)} dwords")

    def _check(self) -> None:
        """Assert, for tests, that a guest finds every capability once and no bit has two roles."""
        for index, value in enumerate(self._values):
            assert _is_dword(value), f"{value:#x} at {index * 4:#x}"
            assert not self._writable[index] & self._w1c[index], f"rw and w1c at {index * 4:#x}"
        found = dict(self._walk())
        for offset, one in self._capabilities:
            assert found.pop(offset, None) == one.identity, f"{one!r} at {offset:#x}"
        assert set(found.values()) <= {0}, f"found {found}"

    def _walk(self) -> Iterator[tuple[int, int]]:
        """Yield offset and ID of each capability that a guest finds."""
        offset = self.get(Header.CAPABILITIES_POINTER, 1)
        while offset:
            yield offset, self.get(offset, 1)
            offset = self.get(offset + 1, 1)
        offset = FIRST_EXTENDED_CAPABILITY if self.size == EXTENDED_SIZE else 0
        while offset:
            header = self.get(offset, 4)
            yield offset, header & 0xFFFF
            offset = header >> 20


def _is_dword(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= 0xFFFF_FFFF
