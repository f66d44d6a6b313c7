# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random cases for every row of the opcode table.

Bytes first: prefixes, the row's opcode, a random ModRM and what follows; `decode` then tells the
length and where the memory operand is. Registers next: random and edge values, after which the
operand's base register (or its displacement) is set so that the operand falls where it is
interesting: within a page, across the end of one, on the read-only page, at the end of a segment,
at a hole. If `decode` is wrong about the operand, the case merely lands elsewhere; it stays a case.
"""

import struct
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

from oracle.native import (
    CODE,
    DATA,
    DEFAULT_VECTORS,
    MEMORY_SIZE,
    PAGE,
    READ_ONLY,
    TOP,
    USER_CODE32,
    USER_CODE64,
    USER_DATA,
    WINDOWS,
    Case,
    Descriptor,
)
from vmmkit.errors import DecodeError, DecodeReason
from vmmkit.insn import RIP_BASE, Instruction, Prefixes, decode
from vmmkit.insn._pure import EXECUTE as HANDLERS
from vmmkit.insn.optable import ATTRIBUTES, KINDS, LENGTHS, OPS, PREFIXES, ROWS, Row

MODES: Final = (16, 32, 64)
ES, CS, SS, DS, FS, GS = range(6)
RCX, RSP, RSI, RDI = 1, 4, 6, 7

FLAT: Final = 0xFFFF_FFFF
CODE16, CODE16_LONG, CODE32, CODE32_BASED = range(4)
DATA16, DATA32, FLAT_DATA, SHORT, DOWN32, DOWN16, READ, EXECUTE, EXECUTE_READ, ABSENT = range(4, 14)
LDT: Final = (
    Descriptor(CODE, 0xFFF, "code", wide=False),
    Descriptor(CODE, 0xFFFF, "code", wide=False),
    Descriptor(0, CODE + 0xFFF, "code"),
    Descriptor(CODE, 0xFFF, "code"),
    Descriptor(DATA, 0xFFFF, wide=False),
    Descriptor(DATA, 0xFFFF),
    Descriptor(0, FLAT),
    Descriptor(DATA, 0x17FF),
    Descriptor(DATA, 0xFFF, "expand-down"),
    Descriptor(DATA, 0xFFF, "expand-down", wide=False),
    Descriptor(DATA, 0xFFFF, access=False),
    Descriptor(CODE, 0xFFF, "code", access=False),
    Descriptor(DATA, 0xFFFF, "code"),
    Descriptor(DATA, 0xFFFF, present=False),
)
# Data segments that can be loaded and are of some interest.
LOADABLE: Final = (FLAT_DATA, SHORT, DOWN32, DOWN16, READ, EXECUTE_READ)


def ldt(number: int) -> int:
    """Selector of an entry of `LDT`."""
    return 8 * number | 7


# What each segment register is drawn from; entries that stand twice are twice as likely.
CODE_CHOICES: Final = {
    16: (ldt(CODE16), ldt(CODE16_LONG)),
    32: (USER_CODE32, ldt(CODE32), ldt(CODE32_BASED), ldt(EXECUTE)),
    64: (USER_CODE64,),
}
STACK_CHOICES: Final = {
    16: (*(ldt(DATA16),) * 4, *(ldt(DATA32),) * 4, ldt(SHORT), ldt(DOWN16), ldt(DOWN32)),
    32: (*(USER_DATA,) * 6, ldt(DATA32), ldt(SHORT), ldt(DOWN32), ldt(DATA16)),
    64: (USER_DATA,),
}
DATA_CHOICES: Final = {
    16: (*(ldt(DATA16),) * 8, ldt(DATA32), *map(ldt, LOADABLE), 0),
    32: (*(USER_DATA,) * 8, ldt(DATA16), ldt(DATA32), *map(ldt, LOADABLE), 0),
    64: (0,),
}
SELECTORS: Final = (
    *(0, 3, USER_CODE32, USER_DATA, USER_CODE64, 0x10, 0x18, 0x7B, 0x60, 0xFFFF),
    *map(ldt, range(len(LDT) + 1)),
    *(ldt(DATA32) & ~3, ldt(DATA16) & ~1, USER_DATA & ~3),
)

# Code to which far transfers may lead: base and selector.
FAR_TARGETS: Final = (
    *((LDT[number].base, ldt(number)) for number in (CODE16, CODE16_LONG, CODE32, CODE32_BASED)),
    *((0, selector) for selector in (USER_CODE32, USER_CODE64)),
)

EDGES: Final = (
    *(
        value & (1 << 64) - 1
        for bits in (8, 16, 32, 48, 64)
        for value in ((1 << bits) - 1, 1 << bits - 1, (1 << bits - 1) - 1, -(1 << bits - 1))
    ),
    *(0, 1, 2, 3, 0x10, 0x55, 0xAA),
)

LEGACY: Final = {
    "66": (b"\x66",),
    "67": (b"\x67",),
    "segment": (b"\x26", b"\x2e", b"\x36", b"\x3e", b"\x64", b"\x65"),
    "repeat": (b"\xf2", b"\xf3"),
    "lock": (b"\xf0",),
}
LIKELIHOOD: Final = {"66": 0.25, "67": 0.15, "segment": 0.2, "repeat": 0.06, "lock": 0.08}
PREFIXES64: Final = frozenset({*range(0x40, 0x50), 0xD5})  # INC, DEC and AAD elsewhere
BEFORE_VEX: Final = frozenset({"67", "segment"})  # the others make it #UD
STRINGS: Final = frozenset({"MOVS", "STOS", "LODS", "CMPS", "SCAS", "INS", "OUTS"})
FAR: Final = frozenset({"JMPF", "CALLF", "RETF"})
PUSHES_ESP: Final = frozenset({"PUSHA", "ENTER"})
# Some processors read no ModRM byte of these.
UNDEFINED: Final = frozenset({"UD0", "UD1"})
# TF would be seen, or changed, by these: they run up to the jump behind them instead.
FLAGS_ON_STACK: Final = ("PUSHF", "POPF", "IRET")

# XSAVE and XSAVEOPT are not compared where AMD's standard format differs from Intel's.
STATE: Final = frozenset({"FXSAVE", "FXRSTOR", "XSAVEC", "XRSTOR", "LDMXCSR", "STMXCSR", "EMMS"})

ESCAPES: Final = range(0xD8, 0xE0)  # opcodes of the x87 unit

STATUS, DF, AC = 0x8D5, 0x400, 1 << 18


class Form(NamedTuple):
    """A row of the opcode table, in bytes."""

    row: int
    text: str
    """The row's own text: encoding, mnemonic, operands."""
    mnemonic: str
    prefix: bytes
    opcode: bytes
    spread: int
    """How many opcodes from `opcode` on the row covers."""
    digit: int | None
    """ModRM.reg, when it is part of the opcode."""
    rm: int | None
    """ModRM.rm, when it is part of the opcode as well; ModRM.mod is 3 then."""
    modrm: bool
    vex: tuple[int, int] | None
    """Bits mmmmm and pp, for a form with a VEX or EVEX prefix."""
    fields: tuple[str, ...]
    """The words of a VEX or EVEX encoding."""


