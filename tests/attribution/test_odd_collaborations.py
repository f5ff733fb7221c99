"""Collaborations that something is wrong with: what the marts say of them, and what a user is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from earshot.attribution.answer import explain
from ingest.lake import Lake
from ingest.settings import Settings
from serving.attribution.model import State
from serving.publish import publish
from tests.attribution.odd_lake import (
    AHEAD,
    COLLABORATIONS,
    ENDED_FIRST,
    GOOD,
    ITSELF,
    LATER,
    LISTENERS,
    NEVER_SEEN,
    NOTES,
    OTHER_NAME,
    RANGE,
    TOO_EARLY,
    UNKNOWN_EPISODE,
    UNKNOWN_SHOW,
    add_days,
    set_collaborations,
    shows,
)
from tests.dbt.lakes import dbt, marts

ALL = "+path:models/marts/attribution"
NO_DATA = {UNKNOWN_EPISODE, UNKNOWN_SHOW, ITSELF, ENDED_FIRST, TOO_EARLY, NEVER_SEEN}


def built(settings: Settings, *selected: str) -> None:
    dbt(Lake(settings.lake_dir), settings.warehouse, "calendar", "run", "--select", *(selected or (ALL,)))


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Data until two hours before the good one is final."""
    settings = Settings(data=tmp_path_factory.mktemp("odd"))
    lake = Lake(settings.lake_dir)
    shows(lake)
    set_collaborations(lake, COLLABORATIONS)
    add_days(lake, 0, 84)
    built(settings)
    publish(settings.warehouse, settings.published_dir, keep=1, window="calendar")
    return settings


def test_what_cannot_be_measured_says_so_and_has_no_number(first: Settings) -> None:
    found = dict(rows(first, "select collaboration_id, state from marts.fct_collaboration_lift"))
    assert {number for number, state in found.items() if state == "no_data"} == NO_DATA
    assert {found[number] for number in (GOOD, OTHER_NAME)} == {"provisional"}
    assert (found[RANGE], found[AHEAD], found[LATER]) == ("final", "planned", "planned")
    told = rows(
        first,
        "select distinct coalesce(reach, 0), new_listeners, gross_last_touch > 0 from"
        f" marts.fct_collaboration_lift where collaboration_id in {(*NO_DATA, AHEAD)}",
    )
    assert {row[:2] for row in told} == {(0, None)} and True not in {row[2] for row in told}


def test_an_episode_that_the_list_has_under_another_name_is_found_by_its_enclosure(first: Settings) -> None:
    found = "select partner_show_id, episode_title, reach from marts.fct_collaboration_lift"
    assert rows(first, f"{found} where collaboration_id = {OTHER_NAME}") == [("listed-c", "c", LISTENERS)]


def test_a_range_of_days_reaches_who_came_in_those(first: Settings) -> None:
    found = "select reach, exposure_ends_at - starts_at from marts.fct_collaboration_lift"
    ((reach, lasted),) = rows(first, f"{found} where collaboration_id = {RANGE}")
    assert (reach, lasted.days) == (LISTENERS, 3)


def test_what_a_range_of_days_promoted_is_no_placebo_of_a_later_one(first: Settings) -> None:
    placebos = f"select episode_key from intermediate.int_placebo_episodes where target_id = {LATER}"
    assert rows(first, placebos) == [(ord("q"),)]


def test_notes_are_text_and_a_cost_of_nothing_is_one(first: Settings) -> None:
    found = "select notes, cost, cost_per_new_listener, new_listeners > 0 from marts.fct_collaboration_lift"
    ((notes, cost, per, is_gain),) = rows(first, f"{found} where collaboration_id = {GOOD}")
    assert (notes, cost) == (NOTES, 0.0)
    assert per == (0.0 if is_gain else None)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (UNKNOWN_EPISODE, "do not know the episode nobody's of show-b"),
        (NEVER_SEEN, "do not know the episode gone of show-b"),
        (UNKNOWN_SHOW, "no downloads of the show that was to grow:"),
        (ITSELF, "a show cannot collaborate with itself"),
        (ENDED_FIRST, "before it began"),
        (TOO_EARLY, "before the logs begin"),
    ],
)
def test_a_user_is_told_what_is_wrong_with_it(first: Settings, number: int, told: str) -> None:
    found = explain(number, first)
    assert found.state is State.NO_DATA and told in found.headline[1]


def test_a_killed_build_is_done_again_and_what_is_void_is_gone(first: Settings, tmp_path: Path) -> None:
    """The good one was final two hours after the last day with downloads; the next came two weeks later."""
    lake = Lake(first.lake_dir)
    add_days(lake, 100, 100)
    set_collaborations(lake, [one for one in COLLABORATIONS if one["collaboration_id"] != RANGE])
    built(first, "+int_cohort_rates")  # and then it died
    built(first)
    figures = (
        "select state, as_of >= final_at, forecast is not distinct from new_listeners"
        f" from marts.fct_collaboration_lift where collaboration_id = {GOOD}"
    )
    assert rows(first, figures) == [("final", True, True)]
    for column in ("target_id", "collaboration_id", "other_id", "other_collaboration_id"):
        for schema, table in rows(
            first,
            "select schema_name, table_name from duckdb_columns()"
            f" where column_name = '{column}' and schema_name in ('intermediate', 'marts')",
        ):
            there = f"select count(*) from {schema}.{table} where {column} = {RANGE}"
            assert rows(first, there) == [(0,)], table
    fresh = Settings(data=tmp_path)
    dbt(lake, fresh.warehouse, "calendar", "run", "--select", ALL)
    again, at_once = marts(first.warehouse), marts(fresh.warehouse)
    for mart in ("fct_collaboration_cohorts", "fct_collaboration_daily", "fct_collaboration_overlaps"):
        assert again[mart] == at_once[mart], mart
    counts = (
        "select collaboration_id, state, reach, exposed, converted, known_share, siblings"
        " from marts.fct_collaboration_lift order by 1"
    )
    assert rows(first, counts) == rows(fresh, counts)
