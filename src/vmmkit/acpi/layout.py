# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Table sets: which tables there are, how they find each other, and where they are put.

Tables refer to each other as objects. A `TableSet` collects them, makes the RSDP and the root
tables, and either gives all of them addresses (`TableSet.place`), or leaves that to the guest's
firmware (`TableSet.linker_script`). Both resolve the same relocations::

    dsdt = Dsdt(...)
    tables = TableSet([Fadt(x_dsdt=dsdt, x_firmware_ctrl=Facs()), Madt(...), Mcfg(...)])
    placement = tables.place(0x7FF0_0000, limit=0x8000_0000, rsdp=0xE_0000)
    for gpa, data, name in placement.pieces:
        write(gpa, data)

What is pointed at comes along by itself, directly or through others: DSDT, FACS, `Blob`. Only
tables that were added are listed in the root tables. Tables may point at each other in a circle:
addresses are known before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

from vmmkit.acpi._collect import Collector, MemoryReader, find_rsdp
from vmmkit.acpi._resolve import (
    FOUR_GIB,
    Member,
    assign,
    fixed_ranges,
    placement,
    signature_of,
)
from vmmkit.acpi._script import script_of
from vmmkit.acpi._window import Window, span
from vmmkit.acpi.arguments import elements, instance
from vmmkit.acpi.linker import LinkerScript
from vmmkit.acpi.placement import E820Entry, E820Type, Piece, Placement
from vmmkit.acpi.relocation import Addressable, Relocation
from vmmkit.acpi.tables.root import RootTable, Rsdt, Xsdt
from vmmkit.acpi.tables.rsdp import Rsdp
from vmmkit.errors import PlacementError, TableValueError

__all__ = ["E820Entry", "E820Type", "Piece", "Placement", "TableSet", "find_rsdp"]

_Target = TypeVar("_Target", bound=Addressable)

#: Reached through the FADT and never listed.
_UNLISTED = frozenset({"DSDT", "FACS"})
_MADE = frozenset({"RSD PTR ", "RSDT", "XSDT"})
#: Tables that describe the whole machine. Others, such as the SSDT, may occur several times.
_SINGLE = frozenset(
    {
        "APIC",
        "BERT",
        "BGRT",
        "BOOT",
        "CPEP",
        "DBG2",
        "DMAR",
        "DSDT",
        "ECDT",
        "EINJ",
        "ERST",
        "FACP",
        "FACS",
        "FPDT",
        "GTDT",
        "HEST",
        "HMAT",
        "HPET",
        "IORT",
        "IVRS",
        "MCFG",
        "MSCT",
        "PCCT",
        "PPTT",
        "SBST",
        "SLIT",
        "SPCR",
        "SRAT",
        "TCPA",
        "TPM2",
        "VIOT",
        "WAET",
        "WSMT",
    }
)