class Trial(NamedTuple):
    """A case and the form it was made for."""

    form: Form
    case: Case
    insn: Instruction | None
    """`None` when the bytes are no instruction."""


VEX_MAP_NUMBERS: Final = {"0F": 1, "0F38": 2, "0F3A": 3, "MAP5": 5, "MAP6": 6}
MODRM, VVVV, MASKING, ZEROING = (
    1 << ATTRIBUTES.index(name) for name in ("modrm", "vvvv", "masking", "zeroing")
)


def _vex(word: str) -> tuple[int, int]:
    """Bits mmmmm and pp of an encoding's first word, such as `VEX.128.F2.0F38.W1`."""
    fields = word.split(".")
    escape = next(name for name in VEX_MAP_NUMBERS if name in fields)
    return VEX_MAP_NUMBERS[escape], next(pp for pp in range(4) if PREFIXES[pp] in fields)


def _form(number: int, row: Row) -> Form:
    encoding = row.encoding.split()
    prefix, opcode, spread = b"", b"", 1
    digit: int | None = None
    rm: int | None = None
    vex, fields = None, ()
    if encoding[0].startswith(("VEX.", "EVEX.")):
        fields = tuple(encoding[0].split("."))
        vex = _vex(encoding.pop(0))
    elif encoding[0] in PREFIXES and len(encoding) > 1:
        mandatory = encoding.pop(0)
        prefix = b"" if mandatory == "NP" else bytes.fromhex(mandatory)
    for token in encoding:
        if token.startswith("/"):
            digit, rm = int(token[1]), int(token[3]) if token[2:] else None
            continue
        text, _, low = token.partition("+")
        opcode += bytes.fromhex(text)
        spread = {"": 1, "r": 8, "cc": 16}[low]
    modrm = bool(row.flags & MODRM)
    name = OPS[row.op]
    return Form(number, row.text, name, prefix, opcode, spread, digit, rm, modrm, vex, fields)


