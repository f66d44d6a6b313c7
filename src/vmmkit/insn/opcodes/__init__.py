# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The rows of the opcode table, by domain; `vmmkit.insn.optable` explains their notation."""

__all__: list[str] = []
