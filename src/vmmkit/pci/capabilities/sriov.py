# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The SR-IOV capability of a physical function. The virtual functions are somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import ConfigWrite, Effect, WriteHook
from vmmkit.pci.capabilities.base import ExtendedCapability, items, within
from vmmkit.pci.header import define_bar_register
from vmmkit.pci.spec import BarKind, ExtendedCapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["SrIov", "SrIovRegister", "VfBar"]


class SrIovRegister:
    """Offsets in the structure. PCI Express Base Specification, "SR-IOV Extended Capability"."""

    CAPABILITIES: Final = 0x04
    CONTROL: Final = 0x08
    STATUS: Final = 0x0A
    INITIAL_VFS: Final = 0x0C
    TOTAL_VFS: Final = 0x0E
    NUM_VFS: Final = 0x10
    FUNCTION_LINK: Final = 0x12
    FIRST_VF: Final = 0x14
    VF_STRIDE: Final = 0x16
    VF_DEVICE_ID: Final = 0x1A
    SUPPORTED_PAGE_SIZES: Final = 0x1C
    SYSTEM_PAGE_SIZE: Final = 0x20
    VF_BAR0: Final = 0x24
    MIGRATION_STATE: Final = 0x3C


_SIZE: Final = 0x40
_ENABLE: Final = 0x01
_MEMORY: Final = 0x08
_ARI_HIERARCHY: Final = 0x10
_PAGE: Final = 0x1000
_DWORD: Final = 0xFFFF_FFFF


def _check_kind(_bar: VfBar, _attribute: object, kind: BarKind) -> None:
    if not isinstance(kind, BarKind):
        raise ConfigSpaceError(f"VfBar: {kind!r} is no BarKind")
    if kind in (BarKind.IO, BarKind.ROM):
        raise ConfigSpaceError(f"VfBar: a virtual function has no {kind.value} BAR")


@attrs.frozen
class VfBar:
    """A BAR that each virtual function has.

    Args:
        index: 0-5; a 64-bit BAR takes the next one too.
        size: bytes of one virtual function: a power of two, at least a page of 4 KiB.
        kind: memory of any kind.

    Raises:
        ConfigSpaceError: another index, size or kind.
    """

    index: int = attrs.field(validator=within(0, 5))
    size: int = attrs.field(validator=within(_PAGE, 1 << 63))
    kind: BarKind = attrs.field(default=BarKind.MEM64_PREFETCHABLE, validator=_check_kind)


def _check_bars(_sriov: SrIov, _attribute: object, bars: tuple[object, ...]) -> None:
    wrong = [bar for bar in bars if not isinstance(bar, VfBar)]
    if wrong:
        raise ConfigSpaceError(f"SrIov: {wrong[0]!r} is no VfBar")


@attrs.frozen(kw_only=True)
class SrIov(ExtendedCapability):
    """The registers that virtual functions are switched on by.

    As long as VF Enable is set, NumVFs and System Page Size ignore writes; so they do with more
    virtual functions than there are, and page sizes that are not supported.

    Args:
        total_vfs: how many there can be, 1-65535; InitialVFs is the same.
        device_id: of the virtual functions.
        first_vf: routing ID of the first one, relative to the physical function.
        stride: distance of their routing IDs.
        bars: what each of them has.
        page_sizes: Supported Page Sizes: bit n for pages of 2**(n+12) bytes, bit 0 among them.
        function_link: Function Dependency Link.

    Raises:
        ConfigSpaceError: out of range.
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.SRIOV

    total_vfs: int = attrs.field(validator=within(1, 0xFFFF))
    device_id: int = attrs.field(validator=within(0, 0xFFFF))
    first_vf: int = attrs.field(default=1, validator=within(1, 0xFFFF))
    stride: int = attrs.field(default=1, validator=within(0, 0xFFFF))
    bars: tuple[VfBar, ...] = attrs.field(default=(), converter=items, validator=_check_bars)
    page_sizes: int = attrs.field(default=0x553, validator=within(1, _DWORD))
    function_link: int = attrs.field(default=0, validator=within(0, 0xFF))

    def __attrs_post_init__(self) -> None:
        """Demand the page size that is in force after a reset."""
        if not self.page_sizes & 1:
            raise ConfigSpaceError(f"SrIov: page_sizes {self.page_sizes:#x} is without 4 KiB")

    @property
    def size(self) -> int:
        """Bytes."""
        return _SIZE

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out numbers, control and the BARs of the virtual functions."""
        at = SrIovRegister
        rw = _ENABLE | _MEMORY | _ARI_HIERARCHY
        effects = (
            (_ENABLE | _ARI_HIERARCHY, Effect.NUMBERS | Effect.DECODE),
            (_MEMORY, Effect.DECODE),
        )
        config.define(offset + at.CONTROL, 2, rw=rw, effects=effects, name="SR-IOV.Control")
        for where, size, value, name in self._constants():
            config.define(offset + where, size, value=value, name=f"SR-IOV.{name}")
        config.define(offset + at.NUM_VFS, 2, rw=0xFFFF, name="SR-IOV.NumVFs")
        pages = self.page_sizes
        config.define(
            offset + at.SYSTEM_PAGE_SIZE, 4, value=1, rw=pages, name="SR-IOV.SystemPageSize"
        )
        config.on_write(offset + at.NUM_VFS, 2, self._count_written(offset))
        config.on_write(offset + at.SYSTEM_PAGE_SIZE, 4, self._page_written(offset))
        for bar in self.bars:
            first, name = offset + at.VF_BAR0, f"SR-IOV.VF BAR {bar.index}"
            define_bar_register(config, first + 4 * bar.index, bar.kind, bar.size, name)

    def _constants(self) -> tuple[tuple[int, int, int, str], ...]:
        """Return (offset, size, value, name) of what no guest changes."""
        at = SrIovRegister
        return (
            (at.CAPABILITIES, 4, 0, "Capabilities"),
            (at.STATUS, 2, 0, "Status"),
            (at.INITIAL_VFS, 2, self.total_vfs, "InitialVFs"),
            (at.TOTAL_VFS, 2, self.total_vfs, "TotalVFs"),
            (at.FUNCTION_LINK, 2, self.function_link, "FunctionLink"),
            (at.FIRST_VF, 2, self.first_vf, "FirstVF"),
            (at.VF_STRIDE, 2, self.stride, "VFStride"),
            (at.VF_DEVICE_ID, 2, self.device_id, "VFDeviceID"),
            (at.SUPPORTED_PAGE_SIZES, 4, self.page_sizes, "SupportedPageSizes"),
            (at.MIGRATION_STATE, 4, 0, "MigrationState"),
        )

    def _count_written(self, offset: int) -> WriteHook:
        """Return a hook that takes back a number of functions that cannot be had now."""

        def check(config: ConfigSpace, write: ConfigWrite) -> int:
            enabled = config.get(offset + SrIovRegister.CONTROL, 2) & _ENABLE
            if enabled or write.new & 0xFFFF > self.total_vfs:
                config.set(write.offset, 2, write.old & 0xFFFF)
            return 0

        return check

    def _page_written(self, offset: int) -> WriteHook:
        """Return a hook that takes back a page size that cannot be had now."""

        def check(config: ConfigSpace, write: ConfigWrite) -> int:
            enabled = config.get(offset + SrIovRegister.CONTROL, 2) & _ENABLE
            if enabled or write.new.bit_count() != 1:
                config.set(write.offset, 4, write.old)
            return 0

        return check