# Not compared: INT and its kin go where the operating system's interrupt table says, which at CPL 3
# nobody can look at; IRET loads flags (TF, AC, NT) that the oracle's own code would feel.
NOT_COMPARED: Final = frozenset({"INT", "INT1", "INT3", "INTO", "IRET"})

# Of no fixed size.
STATE_AREAS: Final = frozenset({"XSAVE", "XSAVEC", "XSAVEOPT", "XSAVES", "XRSTOR", "XRSTORS"})

# What the engines execute, but for those.
FORMS: Final = tuple(
    _form(number, row)
    for number, row in enumerate(ROWS)
    if HANDLERS[number] and OPS[row.op] not in NOT_COMPARED
)

# What a processor cannot be asked about from CPL 3, and why.
NOT_COMPARABLE: Final = {
    **dict.fromkeys(("CPUID", "RDPID", "RDPMC", "XGETBV"), "the processor's own answer"),
    **dict.fromkeys(("RDTSC", "RDTSCP"), "the processor's own time"),
    **dict.fromkeys(("RDRAND", "RDSEED"), "another number each time"),
    **dict.fromkeys(("SYSCALL", "SYSENTER"), "they enter the host's kernel"),
    **dict.fromkeys(("VMCALL", "VMMCALL"), "they call the host's hypervisor"),
    **dict.fromkeys(("SGDT", "SIDT", "SLDT", "STR", "SMSW"), "Linux emulates them under UMIP"),
    **dict.fromkeys(("SERIALIZE", "ENQCMD", "ENQCMDS"), "few processors have it"),
}
COMPARABLE: Final = tuple(form for form in FORMS if form.mnemonic not in NOT_COMPARABLE)


def _prefixes(rng: Random, form: Form, mode: int) -> bytes:
    chosen = [form.prefix]
    for name, choices in LEGACY.items():
        likelihood = 0.6 if name == "repeat" and form.mnemonic in STRINGS else LIKELIHOOD[name]
        if form.vex is not None and name not in BEFORE_VEX:
            likelihood = 0.01
        if rng.random() < likelihood:
            chosen.append(rng.choice(choices))
    rng.shuffle(chosen)
    if rng.random() < 0.01:
        chosen.insert(0, rng.choice((b"\x2e", b"\x66")) * rng.randrange(8, 14))
    if mode == 64 and rng.random() < (0.5 if form.vex is None else 0.01):
        chosen.append(bytes([rng.randrange(0x40, 0x50)]))
    return b"".join(chosen)


def _tail(rng: Random) -> bytes:
    if rng.random() < 0.6:
        return rng.randbytes(14)
    return bytes(rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFE)) for _ in range(14))


def _length(rng: Random, form: Form) -> int:
    """L or L'L: mostly one that the row has."""
    named = [word for word in form.fields if word.split("/")[0] in LENGTHS]
    names = named[0].split("/") if named else list(LENGTHS)
    if rng.random() < 0.03:
        return rng.randrange(4)
    return LENGTHS[rng.choice(names[: 3 if form.fields[0] == "EVEX" else 2])]


def _vex_prefix(rng: Random, form: Form, mode: int) -> bytes:
    """C4 and two bytes: ~R ~X ~B mmmmm, W ~vvvv L pp; out of 64-bit mode R and X must be 0.

    Or 62 and three: ~R ~X ~B ~R' 0mmm, W ~vvvv 1 pp, z L'L b ~V' aaa.
    """
    if form.vex is None:
        return b""
    map_number, pp = form.vex
    first = rng.getrandbits(8) & 0xE0 | (0 if mode == 64 else 0xC0) | map_number
    second = rng.getrandbits(8) & 0xF8 | pp
    if not ROWS[form.row].flags & VVVV and rng.random() < 0.97:
        second |= 0x78
    if rng.random() < 0.97:
        second |= 0x80 * ("W1" in form.fields)
        second &= 0x7F if "W0" in form.fields else 0xFF
    if {KINDS[kind] for kind in ROWS[form.row].kinds} & set("Kh") and rng.random() < 0.9:
        first, second = first | 0x80, second | 0x40  # there are eight opmask registers
    length = _length(rng, form)
    if form.fields[0] == "VEX":
        return bytes([0xC4, first, second | (length & 1) << 2])
    return bytes([0x62, first | rng.choice((0x10, 0x10, 0)), second | 4, _evex(rng, form, length)])


