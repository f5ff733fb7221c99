"""Addresses and the secrets that key them."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import multiprocessing
import stat
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.logs.coded import PURE
from ingest.logs.listeners import KeyRing, address_keys, canonical_address, canonical_addresses


@given(st.ip_addresses(v=4))
def test_r20_ipv4_is_kept_whole(address: ipaddress.IPv4Address) -> None:
    assert canonical_address(str(address)) == str(address)
    assert canonical_address(f"::ffff:{address}") == str(address)
    assert canonical_addresses(pl.Series([str(address)])).to_list() == [str(address)]


@given(st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None), st.integers(0, 2**64 - 1))
def test_r20_mates_of_a_64_are_one_however_written(address: ipaddress.IPv6Address, host: int) -> None:
    mate = ipaddress.IPv6Address(int(address) >> 64 << 64 | host)
    forms = [str(address), address.exploded, address.exploded.upper(), f"[{address}]", f"{address}%eth0"]
    if mate.ipv4_mapped is None:
        forms.append(str(mate))
    assert set(canonical_addresses(pl.Series(forms))) == {address.exploded.replace(":", "")[:16]}


@pytest.mark.parametrize(
    "text",
    ["", "-", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", ":::", "g::1", "1.2.3.4\n5", "\0", "unix:", "é"],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert canonical_address(text) is None
    assert canonical_addresses(pl.Series([text])).to_list() == [None]


@given(
    st.lists(
        st.none() | st.ip_addresses().map(str) | st.text(st.sampled_from("0129af:.%[] \0é"), max_size=45)
    )
)
def test_addresses_are_the_same_with_and_without_the_compiled_module(texts: list[str | None]) -> None:
    addresses = pl.Series(texts, dtype=pl.String)
    by_hand = [None if text is None else canonical_address(text) for text in texts]
    assert canonical_addresses(addresses).to_list() == by_hand
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PURE, "1")
        assert canonical_addresses(addresses).to_list() == by_hand


def test_the_key_is_the_documented_hmac() -> None:
    ring = KeyRing.ephemeral()
    rows = pl.DataFrame(
        {"canonical": ["203.0.113.7"], "key_epoch": [690]}, schema_overrides={"key_epoch": pl.Int32}
    )
    found = address_keys(rows, ring)
    for name, epoch in (("address_key", 690), ("address_key_prev", 689)):
        digest = hmac.new(ring.secret(epoch).encode(), b"address\x00203.0.113.7", hashlib.sha256).digest()
        assert found[name].to_list() == [int.from_bytes(digest[:8], "big", signed=True)]


def test_a_secret_is_a_private_file_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    secret = KeyRing(folder).secret(690)
    assert {path.name for path in folder.iterdir()} == {"epoch-690.key", "epoch-690.print"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert KeyRing(folder).secret(690) == secret and len(secret) == 64
    assert KeyRing(folder).secret(691) != secret


def test_a_damaged_secret_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "epoch-1.key").touch(mode=0o600)
    (tmp_path / "epoch-1.key").write_text("abc")
    with pytest.raises(ValueError, match=r"epoch-1\.key is damaged"):
        KeyRing(tmp_path).secret(1)


def _secret(folder: Path) -> str:
    return KeyRing(folder).secret(7)


def test_processes_that_make_a_secret_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_secret, [tmp_path] * 16))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"epoch-7.key", "epoch-7.print"}


def test_ephemeral_secrets_are_never_the_same() -> None:
    assert KeyRing.ephemeral().secret(1) != KeyRing.ephemeral().secret(1)
