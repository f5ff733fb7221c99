"""What address databases say of a network, under whichever of their field names, in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import polars as pl

from ingest.logs.numbers import RANGE


class NetworkKind(StrEnum):
    """What a network is for; one that nobody told of has none (null)."""

    RESIDENTIAL = "residential"
    MOBILE = "mobile"
    HOSTING = "hosting"


# Our name of a value → the names it has in MaxMind's, DB-IP's, IPinfo's and IPLocate's databases (dots lead
# into nested records), the first that is there wins. The same names serve as headings of a table.
FIELDS: dict[str, tuple[str, ...]] = {
    "country": ("country.iso_code", "country_code", "geo.country_code", "country_iso_code", "country"),
    "asn": (
        *("autonomous_system_number", "traits.autonomous_system_number", "asn", "as.asn", "asn.asn"),
        *("as_number", "as_num"),
    ),
    "network": (
        *("autonomous_system_organization", "traits.autonomous_system_organization", "as_name", "as.name"),
        *("asn.name", "as_organization", "as_description", "name", "org", "isp"),
    ),
    "user_type": ("traits.user_type", "user_type", "as.type", "asn.type", "as_type", "type"),
    "connection_type": ("traits.connection_type", "connection_type"),
    "is_mobile": ("is_mobile",),
    "is_hosting": ("is_hosting",),
}

_USER_TYPES = {
    "residential": NetworkKind.RESIDENTIAL,
    "cellular": NetworkKind.MOBILE,
    "mobile": NetworkKind.MOBILE,
    "hosting": NetworkKind.HOSTING,
    "content_delivery_network": NetworkKind.HOSTING,
}
KNOWN_USER_TYPES = {*_USER_TYPES, "isp", "business", "education", "government"}
# Cable/DSL is no "residential": offices and cafés have such lines too.
_CONNECTION_TYPES = {"cellular": NetworkKind.MOBILE}
# Written where there is no country; EU and AP are MaxMind's for "somewhere there".
_NO_COUNTRIES = ["ZZ", "XX", "EU", "AP"]
_LAST_ASN = 2**32 - 1


class Role(StrEnum):
    """What a database is asked for."""

    COUNTRY = "country"
    NETWORK = "network"


RAW_VALUES = {
    Role.COUNTRY: ("country",),
    Role.NETWORK: ("asn", "network", "user_type", "connection_type", "is_mobile", "is_hosting"),
}


class Picker:
    """Takes a role's raw values out of records; † which names to try is worked out once a shape of record."""

    def __init__(self, role: Role) -> None:
        self._wanted = [FIELDS[name] for name in RAW_VALUES[role]]
        self._of_shape: dict[tuple[str, ...], list[list[tuple[str, ...]]]] = {}

    def __call__(self, record: dict[str, Any]) -> tuple[str | None, ...]:
        shape = tuple(record)
        if shape not in self._of_shape:
            paths = [[tuple(name.split(".")) for name in names] for names in self._wanted]
            self._of_shape[shape] = [[path for path in some if path[0] in record] for some in paths]
        return tuple(_first(record, paths) for paths in self._of_shape[shape])


def _first(record: dict[str, Any], paths: list[tuple[str, ...]]) -> str | None:
    """The first of these that has a plain value, as text."""
    for path in paths:
        value: Any = record
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str | int) and value != "":
            return str(value).lower() if isinstance(value, bool) else str(value)
    return None


def normalised(raw: pl.DataFrame, role: Role) -> pl.DataFrame:
    """`raw` (the role's RAW_VALUES as text) → country, or asn, network and network_kind; the rest stays."""
    if role is Role.COUNTRY:
        code = pl.col("country").str.strip_chars().str.to_uppercase()
        is_one = code.str.contains("^[A-Z]{2}$") & ~code.is_in(_NO_COUNTRIES)
        return raw.with_columns(country=pl.when(is_one).then(code))
    number = pl.col("asn").str.strip_chars().str.extract(r"^(?i:AS)?([0-9]{1,10})$").cast(pl.Int64)
    kinds = (
        _known("user_type", _USER_TYPES),
        _known("connection_type", _CONNECTION_TYPES),
        pl.when(_is_set("is_mobile")).then(pl.lit(NetworkKind.MOBILE.value)),
        pl.when(_is_set("is_hosting")).then(pl.lit(NetworkKind.HOSTING.value)),
    )
    return raw.with_columns(
        asn=pl.when(number.is_between(1, _LAST_ASN)).then(number),
        network=pl.col("network").str.strip_chars().str.slice(0, 200),
        network_kind=pl.coalesce(kinds),
    ).drop("user_type", "connection_type", "is_mobile", "is_hosting")


def _known(name: str, kinds: Mapping[str, NetworkKind]) -> pl.Expr:
    text = pl.col(name).str.strip_chars().str.to_lowercase()
    return text.replace_strict({k: v.value for k, v in kinds.items()}, default=None, return_dtype=pl.String)


def _is_set(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.to_lowercase().is_in(["true", "1"])


def merged(ranges: pl.DataFrame) -> pl.DataFrame:
    """Sorted, disjoint `ranges` (RANGE and values) with neighbours of the same values made one."""
    values = [name for name in ranges.columns if name not in RANGE]
    touches = pl.col("start") - 1 == pl.col("end").shift()
    is_same = pl.all_horizontal(
        touches.fill_null(False), *(pl.col(v).eq_missing(pl.col(v).shift()) for v in values)
    )
    return (
        ranges.with_columns(run=(~is_same).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(pl.col("start").first(), pl.col("end").last(), *(pl.col(v).first() for v in values))
        .drop("run")
    )
