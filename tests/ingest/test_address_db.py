"""Address databases of every kind, right and wrong ones, as real files."""

from __future__ import annotations

import gzip
import ipaddress
import random
from pathlib import Path
from typing import Any

import maxminddb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.logs.networks import Networks
from ingest.reference import address_db
from ingest.reference.address_db import load
from ingest.reference.address_values import Role
from ingest.reference.disjoint import disjoint
from ingest.reference.mmdb import MARKER
from ingest.settings import SettingError, Settings
from tests.ingest.databases import asn_db, country_db, located, mmdb, table

NET, OTHER, SIX = "203.0.113.0/24", "198.51.100.0/24", "2001:db8:1::/48"
HERE, THERE, NOWHERE = "203.0.113.7", "198.51.100.7", "192.0.2.1"


def countries(tmp_path: Path, path: Path, *addresses: str) -> list[str | None]:
    return [country for country, _, _ in located(tmp_path, *addresses, country_db=path)]


def networks(tmp_path: Path, path: Path, *addresses: str) -> list[tuple[int | None, str | None]]:
    return [(asn, kind) for _, asn, kind in located(tmp_path, *addresses, network_db=path)]


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("GeoLite2-Country", {"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}}),
        ("GeoIP2-City", {"city": {"names": {"en": "Berlin"}}, "country": {"iso_code": "DE"}}),
        ("GeoIP2-Enterprise", {"country": {"iso_code": "DE"}, "traits": {"autonomous_system_number": 1}}),
        ("DBIP-Country-Lite", {"continent": {"code": "EU"}, "country": {"iso_code": "DE"}}),
        ("ipinfo lite", {"country": "Germany", "country_code": "DE", "asn": "AS1", "as_name": "One"}),
        ("ipinfo country_asn", {"country": "DE", "country_name": "Germany", "continent": "EU"}),
        ("ipinfo core", {"geo": {"country_code": "DE"}, "as": {"asn": "AS1"}}),
        ("iplocate-ip-to-country", {"country_code": "de", "country_name": "Germany"}),
    ],
)
def test_countries_of_every_maker(tmp_path: Path, kind: str, record: dict[str, Any]) -> None:
    path = mmdb(tmp_path / "a.mmdb", kind, {NET: record, SIX: record})
    found = countries(tmp_path, path, HERE, "203.0.114.0", "2001:db8:1:ffff::9", "2001:db8:2::1")
    assert found == ["DE", None, "DE", None]


@pytest.mark.parametrize(
    ("kind", "record", "expected"),
    [
        ("GeoLite2-ASN", {"autonomous_system_number": 64500}, (64500, None)),
        ("GeoIP2-ISP", {"autonomous_system_number": 64500, "isp": "One"}, (64500, None)),
        ("GeoIP2-Connection-Type", {"connection_type": "Cellular"}, (None, "mobile")),
        # Offices and cafés have such lines too.
        ("DBIP-ISP", {"traits": {"autonomous_system_number": 1, "connection_type": "Cable/DSL"}}, (1, None)),
        (
            "GeoIP2-Enterprise",
            {"traits": {"autonomous_system_number": 64500, "user_type": "residential"}},
            (64500, "residential"),
        ),
        ("GeoIP2-Enterprise", {"traits": {"user_type": "content_delivery_network"}}, (None, "hosting")),
        ("ipinfo lite", {"asn": "AS64500", "as_name": "One", "country_code": "DE"}, (64500, None)),
        ("ipinfo asn", {"asn": "AS64500", "name": "One", "type": "hosting"}, (64500, "hosting")),
        ("ipinfo asn", {"asn": "AS64500", "name": "One", "type": "isp"}, (64500, None)),
        ("ipinfo core", {"as": {"asn": "AS64500", "type": "isp"}, "is_mobile": True}, (64500, "mobile")),
        ("iplocate-ip-to-asn", {"asn": "64500", "name": "One", "country_code": "DE"}, (64500, None)),
    ],
)
def test_networks_of_every_maker(
    tmp_path: Path, kind: str, record: dict[str, Any], expected: tuple[int | None, str | None]
) -> None:
    path = mmdb(tmp_path / "a.mmdb", kind, {NET: record})
    assert networks(tmp_path, path, HERE, NOWHERE) == [expected, (None, None)]


