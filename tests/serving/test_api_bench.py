"""The world of `python -m bench api`: its marts are true in each version, and its judge sees faults."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest

from bench.api_marts import LAST
from bench.api_mix import ENDPOINTS, Mix, Question, fault_of
from bench.api_world import World, show_id
from serving.versions import folder_name

SHOWS, DAYS = 50, 40


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Published twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_BENCH_CACHE", str(tmp_path_factory.mktemp("bench")))
        made = World(SHOWS, DAYS)
        made.ready()
        assert not made.publish().is_whole  # as after a batch: only the last date is written again
        yield made


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "mart", ["fct_show_daily", "fct_episode_daily", "fct_episode_hourly", "fct_show_dimensions_daily"]
)
def test_every_daily_mart_adds_up_to_the_worlds_downloads_of_its_version(
    world: World, mart: str, version: int
) -> None:
    where = "where dimension = 'app'" if "dimension" in mart else ""
    assert _sums(world, version, f"select show_id, sum(downloads) from {mart} {where} group by 1") == {
        show_id(number): world.downloads(number, version) for number in range(SHOWS)
    }


def test_the_two_versions_differ_on_the_last_date_alone(world: World) -> None:
    sql = "select date, sum(downloads) from fct_show_daily group by 1"
    before, after = _sums(world, 1, sql), _sums(world, 2, sql)
    assert {day for day in before if before[day] != after[day]} == {LAST}


def test_the_judge_takes_the_truth_and_nothing_else(world: World) -> None:
    question = Question(next(one for one in ENDPOINTS if one.name == "downloads by day"), 7, b"")
    first = LAST - dt.timedelta(days=29)
    body = {
        "version": 2,
        "from": str(first),
        "to": str(LAST),
        "data": [{"downloads": world.downloads(7, 2, first)}],
    }
    assert fault_of(world, question, body, 2) is None
    assert fault_of(world, question, body, 1) == "torn: body and header of two versions"
    older = body | {"data": [{"downloads": world.downloads(7, 1, first)}]}
    assert fault_of(world, question, older, 2) == "downloads by day: not the truth"


def test_all_shows_and_endpoints_are_asked_for(world: World) -> None:
    asked = Mix(world, 1)
    drawn = [asked.next() for _ in range(5000)]
    assert {one.endpoint.name for one in drawn} == {one.name for one in ENDPOINTS}
    assert {one.number for one in drawn} == set(range(SHOWS))


def _sums(world: World, version: int, sql: str) -> dict[object, int]:
    folder = world.settings.published_dir / folder_name(version)
    with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as con:
        return dict(con.execute(sql).fetchall())
