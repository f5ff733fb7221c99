"""The simulated shows and collaborations as the registry and the feeds tell them to the marts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from bench.attribution_world import World
from ingest.catalog import episode_key
from ingest.feeds import schema as feeds
from ingest.feeds.urls import podcast_key
from ingest.lake import Lake, write_parquet
from ingest.schema import Schema, conform

TENANT = "bench"
FIRST_ID = 1  # the registry's of collaboration 0
_GENERATION = 1


def show_id(show: int) -> str:
    return f"show-{show:03d}"


def show_title(show: int) -> str:
    return f"Show {show}"


def episode_id(show: int, episode: int) -> str:
    """The GUID of an episode of `World.episodes`."""
    return f"{show_id(show)}-{episode:05d}"


def with_permuted_genres(world: World) -> World:
    """The same world whose shows tell each other's genres, so that these say nothing about listeners."""
    rng = np.random.default_rng(world.spec.seed)
    genre = pl.Series("genre", rng.permutation(world.shows["genre"].to_numpy()))
    return replace(world, shows=world.shows.with_columns(genre))


def podcasts(world: World) -> pl.DataFrame:
    """PODCASTS: each show's feed as last read, with its genre as the one category."""
    rows = [
        {
            "podcast_key": _key(show),
            "feed_url": _feed_url(show),
            "original_url": _feed_url(show),
            "title": show_title(show),
            "categories": [f"Genre {genre}"],
            "generation": _GENERATION,
        }
        for show, genre in world.shows.select("show", "genre").iter_rows()
    ]
    return _frame(rows, feeds.PODCASTS)


def registered(world: World) -> pl.DataFrame:
    """REGISTERED: all shows of one tenant, under the ids of the catalogue."""
    rows = [
        {
            "podcast_key": _key(show),
            "shard": feeds.shard_of(_key(show)),
            "feed_url": _feed_url(show),
            "show_id": show_id(show),
            "state": "active",
            "since_us": world.spec.start_us,
            "tenants": [TENANT],
            "labels": [],
        }
        for show in world.shows["show"]
    ]
    return _frame(rows, feeds.REGISTERED)


def collaborations(world: World) -> pl.DataFrame:
    """COLLABORATIONS of the world, all of them recorded when they began."""
    rows = [
        {
            "collaboration_id": row["collaboration"] + FIRST_ID,
            "tenant": TENANT,
            "type": row["type"],
            "podcast_key": _key(row["show"]),
            "partner_key": _key(row["partner"]),
            "partner_guid": (guid := episode_id(row["partner"], row["episode"])),
            "episode_key": episode_key(show_id(row["partner"]), guid),
            "starts_us": row["started_us"],
            "state": "active",
            "created_us": row["started_us"],
        }
        for row in world.collaborations.iter_rows(named=True)
    ]
    return _frame(rows, feeds.COLLABORATIONS)


def write(world: World, lake: Lake) -> None:
    """All three into an empty lake, where the registry's export and the first sweep would put them."""
    tell_shows(world, lake)
    write_parquet(registered(world), lake.registered_path)
    write_parquet(collaborations(world), lake.collaborations_path)


def tell_shows(world: World, lake: Lake) -> None:
    """The shows' feeds into a lake, in the place of what they said before."""
    told = podcasts(world).with_columns(shard=pl.col("podcast_key") & (feeds.SHARDS - 1))
    for (shard,), rows in told.partition_by("shard", as_dict=True, include_key=False).items():
        folder = lake.root / "catalog" / f"shard={shard:03}" / "podcasts"
        write_parquet(rows, folder / f"{_GENERATION:010}.parquet")


def _feed_url(show: int) -> str:
    return f"https://feeds.simulated.example/{show_id(show)}.xml"


def _key(show: int) -> int:
    return podcast_key(_feed_url(show))


def _frame(rows: Sequence[dict[str, object]], schema: Schema) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]}), schema).collect()
