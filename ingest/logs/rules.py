"""The lists in force, and one version for all of them together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from ingest.logs.agents import AgentRules
from ingest.logs.prefixes import PrefixRules
from ingest.logs.ranges import AddressRanges, ReferrerRules
from ingest.schema import RULES, conform


@dataclass(frozen=True)
class Rules:
    """The lists in force."""

    agents: AgentRules
    prefixes: PrefixRules
    datacenters: AddressRanges
    excluded_addresses: AddressRanges
    bogus_referrers: ReferrerRules

    @classmethod
    def load(cls, reference_dir: Path | None = None, own_prefix_hosts: tuple[str, ...] = ()) -> Rules:
        """From `reference_dir`, else our own lists (agents, prefixes) or none (addresses, referrers)."""

        def listed(name: str) -> Path | None:
            return reference_dir / name if reference_dir else None

        return cls(
            AgentRules.load(reference_dir),
            PrefixRules.load(reference_dir, own_prefix_hosts),
            AddressRanges.load(listed("datacenters.txt")),
            AddressRanges.load(listed("excluded_addresses.txt")),
            ReferrerRules.load(listed("bogus_referrers.txt")),
        )

    @property
    def versions(self) -> dict[str, str]:
        """Content hash of each list, for the methodology statement."""
        return {
            "agents": self.agents.version,
            "prefixes": self.prefixes.version,
            "datacenters": self.datacenters.version,
            "excluded_addresses": self.excluded_addresses.version,
            "bogus_referrers": self.bogus_referrers.version,
        }

    @cached_property
    def version(self) -> str:
        """One hash over all of them: what each request's `rules_version` says."""
        return hashlib.sha256(repr(sorted(self.versions.items())).encode()).hexdigest()[:12]

    def described(self) -> pl.DataFrame:
        """One row a list, columns of schema.RULES."""
        rows = [
            {"rules_version": self.version, "list": name, "list_version": version}
            for name, version in self.versions.items()
        ]
        return conform(pl.DataFrame(rows), RULES).collect()
