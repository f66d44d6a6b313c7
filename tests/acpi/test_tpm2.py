# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""TPM2: start methods and log areas."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi import acpica
from acpi.table_cases import (
    body,
    check_damage,
    check_limits,
    check_reading,
    contents,
    hexed,
    table_bytes,
)
from vmmkit.acpi.relocation import Blob, Relocation
from vmmkit.acpi.tables.tpm2 import LogArea, PlatformClass, StartMethod, Tpm2
from vmmkit.errors import TableValueError

PLAIN = Tpm2(StartMethod.MMIO)
CRB = Tpm2(
    StartMethod.CRB_WITH_SMC,
    bytes(range(1, 9)),
    LogArea(0x10000, 0x7FF0_0000),
    address_of_control_area=0xFED4_0040,
    platform_class=PlatformClass.SERVER,
)


def test_bytes_are_those_of_the_specification():
    assert body(PLAIN) == hexed("0000 0000 0000000000000000 06000000")
    assert body(CRB) == hexed(
        """0100 0000 4000D4FE00000000 0B000000 0102030405060708 00000000
        00000100 0000F07F00000000"""
    )


@pytest.mark.parametrize(("revision", "size"), [(4, 76), (5, 80), (6, 80)])
def test_log_area_follows_the_parameters_of_the_revision(revision, size):
    table = Tpm2(StartMethod.CRB, b"\1", LogArea(1, 2), revision=revision)
    assert len(table.to_bytes()) == size
    assert Tpm2.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize("revision", [3, 4, 5])
def test_without_log_area_parameters_are_as_long_as_they_are(revision):
    table = Tpm2(StartMethod.CRB, b"\1\2\3", revision=revision)
    assert len(table.to_bytes()) == 55
    assert Tpm2.from_bytes(table.to_bytes()) == table


def test_revision_3_has_no_log_area():
    with pytest.raises(TableValueError, match="log_area"):
        Tpm2(StartMethod.CRB, log_area=LogArea(1, 2), revision=3)
    data = table_bytes("TPM2", body(CRB), 3)
    table = Tpm2.from_bytes(data)
    assert table.log_area is None
    assert len(table.start_method_specific_parameters) == len(table.trailing) == 12


@pytest.mark.parametrize(("revision", "limit"), [(3, 12), (4, 12), (5, 16)])
def test_too_many_parameters_are_refused(revision, limit):
    Tpm2(StartMethod.CRB, bytes(limit), revision=revision)
    with pytest.raises(TableValueError, match="start_method_specific_parameters"):
        Tpm2(StartMethod.CRB, bytes(limit + 1), revision=revision)


def test_log_may_be_a_blob():
    log = Blob(bytes(0x1000), "tpm log")
    table = Tpm2(StartMethod.CRB, log_area=LogArea(0x1000, log))
    assert table.relocations() == (Relocation(68, 8, log),)
    assert body(table)[-12:] == hexed("00100000 0000000000000000")
    assert Tpm2(StartMethod.CRB, log_area=LogArea(1, log), revision=5).relocations() == (
        Relocation(72, 8, log),
    )
    assert PLAIN.relocations() == CRB.relocations() == ()


def test_blob_must_be_as_long_as_the_log():
    with pytest.raises(TableValueError, match="minimum_length"):
        LogArea(0x1001, Blob(bytes(0x1000)))


@pytest.mark.parametrize("record", [PLAIN, CRB, LogArea(1, 2)])
def test_limits_of_fields(record):
    check_limits(record, apart={"revision", "start_address"})


@pytest.mark.parametrize("address", [-1, 1 << 64])
def test_limits_of_the_log_address(address):
    assert LogArea(1, (1 << 64) - 1).to_bytes()[4:] == b"\xff" * 8
    with pytest.raises(TableValueError, match="start_address"):
        LogArea(1, address)


# This version of iasl wants a log area in each table, and other parameters of a secure monitor
# call than other start methods have.
@pytest.mark.parametrize("method", [2, 6, 7, 8])
def test_iasl_reads_and_recompiles_it(method):
    table = Tpm2(method, b"\1\2", LogArea(0x10000, 0x7FF0_0000), platform_class=1)
    acpica.assert_roundtrip(table.to_bytes())


@pytest.mark.parametrize("table", [PLAIN, CRB])
def test_damage_is_read_or_refused(table):
    check_damage(Tpm2, table.to_bytes())


@settings(max_examples=50)
@given(contents(CRB.to_bytes()), st.integers(0, 7))
def test_any_content_is_read_or_refused(content, revision):
    check_reading(Tpm2, table_bytes("TPM2", content, revision))
