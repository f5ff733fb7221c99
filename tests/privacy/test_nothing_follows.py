"""Whoever has the lake and no secret can try out addresses for ever: nothing stored tells a hit."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import polars as pl
import xxhash

from ingest.lake import Lake
from ingest.logs.keyring import KeyRing
from tests.ingest.samples import ADDRESS, cloudflare, land, settings_of, take

MASK_64 = 2**64 - 1


def without_id(address: str) -> str:
    told = json.loads(cloudflare(ClientIP=address))
    return json.dumps({name: value for name, value in told.items() if name != "RayID"})


def follows(row: dict[str, Any], line_key: int) -> int:
    """The request_key of a stored row, if its line were known by `line_key`."""

    def mixed(key: int, other: int) -> int:
        return xxhash.xxh3_64_intdigest(((key ^ other) & MASK_64).to_bytes(8, "little"))

    key = mixed(xxhash.xxh3_64_intdigest(row["source"].encode()), line_key)
    for name in ("listener_key", "enclosure_key", "started_us"):
        key = mixed(key, row[name])
    return key


def hmac_64(secret: str, message: str) -> int:
    return int(hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()[:16], 16)


def test_a_line_without_an_id_is_known_by_a_key_that_needs_the_secret(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lines = [without_id(address) for address in (ADDRESS, "198.51.100.9")]
    take(settings, land(settings, "\n".join(lines) + "\n"), keyring=KeyRing.of(settings))
    rows = Lake(settings.lake_dir).requests().sort("line_number").collect()
    assert rows.height == 2
    for row, line in zip(rows.iter_rows(named=True), lines, strict=True):
        plain = xxhash.xxh3_64_intdigest(line.encode())
        stored = row["request_key"] & MASK_64
        assert follows(row, plain) != stored, "an address that is tried out is known to be right"
        signed = plain - 2**64 if plain >= 2**63 else plain
        secret = KeyRing.of(settings).secret(row["key_epoch"])
        assert follows(row, hmac_64(secret, f"line\0{signed}")) == stored


def test_a_line_without_an_id_that_is_delivered_again_is_still_one_request(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    line, other = without_id(ADDRESS), without_id("198.51.100.9")
    for name, lines in (("a.log", [line]), ("b.log", [other, line])):
        take(settings, land(settings, "\n".join(lines) + "\n", name=name), keyring=KeyRing.of(settings))
    keys = Lake(settings.lake_dir).requests().collect()["request_key"]
    assert keys.len() == 3 and keys.n_unique() == 2
    assert pl.Series(keys).null_count() == 0
