"""Each counting rule of the guideline by its number, on one hand-made lake (MEASUREMENT §1)."""

from __future__ import annotations

import random
from typing import Any

import duckdb
import polars as pl
import pytest

from ingest.lake import Lake
from tests.dbt.lakes import Row, add_file, catalog, dbt, random_requests, set_catalog
from tests.dbt.test_download_windows import COUNT

FULL, SHORT, UNKNOWN, MOVED = 0, 1, 3, 7  # MOVED: a second URL of episode FULL; UNKNOWN: not in the catalogue
Query = Any


def request(number: int, listener: int, enclosure: int, size: int, **given: Any) -> Row:
    """A request of day 2 for the first `size` bytes."""
    return {
        **random_requests(random.Random(0), 1)[0],
        "source": "cdn",
        "source_class": "server_log",
        "listener_key": listener,
        "address_key": 1,
        "enclosure_key": enclosure,
        "enclosure_url": f"https://cdn.example/{enclosure}.mp3",
        "exclusion_reason": None,
        "is_first_two": False,
        "request_key": number,
        "started_us": 1_788_350_400_000_000 + number * 1_000_000,  # 2026-09-02 12:00
        "range_start": 0,
        "served_bytes": size,
        **given,
    }


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Query:
    """Asks the warehouse built from all of the requests below; each rule has listeners of its own."""
    folder = tmp_path_factory.mktemp("rules")
    lake = Lake(folder / "lake")
    episodes = catalog()
    moved = episodes.filter(pl.col("enclosure_key") == FULL).with_columns(
        enclosure_key=pl.lit(MOVED, pl.Int64), enclosure_url=pl.lit("https://new.example/7.mp3")
    )
    set_catalog(lake, pl.concat([episodes, moved]))
    rows = [
        # R13, listeners 10 and 11: 100 bytes of header and 60 s of 2,000,000 bytes in 125 s = 960,000.
        request(1, 10, FULL, 960_100),
        request(2, 11, FULL, 960_099),
        # R14, 12 and 13: 30 s long, all of its 450,000 bytes of content behind 100 of header.
        request(3, 12, SHORT, 450_100),
        request(4, 13, SHORT, 450_099),
        # R17, 20 to 25: ten requests of six agents on one address.
        *(request(10 + n, 20 + n % 6, FULL, 2_000_100) for n in range(10)),
        # R33, 30: the episode's old and its new URL.
        request(30, 30, FULL, 2_000_100),
        request(31, 30, MOVED, 2_000_100, enclosure_url="https://new.example/7.mp3"),
        # R32, 40: a prefix sees no bytes.
        request(40, 40, FULL, 0, source="edge", source_class="prefix"),
        # 50: two episodes of one show and an enclosure outside the catalogue.
        request(50, 50, FULL, 2_000_100),
        request(51, 50, SHORT, 450_100),
        request(52, 50, UNKNOWN, 960_000),
    ]
    add_file(lake, "a", rows)
    dbt(lake, folder / "w.duckdb", "calendar", *COUNT)

    def ask(query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(folder / "w.duckdb"), read_only=True) as con:
            return con.execute(query).fetchall()

    return ask


def downloads_of(counted: Query, *listeners: int) -> dict[int, int]:
    rows = counted(
        "select listener_key, sum(downloads) from marts.fct_downloads"
        f" where listener_key in {(*listeners, -1)} group by listener_key"
    )
    return dict(rows)


def test_r13_a_minute_of_content_is_enough_and_a_byte_less_is_not(counted: Query) -> None:
    assert downloads_of(counted, 10, 11) == {10: 1}


def test_r14_a_short_episode_counts_only_whole(counted: Query) -> None:
    assert downloads_of(counted, 12, 13) == {12: 1}


def test_r17_ten_requests_of_six_agents_on_one_address_are_six_downloads_and_six_listeners(
    counted: Query,
) -> None:
    assert downloads_of(counted, *range(20, 26)) == dict.fromkeys(range(20, 26), 1)
    assert counted(
        "select sum(downloads), count(distinct listener_key), sum(requests) from marts.fct_downloads"
        " where listener_key between 20 and 25"
    ) == [(6, 6, 10)]


def test_r25_a_download_is_never_counted_without_its_evidence(counted: Query) -> None:
    assert counted(
        "select count(*) from marts.fct_downloads"
        " where source_class = 'server_log' and content_bytes < threshold_bytes"
    ) == [(0,)]


def test_r30_episodes_add_up_to_their_show_and_listeners_do_not(counted: Query) -> None:
    episodes = counted(
        "select sum(downloads), sum(listeners) from marts.fct_episode_daily"
        " where source_class = 'server_log' and show_id = 'show'"
    )
    show = counted(
        "select downloads, listeners from marts.fct_show_daily"
        " where source_class = 'server_log' and show_id = 'show'"
    )
    # FULL: 10, six of R17, 30, 50. SHORT: 12, 50. Listener 50 is one listener of the show.
    assert episodes == [(11, 11)]
    assert show == [(11, 10)]


def test_r30_an_enclosure_outside_the_catalogue_is_an_episode_without_a_show(counted: Query) -> None:
    assert counted(
        "select episode_id, show_id, downloads from marts.fct_episode_daily where show_id is null"
    ) == [("https://cdn.example/3.mp3", None, 1)]


def test_r32_a_prefix_counts_requests_and_is_kept_apart(counted: Query) -> None:
    assert counted(
        "select source_class, downloads, served_bytes, threshold_bytes from marts.fct_downloads"
        " where listener_key = 40"
    ) == [("prefix", 1, 0, None)]
    assert counted(
        "select source_class, sum(downloads) from marts.fct_episode_daily group by all order by all"
    ) == [("prefix", 1), ("server_log", 12)]


def test_r33_a_new_url_leaves_the_episode_the_same(counted: Query) -> None:
    assert downloads_of(counted, 30) == {30: 1}
    assert counted("select episode_id, requests from marts.fct_downloads where listener_key = 30") == [
        ("guid-0", 2)
    ]
