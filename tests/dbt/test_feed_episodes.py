"""Downloads of episodes that feeds tell of (int_feed_episodes, int_catalog_enclosures)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ingest.lake import Lake
from ingest.logs.urls import enclosure_key
from ingest.schema import EPISODES, conform
from tests.dbt.feed_lakes import (
    HOUR_US,
    THRESHOLD,
    commit,
    compact,
    episode,
    podcast,
    registered,
    request,
    set_registered,
    url,
)
from tests.dbt.lakes import START_US, add_file, dbt, marts, set_catalog

BATCH = ("run", "--exclude", "tag:whole")
CUSTOMER, LEAD, OTHER, TWIN = 1, 2, 258, 3  # 2 and 258 share a shard


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def downloads(warehouse: Path) -> dict[str, tuple[str | None, int]]:
    """episode_id → (show_id, downloads)."""
    found = rows(
        warehouse,
        "select e.episode_id, e.show_id, cast(sum(d.downloads) as bigint) from marts.fct_episode_daily as d"
        " join marts.dim_episodes as e using (episode_key) group by all",
    )
    return {episode_id: (show_id, count) for episode_id, show_id, count in found}


def rows(warehouse: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        return con.execute(sql).fetchall()


def listed(name: str, **values: object) -> pl.DataFrame:
    """An episode of the operator's list."""
    row = {
        "show_id": "listed-show",
        "episode_id": f"listed-{name}",
        "enclosure_url": url(name),
        "enclosure_key": enclosure_key(url(name)),
        "episode_key": 77,
        **values,
    }
    return conform(pl.DataFrame([row]), EPISODES).collect()


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "warehouse.duckdb"


def test_what_only_a_feed_knows_is_counted_under_its_guid_and_again_as_the_feed_changes(
    lake: Lake, warehouse: Path, tmp_path: Path
) -> None:
    # An episode polled before anyone asked for it, one of a customer, and requests for one no feed has yet.
    commit(
        lake, 1, [podcast(LEAD, 1), podcast(CUSTOMER, 1)], [episode(LEAD, "a", 1), episode(CUSTOMER, "c", 1)]
    )
    set_registered(lake, [registered(LEAD, "lead"), registered(CUSTOMER, "customer"), registered(OTHER)])
    add_file(
        lake, "f1", [request("a", 1, START_US), request("late", 1, START_US), request("late", 2, START_US)]
    )
    dbt(lake, warehouse, "calendar", "run")
    assert downloads(warehouse) == {"guid-a": ("show-2", 1), url("late"): (None, 2)}
    known = {
        row[0] for row in rows(warehouse, "select episode_id from marts.dim_episodes where origin = 'feed'")
    }
    assert known == {"guid-a", "guid-c"}  # a customer's episode needs no request

    # In a batch: the late episode arrives, a gains an enclosure, c is asked for the first time.
    moved = episode(LEAD, "a", 2, enclosure_canonical=url("a2"), enclosure_urls=[url("a"), url("a2")])
    commit(lake, 2, [podcast(OTHER, 2)], [episode(OTHER, "late", 2), moved])
    add_file(lake, "f2", [request("a2", 2, START_US + HOUR_US), request("c", 1, START_US + HOUR_US)])
    dbt(lake, warehouse, "calendar", *BATCH)
    assert downloads(warehouse) == {
        "guid-a": ("show-2", 2),
        "guid-late": ("show-258", 2),
        "guid-c": ("show-1", 1),
    }

    # Taken out of the feed it keeps what it has, and what comes. Old versions in one file are nothing new.
    compact(lake, 2)
    commit(lake, 3, [], [{**moved, "generation": 3, "removed_us": START_US + HOUR_US}])
    add_file(lake, "f3", [request("a", 3, START_US + 2 * HOUR_US)])
    dbt(lake, warehouse, "calendar", *BATCH)
    assert downloads(warehouse)["guid-a"] == ("show-2", 3)
    assert rows(warehouse, "select count(*) from marts.dim_episodes where removed_at is not null") == [(1,)]

    # A podcast that was read long ago is asked for the first time: the next whole build finds it.
    commit(lake, 4, [podcast(TWIN, 4)], [episode(TWIN, "t", 4)])
    dbt(lake, warehouse, "calendar", *BATCH)
    add_file(lake, "f4", [request("t", 1, START_US + 3 * HOUR_US)])
    dbt(lake, warehouse, "calendar", *BATCH)
    assert downloads(warehouse)[url("t")] == (None, 1)
    dbt(lake, warehouse, "calendar", "run")
    assert downloads(warehouse)["guid-t"] == ("guid-of-3", 1)  # not registered: under the podcast's guid

    anew = tmp_path / "anew.duckdb"
    dbt(lake, anew, "calendar", "build", "--exclude-resource-type", "unit_test")
    assert marts(anew) == marts(warehouse)