def _evex(rng: Random, form: Form, length: int) -> int:
    """The last byte of an EVEX prefix: mostly what the row allows."""
    row = ROWS[form.row]
    third = length << 5 | rng.choice((8, 8, 8, 0))
    if (row.flags & MASKING and rng.random() < 0.7) or rng.random() < 0.02:
        third |= rng.randrange(8)
        if (third & 7 and row.flags & ZEROING and rng.random() < 0.5) or rng.random() < 0.02:
            third |= 0x80
    if rng.random() < (0.3 if row.broadcast else 0.01):
        third |= 0x10
    return third


def opcode_and_tail(rng: Random, form: Form, mode: int) -> bytes:
    """VEX prefix, opcode and ModRM of a form, and bytes for what may follow."""
    opcode = form.opcode[:-1] + bytes([form.opcode[-1] + rng.randrange(form.spread)])
    opcode = _vex_prefix(rng, form, mode) + opcode
    modrm = b""
    if form.modrm:
        reg = rng.randrange(8) if form.digit is None else form.digit
        rest = rng.randrange(256) & 0xC7 if form.rm is None else 0xC0 | form.rm
        if ROWS[form.row].index_size and rng.random() < 0.95:  # memory, with a SIB byte
            rest = rng.choice((0, 0x40, 0x80)) | 4
        modrm = bytes([rest | reg << 3])
    return opcode + modrm + _tail(rng)


def _instruction(rng: Random, form: Form, mode: int) -> tuple[bytes, Instruction | None] | None:
    """Bytes of the form, or bytes that decode to nothing; `None` where it was another row."""
    prefixes, rest = _prefixes(rng, form, mode), opcode_and_tail(rng, form, mode)
    code = (prefixes + rest)[:15]
    try:
        insn = decode(code, mode)
    except DecodeError as error:
        # Whether "no instruction" or "too long" is said first is the processor's own affair.
        invalid = error.reason is DecodeReason.INVALID or form.mnemonic in {"INVALID", *UNDEFINED}
        unsure = error.reason is DecodeReason.UNKNOWN or (invalid and len(prefixes) > 4)
        unsure = unsure or (mode == 64 and form.opcode[0] in PREFIXES64)
        return None if unsure else (code, None)
    return (code[: insn.length], insn) if insn.row == form.row else None


def value(rng: Random) -> int:
    """A 64-bit register or memory value."""
    kind = rng.random()
    if kind < 0.35:
        return rng.getrandbits(64)
    if kind < 0.6:
        return rng.choice(EDGES)
    if kind < 0.7:
        return rng.randrange(0x20)
    if kind < 0.8:
        return DATA + rng.randrange(0x2000)
    if kind < 0.88:
        return CODE + rng.randrange(0x1000)
    return rng.getrandbits(64) & ~0xFFFF | rng.choice(SELECTORS)


# Where operands go: (weight, first address, number of addresses).
PLACES: Final = (
    (40, DATA, 2 * PAGE - 16),
    (10, DATA + PAGE - 16, 17),
    (10, DATA + 2 * PAGE - 16, 17),
    (4, DATA + 2 * PAGE, PAGE),
    (3, DATA + 0x17F0, 0x20),
    (4, DATA - 16, 17),
    (8, READ_ONLY, PAGE),
    (3, READ_ONLY - 16, 17),
    (3, READ_ONLY + PAGE - 16, 17),
    (6, TOP + PAGE - 16, 17),
    (3, TOP - 16, 17),
)
PLACES64: Final = (
    (2, (1 << 47) - 16, 32),
    (1, (1 << 64) - (1 << 47) - 16, 32),
    (1, 1 << 63, 16),
    (1, (1 << 64) - 16, 16),
)


def place(rng: Random, mode: int) -> int | None:
    """A linear address for an operand; `None` leaves it to chance."""
    if rng.random() < 0.04:
        return None
    places = PLACES + PLACES64 if mode == 64 else PLACES
    ((_, first, count),) = rng.choices(places, [weight for weight, _, _ in places])
    return first + rng.randrange(count)


