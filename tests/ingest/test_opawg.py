"""OPAWG's own examples, all of them: each must be classified as its list says (R10, R11)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from ingest.logs.agents import TYPES, AgentRules, Entry, classify_referrers
from ingest.logs.known_agents import KnownAgents
from ingest.reference.lists import AGENTS, LISTS, read_files
from ingest.reference.validate import judge
from tests.ingest.samples import rules_of

_NAMED = os.environ.get("EARSHOT_REFERENCE_DIR")
REFERENCE = Path(_NAMED) if _NAMED else Path(__file__).parents[2].parent / "shared" / "reference"

pytestmark = pytest.mark.skipif(
    not (REFERENCE / "opawg" / "apps.json").is_file(), reason="no public lists (EARSHOT_REFERENCE_DIR)"
)


@pytest.fixture(scope="module")
def rules() -> AgentRules:
    return rules_of(REFERENCE).agents


def examples(rules: AgentRules, *parts: str) -> list[tuple[str, Entry, str]]:
    return [(part, entry, text) for part in parts for entry in rules.lists[part] for text in entry.examples]


def as_taken_in(rules: AgentRules, texts: list[str]) -> dict[str, dict[str, str | None]]:
    """Each agent as an intake classifies it: repaired, then by the lists."""
    found = KnownAgents(rules).of(pl.Series(texts, dtype=pl.String))
    return {row["as_logged"]: row for row in found.iter_rows(named=True)}


def test_all_1420_agents_have_the_type_and_the_name_of_their_entry(rules: AgentRules) -> None:
    wanted = examples(rules, *TYPES)
    assert Counter(part for part, _, _ in wanted) == {
        "bots": 342,
        "apps": 968,
        "libraries": 77,
        "browsers": 33,
    }
    found = as_taken_in(rules, [text for _, _, text in wanted])
    missed = [
        (part, entry.name, found[text])
        for part, entry, text in wanted
        if (found[text]["agent_type"], found[text]["app"])
        != ("bot_library" if part == "libraries" and entry.category == "bot" else TYPES[part], entry.name)
    ]
    assert missed == []


def test_all_154_devices_have_the_name_and_the_category_of_their_entry(rules: AgentRules) -> None:
    wanted = examples(rules, "devices")
    assert len(wanted) == 154
    found = as_taken_in(rules, [text for _, _, text in wanted])
    missed = [
        (entry.name, found[text])
        for _, entry, text in wanted
        if (found[text]["device"], found[text]["device_category"]) != (entry.name, entry.category)
    ]
    assert missed == []


def test_all_113_referrers_have_the_name_and_the_category_of_their_entry(rules: AgentRules) -> None:
    wanted = examples(rules, "referrers")
    assert len(wanted) == 113
    found = classify_referrers(pl.Series([text for _, _, text in wanted]), rules)
    missed = [
        (entry.name, row)
        for (_, entry, text), row in zip(wanted, found.rows(), strict=True)
        if row != (text, entry.name, entry.category)
    ]
    assert missed == []


def test_a_site_no_list_knows_is_no_app(rules: AgentRules) -> None:
    sites = pl.Series(["https://a.test/", "", None, "-", "https://notplayer.captivate.fm.test/"])
    assert classify_referrers(sites, rules)["referrer_app"].to_list() == [None] * 5


def test_the_public_lists_are_good_enough_for_us() -> None:
    spec = LISTS[AGENTS]
    judged = judge(spec, read_files(spec.paths(REFERENCE)))
    assert judged.doubts == []
    assert judged.parsed.counts == {
        "bots": 295,
        "apps": 559,
        "libraries": 58,
        "browsers": 11,
        "devices": 20,
        "referrers": 69,
    }