TABLES = {
    "iptoasn.tsv": """203.0.112.0\t203.0.112.255\t0\tNone\tNot routed
203.0.113.0\t203.0.113.255\t64500\tDE\tONE "Network" - Eins
2001:db8:1::\t2001:db8:1:ffff:ffff:ffff:ffff:ffff\t64501\tFR\tTWO
""",
    "iptoasn-u32.tsv": f"3405803776\t3405804031\t64500\tDE\tONE\n"
    f"{int(ipaddress.ip_address('2001:db8:1::'))}\t"
    f"{int(ipaddress.ip_address('2001:db8:1:ffff:ffff:ffff:ffff:ffff'))}\t64501\tFR\tTWO\n",
    "dbip-city-lite.csv": """203.0.113.0,203.0.113.255,EU,DE,Berlin,"Berlin, Mitte",52.5,13.4
2001:db8:1::,2001:db8:1:ffff:ffff:ffff:ffff:ffff,EU,FR,Paris,Paris,48.8,2.3
""",
    "cidr.csv": "203.0.113.0/24,DE\n2001:db8:1::/48,FR\n",
    "cidr.csv.gz": "# ours\n203.0.113.0/25,DE\n203.0.113.128/25,DE\n2001:db8:1::/48,FR\n",
    "semicolons.csv": "203.0.113.0/24;DE;x\n2001:db8:1::/48;FR;y\n",
    "ipinfo_lite.csv": """network,country,country_code,continent,continent_code,asn,as_name,as_domain
203.0.113.0/24,Germany,DE,Europe,EU,AS64500,One,one.example
2001:db8:1::/48,France,FR,Europe,EU,AS64501,Two,two.example
""",
    "headings.csv": """start_ip,end_ip,country,country_name
203.0.113.0,203.0.113.255,DE,Germany
2001:db8:1::,2001:db8:1:ffff:ffff:ffff:ffff:ffff,FR,France
""",
    "one_address_each.csv": "203.0.113.7,DE\n2001:db8:1:2::9,FR\n2001:db8:1:2::,FR\n",
    "mapped.csv": "::ffff:203.0.113.0/120,DE\n2001:db8:1::/48,FR\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_countries_of_tables(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / name, TABLES[name])
    assert countries(tmp_path, path, HERE, "2001:db8:1:2::5", NOWHERE, "2001:db8:2::") == [
        "DE",
        "FR",
        None,
        None,
    ]


@pytest.mark.parametrize("name", ["iptoasn.tsv", "iptoasn-u32.tsv", "ipinfo_lite.csv"])
def test_networks_of_tables(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / name, TABLES[name])
    assert networks(tmp_path, path, HERE, "2001:db8:1:2::5", "203.0.112.9") == [
        (64500, None),
        (64501, None),
        (None, None),
    ]
    names = Networks.load(Settings(data=tmp_path / "data", network_db=path)).systems.names
    assert names["asn"].to_list() == [64500, 64501] and "Not routed" not in names["network"]


def test_a_table_of_a_users_own_says_what_networks_are_for(tmp_path: Path) -> None:
    path = table(tmp_path / "mine.csv", "203.0.113.0/24,64500,residential\n198.51.100.0/24,64501,hosting\n")
    assert networks(tmp_path, path, HERE, THERE) == [(64500, "residential"), (64501, "hosting")]


def test_of_overlapping_ranges_the_narrower_holds(tmp_path: Path) -> None:
    text = "203.0.0.0/16,US\n203.0.113.0/24,DE\n203.0.113.7,FR\n2001:db8::/32,US\n2001:db8:1::/48,DE\n"
    path = table(tmp_path / "a.csv", text)
    found = countries(tmp_path, path, "203.0.112.255", "203.0.113.6", HERE, "203.0.113.8", "203.0.114.0")
    assert found == ["US", "DE", "FR", "DE", "US"]
    assert countries(tmp_path, path, "2001:db8:0:ffff::", "2001:db8:1::", "2001:db8:2::") == [
        "US",
        "DE",
        "US",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 15)).map(lambda pair: (pair[0], pair[0] + pair[1])),
        min_size=1,
        max_size=12,
    )
)
def test_cutting_overlaps_equals_looking_at_every_address(ranges: list[tuple[int, int]]) -> None:
    frame = pl.DataFrame(
        [(start, end, line, f"v{line}") for line, (start, end) in enumerate(ranges)],
        schema={"start": pl.UInt64, "end": pl.UInt64, "line": pl.Int64, "value": pl.String},
        orient="row",
    )
    found = {}
    last_end = -1
    for start, end, value in disjoint(frame).select("start", "end", "value").iter_rows():
        assert last_end < start <= end
        last_end = end
        found |= dict.fromkeys(range(start, end + 1), value)
    wanted = {}
    for address in range(60):
        holding = [
            (end - start, -line) for line, (start, end) in enumerate(ranges) if start <= address <= end
        ]
        if holding:
            wanted[address] = f"v{-min(holding)[1]}"
    assert found == wanted


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_every_address_gets_what_the_reader_itself_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """The converted ranges against a point lookup, also where networks nest, touch and end."""
    choose = random.Random(seed)
    tmp_path = tmp_path_factory.mktemp("random")
    codes = ["DE", "FR", "US", "JP"]
    nets: dict[str, dict[str, Any]] = {}
    for _ in range(40):
        bits = choose.choice([8, 12, 16, 20, 24, 28, 32])
        start = choose.randrange(1, 2**bits) << (32 - bits)
        nets[f"{ipaddress.IPv4Address(start)}/{bits}"] = {"country": {"iso_code": choose.choice(codes)}}
        bits = choose.choice([20, 32, 48, 63, 64])
        start = (0x2000 << 112 | choose.randrange(2**124)) >> (128 - bits) << (128 - bits)
        nets[f"{ipaddress.IPv6Address(start)}/{bits}"] = {"country": {"iso_code": choose.choice(codes)}}
    path = mmdb(tmp_path / "a.mmdb", "Test-Country", nets)
    edges = []
    for network in map(ipaddress.ip_network, nets):
        for address in (int(network[0]) - 1, int(network[0]), int(network[-1]), int(network[-1]) + 1):
            edges.append(type(network[0])(address % 2**network.max_prefixlen))  # noqa: PERF401
    edges = [edge for edge in edges if int(edge) >= 2**24]
    with maxminddb.open_database(path) as reader:
        wanted = []
        for edge in edges:
            # Of IPv6 only the first 64 bits are known (R20).
            asked = edge if edge.version == 4 else ipaddress.IPv6Address(int(edge) >> 64 << 64)
            record: Any = reader.get(asked)
            wanted.append(record["country"]["iso_code"] if record else None)
    assert countries(tmp_path, path, *map(str, edges)) == wanted