class TableSet:
    """An ordered collection of tables.

    Args:
        tables: see `add`.
        xsdt: whether there is an XSDT and so an RSDP of revision 2; if not, an RSDT only and an
            RSDP of revision 0, as in ACPI 1.0.
        rsdt: whether there is an RSDT beside the XSDT; `None`: where all tables are below 4 GiB.
        oem_id: of RSDP and root tables, up to 6 characters.
        oem_table_id: of the root tables, up to 8 characters.
        oem_revision: of the root tables, 32 bits.
        creator_id: of the root tables, up to 4 characters.
        creator_revision: of the root tables, 32 bits.

    Raises:
        TableValueError: see `add`; or neither XSDT nor RSDT.
    """

    def __init__(
        self,
        tables: Iterable[Addressable] = (),
        *,
        xsdt: bool = True,
        rsdt: bool | None = None,
        oem_id: str = "VMMKIT",
        oem_table_id: str = "VMMKIT",
        oem_revision: int = 1,
        creator_id: str = "VMMK",
        creator_revision: int = 1,
    ) -> None:
        """Add the tables."""
        if not xsdt and rsdt is False:
            raise TableValueError("a table set has an XSDT, an RSDT, or both", "RSDP")
        self._xsdt = xsdt
        self._rsdt = rsdt if xsdt else True
        self._oem: dict[str, Any] = {
            "oem_id": oem_id,
            "oem_table_id": oem_table_id,
            "oem_revision": oem_revision,
            "creator_id": creator_id,
            "creator_revision": creator_revision,
        }
        self._added: list[tuple[Addressable, str | None]] = []
        self._ids: set[int] = set()
        for table in elements("tables", tables):
            self.add(table)
        Xsdt((), **self._oem)  # says now what is wrong with the OEM fields

    def add(self, table: _Target, name: str | None = None) -> _Target:
        """Add a table, or bytes that something else will point at, and return it.

        Args:
            table: a table, a FACS or a `Blob`. Those that relocations point at need not be added.
            name: what errors and pieces call it; that of the table where none is given. Names
                that occur several times get numbers: SSDT, SSDT#2, SSDT#3.

        Raises:
            TableValueError: the same object again, a table that is made here (RSDP, RSDT, XSDT),
                a second one of a table that there is only one of, or no table.
        """
        if isinstance(table, type) or not hasattr(table, "relocations"):
            raise TableValueError(f"no table: {table!r:.60}; from_bytes makes one of bytes")
        signature = signature_of(table)
        if id(table) in self._ids:
            raise TableValueError(f"{table.name} is in this set already", table.name)
        if signature in _MADE:
            raise TableValueError(f"{table.name} is made by the set itself", table.name)
        self._added.append((table, name))
        self._ids.add(id(table))
        if signature in _SINGLE:
            _check_single([target for target, _name in self._added], signature)
        return table

    @classmethod
    def from_memory(cls, read: MemoryReader, rsdp_address: int) -> Self:
        """Read the tables that a guest finds, so that they can be placed elsewhere.

        RSDP, XSDT (RSDT where there is none), FADT, DSDT and FACS are followed, and their pointers
        made symbolic again. Other addresses in tables, such as those of logs and images, and those
        in AML, stay numbers: what they lead to is not known to end anywhere.

        Args:
            read: returns guest-physical memory, called as `read(gpa, size)`.
            rsdp_address: where the RSDP is; see `find_rsdp`.

        Raises:
            TableParseError: no RSDP there, no root table, or something listed that is no table.
            TableValueError: two of a table that there is only one of.
        """
        found = Collector(read, rsdp_address)
        root = found.root
        return cls(
            found.tables,
            xsdt=found.rsdp.xsdt_address != 0,
            rsdt=None if found.rsdp.rsdt_address else False,
            oem_id=root.oem_id,
            oem_table_id=root.oem_table_id,
            oem_revision=root.oem_revision,
            creator_id=root.creator_id,
            creator_revision=root.creator_revision,
        )

    def __iter__(self) -> Iterator[Addressable]:
        """Yield all that is placed, but the RSDP and the root tables: FADT first."""
        return (member.target for member in self.members())

    def __len__(self) -> int:
        """Return how many `__iter__` yields."""
        return len(self.members())

    def find(self, signature: str) -> tuple[Addressable, ...]:
        """Return all tables with this signature, such as "FACP" or "SSDT", in order."""
        return tuple(target for target in self if signature_of(target) == signature)

    def listed(self) -> tuple[Addressable, ...]:
        """Return the tables that the root tables list: those added, the FADT first."""
        tables = [target for target, _name in self._added if signature_of(target)]
        tables = [table for table in tables if signature_of(table) not in _UNLISTED]
        return tuple(sorted(tables, key=lambda table: signature_of(table) != "FACP"))

    def members(self) -> tuple[Member, ...]:
        """Return names and objects of all that is placed, but the RSDP and the root tables.

        Raises:
            TableValueError: two of a table that there is only one of, or a DSDT or FACS that
                nothing points at.
        """
        names = {id(target): name for target, name in self._added if name is not None}
        unique = _Unique()
        found = tuple(
            Member(unique(names.get(id(target), target.name)), target, places)
            for target, places in _reached([*self.listed(), *(one for one, _name in self._added)])
        )
        for signature in sorted({signature_of(member.target) for member in found} & _SINGLE):
            _check_single([member.target for member in found], signature)
        _check_reachable(found)
        return found

    def _roots(self, rsdt: bool) -> tuple[Member, ...]:
        """Return the RSDP and the root tables."""
        tables = self.listed()
        found: dict[str, RootTable] = {}
        if self._xsdt:
            found["XSDT"] = Xsdt(tables, **self._oem)
        if rsdt:
            found["RSDT"] = Rsdt(tables, **self._oem)
        rsdp = Rsdp(
            found.get("XSDT", 0),
            rsdt_address=found.get("RSDT", 0),
            revision=2 if self._xsdt else 0,
            oem_id=self._oem["oem_id"],
        )
        members: dict[str, Addressable] = {"RSDP": rsdp, **found}
        return tuple(Member(name, one, one.relocations()) for name, one in members.items())

    def place(
        self,
        base: int,
        *,
        limit: int | None = None,
        rsdp: int | None = None,
        facs: int | None = None,
        avoid: Iterable[tuple[int, int]] = (),
        granule: int = 0x1000,
    ) -> Placement:
        """Give everything an address and resolve all pointers; the set itself does not change.

        From `base` on lie the RSDP, the root tables and the tables, then the FACS, then blobs.
        The same set and arguments give the same bytes.

        Args:
            base: guest-physical address of the first, not 0.
            limit: no byte is put at this address or above; `None`: anywhere.
            rsdp: where to put the RSDP instead, a multiple of 16, such as 0xE0000, where systems
                search that are not told.
            facs: where to put the FACS instead, a multiple of 64 below 4 GiB. Needed where the
                tables are above 4 GiB.
            avoid: `(base, size)` ranges to go around.
            granule: bytes; each kind of memory begins at a multiple of it, so that the guest finds
                no page of two kinds. 1 puts everything close together.

        Raises:
            PlacementError: something does not fit below the limit, an address given is not
                aligned, or taken, or out of reach of a pointer. It names table, size and range.
            TableValueError: see `members`.
        """
        _check_numbers(base=base, limit=limit, rsdp=rsdp, facs=facs, granule=granule)
        if granule < 1 or granule & (granule - 1):
            raise PlacementError(f"granule {granule} is no power of two")
        given = {"RSD PTR ": rsdp, "FACS": facs}
        addresses = {name: address for name, address in given.items() if address is not None}
        avoid = tuple([_checked_range(each) for each in elements("avoid", avoid, PlacementError)])
        others = self.members()
        # The RSDT takes room itself, so where it is to decide by the addresses it is tried first.
        choices = {True: [True], False: [False], None: [base < FOUR_GIB, False]}[self._rsdt]
        for with_rsdt in choices:
            members = (*self._roots(with_rsdt), *others)
            fixed = fixed_ranges(members, addresses)
            window = Window(base, limit, avoid, fixed.values())
            found = assign(members, fixed, window, granule)
            if not with_rsdt or self._reaches(members, found):
                break
        return placement(members, found, window, granule)

    def _reaches(self, members: Iterable[Member], addresses: Mapping[int, int]) -> bool:
        """Return whether the RSDT, and all that it lists, are below 4 GiB.

        Raises:
            PlacementError: they are not, and there was to be an RSDT.
        """
        listed = {id(table) for table in self.listed()}
        for name, target, _places in members:
            address = addresses[id(target)]
            if address >= FOUR_GIB and (name == "RSDT" or id(target) in listed):
                if self._rsdt is None:
                    return False
                size = len(target.to_bytes())
                raise PlacementError(
                    f"the RSDT cannot list {name} of {size} bytes at {span(address, size)}"
                    if name != "RSDT"
                    else f"the RSDP cannot point at the RSDT of {size} bytes at "
                    f"{span(address, size)}",
                    name,
                )
        return True

    def linker_script(self) -> LinkerScript:
        """Return the fw_cfg files with which firmware places the tables itself.

        There is an RSDT unless it was declined: firmware allocates below 4 GiB.

        Raises:
            LinkerError: a blob's name that is no name of a file there, or is another's; a pointer
                that leads out of its target.
            TableValueError: see `members`.
        """
        return script_of((*self._roots(self._rsdt is not False), *self.members()))


