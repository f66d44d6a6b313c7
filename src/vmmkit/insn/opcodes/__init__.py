# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The rows of the opcode table, by domain.

A row is `(encoding, mnemonic, operands, attributes)`, one for each form of an instruction.

*Encoding* follows the notation of the SDM's opcode columns (SDM vol. 2A, "Interpreting the
Instruction Reference Pages"). Legacy: an optional mandatory prefix (`NP`, `66`, `F3`, `F2`), an
optional escape `0F`, `0F 38` or `0F 3A`, the opcode byte, `+r` when its low three bits name a
register, `+cc` when the low four are a condition, `/d` when ModRM.reg extends the opcode, `/d:m`
when ModRM.mod is 3 and rm is m as well. Vectors: `VEX` or `EVEX`, the vector length, the mandatory
prefix, the map and W joined by dots, then opcode and digit; a length or W that is not written is
not looked at, `256/512` is either. Where an opcode has rows with and without a mandatory prefix,
those without take the prefixes that are left; F2 and F3 outrank 66.

*Operands*, destination first, are a letter and a type, those of the SDM's opcode map (SDM vol. 2D,
appendix "Opcode Map", "Codes for Addressing Method" and "Codes for Operand Type") where it has one:
`optable.OPERANDS` and `optable.TYPES`. The type of an operand in ModRM.rm is the size of its memory
form. `G` and `R` without a type are as wide as the address size.

*Attributes*:

- `lock` LOCK is legal on a memory destination;
- `i64` invalid in 64-bit mode; `o64` valid only there; `d64` operand size defaults to 8 there;
  `f64` it is always 8 there; `b0` only without REX.B;
- `mem` / `reg` only ModRM.mod != 3 / == 3; `anymod` ModRM.rm is a register whatever mod says;
- `seg` takes a segment override without a ModRM operand; `no66` a 66 prefix is refused, `norex2`
  a REX2 prefix; `sibmem` a SIB byte is required;
- the memory operand is written when it stands first, else read; `r`, `w`, `rw` and `n` (its address
  alone matters) say otherwise;
- EVEX: `k` a mask may be given, `kz` zeroing too, `k!` a mask must be given; `bc2`, `bc4`, `bc8`
  broadcasts elements of so many bytes; `er` and `sae` what EVEX.b means with registers; `N1`, `N2`,
  `N4`, `N8` what a one-byte displacement counts, where that is not the memory operand's size;
- `vm32`, `vm64` the width of an index in a vector index register;
- `uniq` the destination must not be among the sources.
"""

__all__: list[str] = []
