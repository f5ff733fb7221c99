"""Which country and network an address is in: by the user's address databases, else unknown (null).

† By as-of join on tables of ranges: docs/decisions/0004-address-lookup.md.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import polars as pl

from ingest.durable import locked
from ingest.lake import Lake, write_parquet
from ingest.logs.numbers import Numbers
from ingest.reference.address_db import ABSENT, AddressTable, load
from ingest.reference.address_values import NetworkKind, Role
from ingest.schema import NETWORKS, Schema, conform
from ingest.settings import SettingError, Settings

KINDS = "networks.csv"  # asn,kind,name; a user's own, in reference_dir or the data folder, goes before ours
_KINDS: Schema = {"asn": pl.Int64, "kind": pl.String, "name": pl.String}


@dataclass(frozen=True)
class Networks:
    """The address databases in force, and what well-known networks are for where those do not say."""

    countries: AddressTable
    systems: AddressTable
    ours: pl.DataFrame  # asn, kind, name
    theirs: pl.DataFrame  # the user's: goes before what the database says; without a kind it cancels ours

    @classmethod
    def load(cls, settings: Settings) -> Networks:
        """From the settings country_db, network_db, reference_dir and data. Raises SettingError."""
        folders = [folder for folder in (settings.reference_dir, settings.data) if folder is not None]
        own = next((folder / KINDS for folder in folders if (folder / KINDS).is_file()), None)
        return cls(
            load(Role.COUNTRY, settings.country_db, settings),
            load(Role.NETWORK, settings.network_db, settings),
            kinds_of(resources.files("ingest.reference").joinpath(KINDS).read_text("utf-8"), KINDS),
            kinds_of(own.read_text("utf-8", "replace") if own else "", str(own)),
        )

    @classmethod
    def none(cls) -> Networks:
        """Without databases: every address is somewhere, nobody knows where."""
        nothing = pl.DataFrame(schema=_KINDS)
        return cls(AddressTable.absent(Role.COUNTRY), AddressTable.absent(Role.NETWORK), nothing, nothing)

    def described(self) -> list[dict[str, Any]]:
        """What they are: columns of schema.RULES but the first."""
        kinds = hashlib.sha256(repr((self.ours.rows(), self.theirs.rows())).encode()).hexdigest()[:12]
        rows = [
            ("country_db", self.countries.version, self.countries.origin, self.countries.entries),
            ("network_db", self.systems.version, self.systems.origin, self.systems.entries),
            # Without autonomous systems the list of their kinds says nothing.
            ("network_kinds", kinds, "built in", self.ours.height + self.theirs.height)
            if self.systems.entries
            else ("network_kinds", ABSENT, None, 0),
        ]
        return [
            {"list": name, "list_version": version, "origin": origin, "entries": entries}
            for name, version, origin, entries in rows
        ]

    @property
    def versions(self) -> dict[str, str]:
        """Content hash of each database and of the list of kinds; "none" for what is absent."""
        return {row["list"]: row["list_version"] for row in self.described()}

    @property
    def version(self) -> str:
        """One hash over all of them."""
        return hashlib.sha256(repr(sorted(self.versions.items())).encode()).hexdigest()[:12]

    def of(self, addresses: Numbers) -> list[pl.Series]:
        """country, asn and network_kind of each address in its order; a database not set: no such column."""
        found: list[pl.Series] = []
        if self.countries.entries:
            found += addresses.located(self.countries.ipv4, self.countries.ipv6).get_columns()
        if self.systems.entries:
            found += addresses.located(*self._systems).get_columns()
        return found

    @cached_property
    def _systems(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The tables of autonomous systems with the kinds of the lists filled in."""
        ours = self.ours.join(self.theirs, on="asn", how="anti")
        kinds = ours.select("asn", our_kind="kind").join(
            self.theirs.select("asn", their_kind="kind"), on="asn", how="full", coalesce=True
        )
        first_said = pl.coalesce("their_kind", "network_kind", "our_kind")
        return tuple(  # type: ignore[return-value]
            table.join(kinds, on="asn", how="left", maintain_order="left")
            .with_columns(network_kind=first_said)
            .drop("our_kind", "their_kind")
            for table in (self.systems.ipv4, self.systems.ipv6)
        )

    def named(self, asns: Iterable[int]) -> pl.DataFrame:
        """Name and, where a list tells it, kind of these autonomous systems (schema.NETWORKS)."""
        met = pl.DataFrame({"asn": sorted(set(asns))}, schema={"asn": pl.Int64})
        listed = pl.concat([self.theirs, self.ours]).unique("asn", keep="first", maintain_order=True)
        rows = met.join(self.systems.names, on="asn", how="left").join(listed, on="asn", how="left")
        rows = rows.with_columns(network=pl.coalesce("network", "name"), network_kind="kind").sort("asn")
        return conform(rows, NETWORKS).collect()


def kinds_of(text: str, name: str) -> pl.DataFrame:
    """The rows of a list asn,kind,name; `#` begins a comment line. Raises SettingError naming the line."""
    allowed = {"", *(kind.value for kind in NetworkKind)}
    rows: dict[int, tuple[int, str | None, str | None]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.startswith("#") or line.strip() == "asn,kind,name":
            continue
        cells = [cell.strip() for cell in next(csv.reader([line]))] + ["", ""]
        asn, kind, title = cells[:3]
        digits = asn.upper().removeprefix("AS")
        if not (digits.isascii() and digits.isdigit()) or kind not in allowed:
            raise SettingError(
                f"{name}, line {number}: {line[:60]!r} is no asn,kind,name; allowed kinds are "
                f"{', '.join(kind for kind in NetworkKind)} or none"
            )
        rows[int(digits)] = (int(digits), kind or None, title or None)
    return pl.DataFrame(list(rows.values()), schema=_KINDS, orient="row")


def record_networks(lake: Lake, networks: Networks, asns: set[int]) -> None:
    """Add the autonomous systems met to lake/networks.parquet; what today's database says of one replaces."""
    if not asns:
        return
    with locked(lake.root / ".networks.lock"):
        known = pl.read_parquet(lake.networks_path)
        met = networks.named(asns)
        merged = known.update(met, on="asn", how="full").sort("asn")
        if not merged.equals(known):
            write_parquet(merged, lake.networks_path)
