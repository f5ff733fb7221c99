"""`earshot explain` against the marts it explains, and as an analyst types it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from earshot.explain.answer import NothingToExplain, Question, explain, the_listener, warehouse_of
from earshot.explain.as_json import as_json
from earshot.explain.evidence import Scope, heard
from earshot.explain.show import LISTENERS, show_explanation
from earshot.explain.story import MOST, stories
from earshot.made_up import world as worlds
from earshot.pipeline import run_dbt
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.urls import enclosure_key
from ingest.schema import Exclusion
from ingest.settings import Settings, Window
from serving.reasons import BEFORE_PUBLICATION
from tests.dbt.lakes import START_US, Row, add_file, catalog, set_catalog

# Key epoch 690 begins on 2026-09-04: the world spans it.
SPEC = worlds.WorldSpec(shows=4, days=5, lines=5_000)
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder with a world taken in and its marts built, days beginning in Berlin."""
    settings = Settings(data=tmp_path_factory.mktemp("data"), settle_s=0, time_zone="Europe/Berlin")
    world = worlds.build(SPEC)
    worlds.write(world, settings.landing_dir)
    worlds.write_catalog(world, settings.landing_dir / "catalog" / "episodes.csv")
    lake = Lake(settings.lake_dir)
    take_in_catalog([settings.landing_dir / "catalog" / "episodes.csv"], lake)
    take_in(find_landing_files(settings), settings, lake)
    run_dbt(settings, ["run"])
    return settings


def rows(database: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(database), read_only=True) as con:
        return con.execute(sql, parameters).fetchall()