def _canonical(address: int) -> int:
    """The address with bits 63:48 like bit 47: nothing else can be a segment base."""
    return ((address & (1 << 48) - 1) ^ 1 << 47) - (1 << 47) & (1 << 64) - 1


class _State:
    """Registers and memory of a case while it is put together."""

    def __init__(
        self, rng: Random, mode: int, image: bytes, registers: Sequence[int] | None
    ) -> None:
        self.rng, self.mode = rng, mode
        self.gpr = list(registers or (value(rng) for _ in range(16)))
        if rng.random() < 0.15:  # equal operands
            self.gpr = [self.gpr[0]] * 16
        self.memory = bytearray(image)
        self.selectors = (
            *(rng.choice(choices[mode]) for choices in (DATA_CHOICES, CODE_CHOICES, STACK_CHOICES)),
            *(rng.choice(DATA_CHOICES[mode]) for _ in range(3)),
        )
        self.bases = (_canonical(value(rng)), DATA) if rng.random() < 0.3 else (DATA, CODE)

    def base(self, segment: int) -> int:
        """Base of a segment register."""
        if self.mode == 64:
            return self.bases[segment - FS] if segment in {FS, GS} else 0
        selector = self.selectors[segment]
        return LDT[selector >> 3].base if selector & 4 else 0

    def stack_width(self) -> int:
        """Bytes of rSP in use."""
        selector = self.selectors[SS]
        if self.mode == 64:
            return 8
        return 4 if not selector & 4 or LDT[selector >> 3].wide else 2

    def set(self, register: int, width: int, number: int) -> None:
        """Set the low `width` bytes of a register."""
        mask = (1 << 8 * width) - 1
        self.gpr[register] = self.gpr[register] & ~mask | number & mask

    def poke(self, linear: int, data: bytes) -> None:
        """Put bytes into the memory image, where it has the address."""
        offset = 0
        for address, size, _ in WINDOWS:
            if address <= linear <= address + size - len(data):
                at = offset + linear - address
                self.memory[at : at + len(data)] = data
            offset += size

    def word(self) -> bytes:
        """A memory operand; at times what a register holds."""
        chosen = self.rng.choice(self.gpr) if self.rng.random() < 0.25 else value(self.rng)
        return chosen.to_bytes(8, "little")

    def point(self, register: int, width: int, segment: int) -> None:
        """Point an implicit operand's register somewhere."""
        where = place(self.rng, self.mode)
        if where is not None:
            self.set(register, width, where - self.base(segment))
            self.poke(where, self.word())


def _displace(code: bytes, old: int, new: int, address_size: int) -> bytes:
    """Replace the displacement, if it stands in the bytes as a whole and the new one fits."""
    for width in (8, 4, 2):
        if width > address_size:
            continue
        mask = (1 << 8 * width) - 1
        packed = (old & mask).to_bytes(width, "little")
        at = code.find(packed, 1)
        if at > 0:
            return code[:at] + (new & mask).to_bytes(width, "little") + code[at + width :]
    return code


def _aim(state: _State, code: bytes, insn: Instruction, rip: int, where: int) -> bytes:
    """Make the explicit memory operand be at `where`; returns the code, perhaps changed."""
    offset = where - state.base(insn.segment)
    if "m" in {KINDS[kind] for kind in ROWS[insn.row].kinds}:
        insn = insn._replace(index=-1)  # a vector: see `gathered`
    if insn.base == RIP_BASE:
        return _displace(code, insn.displacement, offset - rip - insn.length, 4)
    if insn.base < 0 and insn.index < 0:
        return _displace(code, insn.displacement, offset, insn.address_size)
    rest = insn.displacement
    register = insn.base
    if insn.base < 0:
        register = insn.index
        offset = (offset - rest) // insn.scale
        rest = 0
    elif insn.index >= 0:
        rest += state.gpr[insn.index] * insn.scale
        if insn.index == insn.base:  # (scale + 1) * register: solved where it divides
            offset = (offset - insn.displacement) // (insn.scale + 1)
            rest = 0
    state.set(register, insn.address_size, offset - rest)
    return code


