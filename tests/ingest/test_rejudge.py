"""Judging again what is in the lake: as cleaning under the new lists would, as far as it can."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ingest.logs.agents import OPERATING_SYSTEMS, AgentRules
from ingest.logs.clean import Cleaner, Origin
from ingest.logs.listeners import KeyRing
from ingest.logs.rejudge import rejudge
from ingest.logs.rules import Rules
from ingest.reference.address_lists import read_address_list
from ingest.reference.lists import AGENTS, EXCLUDED, INCLUDED, Parsed
from ingest.schema import REQUESTS, SourceClass
from tests.ingest.samples import ADDRESS, APP, BROWSER, NOON_US, NOW_US, rules_of
from tests.ingest.test_rules import raw

ON = date(2026, 9, 29)
OURS = rules_of()
ORIGIN = Origin("f" * 32, "cdn", SourceClass.SERVER_LOG, NOW_US)

AGENTS_SEEN = [
    None,
    "-",
    "Alpha/1.0",
    "Beta/2 (iPhone; iOS 17)",
    "Gamma crawler",
    "Delta/3 (Linux; Android 14)",
    "Epsilon bot",
    "Podcasts/1.0 (null)/(null) watchOS/9.0",
    "Zeta/1 CFNetwork/1410 Darwin/22.6.0",
    # Quotes its own address, which is not kept: judged as it is kept.
    f"Alpha/1.0 ip={ADDRESS}",
    f"Alpha/{ADDRESS}x",
]
PATTERNS = [
    "Alpha",
    "Beta",
    "^Gamma",
    "Delta",
    "Epsilon",
    "Podcasts",
    "Zeta",
    "iOS",
    r"ip=203",
    r"^Alpha/\d",
    "/3",
]


def with_agents(rules: Rules, raw_lists: dict[str, list[dict[str, object]]], version: str) -> Rules:
    in_force = replace(
        rules.lists[AGENTS], parsed=Parsed(AgentRules.of(raw_lists), {}), version=version, files=None
    )
    return replace(rules, lists={**rules.lists, AGENTS: in_force}, _by_day={})


def with_addresses(rules: Rules, **texts: str) -> Rules:
    lists = dict(rules.lists)
    for name, text in texts.items():
        parsed = Parsed(read_address_list(text, name == INCLUDED), {name: 1})
        lists[name] = replace(lists[name], parsed=parsed, version=f"{hash(text)}", files=None)
    return replace(rules, lists=lists, _by_day={})


entries = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["One", "Two", "Three"]), "pattern": st.sampled_from(PATTERNS)},
        optional={"category": st.sampled_from(["bot", "mobile", "computer"])},
    ),
    max_size=3,
)
agent_lists = st.fixed_dictionaries(
    dict.fromkeys(("bots", "apps", "libraries", "browsers", "devices", OPERATING_SYSTEMS), entries)
)
REFERRERS = [
    {"name": "Web player", "pattern": "^https://player\\.example/", "examples": []},
    {"name": "Any page", "pattern": "page", "examples": []},
]
rows = st.fixed_dictionaries(
    {
        "agent": st.sampled_from(AGENTS_SEEN),
        "address": st.sampled_from([ADDRESS, "198.51.100.9", "2001:db8::1"]),
    },
    optional={
        "referrer": st.sampled_from(
            ["https://player.example/x", "https://a.example/page", "https://b.example/"]
        ),
        "method": st.sampled_from(["HEAD", None]),
        "status": st.sampled_from([206, 302, 404]),
        "path": st.sampled_from(["/cover.jpg", "/e/media.example.fm/1.mp3", f"/{ADDRESS}.mp3"]),
        "request_range": st.just("bytes=0-1"),
        "started_us": st.integers(NOON_US, NOON_US + 10**9),
    },
)


@settings(max_examples=80, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12), agent_lists, agent_lists, st.sampled_from(SourceClass))
def test_judging_again_equals_cleaning_under_the_new_lists_when_only_agents_differ(
    requests: list[dict[str, object]],
    old: dict[str, list[dict[str, object]]],
    new: dict[str, list[dict[str, object]]],
    source_class: SourceClass,
) -> None:
    base = with_addresses(OURS, **{EXCLUDED: "198.51.100.9\n"})
    keys, origin = KeyRing.ephemeral(), replace(ORIGIN, source_class=source_class)
    former, rules = (
        with_agents(base, {**lists, "referrers": REFERRERS}, version)
        for lists, version in ((old, "old"), (new, "new"))
    )
    logged = raw(*requests)
    wanted = Cleaner(rules, keys).clean(logged, origin).requests
    found = rejudge(Cleaner(former, keys).clean(logged, origin).requests, rules, origin.intake_day)
    assert_frame_equal(found, wanted)
    assert found.schema == REQUESTS
    assert_frame_equal(rejudge(found, rules, origin.intake_day), found)


def test_a_referrer_names_an_app_for_browsers_only_also_for_what_becomes_one() -> None:
    logged = raw({"agent": "Alpha/1", "referrer": "https://player.example/x"})
    keys = KeyRing.ephemeral()
    as_app, as_browser = (
        with_agents(OURS, {name: [{"name": "A", "pattern": "Alpha"}], "referrers": REFERRERS}, name)
        for name in ("apps", "browsers")
    )
    first = Cleaner(as_app, keys).clean(logged, ORIGIN).requests
    assert first["referrer_app"].to_list() == [None]
    again = rejudge(first, as_browser, ON)
    assert again["referrer_app"].to_list() == ["Web player"]
    assert rejudge(again, as_app, ON)["referrer_app"].to_list() == [None]


def test_an_excluded_key_acts_on_what_is_in_the_lake_and_no_longer_when_it_is_taken_off_the_list() -> None:
    none = OURS
    requests = Cleaner(none, KeyRing.ephemeral()).clean(raw({}, {"address": "198.51.100.9"}), ORIGIN).requests
    key = requests.filter(pl.col("line_number") == 2)["address_key"].item()
    listed = with_addresses(none, **{EXCLUDED: f"key:{key}\n"})
    again = rejudge(requests, listed, ON)
    assert again.sort("line_number")["exclusion_reason"].to_list() == [None, "excluded_address"]
    assert again["rules_version"].unique().to_list() == [listed.version] != [none.version]
    assert_frame_equal(rejudge(again, none, ON), requests)


def test_an_excluded_key_acts_in_cleaning_too() -> None:
    keys, none = KeyRing.ephemeral(), OURS
    logged = raw({}, {"address": "198.51.100.9"})
    key = Cleaner(none, keys).clean(logged, ORIGIN).requests.sort("line_number")["address_key"][0]
    listed = with_addresses(none, **{EXCLUDED: f"key:{key}\n"})
    found = Cleaner(listed, keys).clean(logged, ORIGIN).requests.sort("line_number")
    assert found["exclusion_reason"].to_list() == ["excluded_address", None]
    assert_frame_equal(rejudge(found, listed, ON), found)


@pytest.mark.parametrize(("validated", "reason"), [("2026-09-28", None), ("2026-05-01", "excluded_address")])
def test_r12_an_included_key_frees_an_excluded_network_while_it_is_valid(
    validated: str, reason: str | None
) -> None:
    keys = KeyRing.ephemeral()
    excluded = with_addresses(OURS, **{EXCLUDED: "203.0.113.0/24\n"})
    requests = Cleaner(excluded, keys).clean(raw({}), ORIGIN).requests
    assert requests["exclusion_reason"].to_list() == ["excluded_address"]
    line = f"key:{requests['address_key'].item()},,{validated},dormitory\n"
    both = with_addresses(excluded, **{INCLUDED: line})
    assert rejudge(requests, both, ORIGIN.intake_day)["exclusion_reason"].to_list() == [reason]
    assert Cleaner(both, keys).clean(raw({}), ORIGIN).requests["exclusion_reason"].to_list() == [reason]


def test_what_needs_the_address_stays_as_it_was() -> None:
    excluded = with_addresses(OURS, **{EXCLUDED: f"{ADDRESS}\n"})
    requests = (
        Cleaner(excluded, KeyRing.ephemeral()).clean(raw({"agent": APP}, {"agent": BROWSER}), ORIGIN).requests
    )
    again = rejudge(requests, OURS, ON)
    assert_frame_equal(again.drop("rules_version"), requests.drop("rules_version"))


def test_the_day_of_intake_is_that_of_the_origin() -> None:
    assert ORIGIN.intake_day == ON == datetime.fromtimestamp(NOW_US / 1e6, UTC).date()
