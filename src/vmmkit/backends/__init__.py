# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Processors that run guest code and hand its device accesses to ports."""

from vmmkit.backends.soft import SoftVcpu

__all__ = ["SoftVcpu"]
