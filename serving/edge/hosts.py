"""The hosts the prefix sends listeners on to: those of every enclosure that is registered.

That is: episodes of the catalogue's lists, and all enclosures ever seen in the feeds of registered podcasts
(old ones are asked for by whoever has an old feed), and the setting `EARSHOT_EDGE_HOSTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ingest.feeds.schema import EPISODES, shard_of
from ingest.feeds.state import folder_of, table_files
from ingest.lake import Lake, reading
from ingest.settings import SettingError
from serving.edge.settings import EDGE_PREFIX, EdgeSettings, listed

# A name with a letters-only end, as ingest/logs/prefixes.py reads one, and perhaps a port: no addresses, no
# names of a local network, and nothing that means something to nginx.
_HOST = re.compile(
    r"(?=[^:]{1,253}(?::|$))(?:[a-z0-9_-]{1,63}\.)+(?:[a-z]{2,24}|xn--[a-z0-9-]{1,59})(?::[0-9]{1,5})?"
)
_OF_URL = r"^https?://([^/?#]*)"


@dataclass(frozen=True)
class Hosts:
    """`names`: host or host:port, lower case, sorted. `passed_over`: what cannot be one, as written."""

    names: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


def hosts_of(hosts: Iterable[str]) -> Hosts:
    """Those that can be redirected to; ports 80 and 443 go without saying."""
    kept, odd = set(), set()
    for host in hosts:
        name = re.sub(r"(?:\.|:443|:80)+$", "", host.strip().lower())
        if _HOST.fullmatch(name):
            kept.add(name)
        elif name:
            odd.add(host)
    return Hosts(tuple(sorted(kept)), tuple(sorted(odd)))


def registered_hosts(settings: EdgeSettings) -> Hosts:
    """What lake and settings say now. Raises SettingError for a host in EARSHOT_EDGE_HOSTS that is none."""
    given = hosts_of(listed(settings.hosts))
    if given.passed_over:
        raise SettingError(
            f"setting {EDGE_PREFIX}HOSTS: {given.passed_over[0]!r} is no host such as media.example.com or "
            "media.example.com:8443"
        )
    root = settings.platform.lake_dir
    found = [*given.names]
    if root.is_dir():
        lake = Lake(root)
        catalogue = pl.scan_parquet(lake.episodes_path).select(url="enclosure_url")
        found += _hosts(catalogue)
        found += _of_feeds(root, pl.read_parquet(lake.registered_path))
    return hosts_of(found)


def _of_feeds(root: Path, registered: pl.DataFrame) -> list[str]:
    """Of the podcasts that are still registered."""
    keys = registered.filter(pl.col("state") != "deregistered")["podcast_key"]
    if not keys.len():
        return []
    with reading(root):
        shards = sorted({shard_of(key) for key in keys})
        files = [path for shard in shards for path in table_files(folder_of(root, shard), "episodes")]
        if not files:
            return []
        episodes = pl.scan_parquet(files, schema=EPISODES, missing_columns="insert", hive_partitioning=False)
        urls = episodes.filter(pl.col("podcast_key").is_in(keys.to_list())).select(
            url=pl.col("enclosure_urls").explode()
        )
        return _hosts(urls)


def _hosts(urls: pl.LazyFrame) -> list[str]:
    """Distinct hosts of canonical URLs (column `url`)."""
    host = pl.col("url").str.extract(_OF_URL)
    return urls.select(host=host).drop_nulls().unique().collect()["host"].to_list()
