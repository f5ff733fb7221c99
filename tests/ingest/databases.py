"""Address databases for the tests, written to real files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
from mmdb_writer import MMDBWriter, TreeWriter
from netaddr import IPSet

from ingest.logs.listeners import canonical_addresses
from ingest.logs.networks import Networks
from ingest.logs.numbers import Numbers
from ingest.schema import REQUESTS
from ingest.settings import Settings


def mmdb(
    path: Path,
    kind: str,
    networks: dict[str, dict[str, Any]],
    ip_version: int = 6,
    record_bits: int | None = None,
) -> Path:
    """A MaxMind-format database of this type with a record a network; record_bits: of its search tree."""
    writer = MMDBWriter(ip_version, kind, ipv4_compatible=ip_version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    path.parent.mkdir(parents=True, exist_ok=True)
    fitting = TreeWriter._adjust_record_size

    def chosen(tree: TreeWriter) -> None:
        fitting(tree)
        tree.record_size = record_bits or tree.record_size

    with mock.patch.object(TreeWriter, "_adjust_record_size", chosen):
        writer.to_db_file(str(path))
    return path


def country_db(path: Path, **countries: str) -> Path:
    """GeoLite2-Country by network: `country_db(path, **{"203.0.113.0/24": "DE"})`."""
    return mmdb(path, "GeoLite2-Country", {n: {"country": {"iso_code": c}} for n, c in countries.items()})


def asn_db(path: Path, **systems: tuple[int, str]) -> Path:
    """GeoLite2-ASN by network."""
    records = {
        network: {"autonomous_system_number": asn, "autonomous_system_organization": name}
        for network, (asn, name) in systems.items()
    }
    return mmdb(path, "GeoLite2-ASN", records)


def table(path: Path, text: str) -> Path:
    """A table of ranges, packed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def located(tmp_path: Path, *addresses: str, **settings: Any) -> list[tuple[Any, ...]]:
    """(country, asn, network_kind) of each address by the databases set."""
    networks = Networks.load(Settings(data=tmp_path / "data", **settings))
    found = networks.of(Numbers(canonical_addresses(pl.Series(addresses, dtype=pl.String))))
    schema = {name: REQUESTS[name] for name in ("country", "asn", "network_kind")}
    return pl.DataFrame(schema=schema).clear(len(addresses)).with_columns(found).rows()
