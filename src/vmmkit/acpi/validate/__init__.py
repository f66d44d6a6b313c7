# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Judges table sets by their bytes: what tools and guests pass over in silence."""
