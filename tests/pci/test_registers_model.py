# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random register layouts and accesses against a model that knows single bits only."""

from hypothesis import given
from hypothesis import strategies as st

from pci.devices import make_class, window
from vmmkit.pci._layout import WORDS
from vmmkit.pci.registers import Reg

ROOM = 48  # bytes of the BAR that registers may lie in
READS = {"rw", "ro", "w1c", "w1s", "rc"}


@st.composite
def layouts(draw):
    """Draw registers with gaps between them, each with up to three fields."""
    registers, at = [], draw(st.integers(0, 3))
    while at < ROOM - 8:
        size = draw(st.sampled_from([1, 2, 4, 8]))
        fields, bit = [], draw(st.integers(0, 5))
        while bit < 8 * size and len(fields) < 3:
            last = min(bit + draw(st.integers(0, 9)), 8 * size - 1)
            fields.append((bit, last, draw(st.sampled_from(sorted(WORDS)))))
            bit = last + 1 + draw(st.integers(0, 7))
        refusing = draw(st.sampled_from([None, None, "ones", "ignore"]))
        widths = draw(st.sets(st.sampled_from([1, 2, 4, 8]), min_size=1)) if refusing else None
        registers.append(
            {
                "offset": at,
                "size": size,
                "access": draw(st.sampled_from(sorted(WORDS))),
                "reset": draw(st.integers(0, (1 << 8 * size) - 1)),
                "fields": fields,
                "widths": widths,
                "partial": refusing,
            }
        )
        at += size + draw(st.integers(0, 3))
    return registers


def access(writes, offset, size, value):
    return writes, offset, size, value & (1 << 8 * size) - 1


ACCESSES = st.lists(
    st.builds(
        access,
        st.booleans(),
        st.integers(0, ROOM + 8),
        st.sampled_from([1, 2, 3, 4, 8]),
        st.integers(0, (1 << 64) - 1),
    ),
    max_size=12,
)


class Bit:
    """One bit of one register."""

    def __init__(self, word, value, registers):
        self.word, self.reset, self.value = word, value, value
        self.register = registers

    def refused(self, offset, size):
        widths = self.register["widths"]
        return widths is not None and (size not in widths or offset % size != 0)

    def read(self, offset, size):
        if self.refused(offset, size):
            return self.register["partial"] == "ones"
        value = self.value if self.word in READS else 0
        if self.word == "rc":
            self.value = 0
        return self.reset if self.word == "reserved" else value

    def write(self, offset, size, one):
        if self.refused(offset, size):
            return
        if self.word in ("rw", "wo"):
            self.value = one
        elif one and self.word in ("w1c", "w1s"):
            self.value = int(self.word == "w1s")


class Model:
    """A BAR as a dict from bit number to bit."""

    def __init__(self, registers):
        self.bits = {}
        for register in registers:
            for number in range(8 * register["size"]):
                word = register["access"]
                for first, last, field_word in register["fields"]:
                    if first <= number <= last:
                        word = field_word
                bit = Bit(word, register["reset"] >> number & 1, register)
                self.bits[8 * register["offset"] + number] = bit

    def read(self, offset, size):
        value = 0
        for number in range(8 * size):
            bit = self.bits.get(8 * offset + number)
            value |= (1 if bit is None else int(bit.read(offset, size))) << number
        return value

    def write(self, offset, size, value):
        for number in range(8 * size):
            bit = self.bits.get(8 * offset + number)
            if bit is not None:
                bit.write(offset, size, value >> number & 1)

    def value(self, register):
        return sum(
            self.bits[8 * register["offset"] + number].value << number
            for number in range(8 * register["size"])
        )


def declare(registers):
    body = {}
    for number, one in enumerate(registers):
        keys = ("offset", "access", "reset", "size", "widths", "partial")
        register = body[f"r{number}"] = Reg(**{key: one[key] for key in keys})
        for first, last, word in one["fields"]:
            body[f"r{number}_{first}"] = register.field((last, first), word)
    return make_class(**body)


@given(layouts(), ACCESSES)
def test_every_access_is_that_of_its_bits(registers, accesses):
    device, model = declare(registers)(), Model(registers)
    get, put = window(device)
    for writes, offset, size, value in accesses:
        if writes:
            put(offset, value, size)
            model.write(offset, size, value)
        else:
            assert get(offset, size) == model.read(offset, size)
        for number, register in enumerate(registers):
            assert getattr(device, f"r{number}") == model.value(register)


@given(layouts(), ACCESSES)
def test_traced_accesses_are_the_same(registers, accesses):
    made = declare(registers)
    silent, traced, trace = made(), made(), []
    traced.trace(trace.append)
    for writes, offset, size, value in accesses:
        if writes:
            window(silent)[1](offset, value, size)
            window(traced)[1](offset, value, size)
        else:
            assert window(silent)[0](offset, size) == window(traced)[0](offset, size)
    assert silent.register_values == traced.register_values
    assert [(one.is_write, one.offset, one.size) for one in trace] == [
        (writes, offset, size) for writes, offset, size, _ in accesses
    ]


@given(layouts(), ACCESSES)
def test_snapshot_and_restore_are_exact(registers, accesses):
    made = declare(registers)
    device, other = made(), made()
    _, put = window(device)
    for _, offset, size, value in accesses:
        put(offset, value, size)
    other.restore(device.snapshot())
    assert other.register_values == device.register_values
    other.reset()
    assert other.register_values == made().register_values
