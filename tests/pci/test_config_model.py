# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Config spaces against a naive model that thinks in single bits."""

from hypothesis import given
from hypothesis import strategies as st

from vmmkit.pci.config import ConfigSpace, ResetKind

SPAN = 32  # bytes with registers, from the start; accesses go a little further


class Bit:
    """One bit: what it holds, what it holds after reset, and its role."""

    def __init__(self, value=0, role="ro", life="reset"):
        self.value = self.initial = value
        self.role, self.life = role, life

    def write(self, one):
        if self.role == "rw":
            self.value = one
        elif self.role == "w1c" and one:
            self.value = 0

    def reset(self, kind):
        survives = {
            "reset": [],
            "held": ["function", "d3"],
            "sticky": ["bus", "function", "d3"],
        }[self.life]
        if kind not in survives:
            self.value = self.initial


class Model:
    """A space as a dictionary of bits, keyed by bit number."""

    def __init__(self, size):
        self.limit = size * 8
        self.bits = {number: Bit() for number in range(self.limit)}

    def place(self, offset, size, bits):
        for number in range(size * 8):
            self.bits[offset * 8 + number] = bits[number]

    def write(self, offset, data):
        for at, byte in enumerate(data):
            for number in range(8):
                bit = self.bits.get((offset + at) * 8 + number)
                if bit is not None:
                    bit.write(byte >> number & 1)

    def read(self, offset, size):
        digits = ""
        for number in range(offset * 8, (offset + size) * 8):
            bit = self.bits.get(number)
            digits = ("1" if bit is None else str(bit.value)) + digits
        return int(digits, 2)

    def reset(self, kind):
        for bit in self.bits.values():
            bit.reset(kind)


def mask(bits, wanted):
    return sum(1 << number for number, bit in enumerate(bits) if wanted(bit))


BITS = st.builds(
    Bit,
    st.integers(0, 1),
    st.sampled_from(["ro", "rw", "w1c"]),
    st.sampled_from(["reset", "held", "sticky"]),
)


@st.composite
def spaces(draw):
    """Draw a space and its model, with registers of mixed sizes one after the other."""
    config, model, offset = ConfigSpace(256), Model(256), 0
    while offset < SPAN:
        fitting = [size for size in (1, 2, 4) if offset % size == 0]
        size = draw(st.sampled_from(fitting))
        bits = draw(st.lists(BITS, min_size=size * 8, max_size=size * 8))
        config.define(
            offset,
            size,
            value=mask(bits, lambda bit: bit.value),
            rw=mask(bits, lambda bit: bit.role == "rw"),
            w1c=mask(bits, lambda bit: bit.role == "w1c"),
            sticky=mask(bits, lambda bit: bit.life == "sticky"),
            held=mask(bits, lambda bit: bit.life == "held"),
        )
        model.place(offset, size, bits)
        offset += size
    return config, model


WRITES = st.tuples(
    st.integers(-6, SPAN + 4) | st.integers(248, 260), st.binary(min_size=1, max_size=9)
)
STEPS = st.lists(WRITES | st.sampled_from(ResetKind), max_size=25)


@given(spaces(), STEPS)
def test_a_space_does_what_single_bits_would(pair, steps):
    config, model = pair
    for step in steps:
        if isinstance(step, ResetKind):
            config.reset(step)
            model.reset(step.value)
        else:
            offset, data = step
            config.write(offset, len(data), int.from_bytes(data, "little"))
            model.write(offset, data)
            assert config.read(offset, len(data)) == model.read(offset, len(data))
        assert config.read(0, SPAN + 8) == model.read(0, SPAN + 8)
    assert config.read(-4, 264) == model.read(-4, 264)


@given(spaces(), st.lists(WRITES, max_size=10))
def test_it_does_not_matter_in_which_widths_a_value_is_written(pair, writes):
    config, model = pair
    for offset, data in writes:
        for at, byte in enumerate(data):
            config.write(offset + at, 1, byte)
        model.write(offset, data)
    assert config.read(0, 256) == model.read(0, 256)
