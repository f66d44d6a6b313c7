# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every way an instruction stores, over page-table entries whose translations are remembered.

A guest loads from 64 pages, stores over some of their entries, and loads again, all in one run. The
pure engine walks each time; whatever it finds, fault or device or another page, the native one has
to find too.
"""

import pytest

from vmmkit.insn import Cpu

TABLE, SOURCE, CODE, PAGES, OTHER = 0x4000, 0x8000, 0x1_0000, 0x10_0000, 0x8_0000
MARKED = 0x67  # present, writable, user, accessed, dirty
EVERYTHING = (1 << 64) - 1

# RDI points at an entry; RSI at a page of new ones, of which RBX is one.
STORES = {
    "mov8": "48891f",
    "mov1": "881f",
    "movnti": "480fc31f",
    "xchg": "48871f",
    "lock xadd": "f0480fc11f",
    "lock cmpxchg": "488b07f0480fb11f",
    "cmpxchg16b": "488b07488b5708488b0ef0480fc70f",
    "cmpxchg8b": "8b078b57040fc70f",
    "lock bts": "f0480fba2f0d",
    "bts reg": "480fab0f",
    "lock inc": "f048ff07",
    "not": "48f717",
    "movdqa": "660f6f06660f7f07",
    "movups": "0f10060f1107",
    "movntdq": "660f6f06660fe707",
    "maskmovdqu": "660f6f06660f76c9660ff7c1",
    "movq mmx": "0f6f060f7f07",
    "maskmovq": "0f6f060f76c90ff7c1",
    "movhps": "0f16060f1707",
    "movlps": "0f12060f1307",
    "pextrq": "660f6f0666480f3a160700",
    "extractps": "660f6f06660f3a170700",
    "movss": "f30f1006f30f1107",
    "vmovdqu ymm": "c5fe6f06c5fe7f07",
    "vmaskmovpd": "c5fc1006c5ed76d2c4e26d2f07",
    "vpmaskmovq": "c5fc1006c5ed76d2c4e2ed8e07",
    "vextractf128": "c5fc1006c4e37d190700",
    "vmovdqu64 zmm": "62f1fe486f0662f1fe487f07",
    "vmovdqu64 zmm k1": "b8ff000000c5fb92c862f1fe486f0662f1fe497f07",
    "vpcompressq": "b8fe000000c5fb92c862f1fe486f0662f2fd498b07",
    "vpmovqd": "62f1fe486f0662f27e483507",
    "kmovq": "c4e1f89006c4e1f89107",
    "fxsave": "0f10060f28c80fae07",
    "fxsave64": "0f1006480fae07",
    "xsave": "0f1006b80700000031d20fae27",
    "xsavec": "0f1006b80700000031d20fc727",
    "xsaveopt": "0f1006b80700000031d20fae37",
    "xsaves": "0f1006b80700000031d20fc72f",
    "movdir64b": "660f38f83e",
    "movdiri": "480f38f91f",
    "stos": "4889d848ab",
    "rep stosq": "4889d8b908000000f348ab",
    "rep stosb": "b067b940000000f3aa",
    "movsq": "48a5",
    "rep movsq": "b910000000f348a5",
    "rep movsb": "b940000000f3a4",
    "rep movsq back": "4883c7384883c638b908000000fdf348a5fc",
    "push": "4989e0488d6708534c89c4",
    "push seq": "4989e0488d6720535353534c89c4",
    "call": "4989e0488d6708e800000000584c89c4",
    "pushf": "4989e0488d67089c4c89c4",
    "enter": "4989e0488d671089ddc80000014c89c431ed",
    "pop mem": "538f07",
    "sidt": "0f010f",
    "sgdt": "0f0107",
    "smsw": "0f0127",
    "str": "0f000f",
    "mov seg": "668c1f",
    "fstp m80": "db2edb3f",
    "fnstenv": "d937",
    "fnsave": "dd37",
    "fistp": "df2edf3f",
    "fbstp": "df2edf37",
    "fnstcw": "d93f",
    "stmxcsr": "0fae1f",
    "movbe": "480f38f11f",
    "shld": "480fa4df08",
    "rcl": "48d117",
    "adc": "481117",
}
# For each of 64 pages from R9 on: rol r12, 5; xor r12, [r9]
LOADS = "49c7c100001000" + "49c1c4054d33214981c1001000004981f90000140075e9"


def loader(store, place):
    code = "bf" + place.to_bytes(4, "little").hex() + "be" + SOURCE.to_bytes(4, "little").hex()
    code += "48bb" + (OTHER | MARKED).to_bytes(8, "little").hex()
    return bytes.fromhex(LOADS + code + store + LOADS + "ebfe")


def boot(engine, code):
    """A 64-bit guest in 2 MiB, all of it an identity."""
    ram = bytearray(0x20_0000)
    for entry, table in ((0x1000, 0x2000), (0x2000, 0x3000), (0x3000, TABLE)):
        ram[entry : entry + 8] = (table | MARKED).to_bytes(8, "little")
    for page in range(512):
        ram[TABLE + 8 * page : TABLE + 8 * page + 8] = (page << 12 | MARKED).to_bytes(8, "little")
        ram[page << 12 | 0x800] = page & 0xFF
    for page in range(64):
        ram[PAGES + (page << 12)] = page + 1
    ram[SOURCE : SOURCE + 0x1000] = (OTHER | MARKED).to_bytes(8, "little") * 512
    ram[CODE : CODE + len(code)] = code
    cpu = Cpu([(0, ram)], engine=engine)
    state = cpu.state
    state.features = EVERYTHING
    state.enter_long_mode(CODE, 0x1000)
    state.cr4 |= 0x4_0600  # OSXSAVE, OSFXSR, OSXMMEXCPT
    state.xcr0, state.mxcsr, state.x87_control, state.x87_tag = 0xE7, 0x1F80, 0x37F, 0xFF
    state.rsp = 0x9000
    return cpu, ram


@pytest.mark.parametrize("name", STORES)
def test_it_is_noticed(two_engines, name):
    """At the first entry, and at one within the table that has others on both sides."""
    for place in (TABLE + PAGES // 0x200, TABLE + PAGES // 0x200 + 0x40):
        found = []
        for engine in two_engines:
            cpu, ram = boot(engine, loader(STORES[name], place))
            outcome = cpu.run(1000)
            assert cpu.state.retired > 64 * 4
            found.append((outcome, cpu.state.record, ram))
        assert found[0] == found[1]
