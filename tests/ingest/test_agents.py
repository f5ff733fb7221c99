"""User agents: our own list and, where it is present, the public one, by their own examples."""

from __future__ import annotations

import os
import re
from pathlib import Path

import hypothesis
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.logs.agents import (
    OPERATING_SYSTEMS,
    TYPES,
    AgentListError,
    AgentRules,
    classify,
    first_matches,
)
from ingest.logs.known_agents import KnownAgents, repaired
from tests.ingest.samples import rules_of

_NAMED = os.environ.get("EARSHOT_REFERENCE_DIR")
REFERENCE = Path(_NAMED) if _NAMED else Path(__file__).parents[2].parent / "shared" / "reference"

needs_reference = pytest.mark.skipif(
    not (REFERENCE / "opawg" / "apps.json").is_file(), reason="no public lists (EARSHOT_REFERENCE_DIR)"
)
LISTS = [None, pytest.param(REFERENCE, marks=needs_reference)]


def entry(name: str, pattern: str, **more: object) -> dict[str, object]:
    return {"name": name, "pattern": pattern, **more}


@pytest.mark.parametrize("reference", LISTS, ids=["ours", "public"])
def test_every_example_is_classified_as_listed(reference: Path | None) -> None:
    rules = rules_of(reference).agents
    missed = []
    for list_name, type_ in TYPES.items():
        wanted = [(entry, example) for entry in rules.lists[list_name] for example in entry.examples]
        found = classify(pl.DataFrame({"agent": [example for _, example in wanted]}), rules)
        for (entry_, example), row in zip(wanted, found.iter_rows(named=True), strict=True):
            is_bot_library = list_name == "libraries" and entry_.category == "bot"
            expected = ("bot_library" if is_bot_library else type_, entry_.name)
            if (row["agent_type"], row["app"]) != expected:
                missed.append((expected, row["agent_type"], row["app"], example))
    assert missed == []


@pytest.mark.parametrize("reference", LISTS, ids=["ours", "public"])
def test_every_device_example_is_found(reference: Path | None) -> None:
    devices = rules_of(reference).agents.lists["devices"]
    wanted = [(entry, example) for entry in devices for example in entry.examples]
    found = first_matches(pl.Series([example for _, example in wanted]), devices)
    for at, (entry_, example) in zip(found, wanted, strict=True):
        by_hand = next(e for e in devices if re.search(e.pattern, example))
        assert devices[at] == by_hand == entry_, example


def test_a_device_that_another_keeps_from_its_example_is_tried_before_that() -> None:
    """OPAWG's telephone matches CFNetwork, and stands before the watch whose example has it."""
    listed = [
        entry("Tablet", "tablet"),
        entry("Phone", "phone|Net", examples=["phone Net"]),
        entry("Watch", "^Watch/|watch", examples=["Watch/1 Net"]),
        entry("Player", "play|Net"),
    ]
    devices = AgentRules.of({"devices": listed}).lists["devices"]
    assert [device.name for device in devices] == ["Tablet", "Watch", "Phone", "Player"]


def test_robotics_is_no_bot() -> None:
    agents = ["SEIRobotics;yes", "FooBot", "foobot/1", "aBots", "ro-boti", "robotic", "Bottle crawler"]
    found = classify(pl.DataFrame({"agent": agents}), rules_of().agents)["agent_type"].to_list()
    assert found == ["unknown", "bot", "bot", "bot", "bot", "unknown", "bot"]


def test_every_operating_system_is_found_in_its_examples() -> None:
    systems = rules_of().agents.lists[OPERATING_SYSTEMS]
    wanted = [(entry, example) for entry in systems for example in entry.examples]
    assert all(entry.examples for entry in systems)
    found = first_matches(pl.Series([example for _, example in wanted]), systems)
    assert [systems[at] for at in found] == [entry for entry, _ in wanted]


def systems_of(*agents: str, reference: Path | None = None) -> list[str | None]:
    found = classify(pl.DataFrame({"agent": agents}), rules_of(reference).agents)
    return found["os"].to_list()


@pytest.mark.parametrize("reference", LISTS, ids=["ours", "public"])
def test_darwin_alone_tells_no_operating_system(reference: Path | None) -> None:
    assert systems_of(
        "Podcasts/1575.1.2 CFNetwork/1568.100.1 Darwin/24.0.0",
        "Podcasts/1410.53 CFNetwork/1111 Darwin/19.0.0 (x86_64)",  # no telephone has that processor
        "AmazonMusic/24.3.0 iPhone15,2 CFNetwork/1410.1 Darwin/22.6.0",
        reference=reference,
    ) == [None, "macos", "ios"]


@pytest.mark.parametrize("reference", LISTS, ids=["ours", "public"])
def test_bots_have_no_operating_system(reference: Path | None) -> None:
    bot = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (compatible; Googlebot/2.1)"
    assert systems_of(bot, "", "-", "NobodyKnowsThis/1", reference=reference) == [None] * 4