def test_a_64_belongs_to_whoever_holds_its_first_address(tmp_path: Path) -> None:
    halves = {"2001:db8:0:1::/65": "DE", "2001:db8:0:1:8000::/65": "FR", "2001:db8:0:2:8000::/65": "FR"}
    expected = ["DE", "DE", None]
    asked = ("2001:db8:0:1::1", "2001:db8:0:1:ffff::1", "2001:db8:0:2:ffff::1")
    assert countries(tmp_path, country_db(tmp_path / "a.mmdb", **halves), *asked) == expected
    text = "".join(f"{network},{code}\n" for network, code in halves.items())
    assert countries(tmp_path, table(tmp_path / "a.csv", text), *asked) == expected


def test_what_is_no_country_is_null(tmp_path: Path) -> None:
    codes = ["EU", "ZZ", "XX", "A1", "Germany", "", "de"]
    nets = {f"203.0.{i}.0/24": {"country_code": code} for i, code in enumerate(codes)}
    path = mmdb(tmp_path / "a.mmdb", "Test", nets)
    found = countries(tmp_path, path, *(f"203.0.{i}.1" for i in range(len(codes))))
    assert found == [None] * 6 + ["DE"]


def refused(role: str, path: Path, tmp_path: Path) -> str:
    with pytest.raises(SettingError) as error:
        Networks.load(Settings(data=tmp_path / "data", **{f"{role}_db": path}))
    message = str(error.value)
    assert message.startswith(f"setting EARSHOT_{role.upper()}_DB = '{path}' cannot be used: ")
    assert "; allowed is a database of " in message
    assert not list((tmp_path / "data").rglob("*.json"))  # nothing passes for a conversion
    return message


