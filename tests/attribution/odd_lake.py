"""A small lake with collaborations that something is wrong with, and a few that nothing is."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ingest.feeds import schema as feeds
from ingest.lake import Lake, write_parquet
from ingest.logs.urls import enclosure_key
from ingest.schema import EPISODES, conform
from tests.dbt.feed_lakes import commit, episode, podcast, registered, request, set_registered, url
from tests.dbt.lakes import DAY_US, START_US, Row, add_file, set_catalog

# Podcasts by key. A and B are on the operator's list alone, never polled. C's feed has an episode that the
# list has under other names. D is tracked, and nothing else is known of it.
A, B, C, D = 1, 2, 3, 4
LISTENERS = 30
NOTES = "'; drop table fct_downloads; -- {{ ref('x') }} \" \\ %s"

GOOD, UNKNOWN_EPISODE, OTHER_NAME, UNKNOWN_SHOW, ITSELF, AHEAD, ENDED_FIRST, TOO_EARLY, RANGE = range(1, 10)
NEVER_SEEN, LATER = 10, 11


def at(days: float) -> int:
    return START_US + int(days * DAY_US)


def collaboration(number: int, partner: int, starts: float, **values: object) -> Row:
    return {
        "collaboration_id": number,
        "tenant": "us",
        "type": "host_read",
        "podcast_key": A,
        "partner_key": partner,
        "starts_us": at(starts),
        "state": "active",
        "created_us": at(starts),
        **values,
    }


COLLABORATIONS = (
    collaboration(GOOD, B, 40.5, partner_guid="b", cost=0.0, currency="EUR", notes=NOTES),
    collaboration(UNKNOWN_EPISODE, B, 40.5, partner_guid="nobody's"),
    collaboration(OTHER_NAME, C, 40.5, partner_guid="guid-c", episode_key=C * 1_000 + ord("c")),
    collaboration(UNKNOWN_SHOW, B, 40.5, podcast_key=D),
    collaboration(ITSELF, A, 40.5),
    collaboration(AHEAD, B, 300, partner_guid="not yet out"),
    collaboration(ENDED_FIRST, B, 40.5, ends_us=at(40)),
    collaboration(TOO_EARLY, B, -100),
    collaboration(RANGE, B, 41, ends_us=at(44)),
    collaboration(NEVER_SEEN, B, 40.5, partner_guid="gone", episode_key=77),  # the registry's, not the marts'
    collaboration(LATER, B, 101, partner_guid="b"),
)


def set_collaborations(lake: Lake, rows: Sequence[Row]) -> None:
    frame = pl.DataFrame(rows, {name: feeds.COLLABORATIONS[name] for name in feeds.COLLABORATIONS})
    write_parquet(frame, lake.collaborations_path)


def shows(lake: Lake) -> None:
    """The catalogue, the registry and the one feed."""
    listed = [
        _listed("show-a", "a", published_us=None),
        _listed("show-b", "b"),
        _listed("show-b", "p", published_us=at(35)),  # still heard while RANGE ran
        _listed("show-b", "q", published_us=at(25)),
        _listed("listed-c", "c", episode_id="c of the list"),
    ]
    set_catalog(lake, conform(pl.DataFrame(listed, infer_schema_length=None), EPISODES).collect())
    set_registered(
        lake,
        [
            registered(A, show_id="show-a"),
            registered(B, show_id="show-b"),
            registered(C, show_id=None, podcast_guid=None),
            registered(D, show_id=None, podcast_guid=None),
        ],
    )
    commit(lake, 1, [podcast(C, 1)], [episode(C, "c", 1)])


def _listed(show: str, name: str, **values: object) -> Row:
    return {
        "show_id": show,
        "show_title": show,
        "episode_id": name,
        "episode_title": name,
        "episode_key": ord(name),
        "enclosure_key": enclosure_key(url(name)),
        "enclosure_url": url(name),
        "published_us": at(-1),
        "file_bytes": 4_000_000,
        "duration_s": 250.0,
        **values,
    }


def add_days(lake: Lake, first: int, last: int) -> None:
    """Everybody hears B and C on each of these days, a third of them A from day 50 on; all at ten o'clock."""
    for day in range(first, last + 1):
        rows = [
            request(name, number, at(day) + 10 * DAY_US // 24 + number * 1_000_000)
            for number in range(LISTENERS)
            for name in ("b", "c", "a")
            if name != "a" or (day >= 50 and number % 3 == 0)
        ]
        add_file(lake, f"{day + 1:032x}", rows)