@needs_reference
def test_the_device_tells_the_system_that_the_agent_does_not() -> None:
    assert systems_of("AntennaPod/3.4.0", reference=REFERENCE) == ["android"]  # an Android phone, says OPAWG


def test_a_device_of_the_same_name_tells_its_system() -> None:
    phone = entry("Android Phone", "^AnApp", category="mobile")
    rules = AgentRules.of(
        {"devices": [phone], OPERATING_SYSTEMS: [entry("android", "[Aa]ndroid"), entry("linux", "Linux")]}
    )
    agents = ["AnApp/1", "AnApp/1 (Linux)", "AnApp/1 CFNetwork/1410 Darwin/22", "Other/1"]
    found = classify(pl.DataFrame({"agent": agents}), rules)
    assert found["os"].to_list() == ["android", "linux", None, None]


def test_bots_come_first_then_the_order_of_the_list() -> None:
    rules = AgentRules.of(
        {
            "bots": [entry("B", "bee")],
            "apps": [entry("A1", "aa"), entry("A2", "xax")],
            "libraries": [entry("L", "lib", category="bot"), entry("M", "mmm")],
            "browsers": [entry("W", "web")],
            "devices": [entry("Phone", "phone", category="mobile")],
        }
    )
    agents = ["bee aa phone", "xaax phone", "xax", "lib phone", "mmm", "web lib", "Xcrawler", "else", "", "-"]
    found = classify(pl.DataFrame({"agent": agents}), rules)
    assert found["agent_type"].to_list() == [
        *("bot", "app", "app", "bot_library", "library", "bot_library", "bot", "unknown", "none", "none")
    ]
    assert found["app"].to_list() == ["B", "A1", "A2", "L", "M", "L", None, None, None, None]
    assert found["device"].to_list() == [None, "Phone", None, "Phone", None, None, None, None, None, None]
    assert found["device_category"][1] == "mobile"


def test_a_pattern_rust_cannot_compile_runs_in_python() -> None:
    rules = AgentRules.of({"bots": [], "apps": [entry("A", "x(?=y)"), entry("B", "x")]})
    found = classify(pl.DataFrame({"agent": ["xy", "xz"]}), rules)
    assert found["app"].to_list() == ["A", "B"]


def test_a_list_whose_pattern_compiles_nowhere_is_refused_naming_it() -> None:
    with pytest.raises(AgentListError, match=r"apps: the pattern of 'Broken' is no regular expression"):
        AgentRules.of({"apps": [entry("Fine", "a"), entry("Broken", "(")]})
    with pytest.raises(AgentListError, match=r"bots: entry 'X' has no 'pattern'"):
        AgentRules.of({"bots": [{"name": "X"}]})


def test_a_hostile_agent_takes_linear_time() -> None:
    agents = ["a" * 60_000, "(" * 60_000, "Mozilla/5.0 " * 5_000, "\0" * 1000]
    assert classify(pl.DataFrame({"agent": agents}), rules_of().agents).height == 4


def test_known_agents_are_bounded_and_complete() -> None:
    known = KnownAgents(rules_of().agents, limit=10)
    for start in range(0, 60, 5):
        agents = pl.Series([f"Agent/{i}" for i in range(start, start + 8)])
        assert set(known.of(agents)["as_logged"]) == set(agents)
    many = pl.Series([f"Agent/{i}" for i in range(50)])
    assert known.of(many).height == 50
    assert known.of(pl.Series([None, None], dtype=pl.String)).height == 0


@pytest.mark.parametrize(
    "agent", ["Overcast/3.0 (+http://overcast.fm/; iOS podcast app)", "C++ Player/1", "a+b"]
)
def test_a_well_formed_agent_is_left_alone(agent: str) -> None:
    assert repaired(agent) == agent


@given(st.lists(st.text(st.sampled_from("a9.:-/+%2fF ()\"'rv\t\n\x85é"), max_size=24), min_size=1))
@hypothesis.example(
    ["User-Agent : x", " x", "a%2Fb", "A/1.2.3.4", "x 1.2.3.4", "rv:1.2.3.4", "-", "", "'a'", "2001::1"]
)
@hypothesis.example(["x" * 1_025, "é" * 1_024, "http://10.0.0.1/", "%201.2.3.4", "a\x7fb"])
def test_only_agents_that_look_as_if_they_needed_it_are_repaired(agents: list[str]) -> None:
    """A pattern in Rust passes over the others: what it passes over must be what Python would leave alone."""
    known = KnownAgents(rules_of().agents).of(pl.Series(agents, dtype=pl.String))
    assert dict(known.select("as_logged", "agent").iter_rows()) == {text: repaired(text) for text in agents}