def test_the_operators_list_wins_over_feeds_and_a_feed_fills_what_it_leaves_empty(
    lake: Lake, warehouse: Path
) -> None:
    day = 24 * HOUR_US
    both = episode(LEAD, "a", 1, enclosure_urls=[url("a"), url("a2")], published_us=START_US + day)
    commit(lake, 1, [podcast(LEAD, 1)], [both])
    set_registered(lake, [registered(LEAD)])
    set_catalog(lake, listed("a", show_title="Listed", published_us=START_US - day))
    add_file(lake, "f1", [request("a", 1, START_US), request("a2", 2, START_US)])
    dbt(lake, warehouse, "calendar", "run")
    # One episode through the enclosures of both, under the list's names and date.
    assert downloads(warehouse) == {"listed-a": ("listed-show", 2)}
    facts = "show_title, origin, enclosures, file_bytes, duration_s"
    joined = "marts.dim_episodes join marts.dim_shows using (show_id)"
    assert rows(warehouse, f"select {facts} from {joined}") == [("Listed", "list", 2, 4_000_000, 250.0)]

    # Off the list, the feed's word stands; what was counted moves there.
    set_catalog(lake, pl.DataFrame(schema=EPISODES))
    dbt(lake, warehouse, "calendar", *BATCH)
    assert downloads(warehouse) == {"guid-a": ("show-2", 2)}


def test_an_enclosure_in_two_feeds_is_that_ones_that_still_has_it(lake: Lake, warehouse: Path) -> None:
    first = episode(LEAD, "a", 1, published_us=START_US - 48 * HOUR_US, removed_us=START_US)
    second = episode(TWIN, "b", 1, enclosure_canonical=url("a"), enclosure_urls=[url("a")])
    commit(lake, 1, [podcast(LEAD, 1), podcast(TWIN, 1)], [first, second])
    set_registered(lake, [registered(LEAD), registered(TWIN)])
    add_file(lake, "f1", [request("a", 1, START_US)])
    dbt(lake, warehouse, "calendar", "run", "--select", "+fct_episode_daily", "dim_episodes")
    assert downloads(warehouse) == {"guid-b": ("show-3", 1)}


def test_what_a_feed_says_of_itself_takes_nothing_from_another(
    lake: Lake, warehouse: Path, tmp_path: Path
) -> None:
    a_year = 365 * 24 * HOUR_US
    old: dict[str, object] = {"published_us": START_US - a_year, "first_seen_us": START_US + HOUR_US}
    named, seen_first, thief, forger = CUSTOMER, LEAD, TWIN, OTHER
    # A thief lists the enclosures of two others, under dates of a year before; it saw one of them even first.
    stolen = [
        episode(thief, "t1", 1, enclosure_canonical=url("n"), enclosure_urls=[url("n")], first_seen_us=1),
        episode(thief, "t2", 1, enclosure_canonical=url("s"), enclosure_urls=[url("s")], **old),
        episode(
            thief, "t3", 1, enclosure_canonical=url("gone"), enclosure_urls=[url("gone")], first_seen_us=1
        ),
    ]
    theirs = [
        episode(named, "n", 1),
        episode(named, "gone", 1, removed_us=START_US + HOUR_US),
        episode(seen_first, "s", 1),
        # Under two feeds with one guid it is the one show.
        episode(4, "again", 1),
    ]
    # A forger calls itself what another is registered as; and another one what the list has.
    forged = [episode(forger, "f", 1), episode(5, "g", 1)]
    guids = {thief: "guid-of-3", seen_first: "guid-of-2", 4: "guid-of-2", forger: "show-1", 5: "listed-show"}
    podcasts = [podcast(named, 1), *(podcast(key, 1, podcast_guid=guid) for key, guid in guids.items())]
    registry = [
        registered(named),
        *(registered(key, show_id=None, podcast_guid=guid) for key, guid in guids.items()),
    ]
    set_catalog(lake, listed("l", show_title="Listed"))
    set_registered(lake, registry)
    counted = {
        "guid-n": ("show-1", 1),
        "guid-gone": ("show-1", 1),
        "guid-s": ("guid-of-2", 1),
        "guid-again": ("guid-of-2", 1),
        url("f"): (None, 1),
        url("g"): (None, 1),
        "listed-l": ("listed-show", 1),
    }
    asked = ["n", "gone", "s", "again", "f", "g", "l"]
    add_file(lake, "f1", [request(name, number, START_US) for number, name in enumerate(asked)])
    commit(lake, 1, podcasts, theirs + forged)
    dbt(lake, warehouse, "calendar", "run")
    commit(lake, 2, [], [{**row, "generation": 2} for row in stolen])
    dbt(lake, warehouse, "calendar", *BATCH)
    assert downloads(warehouse) == counted
    titles = "select show_id, show_title from marts.dim_shows where show_id in ('show-1', 'listed-show')"
    assert sorted(rows(warehouse, titles)) == [("listed-show", "Listed"), ("show-1", "Podcast 1")]
    shows = "select podcast_key from marts.dim_podcasts where show_id in ('show-1', 'listed-show')"
    assert rows(warehouse, shows) == [(named,)]

    anew = tmp_path / "anew.duckdb"
    dbt(lake, anew, "calendar", "run")
    assert marts(anew) == marts(warehouse)


def test_a_size_no_audio_has_and_a_date_after_it_was_seen_are_not_believed(
    lake: Lake, warehouse: Path
) -> None:
    # A length of 1 byte would make every request a download; a date set anew would exclude all before it.
    lying = episode(LEAD, "a", 1, enclosure_bytes=1, published_us=START_US + 48 * HOUR_US)
    commit(lake, 1, [podcast(LEAD, 1)], [lying])
    set_registered(lake, [registered(LEAD)])
    small = request("a", 1, START_US + HOUR_US, served_bytes=1000)
    add_file(lake, "f1", [small, request("a", 2, START_US + HOUR_US, THRESHOLD)])
    dbt(lake, warehouse, "calendar", "run", "--select", "+fct_episode_daily", "dim_episodes")
    assert downloads(warehouse) == {"guid-a": ("show-2", 1)}