def test_a_database_of_the_wrong_kind_is_refused_naming_setting_and_finding(tmp_path: Path) -> None:
    asn, country = asn_db(tmp_path / "asn.mmdb", **{NET: (64500, "One")}), tmp_path / "country.mmdb"
    message = refused("country", asn, tmp_path)
    assert (
        "no country: it is a MaxMind database of type GeoLite2-ASN with autonomous_system_number" in message
    )
    message = refused("network", country_db(country, **{NET: "DE"}), tmp_path)
    assert (
        "no autonomous system and no kind of network: it is a MaxMind database of type GeoLite2-C" in message
    )
    domains = mmdb(tmp_path / "d.mmdb", "GeoIP2-Domain", {NET: {"domain": "one.example"}})
    refused("country", domains, tmp_path)
    refused("network", domains, tmp_path)
    assert "no autonomous system" in refused(
        "network", table(tmp_path / "c.csv", TABLES["cidr.csv"]), tmp_path
    )
    blocks = "network,geoname_id,registered_country_geoname_id\n203.0.113.0/24,2921044,2921044\n"
    assert "with network, geoname_id" in refused("country", table(tmp_path / "b.csv", blocks), tmp_path)


@pytest.mark.parametrize("role", ["country", "network"])
def test_what_is_no_database_is_refused(tmp_path: Path, role: str) -> None:
    good = country_db(tmp_path / "good.mmdb", **{NET: "DE"}).read_bytes()
    metadata = good.rindex(MARKER)
    wrong = {
        "cut.mmdb": good[: len(good) // 2],
        "headless.mmdb": good[metadata:],
        "twisted.mmdb": bytes(reversed(good[:metadata])) + good[metadata:],
        "random.mmdb": random.Random(1).randbytes(10_000),
        "empty.mmdb": b"",
        "text.csv": b"hello\nworld\n",
        "prose.csv": b"countries, and other stories\nDE,FR\n",
        "page.csv": b"<!doctype html><html>404, not found</html>",
        "cut.csv.gz": gzip.compress(TABLES["cidr.csv"].encode() * 100)[:-20],
        "bad_row.csv": b"203.0.113.0/24,DE\n203.0.113.0/33,DE\n",
        "backwards.csv": b"203.0.113.9,203.0.113.1,DE\n",
        "backwards6.csv": b"2001:db8::9,2001:db8::1,DE\n",
        "mixed.csv": b"203.0.113.9,2001:db8::1,DE\n",
        "huge.csv": b"9" * 60 + b"," + b"9" * 60 + b",DE\n",
        "nul.csv": b"203.0.113.0/24,DE\0\n",
        "tar.mmdb": b"\0" * 257 + b"ustar" + good,
        "zip.mmdb": b"PK\x03\x04" + good,
        "headings_only.csv": b"network,country_code\n",
        "named_twice.csv": b"network,asn,asn\n203.0.113.0/24,1,2\n",
    }
    for name, content in wrong.items():
        path = tmp_path / name
        path.write_bytes(content)
        refused(role, path, tmp_path)
    refused(role, tmp_path / "absent.mmdb", tmp_path)
    refused(role, tmp_path, tmp_path)


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "network,country\n203.0.113.0/24,DE\n2001:db8::/129,DE\n")
    assert "line 3 is no address range: '2001:db8::/129'" in refused("country", path, tmp_path)


