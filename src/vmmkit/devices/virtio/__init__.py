# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Virtio devices over the modern PCI transport, on split and packed rings."""

__all__: list[str] = []
