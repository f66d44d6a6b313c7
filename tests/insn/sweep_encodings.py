# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Byte strings for decoder sweeps: every opcode of every map, and what stands around it."""

import random
from itertools import product

__all__ = ["FEW_PREFIXES", "PREFIXES", "beside_vectors", "evex", "legacy", "random_codes", "vex"]

TAIL = bytes.fromhex("8091a2b3c4d5e6770819")
SIBS = (0x24, 0x25, 0x05, 0xE5, 0x2C, 0x6D, 0xB3, 0xFC, 0x00, 0x98)
LEGACY_PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
ESCAPES = {"": {0x0F} | LEGACY_PREFIXES, "0f": {0x38, 0x3A}, "0f38": set(), "0f3a": set()}
VECTOR_ESCAPES = {0x62, 0xC4, 0xC5, 0xD5}

PREFIXES = {
    16: ("", "66", "67", "6667", "f3", "f2", "f0", "26", "65", "2e", "f066", "f2f3", "66f3"),
    32: ("", "66", "67", "6667", "f3", "f2", "f0", "36", "64", "3e", "f066", "f067", "f2f3"),
    64: (
        *("", "66", "67", "f3", "f2", "f0", "64", "2e", "6465", "653e", "f2f3", "66f3", "f066"),
        *("40", "41", "42", "44", "48", "4f", "6648", "4866", "6741", "f048", "f34f", "404c"),
    ),
}
FEW_PREFIXES = {16: ("", "67", "f0"), 32: ("", "6667", "f2"), 64: ("", "66", "f3", "4f")}

# A register in each place, and every way to name memory.
SOME_MODRM = (
    *(0x00, 0x09, 0x12, 0x24, 0x1D, 0x2E, 0x47, 0x4C, 0x50, 0x75, 0x80),
    *(0x94, 0xBD, 0xC0, 0xC8, 0xD1, 0xE2, 0xEB, 0xF4, 0xFD, 0xFF, 0xCA),
)


def with_modrm(head, modrms):
    """`head`, each ModRM, a SIB that depends on it, and more bytes than any instruction takes."""
    for modrm in modrms:
        takes_sib = modrm & 7 == 4 and modrm < 0xC0
        sib = bytes([SIBS[(modrm * 7 + head[-1]) % len(SIBS)]]) if takes_sib else b""
        yield head + bytes([modrm]) + sib + TAIL


def legacy(mode, prefixes, modrms=range(256)):
    """The one-byte, 0F, 0F38 and 0F3A maps."""
    for escape, opcode in product(ESCAPES, range(256)):
        if opcode in ESCAPES[escape]:
            continue
        if mode == 64 and not escape and (opcode >> 4 == 4 or opcode in VECTOR_ESCAPES):
            continue
        for prefix in prefixes:
            yield from with_modrm(bytes.fromhex(prefix + escape) + bytes([opcode]), modrms)


def vex(modrms=SOME_MODRM, opcodes=range(256)):
    """Every opcode of the VEX maps, and a few maps that do not exist."""
    maps, pairs = (0, 1, 2, 3, 4, 5, 7, 10), product(range(4), range(2), range(2), (15, 10, 6))
    for number, (pp, w, length, vvvv) in product(maps, tuple(pairs)):
        head = bytes([0xC4, 0xE0 | number, w << 7 | vvvv << 3 | length << 2 | pp])
        for opcode in opcodes:
            yield from with_modrm(head + bytes([opcode]), modrms)


def evex_payload(rng, mode, plain):
    """R, X, B and R' in the first byte, vvvv and V': all clear, or drawn."""
    if plain:
        return 0xF0, 15, 8
    first = rng.choice((0xF0, 0xC0 | rng.getrandbits(6) & 0x30, rng.getrandbits(8) & 0xF0))
    return first | (0 if mode == 64 else 0xC0), rng.getrandbits(4), rng.choice((8, 8, 0))


def evex(mode, seed, modrms=SOME_MODRM, opcodes=range(256)):
    """Every opcode of the EVEX maps by pp, W, L'L, b, z and masking; the rest is drawn."""
    rng = random.Random(seed)
    masks = ((0, 0), (0, 1), (1, 1), (1, 0))
    kinds = product(range(4), range(2), range(4), range(2), masks)
    for number, (pp, w, length, b, (z, masked)) in product((1, 2, 3, 5, 6, 0, 4, 7), tuple(kinds)):
        for opcode, plain in product(opcodes, (True, False)):
            first, vvvv, high = evex_payload(rng, mode, plain)
            opmask = 1 if plain else rng.randrange(1, 8)
            third = z << 7 | length << 5 | b << 4 | high | masked * opmask
            reserved = 0 if plain or rng.random() < 0.99 else 8
            head = [0x62, first | reserved | number, w << 7 | vvvv << 3 | 4 | pp, third, opcode]
            yield from with_modrm(bytes(head), rng.sample(modrms, 5))


def beside_vectors(prefixes):
    """VEX and EVEX after prefixes, two-byte VEX, and LES, LDS, BOUND and POP in their place."""
    few = (0x00, 0x24, 0x4D, 0x7B, 0xC1, 0xFF)
    for prefix in map(bytes.fromhex, prefixes):
        for opcode in range(256):
            for payload in range(0, 256, 7):
                yield from with_modrm(prefix + bytes([0xC5, payload, opcode]), few[1:4])
            for number in (1, 2, 3, 5, 6):
                yield from with_modrm(prefix + bytes([0xC4, 0xE0 | number, 0x79, opcode]), few)
                yield from with_modrm(
                    prefix + bytes([0x62, 0xF0 | number, 0x7D, 0x48, opcode]), few
                )
        for opcode in (0x62, 0x8F, 0xC4, 0xC5):
            yield from with_modrm(prefix + bytes([opcode]), range(256))


def random_codes(seed, count):
    """Random bytes, which start with up to three prefixes or escapes."""
    rng = random.Random(seed)
    first = bytes.fromhex("2e3626646566 67f0f2f3484f41440f0f0f380f3ac4c562d5")
    for _ in range(count):
        yield bytes(rng.choices(first, k=rng.randrange(4))) + rng.randbytes(16)
