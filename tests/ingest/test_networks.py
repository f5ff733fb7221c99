"""Country and network of a request, from the databases to the lake."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ingest.lake import Lake
from ingest.logs.networks import KINDS, Networks, kinds_of, record_networks
from ingest.logs.rules import Rules
from ingest.reference.address_values import NetworkKind
from ingest.schema import NETWORKS
from ingest.settings import SettingError, Settings
from tests.ingest.databases import asn_db, country_db, located, mmdb, table
from tests.ingest.samples import (
    ADDRESS,
    CLOUDFRONT_FIELDS,
    cloudfront,
    cloudfront_header,
    land,
    nginx,
    settings_of,
    take,
)

HETZNER, VODAFONE, OTHER = "198.51.100.1", "198.51.100.130", "192.0.2.1"


@pytest.fixture
def databases(tmp_path: Path) -> dict[str, Path]:
    return {
        "country_db": country_db(tmp_path / "c.mmdb", **{"203.0.113.0/24": "DE", "198.51.100.0/24": "FR"}),
        "network_db": asn_db(
            tmp_path / "n.mmdb",
            **{
                "198.51.100.0/25": (24940, "Hetzner Online GmbH"),
                "198.51.100.128/25": (25135, "Vodafone Limited"),
                "203.0.113.0/24": (64500, "Example Net"),
            },
        ),
    }


def lake_of(settings: Settings) -> pl.DataFrame:
    return Lake(settings.lake_dir).requests().sort("line_number").collect()


def networks_of(settings: Settings) -> list[tuple[Any, ...]]:
    return pl.read_parquet(Lake(settings.lake_dir).networks_path).rows()


def log(*addresses: str) -> str:
    return "".join(nginx(id=f"id-{i}", ip=address) for i, address in enumerate(addresses))


def test_requests_have_country_network_and_its_kind(tmp_path: Path, databases: dict[str, Path]) -> None:
    settings = settings_of(tmp_path, **databases)
    take(settings, land(settings, log(ADDRESS, HETZNER, VODAFONE, OTHER, "2001:db8::1", "10.0.0.1")))
    found = lake_of(settings).select("country", "asn", "network_kind").rows()
    nowhere = (None, None, None)
    assert found == [
        ("DE", 64500, None),
        ("FR", 24940, "hosting"),
        ("FR", 25135, "mobile"),
        *[nowhere] * 3,
    ]
    assert networks_of(settings) == [
        (24940, "Hetzner Online GmbH", "hosting"),
        (25135, "Vodafone Limited", "mobile"),
        (64500, "Example Net", None),
    ]


def test_without_databases_nothing_is_known(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, log(ADDRESS, HETZNER)))
    assert lake_of(settings).select("country", "asn", "network_kind").null_count().row(0) == (2, 2, 2)
    assert networks_of(settings) == []
    assert set(Networks.load(settings).versions.values()) == {"none"}


def test_the_country_that_a_log_tells_is_not_used(tmp_path: Path) -> None:
    """Two sources of one show must not differ in where their CDN believes a listener to be."""
    settings = settings_of(tmp_path)
    fields = [*CLOUDFRONT_FIELDS, "c-country"]
    text = cloudfront_header(fields) + cloudfront(fields, c_country="SE")
    take(settings, land(settings, text))
    assert lake_of(settings)["country"].to_list() == [None]


def test_residential_is_only_what_a_database_says(tmp_path: Path) -> None:
    ours = kinds_of(resources.files("ingest.reference").joinpath(KINDS).read_text("utf-8"), KINDS)
    assert set(ours["kind"]) == {"hosting", "mobile"}
    record = {"traits": {"autonomous_system_number": 24940, "user_type": "residential"}}
    path = mmdb(tmp_path / "e.mmdb", "GeoIP2-Enterprise", {"198.51.100.0/24": record})
    # Also against what the number would say: the database knows the address.
    assert located(tmp_path, HETZNER, network_db=path) == [(None, 24940, "residential")]


def test_our_list_names_each_network_once(tmp_path: Path) -> None:
    text = resources.files("ingest.reference").joinpath(KINDS).read_text("utf-8")
    rows = list(csv.reader(line for line in text.splitlines() if line and not line.startswith("#")))
    assert rows[0] == ["asn", "kind", "name"]
    numbers = [row[0] for row in rows[1:]]
    assert len(numbers) == len(set(numbers)) == kinds_of(text, KINDS).height
    assert all(name for _, _, name in rows[1:])


@pytest.mark.parametrize("folder", ["reference", "data"])
def test_a_users_list_goes_before_database_and_our_list(
    tmp_path: Path, databases: dict[str, Path], folder: str
) -> None:
    values: dict[str, Any] = {"network_db": databases["network_db"]}
    without = Networks.load(Settings(data=tmp_path / "data", **values))
    text = "asn,kind,name\n# ours\nAS64500,residential,Home\n24940,mobile,\n25135,,Cancelled\n"
    table(tmp_path / folder / KINDS, text)
    if folder == "reference":
        values["reference_dir"] = tmp_path / folder
    found = located(tmp_path, ADDRESS, HETZNER, VODAFONE, **values)
    assert found == [(None, 64500, "residential"), (None, 24940, "mobile"), (None, 25135, None)]
    with_list = Networks.load(Settings(data=tmp_path / "data", **values))
    assert with_list.named([64500, 25135]).rows() == [
        (25135, "Vodafone Limited", None),
        (64500, "Example Net", "residential"),
    ]
    assert with_list.versions["network_kinds"] != without.versions["network_kinds"]
    assert with_list.version != without.version


@pytest.mark.parametrize(
    "line", ["hetzner,hosting,x", "24940,cloud,x", "24940,Hosting", "-1,hosting", "hosting"]
)
def test_a_users_list_with_a_line_that_says_nothing_is_refused(tmp_path: Path, line: str) -> None:
    reference = tmp_path / "reference"
    path = table(reference / KINDS, f"asn,kind,name\n{line}\n")
    with pytest.raises(SettingError, match="allowed kinds are residential, mobile, hosting") as error:
        Networks.load(Settings(data=tmp_path / "data", reference_dir=reference))
    assert f"{path}, line 2: '{line}'" in str(error.value)


def test_versions_of_databases_are_versions_of_the_rules(tmp_path: Path, databases: dict[str, Path]) -> None:
    without = Rules.load(settings_of(tmp_path))
    rules = Rules.load(settings_of(tmp_path, **databases))
    assert {"country_db", "network_db", "network_kinds"} <= set(rules.versions)
    assert rules.version != without.version
    described = {row["list"]: row for row in rules.described().iter_rows(named=True)}
    assert described["country_db"]["origin"].startswith("MaxMind database of type GeoLite2-Country, ")
    assert described["country_db"]["entries"] == 2 and described["network_db"]["list_version"] != "none"
    country_db(databases["country_db"], **{"203.0.113.0/24": "AT"})
    assert Rules.load(settings_of(tmp_path, **databases)).version != rules.version


def test_a_wrong_database_stops_intake_before_anything_is_written(
    tmp_path: Path, databases: dict[str, Path]
) -> None:
    good = settings_of(tmp_path, **databases)
    take(good, land(good, log(ADDRESS)))
    before = {path: path.read_bytes() for path in good.lake_dir.rglob("*") if path.is_file()}
    swapped = settings_of(tmp_path, country_db=databases["network_db"])
    with pytest.raises(SettingError, match="EARSHOT_COUNTRY_DB"):
        take(swapped, land(swapped, log(HETZNER), name="b.log"))
    assert {path: path.read_bytes() for path in good.lake_dir.rglob("*") if path.is_file()} == before


def test_networks_met_are_kept_and_named_as_today(tmp_path: Path, databases: dict[str, Path]) -> None:
    lake = Lake(tmp_path / "lake")
    networks = Networks.load(Settings(data=tmp_path / "data", network_db=databases["network_db"]))
    record_networks(lake, networks, {64500, 7})
    content = lake.networks_path.read_bytes()
    record_networks(lake, networks, {7, 64500})
    record_networks(lake, networks, set())
    assert lake.networks_path.read_bytes() == content
    renamed = asn_db(
        tmp_path / "new.mmdb", **{"203.0.113.0/24": (64500, "Renamed"), "192.0.2.0/24": (8, "Eight")}
    )
    record_networks(lake, Networks.load(Settings(data=tmp_path / "data", network_db=renamed)), {8, 64500})
    found = pl.read_parquet(lake.networks_path)
    assert found.schema == NETWORKS
    # The one no database names keeps its row; a name that today's database lacks is not lost.
    assert found.rows() == [(7, None, None), (8, "Eight", None), (64500, "Renamed", None)]
    record_networks(lake, Networks.none(), {64500})
    assert_frame_equal(pl.read_parquet(lake.networks_path), found)


def test_taking_in_twice_writes_the_same_bytes(tmp_path: Path, databases: dict[str, Path]) -> None:
    settings = settings_of(tmp_path, **databases)
    file = land(settings, log(ADDRESS, HETZNER, VODAFONE))
    take(settings, file)
    before = {path: path.read_bytes() for path in settings.lake_dir.rglob("*.parquet")}
    take(settings, file, force=True)
    assert {path: path.read_bytes() for path in settings.lake_dir.rglob("*.parquet")} == before


def test_kinds_are_the_ones_of_the_schema() -> None:
    assert [*NetworkKind] == ["residential", "mobile", "hosting"]