def _check_numbers(**given: int | None) -> None:
    for name, value in given.items():
        if value is not None:
            instance(name, value, int, PlacementError)


def _checked_range(value: tuple[int, int]) -> tuple[int, int]:
    """Return base and size of a range to go around; `Window` checks what they are."""
    pair = elements("a range to avoid", value, PlacementError)
    if len(pair) != 2 or not all(isinstance(each, int) for each in pair):
        raise PlacementError(f"a range to avoid is a pair of base and size, not {value!r:.80}")
    return pair


class _Unique:
    """Gives each name once: the second of its kind gets a #2."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._given = {"RSDP", "XSDT", "RSDT"}

    def __call__(self, name: str) -> str:
        while True:
            count = self._counts[name] = self._counts.get(name, 0) + 1
            unique = name if count == 1 else f"{name}#{count}"
            if unique not in self._given:
                self._given.add(unique)
                return unique


def _reached(
    starts: list[Addressable],
) -> Iterator[tuple[Addressable, tuple[Relocation, ...]]]:
    """Yield these and all that they point at, directly or not, each once, with its pointers."""
    seen: set[int] = set()
    waiting = starts[::-1]
    while waiting:
        target = waiting.pop()
        if id(target) not in seen:
            seen.add(id(target))
            places = target.relocations()
            yield target, places
            waiting.extend(place.target for place in reversed(places))


def _check_single(targets: Iterable[Addressable], signature: str) -> None:
    count = sum(signature_of(target) == signature for target in targets)
    if count > 1:
        raise TableValueError(
            f"{count} tables {signature} are in the set or pointed at; there can be one only",
            signature,
        )


def _check_reachable(members: Iterable[Member]) -> None:
    pointed_at = {id(place.target) for member in members for place in member.places}
    for name, target, _places in members:
        if signature_of(target) in _UNLISTED and id(target) not in pointed_at:
            raise TableValueError(f"no FADT of this set points at the {name}", name)
