"""The lists in force, and one version for all of them together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import polars as pl

from ingest.lake import Lake, utc_now_us, write_parquet
from ingest.logs.agents import OPERATING_SYSTEMS, AgentRules
from ingest.logs.judge import ListedByKey
from ingest.logs.listeners import KeyRing
from ingest.logs.networks import Networks
from ingest.logs.numbers import Numbers
from ingest.logs.prefixes import PrefixRules, own_prefix_hosts
from ingest.logs.ranges import AddressRanges, ReferenceListError, ReferrerRules
from ingest.reference.address_keys import keyed
from ingest.reference.address_lists import Acting, AddressList
from ingest.reference.in_force import ABSENT, BUILT_IN, InForce, lists_in_force
from ingest.reference.keep import keep
from ingest.reference.lists import (
    AGENTS,
    BOGUS_REFERRERS,
    DATACENTERS,
    EXCLUDED,
    INCLUDED,
    LISTS,
    PREFIXES,
    built_in,
    version_of,
)
from ingest.reference.store import ListStore
from ingest.reference.validate import Judged
from ingest.schema import RULES, conform
from ingest.settings import Settings

PREFIX_HOSTS = "prefix_hosts"  # the setting, which acts like a list
_FOLDERS = "(^|, )/(?:.*/)?"


@dataclass(frozen=True)
class Rules:
    """The lists in force."""

    lists: Mapping[str, InForce]
    prefix_hosts: tuple[str, ...] = ()
    networks: Networks = field(default_factory=Networks.none)
    keys: KeyRing = field(default_factory=KeyRing.ephemeral)  # of copies of lists that name no addresses
    _by_day: dict[tuple[str, date], Acting] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, settings: Settings, version: str | None = None) -> Rules:
        """The lists of this installation: of the folder EARSHOT_REFERENCE_DIR, else the store, else our own.

        version: the lists of an earlier `rules_version`, or today's with some in another version:
        `agents=0123456789ab,prefixes=…`. Raises SettingError; ReferenceListError naming the file or what is
        known.
        """
        versions = None if version is None else _versions(settings, version)
        networks = Networks.load(settings)  # as they are today: earlier databases are not kept
        return cls(
            lists_in_force(settings, versions),
            own_prefix_hosts(settings),
            networks,
            KeyRing.of(settings),
        )

    @property
    def agents(self) -> AgentRules:
        rules: AgentRules = self.lists[AGENTS].parsed.rules
        return rules

    @cached_property
    def prefixes(self) -> PrefixRules:
        rules: PrefixRules = self.lists[PREFIXES].parsed.rules
        return rules.with_hosts(self.prefix_hosts)

    @property
    def datacenters(self) -> AddressRanges:
        rules: AddressRanges = self.lists[DATACENTERS].parsed.rules
        return rules

    @property
    def bogus_referrers(self) -> ReferrerRules:
        rules: ReferrerRules = self.lists[BOGUS_REFERRERS].parsed.rules
        return rules

    @property
    def excluded_addresses(self) -> AddressList:
        rules: AddressList = self.lists[EXCLUDED].parsed.rules
        return rules

    @property
    def included_addresses(self) -> AddressList:
        rules: AddressList = self.lists[INCLUDED].parsed.rules
        return rules

    def address_evidence(self, addresses: Numbers, on: date) -> list[pl.Series]:
        """in_datacenter and is_excluded_address of these addresses: what cannot be found out without them.

        Both false for an address in a network that is included on this day (R12).
        """
        is_included = self._acting(INCLUDED, on).contain(addresses, self.keys)
        is_excluded = self._acting(EXCLUDED, on).contain(addresses, self.keys)
        return [
            (self.datacenters.contain(addresses) & ~is_included).alias("in_datacenter"),
            (is_excluded & ~is_included).alias("is_excluded_address"),
        ]

    def listed_by_key(self, on: date) -> ListedByKey:
        """What the lists say of keys on this day: unlike an address a key is in the lake, to judge again."""
        return ListedByKey(self._acting(EXCLUDED, on).by_key(), self._acting(INCLUDED, on).by_key())

    @property
    def versions(self) -> dict[str, str]:
        """Version of each list, for the methodology statement."""
        versions = {name: found.version for name, found in self.lists.items()}
        return versions | {row["list"]: row["list_version"] for row in self._of_settings()}

    @cached_property
    def version(self) -> str:
        """One hash over all of them: what each request's `rules_version` says."""
        return hashlib.sha256(repr(sorted(self.versions.items())).encode()).hexdigest()[:12]

    def _of_settings(self) -> list[dict[str, Any]]:
        """What acts like a list and is none: columns of schema.RULES but the first."""
        hosts = "\n".join(self.prefix_hosts).encode()
        systems = f"{OPERATING_SYSTEMS}.json"
        own = {
            "list": OPERATING_SYSTEMS,
            "list_version": version_of({systems: built_in(systems)}),
            "origin": BUILT_IN,
            "entries": len(self.agents.lists[OPERATING_SYSTEMS]),
        }
        row = {
            "list": PREFIX_HOSTS,
            "list_version": version_of({PREFIX_HOSTS: hosts}) if hosts else ABSENT,
            "origin": "setting EARSHOT_PREFIX_HOSTS" if hosts else None,
            "entries": len(self.prefix_hosts),
        }
        return [row, own, *self.networks.described()]

    def described(self) -> pl.DataFrame:
        """One row a list, columns of schema.RULES."""
        rows = [
            {
                "rules_version": self.version,
                "list": name,
                "list_version": found.version,
                "origin": found.origin,
                "fetched_us": found.fetched_us,
                "entries": found.parsed.entries,
            }
            for name, found in self.lists.items()
        ]
        rows += [{"rules_version": self.version, **row} for row in self._of_settings()]
        # The marts and the methodology go to others: of a local path they are told the last name only.
        origin = pl.col("origin").str.replace(_FOLDERS, "$1")
        return conform(pl.DataFrame(rows, schema=RULES).with_columns(origin), RULES).collect()

    def remember(self, settings: Settings, lake: Lake) -> None:
        """Keep what judges now, to be opened again: its record in lake/rules, its lists in the store."""
        store, keys = ListStore.of(settings), KeyRing.of(settings)
        unknown = {
            name: found
            for name, found in self.lists.items()
            if found.files is not None and not store.has(name, found.version)
        }
        if unknown:
            with store.writing():
                for name, found in unknown.items():
                    origin, files = found.origin or BUILT_IN, found.files or {}
                    judged, now_us = Judged(found.parsed, []), utc_now_us()
                    keep(store, keys, name, found.version, files, judged, origin, now_us)
        lake.write_rules(self.described())

    def write_address_lists(self, lake: Lake, keys: KeyRing, on: date | None = None) -> None:
        """What the marts can know of the operator's address lists: their keys, for today's use."""
        lists = {EXCLUDED: self.excluded_addresses, INCLUDED: self.included_addresses}
        copies = [name for name, addresses in lists.items() if addresses.is_a_copy]
        known = pl.read_parquet(lake.address_lists_path)
        fresh = keyed(
            {name: addresses for name, addresses in lists.items() if name not in copies},
            keys,
            on or datetime.now(UTC).date(),
        )
        # From a copy no address can be keyed: what was written when the list itself was at hand stays.
        frame = pl.concat([fresh, known.filter(pl.col("list").is_in(copies))]).sort("list", "address_key")
        if not frame.equals(known):
            write_parquet(frame, lake.address_lists_path)

    def _acting(self, name: str, on: date) -> Acting:
        if (name, on) not in self._by_day:
            listed: AddressList = self.lists[name].parsed.rules
            self._by_day[name, on] = listed.acting(on)
        return self._by_day[name, on]