@pytest.mark.parametrize("shape", ["round and round", "two ways to each node"])
def test_a_search_tree_that_loops_is_refused_soon(tmp_path: Path, shape: str) -> None:
    path = country_db(tmp_path / "a.mmdb", **{NET: "DE"})
    with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
        nodes = reader.metadata().node_count
    content = bytearray(path.read_bytes())
    for node in range(nodes):
        to = (node + 1) % nodes if shape == "round and round" else min(node + 1, nodes - 1)
        content[6 * node : 6 * node + 6] = to.to_bytes(3, "big") * 2
    path.write_bytes(content)
    assert "search tree loops" in refused("country", path, tmp_path)


@pytest.mark.parametrize("record_bits", [24, 28, 32])
@pytest.mark.parametrize("ip_version", [4, 6])
def test_trees_of_every_size_are_read(tmp_path: Path, record_bits: int, ip_version: int) -> None:
    nets = {NET: "DE", OTHER: "FR", "0.0.0.0/8": "US", "255.255.255.255/32": "JP"}
    records = {network: {"country": {"iso_code": code}} for network, code in nets.items()}
    path = mmdb(tmp_path / "a.mmdb", "GeoLite2-Country", records, ip_version, record_bits)
    asked = (HERE, THERE, NOWHERE, "0.0.0.0", "255.255.255.255", "255.255.255.254")
    assert countries(tmp_path, path, *asked) == ["DE", "FR", None, "US", "JP", None]


def test_what_leads_back_to_ipv4_inside_ipv6_is_not_read_again(tmp_path: Path) -> None:
    """MaxMind's own databases answer 2002::/16 (6to4) from the IPv4 part of the tree."""
    path = country_db(tmp_path / "a.mmdb", **{NET: "DE", "2002::/16": "FR"})
    content = bytearray(path.read_bytes())

    def record_at(bits: str) -> int:
        node = 0
        for bit in bits[:-1]:
            node = int.from_bytes(content[6 * node + 3 * int(bit) :][:3], "big")
        return 6 * node + 3 * int(bits[-1])

    ipv4_root = content[record_at("0" * 96) :][:3]
    at = record_at(f"{0x2002:016b}")
    content[at : at + 3] = ipv4_root
    path.write_bytes(content)
    with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
        assert reader.get(str(ipaddress.IPv6Address(0x2002 << 112 | int(ipaddress.ip_address(HERE)) << 80)))
    found = load(Role.COUNTRY, path, Settings(data=tmp_path / "data"))
    assert (found.ipv4.height, found.ipv6.height) == (1, 0)


def damaged(good: bytes, choose: random.Random) -> bytes:
    content = bytearray(good)
    for _ in range(choose.choice([1, 2, 5, 20])):
        at = choose.randrange(len(content))
        match choose.randrange(4):
            case 0:
                del content[at : at + choose.randrange(1, 50)]
            case 1:
                content[at:at] = choose.randbytes(choose.randrange(1, 10))
            case _:
                content[at] = choose.randrange(256)
    return bytes(content)


def test_a_damaged_database_is_read_or_refused_but_never_the_end_of_the_process(tmp_path: Path) -> None:
    """maxminddb's C extension overwrites memory on such files."""
    record = {"country": {"iso_code": "DE"}, "traits": {"autonomous_system_number": 1, "x": [1, 2.5, True]}}
    nets = {f"203.0.{i}.0/24": record for i in range(9)}
    good = mmdb(tmp_path / "good.mmdb", "GeoIP2-Enterprise", nets).read_bytes()
    choose, refusals = random.Random(1), 0
    for i in range(300):
        path = tmp_path / "damaged.mmdb"
        path.write_bytes(damaged(good, choose))
        role = (Role.COUNTRY, Role.NETWORK)[i % 2]
        try:
            load(role, path, Settings(data=tmp_path / "data"))
        except SettingError:
            refusals += 1
    assert 200 < refusals < 300


