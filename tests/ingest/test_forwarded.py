"""Whose request it is behind proxies of our own: X-Forwarded-For, believed only as far as a setting says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ingest.lake import Lake
from ingest.logs.formats import FORMATS
from ingest.logs.forwarded import client_of, with_client_address
from ingest.logs.listeners import KeyRing
from tests.ingest.samples import (
    akamai,
    caddy,
    cloudflare,
    cloudfront,
    cloudfront_header,
    fastly,
    land,
    nginx,
    settings_of,
    take,
)

PROXY, CLIENT = "192.0.2.10", "203.0.113.99"


@pytest.mark.parametrize(
    ("forwarded_for", "proxies", "client"),
    [
        ("203.0.113.99", 1, CLIENT),
        ("198.51.100.66, 203.0.113.99", 1, CLIENT),  # what stands further left is the client's own word
        ("1.1.1.1,2.2.2.2,203.0.113.99,10.0.0.1", 2, CLIENT),
        ("203.0.113.99, 10.0.0.1, 10.0.0.2", 3, CLIENT),
        (" 203.0.113.99 ", 1, CLIENT),
        ("203.0.113.99:51234", 1, CLIENT),
        ('"203.0.113.99"', 1, CLIENT),
        ("[2001:db8::1]:443", 1, "2001:db8::1"),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("203.0.113.99, 192.0.2.10", 1, CLIENT),  # the server appended who connected, as Fastly does over TLS
        ("203.0.113.99, 10.0.0.1, ::ffff:192.0.2.10", 2, CLIENT),
        ("203.0.113.99", 2, None),  # too short
        ("192.0.2.10", 1, None),  # nothing but the proxy itself
        ("203.0.113.99, unknown", 1, None),
        ("203.0.113.99,", 1, None),
        ("203.0.113.999", 1, None),
        ("", 1, None),
        (",,,,", 3, None),
        ("<script>", 1, None),
        ("x" * 60_000, 1, None),
        ("9.9.9.9," * 8_000 + "203.0.113.99", 1, CLIENT),
    ],
)
def test_the_client_is_the_entry_that_many_from_the_right(
    forwarded_for: str, proxies: int, client: str | None
) -> None:
    assert client_of(PROXY, forwarded_for, proxies) == client


@pytest.mark.parametrize("connecting", ["unix:", "", None])
def test_behind_a_socket_there_is_no_connecting_address_to_leave_out(connecting: str | None) -> None:
    assert client_of(connecting, CLIENT, 1) == CLIENT
    assert client_of(connecting, f"{CLIENT}, garbage", 1) is None


def raw(*rows: tuple[str | None, str | None]) -> pl.DataFrame:
    body = "".join(nginx(ip=ip, xff=forwarded) for ip, forwarded in rows).encode()
    return FORMATS["nginx"].parse(body, 1, ()).requests


def test_without_a_trusted_proxy_nothing_is_believed() -> None:
    rows = raw((PROXY, CLIENT))
    assert_frame_equal(with_client_address(rows, 0), rows)


def test_each_row_gets_its_client_and_what_cannot_be_used_keeps_the_connecting_address() -> None:
    rows = raw((PROXY, CLIENT), (PROXY, None), (PROXY, "nonsense"), (CLIENT, "198.51.100.1, 198.51.100.2"))
    changed = with_client_address(rows, 1)
    assert changed["address"].to_list() == [CLIENT, PROXY, PROXY, "198.51.100.2"]
    assert_frame_equal(changed.drop("address"), rows.drop("address"))


LINES: dict[str, Callable[[str], str]] = {
    "cloudfront": lambda xff: (
        cloudfront_header() + cloudfront(c_ip=PROXY, x_forwarded_for=xff.replace(" ", "%20"))
    ),
    "nginx": lambda xff: nginx(ip=PROXY, xff=xff),
    "caddy": lambda xff: caddy(request_client_ip=PROXY, headers={"X-Forwarded-For": xff}),
    "fastly": lambda xff: fastly(ip=PROXY, xff=xff),
    "cloudflare": lambda xff: cloudflare(ClientIP=PROXY, RequestHeaders={"x-forwarded-for": xff}),
    "akamai": lambda xff: akamai(cliIP=PROXY, xForwardedFor=xff.replace(" ", "%20")),
    "prefix": lambda xff: nginx(ip=PROXY, xff=xff, uri="/e/media.example.fm/1.mp3", status=302),
}


def listeners(tmp_path: Path, content: str, declared: str, keyring: KeyRing) -> list[int]:
    settings = settings_of(tmp_path)
    settings.data.mkdir(parents=True)
    (settings.data / "sources.toml").write_text(declared)
    report = take(settings, land(settings, content), keyring=keyring)
    assert report.files["status"].to_list() == ["taken"], report.files["reason"].to_list()
    return Lake(settings.lake_dir).requests().collect()["address_key"].to_list()


@pytest.mark.parametrize("name", LINES)
def test_r20_every_format_with_the_header_tells_the_client_behind_one_trusted_proxy(
    tmp_path: Path, name: str
) -> None:
    assert FORMATS[name].TRAITS.forwarded_for
    keys = KeyRing.ephemeral()
    direct = listeners(tmp_path / "direct", nginx(ip=CLIENT), "", keys)
    line = LINES[name](f"198.51.100.66, {CLIENT}")
    assert listeners(tmp_path / "trusted", line, "[cdn]\ntrusted_proxies = 1\n", keys) == direct
    assert listeners(tmp_path / "default", line, "", keys) == listeners(
        tmp_path / "proxy", nginx(ip=PROXY), "", keys
    )


def test_formats_without_the_header_say_so() -> None:
    assert {name for name, known in FORMATS.items() if not known.TRAITS.forwarded_for} == {"bunny"}
    assert set(LINES) == {name for name, known in FORMATS.items() if known.TRAITS.forwarded_for}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("proxies", [0, 1])
def test_no_forwarded_address_is_in_any_written_file(tmp_path: Path, name: str, proxies: int) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir(parents=True)
    (settings.data / "sources.toml").write_text(f"[cdn]\ntrusted_proxies = {proxies}\n")
    six = "2001:db8:7:7:7:7:7:7"
    good = LINES[name](f"198.51.100.66, {six}, {CLIENT}")
    last = good.splitlines(keepends=True)[-1]
    bad = last[: len(last) * 9 // 10]
    wrong = last.replace("2000000", "-7").replace("2000420", "-7")
    late = last.replace("1790683200", "4090683200").replace("2026-09-29", "2099-09-29")
    take(settings, land(settings, good + bad + "\n" + wrong + late), keyring=KeyRing(settings.keys_dir))
    written = [p for p in settings.data.rglob("*") if p.is_file() and "landing" not in p.parts]
    assert Lake(settings.lake_dir).rejects().collect().height >= 1
    for path in written:
        data = path.read_bytes()
        if path.suffix == ".parquet":  # unpacked, as a reader sees it
            data += pl.read_parquet(path, hive_partitioning=False).write_json().encode()
        for address in (PROXY, CLIENT, "198.51.100.66", six, "2001:db8:7"):
            assert address.encode() not in data, path


def test_a_file_without_any_forwarded_list_is_taken_and_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir(parents=True)
    (settings.data / "sources.toml").write_text("[cdn]\ntrusted_proxies = 1\n")
    (row,) = take(settings, land(settings, nginx(ip=PROXY))).files.to_dicts()
    assert row["status"] == "taken"
    assert row["reason"] == "no line has X-Forwarded-For: all listeners are its proxies (trusted_proxies)"
