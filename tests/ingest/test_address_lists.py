"""Excluded and included addresses (R12, R34): what they do to requests, and what the marts know of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ingest.lake import Lake
from ingest.logs.listeners import EPOCH_DAYS, KeyRing
from ingest.logs.ranges import ReferenceListError
from ingest.logs.rules import Rules
from ingest.reference.address_keys import KEYED_ADDRESSES, keyed
from ingest.reference.address_lists import read_address_list
from ingest.schema import ADDRESS_LISTS
from ingest.settings import Settings
from tests.ingest.samples import APP, BROWSER, NOON_S, NOW_US, land, nginx, take

TODAY = datetime.fromtimestamp(NOW_US / 1e6, UTC).date()  # the day of the intake
DAY_S = 86_400


def installation(tmp_path: Path, **lists: str) -> Settings:
    """With lists in a local folder: excluded, included, datacenters."""
    folder = tmp_path / "lists"
    folder.mkdir(exist_ok=True)
    files = {
        "excluded": "excluded_addresses.csv",
        "included": "included_addresses.csv",
        "datacenters": "datacenters.txt",
    }
    for name, text in lists.items():
        (folder / files[name]).write_text(text)
    return Settings(data=tmp_path / "data", settle_s=0, reference_dir=folder)


def reasons(settings: Settings, *lines: str, name: str = "a.log", now_us: int = NOW_US) -> list[str | None]:
    """Exclusion reason of each line of a file."""
    report = take(settings, land(settings, "".join(lines), name=name), now_us=now_us)
    (file_id,) = report.files["file_id"]
    found = Lake(settings.lake_dir).requests().filter(pl.col("file_id") == file_id).sort("line_number")
    return found.collect()["exclusion_reason"].to_list()


def line(address: str = "203.0.113.7", agent: str = APP, day: int = 0, number: int = 1) -> str:
    return nginx(
        ip=address, ua=agent, ts=f"{NOON_S + day * DAY_S}.5", id=f"id-{number}-{address}-{day}-{agent}"
    )


def test_r12_an_excluded_address_network_or_key_does_not_count(tmp_path: Path) -> None:
    settings = installation(tmp_path, excluded="address,added_on,validated_on,reason\n")
    addresses = ["203.0.113.7", "203.0.113.8", "198.51.100.9", "2001:db8::5"]
    assert reasons(settings, *map(line, addresses)) == [None] * 4
    requests = Lake(settings.lake_dir).requests().sort("line_number").collect()
    key = requests["address_key"][0]
    heading = "address,added_on,validated_on,reason\n"
    listed = f"{heading}key:{key},2026-09-01,,too many\n198.51.100.0/24\n2001:db8::/64\n"
    settings = installation(tmp_path, excluded=listed)
    again = reasons(settings, *map(line, addresses), line(number=2), name="b.log")
    assert again == ["excluded_address", None, "excluded_address", "excluded_address", "excluded_address"]


def test_r12_a_key_acts_over_the_change_of_the_secret(tmp_path: Path) -> None:
    """Its address is known by the old key as address_key_prev for the 30 days after."""
    settings = installation(tmp_path, excluded="")
    assert reasons(settings, line(day=-EPOCH_DAYS)) == [None]
    key = Lake(settings.lake_dir).requests().collect()["address_key"][0]
    settings = installation(tmp_path, excluded=f"key:{key}\n")
    assert reasons(settings, line(day=0), line("203.0.113.8"), name="b.log") == ["excluded_address", None]


@pytest.mark.parametrize(
    "text", ["203.0.113.7\n", "# heading\n\n203.0.113.0/24  # ours\n", "203.0.113.7,,,\n"]
)
def test_an_exclusion_needs_no_more_than_an_address(tmp_path: Path, text: str) -> None:
    assert reasons(installation(tmp_path, excluded=text), line()) == ["excluded_address"]


def test_r12_an_included_network_is_exempt_from_both_lists(tmp_path: Path) -> None:
    lists = {"excluded": "203.0.113.7\n203.0.114.7\n", "datacenters": "203.0.112.0/20\n"}
    lines = [line(agent=BROWSER), line(agent=APP), line("203.0.114.7", BROWSER), line("203.0.114.7", APP)]
    assert reasons(installation(tmp_path, **lists), *lines) == [
        *("datacenter", "excluded_address", "datacenter", "excluded_address")
    ]
    lists["included"] = f"address,added_on,validated_on,reason\n203.0.113.0/24,,{TODAY},a dormitory\n"
    # The same content is not read twice.
    fresh = [one.replace("id-1", "id-9") for one in lines]
    assert reasons(installation(tmp_path, **lists), *fresh, name="b.log") == [
        *(None, None, "datacenter", "excluded_address")
    ]


def test_r12_an_included_key_is_exempt_from_both_lists(tmp_path: Path) -> None:
    lists = {"excluded": "203.0.113.0/24\n", "datacenters": "203.0.113.0/24\n"}
    settings = installation(tmp_path, **lists)
    assert reasons(settings, line()) == ["excluded_address"]
    key = Lake(settings.lake_dir).requests().collect()["address_key"][0]
    settings = installation(tmp_path, **lists, included=f"key:{key},,{TODAY},office\n")
    lines = [line(number=2), line(agent=BROWSER, number=2), line("203.0.113.8", number=2)]
    assert reasons(settings, *lines, name="b.log") == [None, None, "excluded_address"]


@pytest.mark.parametrize(("age", "acts"), [(0, True), (90, True), (91, False)])
def test_r12_an_inclusion_acts_for_90_days_after_it_was_validated(
    tmp_path: Path, age: int, acts: bool
) -> None:
    day = TODAY - timedelta(days=age)
    lists = {"excluded": "203.0.113.7\n", "included": f"203.0.113.7,2020-01-01,{day},dormitory\n"}
    assert reasons(installation(tmp_path, **lists), line()) == [None if acts else "excluded_address"]


def test_r12_a_rerun_judges_by_the_day_of_the_first_intake(tmp_path: Path) -> None:
    day = TODAY - timedelta(days=89)
    settings = installation(tmp_path, excluded="203.0.113.7\n", included=f"203.0.113.7,,{day}\n")
    landed = land(settings, line())
    take(settings, landed)
    before = Lake(settings.lake_dir).requests().collect()
    take(settings, landed, force=True, now_us=NOW_US + 10 * DAY_S * 1_000_000)
    assert Lake(settings.lake_dir).requests().collect().equals(before)
    assert before["exclusion_reason"].to_list() == [None]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("excluded", "203.0.113.7x\n", "line 1: no address; wanted is an IP, a CIDR or key:<address_key>"),
        ("excluded", "a.test\n", "line 1: no address"),
        ("excluded", "\n0.0.0.0/0\n", "line 2: '0.0.0.0/0' is wider than a /8"),
        ("excluded", "key:x\n", "line 1: 'key:x' is no key"),
        ("excluded", f"key:{2**63}\n", "is no key"),
        ("excluded", "address,until\n", "line 1: unknown column 'until'; there are address, added_on"),
        ("excluded", "203.0.113.7,2026-09-31\n", "line 1: added_on is no date such as 2026-11-20"),
        ("excluded", "203.0.113.7,1,2,3,4\n", "line 1: 5 values, but the columns are address"),
        ("excluded", '203.0.113.7,,,"open\n', "not CSV"),
        ("excluded", "<html>\n", "a web page"),
        ("included", "203.0.113.7\n", "line 1: no validated_on: an included address acts for 90 days"),
        ("included", "203.0.113.7,,2099-01-01\n", "line 1: validated_on lies in the future: 2099-01-01"),
    ],
)
def test_a_list_with_a_fault_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    settings = installation(tmp_path, **{name: text})
    with pytest.raises(ReferenceListError) as caught:
        Rules.load(settings)
    assert told in str(caught.value)
    assert f"the list {name}_addresses cannot be used" in str(caught.value)
    assert "203.0.113" not in str(caught.value)


def test_the_columns_may_stand_in_any_order_and_a_reason_may_hold_any_sign() -> None:
    text = 'reason,address,validated_on\n"floor #3, office",198.51.100.9,2026-09-01\n'
    (entry,) = read_address_list(text, True).entries
    assert (entry.line, entry.reason, entry.validated_on) == (2, "floor #3, office", date(2026, 9, 1))


def test_the_marts_know_listed_addresses_by_the_keys_that_requests_carry(tmp_path: Path) -> None:
    included = f"203.0.113.0/29,,{TODAY},office of 203.0.113.1\n10.0.0.0/8,,{TODAY},too wide to be one\n"
    settings = installation(tmp_path, included=included, excluded="key:-5,,,robot\n2001:db8::/64\n")
    take(settings, land(settings, line() + line("203.0.113.8") + line("2001:db8::9")))
    lake = Lake(settings.lake_dir)
    listed = pl.read_parquet(lake.address_lists_path)
    assert listed.schema == ADDRESS_LISTS
    requests = lake.requests().sort("line_number").collect()
    found = requests.select("line_number", "address_key").join(listed, on="address_key")
    assert found.sort("line_number").select("line_number", "list").rows() == [
        (1, "included_addresses"),
        (3, "excluded_addresses"),
    ]
    row = found.row(by_predicate=pl.col("line_number") == 1, named=True)
    assert (row["validated_on"], row["expires_on"]) == (TODAY, TODAY + timedelta(days=90))
    assert row["reason"] == "office of <address>"
    assert listed.filter(address_key=-5).select("list", "expires_on", "reason").rows() == [
        ("excluded_addresses", None, "robot")
    ]


def test_keys_are_worked_out_for_90_days_back_and_for_tomorrow(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys")
    for epoch in (697, 698, 699):  # of requests that were taken in
        ring.secret(epoch)
    first_day = date(1970, 1, 1) + timedelta(days=700 * EPOCH_DAYS)
    lists = {"excluded_addresses": read_address_list("203.0.113.7\n", False)}
    one_day = keyed(lists, ring, first_day)
    assert one_day.height == 4
    last_day = keyed(lists, ring, first_day + timedelta(days=EPOCH_DAYS - 1))
    assert last_day.height == 5
    assert set(one_day["address_key"]) < set(last_day["address_key"])
    assert sorted(path.name for path in (tmp_path / "keys").glob("*.key")) == [
        f"epoch-{epoch}.key" for epoch in range(697, 702)
    ]


def test_no_secret_is_made_or_used_for_the_sake_of_a_list(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys")
    for epoch in (698, 699):
        ring.secret(epoch)
    ring.destroy(698, 0, "test")
    lists = {"excluded_addresses": read_address_list("203.0.113.7\n", False)}
    listed = keyed(lists, ring, date(1970, 1, 1) + timedelta(days=700 * EPOCH_DAYS))
    assert listed.height == 2  # of 699 and today's
    assert not ring.has(697)


@pytest.mark.parametrize(("width", "keys"), [(22, KEYED_ADDRESSES), (21, 0)])
def test_a_network_too_wide_to_stand_out_is_not_keyed(width: int, keys: int) -> None:
    lists = {"excluded_addresses": read_address_list(f"198.18.0.0/{width}\n", False)}
    assert keyed(lists, KeyRing.ephemeral(), TODAY).height == keys


def test_of_entries_that_overlap_the_one_that_acts_longest_is_told() -> None:
    text = "203.0.113.7,,2026-09-01,old\n203.0.113.7,,2026-09-20,new\n203.0.113.0/29,,2026-08-01,network\n"
    listed = keyed({"included_addresses": read_address_list(text, True)}, KeyRing.ephemeral(), TODAY)
    assert sorted(listed["reason"].to_list()) == ["network"] * 7 + ["new"]
