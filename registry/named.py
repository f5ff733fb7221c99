"""The podcasts that a person means: by URL, key, guid or directory id, else by show_id, else by title."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl
from sqlalchemy import Engine, select

from ingest.feeds.schema import shard_of
from ingest.feeds.state import folder_of, table_files
from ingest.lake import reading
from registry.podcasts import Podcast, find
from registry.tables import podcasts

HOW = "a title, show_id, feed URL, podcast key or guid"  # what a show may be named by
_MOST_ALIKE_OF = 50_000  # titles that are looked through for alike ones
_SHOWN = 5
_SHOWN_CHARS = 80


class Names:
    """What shows are called: by the registry, their feeds and the catalogue, as they are at first use."""

    def __init__(self, engine: Engine, lake_root: Path) -> None:
        self._engine, self._root = engine, lake_root

    def meant(self, what: str) -> list[Podcast]:
        """The podcasts that `what` names; several where a guid, a show_id or a title is that of several."""
        found = find(self._engine, what)
        if found or not what.strip():
            return found
        return self._by_keys(self._keys_of_show(what.strip()) or self._keys_titled(what))

    def told(self, found: Sequence[Podcast]) -> str:
        """Each of several with its title and the key by which it alone is named."""
        of = titles(self._root, [each.podcast_key for each in found[:_SHOWN]])
        shown = [
            f"{each.podcast_key} ({of.get(each.podcast_key) or 'no title'}, {each.feed_url})"
            for each in found[:_SHOWN]
        ]
        more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        return ", ".join(shown) + more

    def alike(self, what: str) -> list[str]:
        """Titles that look like it; none where there are too many to look through."""
        known = self._titles.filter(pl.col("podcast_key").is_in(self._tracked()))
        if known.height > _MOST_ALIKE_OF:
            return []
        by_folded = {_folded(title): title for title in known["title"]}
        alike = difflib.get_close_matches(_folded(what), list(by_folded), 3)
        return [by_folded[one][:_SHOWN_CHARS] for one in alike]

    def _tracked(self) -> list[int]:
        with self._engine.connect() as connection:
            return list(connection.scalars(select(podcasts.c.podcast_key).limit(_MOST_ALIKE_OF + 1)))

    def _keys_of_show(self, show_id: str) -> list[int]:
        with self._engine.connect() as connection:
            query = select(podcasts.c.podcast_key).where(podcasts.c.show_id == show_id)
            return list(connection.scalars(query.order_by(podcasts.c.podcast_key)))

    def _keys_titled(self, title: str) -> list[int]:
        said = _folded(title)
        of_feeds = self._titles.filter(pl.col("folded") == said)["podcast_key"].to_list()
        of_catalog = [key for show_id in self._shows_titled(said) for key in self._keys_of_show(show_id)]
        return sorted({*of_feeds, *of_catalog})

    def _shows_titled(self, said: str) -> list[str]:
        """show_ids of the operator's list that have the title."""
        path = self._root / "catalog" / "episodes.parquet"
        if not path.exists():
            return []
        shows = pl.scan_parquet(path).select("show_id", "show_title").unique().drop_nulls()
        return [show_id for show_id, title in shows.collect().iter_rows() if _folded(title) == said]

    @cached_property
    def _titles(self) -> pl.DataFrame:
        """podcast_key, title, folded: of all podcasts whose feed was read."""
        root = self._root
        if not (root / "catalog").is_dir():
            return _newest([], pl.lit(True)).with_columns(folded=pl.col("title"))
        with reading(root):
            files = [
                path
                for folder in sorted((root / "catalog").glob("shard=*"))
                for path in table_files(folder, "podcasts")
            ]
            found = _newest(files, pl.lit(True))
        folded = [_folded(title) for title in found["title"]]
        return found.with_columns(folded=pl.Series(folded, dtype=pl.String))

    def _by_keys(self, keys: Sequence[int]) -> list[Podcast]:
        return [podcast for key in keys for podcast in find(self._engine, str(key))]


def titles(lake_root: Path, podcast_keys: Collection[int]) -> dict[int, str]:
    """podcast_key → the title that its feed has; without those whose feed was never read."""
    if not (lake_root / "catalog").is_dir():
        return {}
    with reading(lake_root):
        files = [
            path
            for shard in sorted({shard_of(key) for key in podcast_keys})
            for path in table_files(folder_of(lake_root, shard), "podcasts")
        ]
        found = _newest(files, pl.col("podcast_key").is_in(list(podcast_keys)))
    return dict(found.iter_rows())


def _newest(files: list[Path], which: pl.Expr) -> pl.DataFrame:
    """podcast_key, title: of the newest rows."""
    if not files:
        return pl.DataFrame(schema={"podcast_key": pl.Int64, "title": pl.String})
    return (
        pl.scan_parquet(files, hive_partitioning=False)
        .select("podcast_key", "title", "generation")
        .filter(which)
        .sort("generation", maintain_order=True)
        .unique("podcast_key", keep="last", maintain_order=True)
        .select("podcast_key", "title")
        .drop_nulls()
        .collect()
    )


def _folded(name: str) -> str:
    """As titles are compared: however it is spaced, in small letters or not."""
    return " ".join(name.split()).casefold()
