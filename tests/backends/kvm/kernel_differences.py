# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where a KVM is known to do something else on a device than on RAM, by itself."""

from typing import Final, NamedTuple

__all__ = ["DIFFERENCES", "Differences"]


class Known(NamedTuple):
    mnemonics: frozenset[str]
    reason: str


class Differences:
    def __init__(self, *known):
        self._known = known

    def reason(self, verdict, mode, cpl):
        for one in self._known:
            if verdict.form.insn.mnemonic in one.mnemonics:
                return one.reason
        return None

    def covers(self, verdict, mode, cpl):
        return self.reason(verdict, mode, cpl) is not None


DIFFERENCES: Final = Differences()