def test_a_packed_database_is_unpacked(tmp_path: Path) -> None:
    plain = country_db(tmp_path / "a.mmdb", **{NET: "DE"})
    packed = tmp_path / "a.mmdb.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert countries(tmp_path, packed, HERE) == ["DE"]


def test_one_file_may_serve_both(tmp_path: Path) -> None:
    path = table(tmp_path / "ipinfo.csv", TABLES["ipinfo_lite.csv"])
    assert located(tmp_path, HERE, country_db=path, network_db=path) == [("DE", 64500, None)]


def test_a_version_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = country_db(tmp_path / "a.mmdb", **{NET: "DE"})
    first = load(Role.COUNTRY, path, Settings(data=tmp_path / "data"))
    reads: list[Path] = []
    read = address_db._read
    monkeypatch.setattr(address_db, "_read", lambda path, *more: [reads.append(path), read(path, *more)][1])
    again = load(Role.COUNTRY, path, Settings(data=tmp_path / "data"))
    assert reads == [] and again.version == first.version and again.ipv4.equals(first.ipv4)
    country_db(path, **{NET: "FR"})
    changed = load(Role.COUNTRY, path, Settings(data=tmp_path / "data"))
    assert reads == [path] and changed.version != first.version
    assert changed.ipv4["country"].to_list() == ["FR"]


def test_a_conversion_cut_short_is_made_again(tmp_path: Path) -> None:
    path = country_db(tmp_path / "a.mmdb", **{NET: "DE"})
    config = Settings(data=tmp_path / "data")
    whole = load(Role.COUNTRY, path, config)
    folder = next((tmp_path / "data" / "reference" / "address_db").iterdir())
    for damage in (
        lambda: (folder / "country.json").unlink(),
        lambda: (folder / "country.ipv4.parquet").unlink(),
        lambda: (folder / "country.ipv6.parquet").write_bytes(b"PAR1"),
        lambda: (folder / "country.json").write_bytes(b"{"),
        lambda: (folder / "country.json").write_bytes(b'{"layout": 0, "kind": "x"}'),
    ):
        damage()
        assert load(Role.COUNTRY, path, config).ipv4.equals(whole.ipv4)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / "country.json").unlink()
    load(Role.COUNTRY, path, config)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_conversions_of_old_versions_are_forgotten(tmp_path: Path) -> None:
    for i in range(address_db.KEPT_VERSIONS + 3):
        path = country_db(tmp_path / "a.mmdb", **{f"203.0.{i}.0/24": "DE"})
        newest = load(Role.COUNTRY, path, Settings(data=tmp_path / "data"))
    kept = {folder.name[:12] for folder in (tmp_path / "data" / "reference" / "address_db").iterdir()}
    assert len(kept) == address_db.KEPT_VERSIONS + 1 and newest.version in kept


def test_a_database_replaced_while_it_is_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = country_db(tmp_path / "a.mmdb", **{NET: "DE"})
    read = address_db._read

    def replaced_meanwhile(path: Path, role: Role, settings: Settings) -> Any:
        found = read(path, role, settings)
        other = country_db(path.with_suffix(".new"), **{NET: "FR"})
        other.replace(path)
        return found

    monkeypatch.setattr(address_db, "_read", replaced_meanwhile)
    assert "changed while it was read" in refused("country", path, tmp_path)


def test_neighbours_with_the_same_values_become_one_range(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "203.0.112.0/24,DE\n203.0.113.0/24,DE\n203.0.115.0/24,DE\n")
    found = load(Role.COUNTRY, path, Settings(data=tmp_path / "data"))
    start = int(ipaddress.ip_address("203.0.112.0"))
    assert found.ipv4.rows() == [(start, start + 511, "DE"), (start + 768, start + 1023, "DE")]
