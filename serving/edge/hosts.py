"""The hosts the prefix sends listeners on to: those of every enclosure that is registered.

That is: episodes of the catalogue's lists, and all enclosures ever seen in the feeds of registered podcasts
(old ones are asked for by whoever has an old feed), and the setting `EARSHOT_EDGE_HOSTS`.
"""

from __future__ import annotations

import re
from collections import Counter
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
_LOCAL = "local|localhost|localdomain|lan|home|corp|intranet|internal|private|arpa|invalid|onion"
_HOST = re.compile(
    rf"(?=[^:]{{1,253}}(?::|$))(?:[a-z0-9_-]{{1,63}}\.)+(?!(?:{_LOCAL})(?::|$))"
    r"(?:[a-z]{2,24}|xn--[a-z0-9-]{1,59})(?::(?P<port>[1-9][0-9]{0,4}))?"
)
# A show has one to three. More than so many are nobody's enclosures, and would slow nginx down for all.
MOST_OF_A_SHOW = 100
# Names with one hash fill one bucket of nginx's table, which then cannot be built; by chance two never meet.
_MOST_ALIKE = 4
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
        found = _HOST.fullmatch(name)
        if found and int(found["port"] or 1) < 65_536:
            kept.add(name)
        elif name:
            odd.add(host)
    alike: Counter[int] = Counter()
    names = []
    for name in sorted(kept):
        alike[key := _nginx_hash(name)] += 1
        if alike[key] <= _MOST_ALIKE:
            names.append(name)
        else:
            odd.add(name)
    return Hosts(tuple(names), tuple(sorted(odd)))


def _nginx_hash(name: str) -> int:
    """As nginx's tables hash a name (src/core/ngx_hash.c, ngx_hash_key): who knows it can make equal ones."""
    key = 0
    for byte in name.encode():
        key = (key * 31 + byte) & 0xFFFF_FFFF_FFFF_FFFF
    return key


def registered_hosts(settings: EdgeSettings) -> Hosts:
    """What lake and settings say now; of a show with more than MOST_OF_A_SHOW those of most episodes.

    Raises SettingError for a host in EARSHOT_EDGE_HOSTS that is none.
    """
    given = hosts_of(listed(settings.hosts))
    if given.passed_over:
        raise SettingError(
            f"setting {EDGE_PREFIX}HOSTS: {given.passed_over[0]!r} is no host such as media.example.com or "
            "media.example.com:8443"
        )
    root = settings.platform.lake_dir
    kept, left = [*given.names], list[str]()
    if root.is_dir():
        lake = Lake(root)
        catalogue = pl.scan_parquet(lake.episodes_path).select(show="show_id", url="enclosure_url")
        for hosts in (_hosts(catalogue), _of_feeds(root, pl.read_parquet(lake.registered_path))):
            kept += hosts.filter(pl.col("rank") <= MOST_OF_A_SHOW)["host"].to_list()
            left += hosts.filter(pl.col("rank") > MOST_OF_A_SHOW)["host"].to_list()
    found = hosts_of(kept)
    return Hosts(found.names, tuple(sorted({*found.passed_over, *left} - set(found.names))))


def _of_feeds(root: Path, registered: pl.DataFrame) -> pl.DataFrame:
    """Of the podcasts that are still registered."""
    keys = registered.filter(pl.col("state") != "deregistered")["podcast_key"]
    nothing = pl.LazyFrame(schema={"show": pl.Int64, "url": pl.String})
    if not keys.len():
        return _hosts(nothing)
    with reading(root):
        shards = sorted({shard_of(key) for key in keys})
        files = [path for shard in shards for path in table_files(folder_of(root, shard), "episodes")]
        if not files:
            return _hosts(nothing)
        episodes = pl.scan_parquet(files, schema=EPISODES, missing_columns="insert", hive_partitioning=False)
        urls = episodes.filter(pl.col("podcast_key").is_in(keys.to_list())).select(
            show="podcast_key", url=pl.col("enclosure_urls")
        )
        return _hosts(urls.explode("url"))


def _hosts(urls: pl.LazyFrame) -> pl.DataFrame:
    """Each show's hosts in canonical URLs (columns `show`, `url`), `rank` 1 that of most of its URLs."""
    host = pl.col("url").str.extract(_OF_URL)
    counted = urls.select("show", host=host).drop_nulls("host").group_by("show", "host").len()
    in_order = counted.sort("show", "len", "host", descending=[False, True, False], nulls_last=True)
    return in_order.with_columns(rank=pl.int_range(1, pl.len() + 1).over("show")).collect()
