"""The simulated downloads as cleaning would leave them, REQUESTS and EPISODES: the real models run on them.

Each download is one whole file served. Keys follow the key epochs as in production: another address key every
30 days, with the one of the epoch before beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

import polars as pl

from bench import attribution_registry
from bench.attribution_registry import episode_id, show_id, show_title
from bench.attribution_world import World
from ingest.catalog import episode_key
from ingest.lake import Lake, write_parquet
from ingest.logs.agents import AgentRules, classify
from ingest.logs.listeners import epoch_of, mixed
from ingest.logs.rules import Rules
from ingest.schema import EPISODES, FILES, REQUESTS, REQUESTS_ORDER, FileStatus, SourceClass, conform

SOURCE = "simulated"
FILE_BYTES = 40_000_000
DURATION_S = 2_400.0
_MARK = 4_242  # sets the keys of requests apart from others


def _enclosure_url(show: int, episode: int) -> str:
    return f"https://audio.simulated.example/{show_id(show)}/{episode:05d}.mp3"


def catalog(world: World) -> pl.DataFrame:
    """EPISODES of the world."""
    rows = [
        {
            "show_id": show_id(show),
            "show_title": show_title(show),
            "episode_id": episode_id(show, episode),
            "episode_title": f"Episode {episode}",
            "published_us": aired_us,
            "enclosure_url": _enclosure_url(show, episode),
            "episode_key": episode_key(show_id(show), episode_id(show, episode)),
            "file_bytes": FILE_BYTES,
            "duration_s": DURATION_S,
            "id3_bytes": 0,
        }
        for episode, show, aired_us in world.episodes.select("episode", "show", "aired_us").iter_rows()
    ]
    url: pl.Expr = pl.col("enclosure_url").nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
    return conform(pl.DataFrame(rows).with_columns(enclosure_key=url), EPISODES).collect()


def write(
    world: World,
    lake: Lake,
    rules: Rules,
    days: Collection[date] | None = None,
    do_keys_rotate: bool = True,
) -> int:
    """The world into a lake: all shows and collaborations, and a landing file a day.

    days: only those of these event days. Returns the number of requests.
    """
    write_parquet(catalog(world), lake.episodes_path)
    attribution_registry.write(world, lake)
    lake.write_rules(rules.described())
    written = 0
    for day, requests in requests_by_day(world, rules.agents, rules.version, days, do_keys_rotate):
        file_id = requests["file_id"][0]
        lake.write_requests(requests, SOURCE, file_id, 0)
        last_us = requests["started_us"].max()
        row = {
            "file_id": file_id,
            "source": SOURCE,
            "source_class": SourceClass.SERVER_LOG.value,
            "format": "cloudfront",
            "file_name": f"{day}.gz",
            "status": FileStatus.TAKEN.value,
            "lines": requests.height,
            "requests": requests.height,
            "rejects": 0,
            "first_us": requests["started_us"].min(),
            "last_us": last_us,
            "is_comparable": True,
            "days": [day],
            "taken_in_us": last_us,
        }
        lake.record(conform(pl.DataFrame([row]), FILES).collect())
        written += requests.height
    return written


def requests_by_day(
    world: World,
    rules: AgentRules,
    rules_version: str,
    days: Collection[date] | None = None,
    do_keys_rotate: bool = True,
) -> Iterator[tuple[date, pl.DataFrame]]:
    """(event day, its REQUESTS) in order; `file_id` names the day, `agent` is judged by `rules`.

    days: only these. do_keys_rotate: false for one secret for ever, which no installation has.
    """
    episodes = (
        catalog(world)
        .select("enclosure_url", "enclosure_key")
        .with_columns(episode=world.episodes["episode"])
    )
    agents = _judged_agents(world, rules)
    rows = (
        world.events.select("address_key", "agent", "episode", "started_us")
        .with_row_index("number")
        .with_columns(day=pl.from_epoch("started_us", "us").dt.date())
        .filter(pl.lit(True) if days is None else pl.col("day").is_in(list(days)))
    )
    for (day,), part in rows.group_by("day", maintain_order=True):
        assert isinstance(day, date)
        rows_of_day = part.join(agents, on="agent").join(episodes, on="episode")
        yield day, _requests(rows_of_day, day, rules_version, do_keys_rotate)


def _judged_agents(world: World, rules: AgentRules) -> pl.DataFrame:
    """agent (the world's number), text, agent_key and what the lists say of it."""
    seen = world.agents.join(world.events.select("agent").unique(), on="agent", how="semi")
    judged = classify(seen.select(agent="text"), rules).rename({"agent": "text"})
    key: pl.Expr = pl.col("text").nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
    return pl.concat([seen.select("agent"), judged], how="horizontal").with_columns(agent_key=key)


def _requests(rows: pl.DataFrame, day: date, rules_version: str, do_keys_rotate: bool) -> pl.DataFrame:
    epoch = epoch_of(pl.col("started_us"))
    secret = epoch.cast(pl.Int64) if do_keys_rotate else pl.lit(0, pl.Int64)
    former = secret - 1 if do_keys_rotate else secret
    address = pl.col("address_key")
    made = rows.with_columns(
        key_epoch=epoch,
        address_key=mixed(address, secret),
        address_key_prev=mixed(address, former),
    ).select(
        pl.lit(f"{day:%Y%m%d}".zfill(32)).alias("file_id"),
        pl.int_range(1, pl.len() + 1).alias("line_number"),
        pl.lit(SOURCE).alias("source"),
        pl.lit(SourceClass.SERVER_LOG.value).alias("source_class"),
        pl.lit(rules_version).alias("rules_version"),
        mixed(pl.lit(_MARK, pl.Int64), pl.col("number").cast(pl.Int64)).alias("request_key"),
        "key_epoch",
        "address_key",
        "address_key_prev",
        mixed(pl.col("address_key"), pl.col("agent_key")).alias("listener_key"),
        mixed(pl.col("address_key_prev"), pl.col("agent_key")).alias("listener_key_prev"),
        "enclosure_key",
        "started_us",
        pl.lit("GET").alias("method"),
        pl.lit("200").alias("status"),
        "enclosure_url",
        pl.lit(0).alias("range_start"),
        pl.lit(FILE_BYTES).alias("served_bytes"),
        pl.lit(FILE_BYTES).alias("resource_bytes"),
        pl.lit(False).alias("is_first_two"),
        pl.col("text").alias("agent"),
        *("agent_type", "app", "device", "device_category", "os"),
        pl.lit(True).alias("is_media"),
        *(
            pl.lit(False).alias(name)
            for name in ("in_datacenter", "is_bogus_referrer", "is_excluded_address")
        ),
    )
    return conform(made.sort(REQUESTS_ORDER), REQUESTS).collect()


def families(world: World, rules: AgentRules) -> pl.DataFrame:
    """family (of the world), app, os: the names that cleaning gives them, by which keys are told apart."""
    judged = _judged_agents(world, rules).join(world.agents.select("agent", "family"), on="agent")
    return judged.select("family", "app", "os").unique().sort("family")


def counted(events: pl.DataFrame) -> pl.DataFrame:
    """The rows of `World.events` that count, whoever the people were.

    Under the calendar window (R22) the first of an address, agent text, episode and UTC day. A device's key
    does not know the agent's version: of an address, family, episode and day the first counts.
    """
    day = pl.from_epoch("started_us", "us").dt.date().alias("day")
    return (
        events.with_columns(day)
        .unique(["address_key", "family", "episode", "day"], keep="first", maintain_order=True)
        .drop("day")
    )


def linked_over_epochs(events: pl.DataFrame) -> pl.DataFrame:
    """`World.events` with the address keys that links over key epochs can restore: the oldest of each chain.

    A key knows itself in the epoch before only: an address that is silent for a whole epoch comes back as
    another.
    """
    seen = (
        events.select("address_key", key_epoch=epoch_of(pl.col("started_us")))
        .unique()
        .sort("address_key", "key_epoch")
        .with_columns(is_back=(pl.col("key_epoch").diff().over("address_key") > 1).fill_null(True))
        .with_columns(
            oldest=pl.when("is_back").then("key_epoch").forward_fill().over("address_key").cast(pl.Int64)
        )
    )
    return (
        events.with_columns(key_epoch=epoch_of(pl.col("started_us")))
        .join(seen, on=["address_key", "key_epoch"], maintain_order="left")
        .with_columns(address_key=mixed(pl.col("address_key"), pl.col("oldest")))
        .select(events.columns)
    )