def _slot(rng: Random, code: bytes, insn: Instruction | None) -> int:
    """Linear address of the code; at times it reaches the page's end, or crosses it.

    How far processors read what is no instruction before they say #UD is their own affair.
    """
    if insn is not None and rng.random() < 0.04:
        return CODE + PAGE - rng.randrange(1, len(code) + 1)
    return CODE + rng.randrange(PAGE - 0x80)


def _traps(form: Form, insn: Instruction | None) -> bool:
    """Whether the case can be ended by TF."""
    if insn is None:
        return True
    if insn.prefixes & (Prefixes.REP | Prefixes.REPNE) and form.mnemonic in STRINGS:
        return False
    loads_ss = form.opcode == b"\x17" or (form.opcode == b"\x8e" and insn.modrm >> 3 & 7 == SS)
    return not loads_ss and not form.mnemonic.startswith(FLAGS_ON_STACK)


def _point_registers(state: _State, form: Form, insn: Instruction | None) -> None:
    """Aim stack and string registers; keep repeat counts small."""
    state.point(RSP, state.stack_width(), SS)
    if state.rng.random() < 0.3:
        state.gpr[RSP] &= ~7
    if insn is None:
        return
    width = insn.address_size
    if form.mnemonic in STRINGS or state.rng.random() < 0.3:
        state.point(RSI, width, insn.segment if insn.segment >= 0 else DS)
        state.point(RDI, width, ES)
    if form.mnemonic in STRINGS or form.mnemonic.startswith("LOOP") or state.rng.random() < 0.2:
        state.set(RCX, width, state.rng.randrange(12))
    if "MASKMOV" in form.mnemonic:
        state.point(RDI, width, insn.segment if insn.segment >= 0 else DS)
    if form.mnemonic == "POPF":
        _calm(state)


def _calm(state: _State) -> None:
    """Let POPF find no TF, and no AC: the oracle's own code would feel that."""
    width = state.stack_width()
    top = state.base(SS) + (state.gpr[RSP] & (1 << 8 * width) - 1)
    if CODE - 8 < top < CODE + PAGE:
        state.set(RSP, width, DATA - state.base(SS))
        top = DATA
    state.poke(top + 1, bytes([state.rng.getrandbits(8) & 0xFE]))
    state.poke(top + 2, bytes([state.rng.getrandbits(8) & 0xFB]))


def _far_pointer(rng: Random, mode: int, size: int) -> bytes:
    """A far pointer to code that there is, most of the time.

    Not from 16 and 32-bit code into 64-bit code: the oracle does not find its way back from there.
    """
    narrow = [target for target in FAR_TARGETS if mode == 64 or target[1] != USER_CODE64]
    base, selector = rng.choice(narrow)
    if rng.random() < 0.15:
        selector = rng.choice([one for one in SELECTORS if one != USER_CODE64])
    offset = CODE + rng.randrange(PAGE) - base
    if rng.random() < 0.1:
        offset = rng.choice(EDGES)
    return (offset & (1 << 8 * size) - 1).to_bytes(size, "little") + selector.to_bytes(2, "little")


def _lead(state: _State, form: Form, code: bytes, insn: Instruction, where: int | None) -> bytes:
    """Let a far transfer find a pointer; returns the code, perhaps changed."""
    size = insn.operand_size
    pointer = _far_pointer(state.rng, state.mode, size)
    if form.mnemonic == "RETF":
        top = state.gpr[RSP] & (1 << 8 * state.stack_width()) - 1
        state.poke(state.base(SS) + top, pointer[:size])
        state.poke(state.base(SS) + top + size, pointer[size:].ljust(size, b"\0"))
    elif insn.memory_size and where is not None:
        state.poke(where, pointer)
    elif not insn.memory_size:
        return code[: -len(pointer)] + pointer
    return code


def _narrow(state: _State, insn: Instruction | None) -> bool:
    """Fit the registers to the mode; `False` for what IRETQ to a 16-bit stack cannot set up."""
    if state.mode == 64:
        return True
    state.gpr = [word & 0xFFFF_FFFF for word in state.gpr[:8]] + [0] * 8
    if state.stack_width() == 2:
        state.gpr[RSP] &= 0xFFFF  # the upper half is not what was asked for
        return insn is None or not _names_esp(insn)
    return True


