"""The catalogue's marts: podcasts, their history, changes, health, and leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.feeds.schema import Tier
from ingest.lake import Lake
from tests.dbt.feed_lakes import (
    HOUR_US,
    MINUTE_US,
    change,
    commit,
    episode,
    podcast,
    polled,
    registered,
    request,
    set_registered,
    set_state,
)
from tests.dbt.lakes import DAY_US, START_US, Row, add_file, dbt, marts

BUILD = ("build", "--exclude-resource-type", "unit_test")
CUSTOMER, DAILY, WEEKLY, ASLEEP, WAITING, GONE = 1, 2, 3, 4, 5, 6
EMAIL = "jane.doe@mail.example"


def rows(warehouse: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        return con.execute(sql).fetchall()


def items(podcast_key: int, gap_days: int, count: int) -> Row:
    """An ITEMS row of a feed with an episode every so many days up to now."""
    published = [START_US - number * gap_days * DAY_US for number in range(count)]
    return {"podcast_key": podcast_key, "published_us": published, "generation": 1}


def publications(gap_days: int, count: int) -> list[int]:
    """STATE.publications_us of the same feed."""
    return [START_US - number * gap_days * DAY_US for number in reversed(range(min(count, 20)))]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Six podcasts after their first polls; the third and last of WEEKLY's changes is detected later."""
    lake = Lake(tmp_path / "lake")
    contact = {"owner_name": "Jane Doe", "owner_email": EMAIL}
    record = {"title": "Weekly", "owner_email": EMAIL, "categories": ["Arts > Books"], "is_explicit": False}
    renamed = record | {"title": "Weekly News"}
    commit(
        lake,
        1,
        [
            podcast(CUSTOMER, 1, **contact),
            podcast(
                DAILY,
                1,
                episode_count=99,
                oldest_us=START_US - 98 * DAY_US,
                categories=["News > Daily News", "Arts"],
                **contact,
            ),
            podcast(WEEKLY, 1, episode_count=9, oldest_us=START_US - 56 * DAY_US, **contact),
            podcast(ASLEEP, 1, newest_us=START_US - 400 * DAY_US),
            podcast(GONE, 1),
        ],
        [episode(DAILY, "d", 1)],
        [items(DAILY, 1, 99), items(WEEKLY, 7, 9)],
        [
            change(WEEKLY, 1, "podcast.added", START_US - HOUR_US, is_minor=True, record=record),
            change(
                WEEKLY,
                2,
                "podcast.updated",
                START_US - MINUTE_US,
                record=renamed,
                fields=[
                    {"field": "copyright", "old": None, "new": f"Ask {EMAIL}"},
                    {"field": "owner_email", "old": "old@mail.example", "new": EMAIL},
                    {"field": "title", "old": "Weekly", "new": "Weekly News"},
                ],
            ),
            change(DAILY, 1, "podcast.added", START_US - HOUR_US, is_minor=True, record={"title": "Daily"}),
            change(
                DAILY,
                2,
                "episode.updated",
                START_US,
                guid="guid-d",
                episode_key=9,
                fields=[{"field": "keywords", "old": ["a"], "new": ["a", "b"]}],
            ),
        ],
    )
    set_state(
        lake,
        [
            polled(CUSTOMER),
            polled(DAILY, publications_us=publications(1, 99), sequence=2),
            polled(WEEKLY, publications_us=publications(7, 9), tier="regular", sequence=3),
            # Promised within the hour, looked at 90 minutes ago: 30 minutes late.
            polled(
                ASLEEP,
                polled_us=START_US - 90 * MINUTE_US,
                fetched_us=START_US - DAY_US,
                status=None,
                reason="timeout",
                failures=3,
            ),
            polled(
                GONE, tier="gone", status=410, reason="gone", fetched_us=None, polled_us=START_US - 9 * DAY_US
            ),
        ],
    )
    set_registered(
        lake,
        [
            registered(CUSTOMER, "customer"),
            *(registered(key, "lead") for key in (DAILY, WEEKLY, ASLEEP)),
            registered(WAITING),
            registered(GONE, state="gone", reason="gone"),
        ],
    )
    return lake


