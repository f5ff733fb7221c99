"""Downloads since publication, against counting by hand; hours of downloads."""

from __future__ import annotations

import statistics
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.dbt.lakes import DAY_US, START_US
from tests.dbt.show_lakes import PUBLISHED, SHOWS, Built, build, show_requests

AGES = (1, 3, 7, 14, 30, 60, 90)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("pacing"), show_requests(Random(21), 900), 1)


def published_us(episode: int) -> int | None:
    days = PUBLISHED[episode]
    return None if days is None else START_US + int(days * DAY_US)


def data_of(built: Built, source_class: str, show: str) -> tuple[int, int]:
    """First and last event of the sources in which the show has downloads."""
    sources = {d.source for d in built.downloads() if (d.source_class, d.show_id) == (source_class, show)}
    times = [row["started_us"] for row in built.rows if row["source"] in sources]
    return min(times), max(times)


def naive_pacing(built: Built) -> dict[tuple[str, int, int], tuple[int, str]]:
    """(class, episode, age) -> (downloads, completeness), one episode after the other."""
    downloads = built.downloads()
    found = {}
    for source_class in ("prefix", "server_log"):
        for episode, show in SHOWS.items():
            first, last = data_of(built, source_class, show)
            published = published_us(episode)
            if published is None or published > last:
                continue
            for age in AGES:
                end = published + age * DAY_US
                if end <= first:
                    continue
                count = sum(
                    (d.source_class, d.episode_key) == (source_class, 1000 + episode)
                    and d.first_request_us < end
                    for d in downloads
                )
                complete = "age_not_reached" if end > last else "complete"
                completeness = "published_before_data" if published < first else complete
                found[source_class, 1000 + episode, age] = (count, completeness)
    return found


def test_downloads_since_publication_are_counted_as_by_hand(built: Built) -> None:
    rows = built.query(
        "select source_class, episode_key, age_days, downloads, completeness from marts.fct_episode_pacing"
    )
    found = {(c, key, age): (downloads, completeness) for c, key, age, downloads, completeness in rows}
    assert len(found) == len(rows)
    expected = naive_pacing(built)
    assert found == expected
    assert {why for _, why in expected.values()} == {"complete", "age_not_reached", "published_before_data"}


def curves(built: Built) -> dict[tuple[str, str, int], list[int]]:
    """Downloads of the complete episodes of a (class, show, age)."""
    counts: dict[tuple[str, str, int], list[int]] = {}
    for (source_class, key, age), (downloads, why) in naive_pacing(built).items():
        if why == "complete":
            counts.setdefault((source_class, SHOWS[key - 1000], age), []).append(downloads)
    return counts


def test_a_shows_quartiles_are_those_of_its_complete_episodes(built: Built) -> None:
    rows = built.query(
        "select source_class, show_id, age_days, episodes, p25_downloads, median_downloads, p75_downloads"
        " from marts.fct_show_pacing where episodes > 0"
    )
    expected = set()
    for key, counts in curves(built).items():
        three = statistics.quantiles(counts, n=4, method="inclusive") if len(counts) > 1 else counts * 3
        expected.add((*key, len(counts), *map(float, three)))
    assert set(rows) == expected
    assert len({row[3] for row in rows}) > 1


def test_every_episode_of_a_show_is_compared_or_told_why_not(built: Built) -> None:
    rows = built.query(
        "select source_class, show_id, age_days, episodes_too_young, episodes_before_data,"
        " episodes_without_date from marts.fct_show_pacing"
    )
    assert len(rows) == 2 * 2 * len(AGES)
    paced = naive_pacing(built)
    for source_class, show, age, young, before, undated in rows:
        episodes = [episode for episode, of in SHOWS.items() if of == show]
        first, _ = data_of(built, source_class, show)
        why = [paced.get((source_class, 1000 + episode, age), (0, ""))[1] for episode in episodes]
        assert young == why.count("age_not_reached")
        assert before == sum((published_us(episode) or first) < first for episode in episodes)
        assert undated == sum(published_us(episode) is None for episode in episodes)


def test_an_episode_is_compared_with_its_show(built: Built) -> None:
    rows = built.query(
        "select source_class, show_id, age_days, downloads, is_complete, show_median, ratio_to_show_median,"
        " rank_in_show from marts.fct_episode_pacing"
    )
    by_show = curves(built)
    for source_class, show, age, downloads, is_complete, median, ratio, rank in rows:
        counts = by_show.get((source_class, show, age), [])
        if not is_complete:
            assert (ratio, rank) == (None, None)
            continue
        middle = float(statistics.median(counts))
        assert median == middle
        assert ratio == (downloads / middle if middle else None)
        assert rank == 1 + sum(other > downloads for other in counts)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_downloads_by_hour_are_those_of_the_window_starts(tmp_path: Path, zone: str) -> None:
    # In Kolkata (+05:30) a date begins within a UTC hour: the hour then has a row for either date.
    built = build(tmp_path, show_requests(Random(22), 300), 1, zone=zone)
    epoch = datetime(1970, 1, 1)
    expected: Counter[tuple[Any, ...]] = Counter()
    for d in built.downloads():
        hour = epoch + timedelta(hours=d.first_request_us // (DAY_US // 24))
        expected[d.date, hour, d.source_class, d.show_id, d.episode_key] += 1
    found = built.query(
        "select date, hour, source_class, show_id, episode_key, downloads from marts.fct_episode_hourly"
        " where downloads > 0"
    )
    assert {row[:-1]: row[-1] for row in found} == expected
    assert len(found) == len(expected)
