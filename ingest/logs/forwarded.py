"""The client behind proxies of our own: X-Forwarded-For, believed as far as the source's setting says."""

from __future__ import annotations

import re

import polars as pl

from ingest.logs.listeners import canonical_address

_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}")


def with_client_address(raw: pl.DataFrame, trusted_proxies: int) -> pl.DataFrame:
    """RAW with `address` as the outermost of `trusted_proxies` proxies saw it.

    Each proxy appends the address that connected to it, so what stands further left is anybody's word. Where
    the list is too short, or what stands in the place is no address, the connecting address stays.
    """
    if not trusted_proxies or raw["forwarded_for"].null_count() == raw.height:
        return raw
    lists = raw.select("address", "forwarded_for").drop_nulls("forwarded_for").unique()
    clients = [client_of(address, text, trusted_proxies) for address, text in lists.iter_rows()]
    lists = lists.with_columns(client=pl.Series(clients, dtype=pl.String))
    rows = raw.join(
        lists, on=["address", "forwarded_for"], how="left", nulls_equal=True, maintain_order="left"
    )
    return rows.with_columns(address=pl.coalesce("client", "address")).drop("client")


def client_of(connecting: str | None, forwarded_for: str, trusted_proxies: int) -> str | None:
    """The entry that many from the right; None: there is no usable one."""
    # Cut from the right: of a list of thousands only these matter.
    entries = [_bare(entry) for entry in forwarded_for.rsplit(",", trusted_proxies + 1)]
    # Some servers (Fastly over TLS) append who connected to themselves before they log: no proxy of ours.
    own = canonical_address(connecting or "")  # none for a socket's `unix:`
    if own is not None and canonical_address(entries[-1]) == own:
        entries.pop()
    if len(entries) < trusted_proxies:
        return None
    client = entries[-trusted_proxies]
    return client if canonical_address(client) is not None else None


def _bare(entry: str) -> str:
    """An entry without quotes and port."""
    entry = entry.strip().strip('"')
    found = _WITH_PORT.fullmatch(entry)
    return (found["six"] or found["four"] or "") if found else entry