def test_history_changes_health_and_leads(lake: Lake, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    add_file(lake, "f1", [request("d", 1, START_US), request("d", 2, START_US)])
    dbt(lake, warehouse, "calendar", *BUILD)

    at = "valid_from, valid_to, is_current, title, categories, is_explicit"
    first = f"select {at} from marts.dim_podcasts_history where podcast_key = {WEEKLY} order by valid_from"
    (added, renamed) = rows(warehouse, first)
    assert added[1] == renamed[0] and (added[2], renamed[1:3]) == (False, (None, True))
    assert added[3:] == ("Weekly", '["Arts > Books"]', False)
    assert renamed[3] == "Weekly News"

    told = "sequence, change, episode_id, is_minor, field, old_value, new_value"
    changed = f"select {told} from marts.fct_metadata_changes"
    assert rows(warehouse, f"{changed} where podcast_key = {WEEKLY} order by sequence, field") == [
        (1, "podcast.added", None, True, None, None, None),
        (2, "podcast.updated", None, False, "copyright", None, "Ask ***@mail.example"),
        (2, "podcast.updated", None, False, "owner_email", None, None),
        (2, "podcast.updated", None, False, "title", "Weekly", "Weekly News"),
    ]
    assert rows(warehouse, f"{changed} where podcast_key = {DAILY} and sequence = 2") == [
        (2, "episode.updated", "guid-d", False, "keywords", '["a"]', '["a","b"]')
    ]

    health = "podcast_key, health, status, reason, failures, promise_s, overdue_s"
    assert rows(warehouse, f"select {health} from marts.fct_feed_health order by podcast_key") == [
        (CUSTOMER, "good", 200, None, 0, 3600, 0),
        (DAILY, "good", 200, None, 0, 3600, 0),
        (WEEKLY, "good", 200, None, 0, 21600, 0),
        (ASLEEP, "failing", None, "timeout", 3, 3600, 30 * 60),
        (WAITING, "waiting", None, None, 0, None, None),
        (GONE, "never_good", 410, "gone", 0, None, None),
    ]

    rhythm = "median_gap_days, episodes_30d, episodes_90d"
    leads = f"podcast_key, lead_rank, {rhythm}, downloads_30d, changed_lately, category, feed_host"
    assert rows(warehouse, f"select {leads} from marts.rpt_leads order by lead_rank") == [
        # 99 daily episodes up to now: 30 and 90 of them in as many days.
        (DAILY, 1, 1.0, 30, 90, 2, "episode.updated 1", "News > Daily News", "feeds.example"),
        # Weekly: 0, 7, … 28 days ago and 0, 7, … 56.
        (
            WEEKLY,
            2,
            7.0,
            5,
            9,
            None,
            "podcast.updated (copyright, owner_email, title)",
            None,
            "feeds.example",
        ),
        (ASLEEP, 3, None, 0, 0, None, None, None, "feeds.example"),
    ]
    names = ("audience", "rhythm", "recency", "growth", "catalogue", "contact", "moment")
    parts = ", ".join([*(f"{name}_part" for name in names), "score"])
    # log10(3) / 4; within a week; today; steady; log10(100) / 2.5; both; no change of its own:
    # (25 × 12 + 20 × 100 + 15 × 100 + 15 × 50 + 10 × 80 + 10 × 100) / 100 = 63.5
    assert rows(warehouse, f"select {parts} from marts.rpt_leads where podcast_key = {DAILY}") == [
        (12, 100, 100, 50, 80, 100, 0, 63.5)
    ]
    facts = "select title, show_id, is_customer, tier, registry_state from marts.dim_podcasts"
    assert rows(warehouse, f"{facts} where podcast_key in ({CUSTOMER}, {WAITING}) order by podcast_key") == [
        ("Podcast 1", "show-1", True, "active", "active"),
        (None, "show-5", False, None, "active"),
    ]
    for mart, found in marts(warehouse).items():
        assert (mart == "rpt_leads") is any(
            "jane.doe" in str(row) or "Jane Doe" in str(row) for row in found
        ), mart

    # The next build takes in what is new, also an older version that comes after a newer one.
    later = change(
        WEEKLY, 3, "podcast.moved", START_US, record={"title": "Weekly News", "link": "https://new.example"}
    )
    commit(lake, 2, changes=[later])
    dbt(lake, warehouse, "calendar", *BUILD)
    assert rows(
        warehouse,
        f"select count(*), count(valid_to) from marts.dim_podcasts_history where podcast_key = {WEEKLY}",
    ) == [(3, 2)]
    assert rows(warehouse, f"select moment_part from marts.rpt_leads where podcast_key = {WEEKLY}") == [
        (100,)
    ]

    anew = tmp_path / "anew.duckdb"
    dbt(lake, anew, "calendar", *BUILD)
    assert marts(anew) == marts(warehouse)


def test_a_lost_change_fails_the_build(lake: Lake, tmp_path: Path) -> None:
    commit(lake, 2, changes=[change(WEEKLY, 4, "podcast.gone", START_US)])
    with pytest.raises(AssertionError, match="changes_have_no_holes"):
        dbt(lake, tmp_path / "warehouse.duckdb", "calendar", "build", "--select", "+fct_metadata_changes")


def test_a_lake_without_feeds_builds(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    dbt(Lake(tmp_path / "lake"), warehouse, "calendar", *BUILD)
    assert not any(marts(warehouse).values())


def test_promises_are_those_of_the_schedule(tmp_path: Path) -> None:
    schedule = pytest.importorskip("ingest.feeds.schedule")
    lake = Lake(tmp_path / "lake")
    keys = dict(enumerate(Tier, 1))
    set_state(lake, [polled(key, tier=tier) for key, tier in keys.items()])
    warehouse = tmp_path / "warehouse.duckdb"
    dbt(lake, warehouse, "calendar", "run", "--select", "+fct_feed_health")
    found = rows(warehouse, "select tier, promise_s from marts.fct_feed_health where promise_s is not null")
    assert dict(found) == {tier: seconds for tier, seconds in schedule.PROMISE_S.items() if tier != Tier.GONE}