def marts(settings: Settings, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    return rows(settings.warehouse, sql, *parameters)


def earshot(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    mine = {"EARSHOT_DATA": str(settings.data), "EARSHOT_TIME_ZONE": settings.time_zone, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", "explain", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **mine, **environment},
        check=False,
    )


def busiest(settings: Settings, order: str = "sum(requests) desc") -> tuple[str, date]:
    """An episode of the catalogue and a day of it."""
    [(episode, day)] = marts(
        settings,
        f"select episode_id, date from marts.fct_episode_daily where show_id is not null"
        f" group by all order by {order}, episode_id, date limit 1",
    )
    return episode, day


@pytest.fixture(scope="module")
def show(data: Settings) -> Iterator[tuple[str, duckdb.DuckDBPyConnection]]:
    """The busiest show, and the warehouse in which explain counts its episodes."""
    [(show_id,)] = marts(
        data, "select show_id from marts.fct_show_daily group by all order by sum(requests) desc limit 1"
    )
    lake = Lake(data.lake_dir)
    keys = pl.read_parquet(lake.episodes_path).filter(pl.col("show_id") == show_id)["enclosure_key"].to_list()
    with warehouse_of(keys, data, lake) as (con, lines):
        assert lines > 500
        yield show_id, con


@pytest.mark.parametrize(
    ("mart", "what"),
    [
        ("fct_exclusions_daily", "date, source_class, source, reason, rules_version, columns('requests.*')"),
        ("fct_episode_daily", "*"),
        ("fct_downloads", "*"),
    ],
)
def test_what_explain_counts_equals_the_marts_to_the_row(
    data: Settings, show: tuple[str, duckdb.DuckDBPyConnection], mart: str, what: str
) -> None:
    show_id, con = show
    if mart == "fct_downloads":  # explain builds the windows behind it
        keys = "source_class, episode_key, listener_key, date, first_request_us"
        rules = ", ".join(f"is_{rule}" for rule in Window)
        mine = con.execute(
            f"select {keys}, requests, content_bytes, {rules} from intermediate.int_download_windows"
            " where is_counted and show_id = ? order by all",
            [show_id],
        ).fetchall()
        published = ", ".join(f"downloads_{rule} = 1" for rule in Window)
        wanted = marts(
            data,
            f"select {keys}, requests, content_bytes, {published} from marts.fct_downloads"
            " where show_id = ? order by all",
            show_id,
        )
    else:
        sql = f"select {what} from marts.{mart} where show_id = ? order by all"
        mine, wanted = con.execute(sql, [show_id]).fetchall(), marts(data, sql, show_id)
    assert len(wanted) > 20
    assert mine == wanted


def test_listeners_and_figures_of_every_day_add_up(
    data: Settings, show: tuple[str, duckdb.DuckDBPyConnection]
) -> None:
    show_id, con = show
    left_out: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    episode_days = marts(
        data,
        "select distinct episode_key, date from marts.fct_episode_daily where show_id = ?"
        " union select distinct e.episode_key, x.date from marts.fct_exclusions_daily as x"
        " join marts.dim_episodes as e using (show_id) where show_id = ?",
        show_id,
        show_id,
    )
    for episode, day in episode_days:
        listeners = heard(con, Scope(episode, day))
        for one in listeners:
            for at, rule in enumerate(Window):
                for reason, requests in one.not_counted[rule].items():
                    left_out[one.source_class, reason][at] += requests
        for found in marts(
            data,
            "select source_class, downloads_calendar, downloads_first_touch, downloads_last_touch, listeners"
            " from marts.fct_episode_daily where episode_key = ? and date = ?",
            episode,
            day,
        ):
            mine = [one for one in listeners if one.source_class == found[0]]
            assert [sum(one.downloads[rule] for one in mine) for rule in Window] == list(found[1:4])
            assert sum(one.downloads[data.window] > 0 for one in mine) == found[4]
    wanted = marts(
        data,
        "select source_class, reason, sum(requests_calendar), sum(requests_first_touch),"
        " sum(requests_last_touch) from marts.fct_exclusions_daily where show_id = ? group by all",
        show_id,
    )
    assert len(wanted) > 10
    assert dict(left_out) == {(source_class, reason): requests for source_class, reason, *requests in wanted}


def test_every_story_tells_each_request_and_reaches_the_windows_bytes(
    data: Settings, show: tuple[str, duckdb.DuckDBPyConnection]
) -> None:
    _, con = show
    episode, day = busiest(data)
    [(key,)] = marts(data, "select episode_key from marts.dim_episodes where episode_id = ?", episode)
    scope = Scope(key, day)
    windows = excluded = 0
    for listener in {one.listener_key for one in heard(con, scope)}:
        for story in stories(con, scope, listener):
            excluded += len(story.excluded)
            assert story.excluded_requests == len(story.excluded)
            for seen in story.windows:
                windows += seen.date == day
                assert len(seen.told) == seen.requests
                assert seen.told[-1].running_bytes == seen.content_bytes
                assert sum(told.contributed_bytes or 0 for told in seen.told) == seen.content_bytes
                is_enough = seen.threshold_bytes is None or seen.content_bytes >= seen.threshold_bytes
                assert seen.is_counted is is_enough
    [(wanted,)] = con.execute(
        "select count(*) from intermediate.int_download_windows where episode_key = ? and date = ?",
        [key, day],
    ).fetchall()
    assert windows == wanted > 20
    by_itself = set(Exclusion) | {BEFORE_PUBLICATION}
    assert excluded == sum(
        requests
        for one in heard(con, scope)
        for reason, requests in one.not_counted[Window.CALENDAR].items()
        if reason in by_itself
    )
    assert excluded > 5


@pytest.mark.parametrize(
    "order", ["sum(requests) desc", "sum(requests)", "max(date) desc, sum(requests) desc"]
)
def test_one_episode_and_day_alone_give_the_same_figures(data: Settings, order: str) -> None:
    episode, day = busiest(data, order)
    answer = as_json(explain(Question(episode, day), data))
    for found in answer["figures"]:
        wanted = marts(
            data,
            "select downloads_calendar, downloads_first_touch, downloads_last_touch, listeners, requests,"
            " served_bytes from marts.fct_episode_daily"
            " where episode_id = ? and date = ? and source_class = ?",
            episode,
            day,
            found["source_class"],
        )
        assert wanted == [(*found["downloads"].values(), *found["published"].values())]
        mine = [one for one in answer["listeners"] if one["source_class"] == found["source_class"]]
        assert sum(one["downloads"]["last_touch"] for one in mine) == found["downloads"]["last_touch"]
        assert {reason["reason"]: reason["requests"]["calendar"] for reason in found["not_counted"]} == {
            reason: sum(one["not_counted"]["calendar"].get(reason, 0) for one in mine)
            for reason in {name for one in mine for name in one["not_counted"]["calendar"]}
        }


def test_an_enclosure_outside_the_catalogue_is_explained_by_its_url(data: Settings) -> None:
    [(url, day, downloads)] = marts(
        data,
        "select episode_id, date, downloads from marts.fct_episode_daily"
        " where show_id is null and source_class = 'server_log'"
        " order by requests desc, episode_id, date limit 1",
    )
    answer = explain(Question(url.replace("https://", "http://op3.dev/e/"), day), data)
    assert answer.episode.episode_id == url and answer.episode.show_id is None
    [found] = [one for one in answer.figures if one.source_class == "server_log"]
    assert found.downloads[Window.CALENDAR] == downloads


# --- as it is typed


@pytest.fixture(scope="module")
def typed(data: Settings) -> tuple[str, str, str]:
    """An episode, a day and a listener whose key has a minus, with a download of several requests."""
    [(episode, day, listener)] = marts(
        data,
        "select episode_id, date, listener_key from marts.fct_downloads where source_class = 'server_log'"
        " and listener_key < 0 and show_id is not null and requests > 3 order by date, listener_key limit 1",
    )
    return episode, str(day), str(listener)


@pytest.mark.parametrize("form", ["--listener={}", "--listener {}"])
def test_a_listeners_requests_are_told_line_by_line(
    data: Settings, typed: tuple[str, str, str], form: str
) -> None:
    episode, day, listener = typed
    before = {path: path.stat().st_mtime_ns for path in data.data.rglob("*")}
    with duckdb.connect(str(data.warehouse)) as writer:  # a build may hold it: explain never opens it
        assert writer.execute("select 1").fetchall()
        done = earshot(
            data, "--episode", episode, "--day", day, *form.format(listener).split(), "--output", "json"
        )
    assert done.returncode == 0, done.stderr
    [story] = [s for s in json.loads(done.stdout)["stories"] if s["source_class"] == "server_log"]
    assert story["listener"] == listener
    [window, *_] = [w for w in story["windows"] if w["is_counted"] and w["requests"] > 3]
    assert window["verdict"].startswith("a download: ") and "duplicate" in window["verdict"]
    for told in window["told"]:
        source, _, place = told["lines"][0].partition("/")
        name, _, number = place.rpartition(":")
        line = (
            gzip.decompress((data.landing_dir / source / name).read_bytes())
            .decode("utf-8", "replace")
            .split("\n")[int(number) - 1]
        )
        at = datetime.fromisoformat(told["started_at"]).astimezone(UTC)
        assert line.startswith(f"{at:%Y-%m-%d}\t") and f"\t{told['status']}\t" in line
    after = {path: path.stat().st_mtime_ns for path in data.data.rglob("*")}
    assert {path for path in before if before[path] != after.get(path)} <= {data.warehouse}


def test_a_table_fits_eighty_columns_and_says_why(data: Settings, typed: tuple[str, str, str]) -> None:
    episode, day, listener = typed
    done = earshot(data, "--episode", episode, "--day", day, "--class", "server_log", "--listener", listener)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if " GET 206 " in line or " GET 200 " in line]
    assert len(told) > 3
    assert all(len(line.rstrip()) <= 80 and "…" not in line for line in told)
    assert "One minute is " in done.stdout and " needed, reached by request " in done.stdout


def test_the_first_digits_of_a_listener_are_enough_when_they_fit_one(
    show: tuple[str, duckdb.DuckDBPyConnection],
) -> None:
    _, con = show
    [(episode, day, key)] = con.execute(
        "select episode_key, date, max(listener_key) from intermediate.int_requests"
        " where show_id is not null group by all order by count(distinct listener_key) desc limit 1"
    ).fetchall()
    scope = Scope(episode, day)
    assert the_listener(con, scope, str(key)) == the_listener(con, scope, str(key)[:12]) == key
    with pytest.raises(NothingToExplain, match="listeners have a key that begins with '-'"):
        the_listener(con, scope, "-")
    with pytest.raises(NothingToExplain, match="begins with 'x'"):
        the_listener(con, scope, "x")
    with pytest.raises(NothingToExplain, match="did not ask for this episode on 2025-01-01, but on"):
        the_listener(con, Scope(episode, date(2025, 1, 1)), str(key))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--episode", "s00001-e000", "--day", "2026-09-02"], 1, "alike are"),
        (["--episode", "{episode}", "--day", "2026-09-02", "--show", "x"], 1, "no show 'x'"),
        (["--episode", "{episode}", "--day", "yesterday"], 2, "--day"),
        (["--episode", "{episode}", "--day", "2026-09-02", "--window", "day"], 2, "first_touch"),
        (["--episode", "{episode}", "--day", "{day}", "--listener", "x"], 1, "begins with 'x'"),
    ],
)
def test_wrong_usage_ends_with_one_plain_message(
    data: Settings, typed: tuple[str, str, str], arguments: list[str], code: int, said: str
) -> None:
    episode, day, listener = typed
    done = earshot(data, *(a.format(episode=episode, day=day, listener=listener) for a in arguments))
    assert done.returncode == code, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_without_a_lake_nothing_is_made(tmp_path: Path) -> None:
    done = earshot(Settings(data=tmp_path / "nowhere"), "--episode", "e", "--day", "2026-09-02")
    assert done.returncode == 1 and "EARSHOT_DATA" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_episode_id_of_several_shows_must_be_chosen(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    one = catalog([0])
    other = one.with_columns(
        show_id=pl.lit("other"), enclosure_key=pl.lit(9, pl.Int64), episode_key=pl.lit(9, pl.Int64)
    )
    set_catalog(lake, pl.concat([one, other]))
    with pytest.raises(NothingToExplain, match="choose one with --show: other, show"):
        explain(Question("guid-0", date(2026, 9, 2)), Settings(data=tmp_path))


# --- what the counts of one episode rest on outside of it

URL = "https://cdn.example/outside.mp3"


def a_request(number: int, day: int, episode: int | None = None, listener: int = 7, **given: Any) -> Row:
    """A request, keyed as by secrets that change every 30 days; without an episode one for URL."""
    started_us = START_US + day * DAY_US + 3_600_000_000
    epoch = started_us // (30 * DAY_US)
    return {
        "source": "cdn",
        "source_class": "server_log",
        "request_key": number,
        "started_us": started_us + number,
        "key_epoch": epoch,
        "address_key": listener,
        "listener_key": epoch * 1000 + listener,
        "listener_key_prev": (epoch - 1) * 1000 + listener,
        "enclosure_key": enclosure_key(URL) if episode is None else episode,
        "enclosure_url": URL if episode is None else f"https://cdn.example/{episode}.mp3",
        "method": "GET",
        "status": 206,
        "range_start": 0,
        "served_bytes": 1_000_000,
        "is_first_two": False,
        "agent_type": "app",
        "exclusion_reason": None,
        **given,
    }


def lake_of(settings: Settings, requests: list[Row], episodes: pl.DataFrame) -> None:
    lake = Lake(settings.lake_dir)
    set_catalog(lake, episodes)
    add_file(lake, "file", requests)


def test_r26_a_listener_keeps_the_key_that_other_episodes_link(tmp_path: Path) -> None:
    # 2026-09-01 lies in epoch 689. URL is heard there and 40 days later, in 691; what links the two keys is
    # episode 0, heard in 690. And what the oldest key is only episode 0 tells, heard in 688, too.
    settings = Settings(data=tmp_path)
    requests = [a_request(0, -30, 0), a_request(1, 0), a_request(2, 20, 0), a_request(3, 40)]
    lake_of(settings, requests, catalog())
    run_dbt(settings, ["run"])
    wanted = marts(
        settings, "select date, listener_key from marts.fct_downloads where show_id is null order by date"
    )
    assert [key for _, key in wanted] == [688_007, 688_007]
    for (day, key), logged in zip(wanted, (689_007, 691_007), strict=True):
        answer = explain(Question(URL, day, listener=str(logged)), settings)
        assert [one.listener_key for one in answer.listeners] == [key]
        [story] = answer.stories
        assert (story.listener_key, story.logged_keys) == (key, [logged])


def test_r15_a_threshold_rests_on_the_sizes_of_the_shows_other_episodes(tmp_path: Path) -> None:
    # Episode 2 has no evidence: its show's rate stands in, to which episode 0 brings a size that only the log
    # tells, the larger of two: (3,000,100 - 100 + 450,000) bytes / 155 s.
    episodes = catalog().with_columns(
        file_bytes=pl.when(pl.col("enclosure_key") == 0).then(None).otherwise("file_bytes")
    )
    settings = Settings(data=tmp_path)
    sizes = [a_request(0, 3, 0, resource_bytes=3_000_100), a_request(1, 4, 0, resource_bytes=2_000_100)]
    lake_of(settings, [*sizes, a_request(2, 3, 2)], episodes)
    run_dbt(settings, ["run"])
    wanted = dict(marts(settings, "select enclosure_key, threshold_bytes from intermediate.int_enclosures"))
    for episode, source in ((2, "show"), (0, "log")):
        [row] = explain(Question(f"guid-{episode}", date(2026, 9, 4)), settings).thresholds
        assert (row["threshold_bytes"], row["threshold_source"]) == (wanted[episode], source)
    assert wanted[2] == -(-60 * 3_450_000 // 155)


def test_very_many_requests_and_listeners_are_cut_short_with_figures_over_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 3,000 overlapping ranges of one listener, of which all pairs would be 4.5 million, and 50 others.
    settings = Settings(data=tmp_path)
    ranges = [a_request(n, 1, range_start=n * 100, served_bytes=150) for n in range(3000)]
    others = [a_request(3000 + n, 1, listener=100 + n) for n in range(50)]
    lake_of(settings, ranges + others, catalog())
    answer = explain(Question(URL, date(2026, 9, 2), listener="689007"), settings)
    [seen] = answer.stories[0].windows
    assert (seen.requests, len(seen.told)) == (3000, MOST)
    assert seen.told[-1].running_bytes == MOST * 100 + 50
    show_explanation(answer, None, "table")
    assert f"{3000 - MOST:,} more" in capsys.readouterr().out
    show_explanation(replace(answer, stories=[]), None, "table")
    out = capsys.readouterr().out
    assert sum(line.startswith("689") for line in out.splitlines()) == LISTENERS
    assert "all 51" in out and "50 downloads under calendar (published)" in out
    prefix = replace(answer.figures[0], source_class="prefix")
    show_explanation(replace(answer, stories=[], figures=[prefix]), None, "table")
    assert "One minute is" in out and "One minute is" not in capsys.readouterr().out


def test_texts_from_logs_cannot_draw_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data=tmp_path)
    evil = "\x1b[2J[bold]\r\nlisteners"
    given = {"agent": evil, "app": evil, "device": evil, "method": evil}
    requests = [a_request(1, 4, 2, **given), a_request(2, 4, 2, **given, exclusion_reason="bot")]
    lake_of(settings, requests, catalog().with_columns(episode_title=pl.lit(evil), show_title=pl.lit(evil)))
    answer = explain(Question("guid-2", date(2026, 9, 5), listener="690007"), settings)
    show_explanation(answer, None, "table")
    show_explanation(replace(answer, stories=[]), None, "table")
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\r" not in out
    assert out.count("\\x1b[2J[bold]") >= 6
