"""User agents: our own list and, where it is present, the public one, by their own examples."""

from __future__ import annotations

import os
import re
from pathlib import Path

import polars as pl
import pytest

from ingest.logs.agents import (
    TYPES,
    AgentListError,
    AgentRules,
    KnownAgents,
    classify,
    first_matches,
    repaired,
)

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
    rules = AgentRules.load(reference)
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
    devices = AgentRules.load(reference).lists["devices"]
    wanted = [(entry, example) for entry in devices for example in entry.examples]
    found = dict(first_matches(pl.Series([example for _, example in wanted]), devices))
    for row, (entry_, example) in enumerate(wanted):
        # One public example contradicts its own list: an earlier entry matches it. First match wins.
        by_hand = next(e for e in devices if re.search(e.pattern, example))
        assert found[row] == by_hand, example
        assert by_hand == entry_ or (entry_.name, by_hand.name) == ("Apple Watch", "Apple iPhone"), example


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


def test_the_version_follows_the_content() -> None:
    one, two = AgentRules.of({"apps": [entry("A", "a")]}), AgentRules.of({"apps": [entry("A", "b")]})
    assert one.version != two.version
    assert one.version == AgentRules.of({"apps": [entry("A", "a", examples=["a"])]}).version


def test_a_hostile_agent_takes_linear_time() -> None:
    agents = ["a" * 60_000, "(" * 60_000, "Mozilla/5.0 " * 5_000, "\0" * 1000]
    assert classify(pl.DataFrame({"agent": agents}), AgentRules.load()).height == 4


def test_known_agents_are_bounded_and_complete() -> None:
    known = KnownAgents(AgentRules.load(), limit=10)
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
