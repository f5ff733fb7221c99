"""The address dies here: cut by R20, then keyed by a secret that changes every 30 days (DESIGN, Privacy)."""

from __future__ import annotations

import socket

import polars as pl
import polars_hash as _polars_hash  # noqa: F401  registers .chash and .nchash

from ingest.logs.coded import _cut, is_compiled
from ingest.logs.keyring import EPOCH_DAYS, EPOCH_US, KeyRing

__all__ = [
    "EPOCH_DAYS",
    "KeyRing",
    "address_keys",
    "canonical_address",
    "canonical_addresses",
    "epoch_of",
    "keys_in_epoch",
    "line_keys",
    "mixed",
]

_DOMAIN = "address\0"
_LINE = "line\0"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"
# Its first four groups written out, and no mapped IPv4: nearly all there are.
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = (
    rf"^[1-9A-Fa-f][0-9A-Fa-f]{{0,3}}:(?:{_GROUP}:){{3}}"
    rf"(?:(?:{_GROUP}:){{3}}{_GROUP}|:(?:{_GROUP}(?::{_GROUP}){{0,2}})?)$"
)
_MAPPED = bytes(10) + b"\xff\xff"


def epoch_of(started_us: pl.Expr) -> pl.Expr:
    """The key epoch of a request: days since 1970 of its start // 30."""
    return (started_us // EPOCH_US).cast(pl.Int32)


def canonical_address(address: str) -> str | None:
    """IPv4 as text, mapped IPv4 unwrapped, IPv6 as 16 hex digits: its first 64 bits; else None (R20)."""
    packed = _packed(address) or _packed(address.strip().strip("[]").partition("%")[0])
    if packed is None:
        return None
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return packed[:8].hex()


def _packed(text: str) -> bytes | None:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):  # ValueError: a NUL inside
        return None


def canonical_addresses(addresses: pl.Series) -> pl.Series:
    """`canonical_address` of each address (String). † Usual forms without a Python object each."""
    usual = pl.Series(_cut.addresses(addresses)) if is_compiled() else _usual_forms(addresses)
    rows = pl.DataFrame({"address": addresses, "canonical": usual})
    odd = rows.filter(pl.col("address").is_not_null(), pl.col("canonical").is_null())["address"].unique()
    if not odd.len():
        return rows["canonical"]
    rewritten = pl.Series([canonical_address(address) for address in odd], dtype=pl.String)
    return rows["canonical"].zip_with(rows["canonical"].is_not_null(), addresses.replace(odd, rewritten))


def _usual_forms(addresses: pl.Series) -> pl.Series:
    """Canonical where a regex proves that an address is whole, else null."""
    text = pl.col("address")
    groups = text.str.splitn(":", 5).struct
    first_64_bits = pl.concat_str(
        groups.field(f"field_{i}").str.zfill(4) for i in range(4)
    ).str.to_lowercase()
    usual = pl.when(text.str.contains(_IPV4)).then(text).when(text.str.contains(_IPV6)).then(first_64_bits)
    return addresses.to_frame("address").select(canonical=usual).to_series()


def address_keys(addresses: pl.DataFrame, keys: KeyRing) -> pl.DataFrame:
    """Distinct (canonical, key_epoch) → the same with address_key and address_key_prev (Int64).

    address_key = first 64 bits of HMAC-SHA256(secret of the epoch, "address" ‖ 0x00 ‖ canonical address).
    """
    parts = []
    for (epoch,), part in addresses.partition_by("key_epoch", as_dict=True, include_key=True).items():
        message = pl.concat_str(pl.lit(_DOMAIN), "canonical")
        parts.append(
            part.with_columns(
                _first_64_bits(message, keys.secret(int(epoch))).alias("address_key"),
                _first_64_bits(message, keys.secret(int(epoch) - 1)).alias("address_key_prev"),
            )
        )
    if not parts:
        return addresses.with_columns(
            address_key=pl.lit(None, pl.Int64), address_key_prev=pl.lit(None, pl.Int64)
        )
    return pl.concat(parts)


def keys_in_epoch(canonical: pl.Series, epoch: int, keys: KeyRing) -> pl.Series:
    """The address_key (Int64) that requests of an epoch carry for these canonical addresses (String)."""
    message = pl.concat_str(pl.lit(_DOMAIN), "canonical")
    rows = canonical.alias("canonical").to_frame()
    return rows.select(_first_64_bits(message, keys.secret(epoch)).alias("address_key")).to_series()


def line_keys(rows: pl.DataFrame, keys: KeyRing) -> pl.Series:
    """What a line without a request id is known by (Int64), of rows with line_hash and key_epoch; else null.

    First 64 bits of HMAC-SHA256(secret of the epoch, "line" ‖ 0x00 ‖ line_hash as text): the line has the
    address in it, which could be tried out against anything that follows from the line without a secret.
    """
    found = pl.Series("line_key", [None], pl.Int64).new_from_index(0, rows.height)
    without_id = rows.select("line_hash", "key_epoch").with_row_index("row").drop_nulls("line_hash")
    for (epoch,), part in without_id.partition_by("key_epoch", as_dict=True).items():
        message = pl.concat_str(pl.lit(_LINE), pl.col("line_hash").cast(pl.String))
        line_key = _first_64_bits(message, keys.secret(int(epoch)))
        found = found.scatter(part["row"], part.select(line_key).to_series())
    return found


def _first_64_bits(message: pl.Expr, secret: str) -> pl.Expr:
    digest = message.chash.hmac_sha256(key=secret)  # type: ignore[attr-defined]
    bits: pl.Expr = digest.str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64).reinterpret(signed=True)
    return bits


def mixed(*keys: pl.Expr) -> pl.Expr:
    """One signed 64-bit key of several Int64 keys, order-dependent: xxh3 over what each adds to the last."""
    key = keys[0]
    for other in keys[1:]:
        key = (key ^ other).bytes.to_le().nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
    return key


def mixed_columns(*columns: pl.Series) -> pl.Series:
    """`mixed` of columns without nulls. † Compiled: a quarter of the cost."""
    if is_compiled():
        return pl.Series(_cut.mixed([column.rechunk() for column in columns]))
    return pl.select(mixed(*map(pl.lit, columns))).to_series()


def in_order(frame: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """`frame` sorted by columns of whole numbers without nulls, rows that are alike as they were.

    † Compiled: a third of the cost.
    """
    if not is_compiled():
        return frame.sort(by, maintain_order=True)
    order = pl.Series(_cut.order([frame[name].cast(pl.Int64).rechunk() for name in by]))
    return frame.select(pl.all().gather(order))
