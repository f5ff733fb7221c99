"""The simulated world in a lake is what its events say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from bench.attribution_registry import (
    collaborations,
    podcasts,
    registered,
    show_id,
    with_permuted_genres,
)
from bench.attribution_requests import catalog, counted, families, linked_over_epochs, write
from bench.attribution_world import World, WorldSpec, simulate
from ingest.feeds.schema import COLLABORATIONS, REGISTERED
from ingest.lake import Lake
from ingest.logs.rules import Rules
from ingest.schema import EPISODES, REQUESTS
from ingest.settings import Settings


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(WorldSpec(seed=7, people=1_000, shows=16, collaborations=3))


@pytest.fixture(scope="module")
def requests(world: World, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    lake = Lake(Path(tmp_path_factory.mktemp("simulated")) / "lake")
    rules = Rules.load(Settings(data=Path("no-such-folder")))
    assert write(world, lake, rules) == world.events.height
    return lake.requests().collect()


def test_every_download_is_one_request_that_qualifies(world: World, requests: pl.DataFrame) -> None:
    assert dict(requests.drop("day").schema) == REQUESTS
    assert requests.height == requests["request_key"].n_unique() == world.events.height
    assert requests["exclusion_reason"].null_count() == requests.height
    asked = requests["enclosure_key"].unique()
    known = catalog(world)
    assert dict(known.schema) == EPISODES and asked.is_in(known["enclosure_key"].implode()).all()


def test_families_are_apps_and_systems(world: World, requests: pl.DataFrame) -> None:
    seen = requests.select("app", "os").unique().height
    assert seen == world.events["family"].n_unique()


def test_address_keys_of_one_place_are_linked_over_epochs(world: World, requests: pl.DataFrame) -> None:
    per_epoch = requests.group_by("key_epoch").agg(pl.col("address_key").n_unique())
    days_us = 30 * 86_400 * 10**6
    places = world.events.group_by(key_epoch=(pl.col("started_us") // days_us).cast(pl.Int32)).agg(
        places=pl.col("address_key").n_unique()
    )
    both = per_epoch.join(places, on="key_epoch")
    assert both.height == per_epoch.height and (both["address_key"] == both["places"]).all()
    earlier = requests.select(pl.col("key_epoch") + 1, "address_key").unique()
    linked = requests.join(
        earlier, left_on=["key_epoch", "address_key_prev"], right_on=["key_epoch", "address_key"], how="semi"
    )
    assert linked.height > requests.height / 2


def test_an_address_that_is_silent_for_an_epoch_comes_back_as_another() -> None:
    month = 30 * 86_400 * 10**6
    events = pl.DataFrame(
        {"address_key": [1] * 5, "started_us": [month * n for n in (600, 601, 601, 603, 604)]}
    )
    keys = linked_over_epochs(events)["address_key"].to_list()
    assert len(set(keys[:3])) == 1 and len(set(keys[3:])) == 1 and keys[0] != keys[3]


def test_a_second_download_of_the_day_does_not_count() -> None:
    row = {"address_key": 1, "family": 1, "episode": 1}
    noon = 1_767_614_400_000_000  # 2026-01-05 12:00
    hours = {0: 40, 11: 41, 12: 41}  # agent's version by hour: an update is no other device
    events = pl.DataFrame(
        [row | {"started_us": noon + hour * 3_600_000_000, "agent": agent} for hour, agent in hours.items()]
    )
    assert counted(events)["started_us"].to_list() == [noon, noon + 12 * 3_600_000_000]


def test_linked_address_keys_are_the_oldest_of_their_chain(world: World, requests: pl.DataFrame) -> None:
    linked = linked_over_epochs(world.events)
    first = requests.group_by("address_key").agg(pl.col("key_epoch").min())
    assert linked["address_key"].is_in(first["address_key"].implode()).all()
    assert linked["address_key"].n_unique() < first.height


def test_the_families_of_the_lake_are_told(world: World, requests: pl.DataFrame) -> None:
    rules = Rules.load(Settings(data=Path("no-such-folder"))).agents
    told = families(world, rules)
    assert set(told.select("app", "os").rows()) == set(requests.select("app", "os").unique().rows())
    assert told["family"].n_unique() == told.height == world.events["family"].n_unique()


def test_shows_and_collaborations_are_told_as_the_registry_does(world: World) -> None:
    shows, recorded = registered(world), collaborations(world)
    assert dict(shows.schema) == REGISTERED and dict(recorded.schema) == COLLABORATIONS
    ids = dict(shows.select("podcast_key", "show_id").iter_rows())
    genres = dict(podcasts(world).select("podcast_key", pl.col("categories").list.first()).iter_rows())
    for row, made in zip(
        world.collaborations.iter_rows(named=True), recorded.iter_rows(named=True), strict=True
    ):
        assert ids[made["podcast_key"]] == show_id(row["show"]) != ids[made["partner_key"]]
        genre = world.shows.filter(pl.col("show") == row["show"])["genre"].item()
        assert genres[made["podcast_key"]] == f"Genre {genre}"
        assert made["starts_us"] == row["started_us"] and made["ends_us"] is None
    known = catalog(world).filter(pl.col("episode_key").is_in(recorded["episode_key"].implode()))
    assert set(recorded["partner_guid"]) == set(known["episode_id"])


def test_permuted_genres_are_the_same_ones_elsewhere(world: World) -> None:
    told = with_permuted_genres(world).shows["genre"]
    assert sorted(told) == sorted(world.shows["genre"]) and not told.equals(world.shows["genre"])