def _names_esp(insn: Instruction) -> bool:
    """Whether ESP is an explicit operand (or AH is), or part of an address."""
    kinds = {KINDS[kind] for kind in ROWS[insn.row].kinds}
    return (
        insn.base == RSP
        or ("Z" in kinds and insn.opcode & 7 == RSP)
        or ("G" in kinds and insn.modrm >> 3 & 7 == RSP)
        or ("B" in kinds and insn.vvvv == RSP)
        or (insn.modrm >= 0xC0 and insn.modrm & 7 == RSP)
        or (OPS[ROWS[insn.row].op] in PUSHES_ESP and insn.operand_size == 4)
    )


def trial(
    rng: Random, form: Form, mode: int, image: bytes, registers: Sequence[int] | None = None
) -> Trial | None:
    """One random case of a form, `None` when the bytes came out as something else.

    What does not matter to the case keeps the contents of `image` and `registers`.
    """
    made = _instruction(rng, form, mode)
    if made is None:
        return None
    code, insn = made
    state = _State(rng, mode, image, registers)
    single_step = _traps(form, insn)
    may_cross = single_step and form.mnemonic not in UNDEFINED
    linear = _slot(rng, code, insn if may_cross else None)
    rip = linear - state.base(CS)
    _point_registers(state, form, insn)
    where = None
    if insn is not None and (insn.memory_size or form.mnemonic in STATE_AREAS):
        where = place(rng, mode)
        if where is not None and not 0 < insn.memory_size <= 8 and rng.random() < 0.5:
            where &= -min(64, insn.memory_size or 64)
        if where is not None:
            code = _aim(state, code, insn, rip, where)
            state.poke(where, state.word() if not uses_x87(form) else x87_memory(rng, insn))
    if insn is not None and form.mnemonic in FAR:
        code = _lead(state, form, code, insn, where)
    if not _narrow(state, insn):
        return None
    flags = rng.getrandbits(12) & STATUS | (DF if rng.random() < 0.3 else 0)
    if rng.random() < 0.15:  # Linux sets CR0.AM
        flags |= AC
    case = Case(
        code,
        mode,
        tuple(state.gpr),
        flags,
        state.selectors,
        state.bases,
        bytes(state.memory),
        rip,
        linear,
        single_step,
        gathered(rng, insn, contents(rng, form)),
    )
    return Trial(form, case, insn)


def uses_x87(form: Form) -> bool:
    """Whether a form is of the x87 unit."""
    return form.mnemonic == "FWAIT" or form.opcode[0] in ESCAPES


def contents(rng: Random, form: Form) -> bytes:
    """Contents for the registers of `Case.vectors`."""
    if uses_x87(form):
        return x87_vectors(rng)
    return vectors(rng) if uses_vectors(form) else DEFAULT_VECTORS


