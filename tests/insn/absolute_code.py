# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Machine code with operands at absolute addresses, the same in 32-bit and 64-bit mode."""

EAX, ECX, EDX, EBX = range(4)
HLT = b"\xf4"


def word(value):
    """The 32-bit immediate."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


def absolute(opcode, reg, address):
    """An instruction whose operand in memory has neither base nor index."""
    return bytes.fromhex(opcode) + bytes((4 | reg << 3, 0x25)) + word(address)


def load(reg, address):
    """MOV r32, m32."""
    return absolute("8b", reg, address)


def store(address, value):
    """MOV m32, imm32."""
    return absolute("c7", 0, address) + word(value)


def add(reg, value):
    """ADD r32, imm32; the immediate is 2 bytes from the start."""
    return bytes((0x81, 0xC0 | reg)) + word(value)


def add_registers(target, source):
    """ADD r32, r32."""
    return bytes((0x01, 0xC0 | source << 3 | target))


def set_register(reg, value):
    """MOV r32, imm32."""
    return bytes((0xB8 | reg,)) + word(value)


def loop(body):
    """The body, EBP times, and HLT."""
    counted = body + b"\x83\xed\x01"  # SUB EBP, 1
    return counted + b"\x0f\x85" + word(-len(counted) - 6) + HLT


def jump(distance):
    """JMP rel32."""
    return b"\xe9" + word(distance)


def turns(machine, body, count, budget=1000):
    """Run a loop at the machine's RIP to its HLT; return the outcome."""
    machine.poke(machine.state.rip, loop(body))
    machine.state.rbp = count
    return machine.cpu.run(budget)


STORES = {
    "MOV": store,
    "XCHG": lambda at, value: set_register(EAX, value) + absolute("87", EAX, at),
    "LOCK AND, OR": lambda at, value: (
        absolute("f081", 4, at) + word(0) + absolute("f081", 1, at) + word(value)
    ),
    "CMPXCHG": lambda at, value: (
        load(EAX, at) + set_register(ECX, value) + absolute("f00fb1", ECX, at)
    ),
    "STOSD": lambda at, value: set_register(EAX, value) + b"\xbf" + word(at) + b"\xab",
    "REP STOSD": lambda at, value: (
        set_register(EAX, value) + b"\xbf" + word(at) + set_register(ECX, 1) + b"\xf3\xab"
    ),
    "REP MOVSB": lambda at, value: (
        store(0x2F00, value) + b"\xbe" + word(0x2F00) + b"\xbf" + word(at) + b"\xb9" + word(4)
        + b"\xf3\xa4"
    ),
    "MOVD": lambda at, value: (
        set_register(EAX, value) + bytes.fromhex("660f6ec0") + absolute("660f7e", 0, at)
    ),
    "PUSH": lambda at, value: (
        bytes.fromhex("89e2bc") + word(at + 4) + bytes.fromhex("6668") + word(value)[2:]
        + bytes.fromhex("6668") + word(value)[:2] + bytes.fromhex("89d4")
    ),
}  # fmt: skip
"""Ways to store 4 bytes at an address."""