def prefixes_in_force(settings: Settings) -> PrefixRules:
    """The prefixes alone, for the catalogue: the same as for the logs. Raises as Rules.load."""
    found = lists_in_force(settings, names=[PREFIXES])
    return Rules(found, own_prefix_hosts(settings)).prefixes


def _versions(settings: Settings, version: str) -> dict[str, str]:
    """Which version of each list `version` means."""
    if "=" in version:
        pairs = [part.strip().partition("=") for part in version.split(",")]
        if unknown := [name for name, _, _ in pairs if name not in LISTS]:
            raise ReferenceListError(f"there is no list {unknown[0]!r}; allowed are {', '.join(LISTS)}")
        return {name: wanted for name, _, wanted in pairs}
    folder = settings.lake_dir / "rules"
    path = folder / f"{version}.parquet"
    if not re.fullmatch("[0-9a-f]{12}", version) or not path.is_file():
        known = sorted(each.stem for each in folder.glob("*.parquet") if not each.name.startswith("_"))
        raise ReferenceListError(
            f"no requests were judged under version {version!r}; there are {', '.join(known) or 'none'}, "
            "and of one list <list>=<version> (`earshot lists` shows them)"
        )
    recorded = dict(pl.read_parquet(path).select("list", "list_version").iter_rows())
    return {name: recorded.get(name, ABSENT) for name in LISTS}
