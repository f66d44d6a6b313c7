# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BGRT: where the image is."""

from hypothesis import given, settings

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
from vmmkit.acpi.tables.bgrt import Bgrt, BgrtStatus

SAMPLE = Bgrt(0x7E00_0000, 100, 200, status=BgrtStatus.DISPLAYED | BgrtStatus.ORIENTATION_180)


def test_bytes_are_those_of_the_specification():
    assert body(SAMPLE) == hexed("0100 05 00 0000007E00000000 64000000 C8000000")
    assert Bgrt.from_bytes(SAMPLE.to_bytes()) == SAMPLE


def test_orientations():
    assert BgrtStatus.ORIENTATION_90 | BgrtStatus.ORIENTATION_180 == BgrtStatus.ORIENTATION_270


def test_image_may_be_a_blob():
    image = Blob(b"BM", "logo")
    assert Bgrt(image).relocations() == (Relocation(40, 8, image),)


def test_limits_of_fields():
    check_limits(SAMPLE, apart={"image_address"})


def test_iasl_reads_and_recompiles_it():
    acpica.assert_roundtrip(SAMPLE.to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Bgrt, SAMPLE.to_bytes())


@settings(max_examples=30)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Bgrt, table_bytes("BGRT", content))
