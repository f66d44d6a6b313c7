# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MSRs that a vCPU's record holds, as the buffers of KVM_GET_MSRS and KVM_SET_MSRS have them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from vmmkit.backends.kvm._spec import MSR_ENTRY, MSRS_HEAD
from vmmkit.insn import WORD

__all__ = ["MSR_TSC", "MsrBlock"]

MSR_TSC: Final = 0x10
# SDM vol. 4, "Architectural MSRs".
HELD: Final = {
    0x174: WORD["sysenter_cs"],
    0x175: WORD["sysenter_esp"],
    0x176: WORD["sysenter_eip"],
    0x277: WORD["pat"],
    0xDA0: WORD["xss"],
    0xC000_0081: WORD["star"],
    0xC000_0082: WORD["lstar"],
    0xC000_0083: WORD["cstar"],
    0xC000_0084: WORD["sfmask"],
    0xC000_0102: WORD["kernel_gs_base"],
    0xC000_0103: WORD["tsc_aux"],
}


class MsrBlock:
    """The MSRs of the record that a vCPU has, and the time-stamp counter first.

    Args:
        indices: the MSRs; all that there may be unless the kernel has refused some.

    Attributes:
        data: the buffer for KVM_GET_MSRS.
        indices: which MSRs are in it, in their order.
    """

    __slots__ = ("_values", "_words", "data", "indices")

    def __init__(self, indices: Collection[int] = HELD) -> None:
        """Lay out the entries."""
        self.indices = (MSR_TSC, *(index for index in HELD if index in indices))
        self._words = tuple(HELD[index] for index in self.indices[1:])
        self.data = bytearray(entries((index, 0) for index in self.indices))
        self._values = memoryview(self.data).cast("Q")[2::2]

    @property
    def tsc(self) -> int:
        """The time-stamp counter, as the last call has given it."""
        return int(self._values[0])

    def pull(self, words: memoryview) -> None:
        """Fill the record; what the kernel has not is 0."""
        for word in HELD.values():
            words[word] = 0
        for word, value in zip(self._words, self._values[1:], strict=True):
            words[word] = value

    def changed(self, words: memoryview) -> list[tuple[int, int]]:
        """Return `(index, value)` of those that differ from what was pulled."""
        pulled = dict(zip(self.indices, self._values, strict=True))
        found = ((index, words[word]) for index, word in HELD.items())
        return [(index, value) for index, value in found if value != pulled.get(index, 0)]


def entries(values: object) -> bytes:
    """Return the buffer of KVM_SET_MSRS."""
    listed = [MSR_ENTRY.pack(index, value) for index, value in values]  # type: ignore[attr-defined]
    return MSRS_HEAD.pack(len(listed)) + b"".join(listed)
