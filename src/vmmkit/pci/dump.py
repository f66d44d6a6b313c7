# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Configuration spaces as the hex dumps that `lspci -F` reads.

::

    text = dump({0x0008: config})
    Path("machine.txt").write_text(text)        # then: lspci -F machine.txt -vvv
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import whole

__all__ = ["Readable", "dump", "format_bdf"]

_ROW: Final = 16
_LAST_BDF: Final = 0xFFFF
_LAST_SEGMENT: Final = 0xFFFF


class Readable(Protocol):
    """What a dump is made of: a `ConfigSpace`, or anything that reads like one."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, size: int, /) -> int:
        """Read as a guest does."""


def format_bdf(bdf: int, segment: int = 0) -> str:
    """Return a function's address as `lspci` writes it, the segment only if it is not zero.

    Args:
        bdf: bus number in bits 8-15, device 3-7, function 0-2.
        segment: number of the PCI segment group, 0-65535.

    Raises:
        ConfigSpaceError: out of range.
    """
    if (
        not 0 <= whole("bdf", bdf) <= _LAST_BDF
        or not 0 <= whole("segment", segment) <= _LAST_SEGMENT
    ):
        raise ConfigSpaceError(f"no function {bdf:#x} of segment {segment:#x}")
    domain = f"{segment:04x}:" if segment else ""
    return f"{domain}{bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7}"


def dump(configs: Mapping[int, Readable], *, segment: int = 0, title: str = "vmmkit") -> str:
    """Return what `lspci -F` takes for the output of `lspci -xxxx`.

    Args:
        configs: spaces by address: bus << 8 | device << 3 | function.
        segment: number of their PCI segment group.
        title: what stands behind each address; `lspci` ignores it.

    Returns:
        Lines of 16 bytes as the guest reads them, a heading before and a blank line after each
        function.

    Raises:
        ConfigSpaceError: an address or segment out of range, or a title of several lines.
    """
    if not isinstance(title, str) or len(title.splitlines()) > 1:
        raise ConfigSpaceError(f"a title is one line of text, not {title!r}")
    lines: list[str] = []
    for bdf, config in sorted(configs.items(), key=lambda item: item[0]):
        lines += (f"{format_bdf(bdf, segment)} {title}", *_rows(config), "")
    return "\n".join(lines) + "\n" if lines else ""


def _rows(config: Readable) -> Iterator[str]:
    for row in range(0, config.size, _ROW):
        data = config.read(row, _ROW).to_bytes(_ROW, "little")
        yield f"{row:02x}: {data.hex(' ')}"
