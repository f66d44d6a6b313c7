# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PCI and PCI Express: config spaces, buses, and devices that authors declare."""

from vmmkit.pci.config import ConfigSpace, ConfigWrite, Effect, ResetKind

__all__ = ["ConfigSpace", "ConfigWrite", "Effect", "ResetKind"]
