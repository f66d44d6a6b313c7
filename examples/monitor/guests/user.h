/* SPDX-FileCopyrightText: 2026 vmmkit contributors */
/* SPDX-License-Identifier: BSD-2-Clause */
/* How the code for ring 3 comes back. */
#pragma once

#define USER_VECTOR 0x30
#define USER_VALUE 0x1234