def gathered(rng: Random, insn: Instruction | None, registers: bytes) -> bytes:
    """`registers`, where a vector of indices mostly does not lead far."""
    if insn is None or not ROWS[insn.row].index_size or rng.random() < 0.05:
        return registers
    size, start = ROWS[insn.row].index_size, 64 * insn.index
    lanes = [rng.choice((0, 1, 5, 8, rng.randrange(-32, 64))) for _ in range(64 // size)]
    if rng.random() < 0.1:
        lanes[rng.randrange(4)] = rng.choice((0x800, 0x7000_0000, -0x4000))
    raw = b"".join((lane & (1 << 8 * size) - 1).to_bytes(size, "little") for lane in lanes)
    return registers[:start] + raw + registers[start + 64 :]


def uses_vectors(form: Form) -> bool:
    """Whether a form has to do with vector, opmask or x87 registers."""
    if form.mnemonic in STATE or uses_x87(form):
        return True
    return bool(ROWS[form.row].flags & VVVV and form.fields) or bool(
        {KINDS[kind] for kind in ROWS[form.row].kinds} & set("VWUHLPQNKkhfg")
    )


def vectors(rng: Random) -> bytes:
    """Contents for the vector, opmask and x87 registers, in the order of the record."""
    lanes = [value(rng) for _ in range(12)]
    words = [
        rng.choice(lanes) if rng.random() < 0.5 else rng.getrandbits(64) for _ in range(32 * 8)
    ]
    masks = [rng.choice((rng.getrandbits(64), 0, 1, -1 & (1 << 64) - 1, 2)) for _ in range(8)]
    x87 = [rng.getrandbits(64) if place % 2 == 0 else 0xFFFF for place in range(16)]
    top = rng.randrange(8) << 11
    return struct.pack("<284Q", *words, *masks, 0x1F80, *x87, 0x37F, top, rng.getrandbits(8))


def _extended(rng: Random) -> tuple[int, int]:
    """Significand and exponent of a number that some conversion finds interesting."""
    sign = rng.getrandbits(1) << 15
    significand = rng.getrandbits(63) | 1 << 63
    if rng.random() < 0.5:  # few bits, or just beside them
        significand = 1 << 63 | rng.getrandbits(rng.choice((1, 24, 53))) << rng.choice((8, 11, 40))
        significand = significand + rng.choice((0, 0, 0, 1, -1, 0x80, 0x400)) & (1 << 64) - 1
    kind = rng.random()
    if kind < 0.5:
        middle = rng.choice((0, 0, 15, 31, 59, 63, 127, -127, -149, 1023, -1023, -1074))
        return significand | 1 << 63, sign | 16383 + middle + rng.randrange(-2, 3)
    if kind < 0.6:
        return significand | 1 << 63, sign | rng.getrandbits(15)
    fraction = rng.choice((0, 1 << 62, 1, rng.getrandbits(62), rng.getrandbits(62) | 1 << 62))
    integer = rng.choice((0, 1, 1)) << 63
    return fraction | integer, sign | rng.choice((0, 0, 1, 0x7FFF, 0x7FFF, 16383))


def x87_vectors(rng: Random) -> bytes:
    """As `vectors`, with numbers in the x87 unit, and mostly no exception pending."""
    numbers = [_extended(rng) for _ in range(8)]
    if rng.random() < 0.2:
        numbers[rng.randrange(8)] = rng.choice(numbers)
    control = rng.getrandbits(2) << 10 | rng.choice((0, 2, 3)) << 8 | 0x7F
    if rng.random() < 0.3:
        control &= ~(rng.getrandbits(6))
    status = rng.getrandbits(16) & 0x7F00 | (rng.getrandbits(7) if rng.random() < 0.2 else 0)
    if status & ~control & 0x3F:
        status |= 0x8080
    tag = rng.choice((0xFF, rng.getrandbits(8), rng.getrandbits(8) | rng.getrandbits(8), 0x7F))
    if rng.random() < 0.5:  # a register to push onto
        tag &= ~(1 << ((status >> 11) - 1 & 7))
    words = [word for number in numbers for word in number]
    return struct.pack("<284Q", *[0] * 264, 0x1F80, *words, control, status, tag)


def x87_memory(rng: Random, insn: Instruction) -> bytes:
    """A number for an x87 instruction to load, or more bytes than that."""
    significand, exponent = _extended(rng)
    if insn.memory_size == 10 and rng.random() < 0.7:
        digits = int(str(rng.getrandbits(59))[:18], 16)
        choices = (digits | exponent >> 15 << 79, exponent << 64 | significand)
        return rng.choice(choices).to_bytes(10, "little")
    if insn.memory_size in {4, 8}:
        top = rng.choice((0, 0, 1, 0x7F, 0xFF)) if insn.memory_size == 4 else 0
        top = top or rng.choice((0, 0, 1, 0x3FF, 0x7FE, 0x7FF))
        places = 23 if insn.memory_size == 4 else 52
        number = exponent >> 15 << 8 * insn.memory_size - 1 | top << places
        number |= rng.choice((0, 1, 1 << places - 1, rng.getrandbits(places)))
        return (number & (1 << 8 * insn.memory_size) - 1).to_bytes(insn.memory_size, "little")
    return value(rng).to_bytes(8, "little")


def image(rng: Random) -> bytes:
    """Contents for the windows."""
    lanes = [value(rng) for _ in range(64)]
    return b"".join(
        struct.pack("<8Q", *rng.choices(lanes, k=8)) if rng.random() < 0.5 else rng.randbytes(64)
        for _ in range(MEMORY_SIZE // 64)
    )


def trials(seed: str, form: Form, mode: int, count: int) -> Iterator[Trial]:
    """Up to `count` cases of a form, the same for the same seed; fewer where the form is rare."""
    rng = Random(f"{seed} {form.row} {mode}")
    contents = image(rng)
    made = 0
    for _ in range(4 * count + 16):
        one = trial(rng, form, mode, contents)
        if one is not None:
            yield one
            made += 1
        if made == count:
            return
        if made % 256 == 255:
            contents = image(rng)
