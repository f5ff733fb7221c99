"""`earshot explain`: why an episode has the figures it has on a day, down to the log line.

The same dbt models as production, in a temporary warehouse, on an excerpt of the lake: never a second
implementation of the rules, and never a look into the production warehouse, which has one writer.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

import duckdb
import polars as pl

from earshot.explain.evidence import (
    Figures,
    Heard,
    Row,
    Scope,
    days_heard,
    figures,
    heard,
    listeners_like,
    rows_of,
)
from earshot.explain.excerpt import excerpt
from earshot.explain.story import MOST, Story, stories
from earshot.pipeline import reading, run_dbt
from ingest import checksums
from ingest.lake import Lake
from ingest.lake import reading as reading_lake
from ingest.logs.rules import prefixes_in_force
from ingest.logs.urls import canonical_url, enclosure_key
from ingest.process import folder_aside
from ingest.schema import RULES, SourceClass
from ingest.settings import Settings, Window

MODELS = "+int_window_requests +fct_episode_daily +fct_exclusions_daily"


class NothingToExplain(ValueError):
    """The question names nothing, or several things; the message says what there is."""


@dataclass(frozen=True)
class Question:
    """What to explain."""

    episode: str  # its id, or the URL of its enclosure
    day: date  # in EARSHOT_TIME_ZONE
    show: str | None = None
    listener: str | None = None  # a listener key, or the digits it begins with
    source_class: SourceClass | None = None


@dataclass(frozen=True)
class Episode:
    """The episode meant, and the enclosures by which it is asked for."""

    episode_key: int
    episode_id: str
    show_id: str | None  # None: the catalogue does not know it
    episode_title: str | None
    show_title: str | None
    enclosure_keys: tuple[int, ...]


@dataclass(frozen=True)
class Explanation:
    """The answer: figures, listeners, the stories of the listener asked for, and what all that rests on."""

    episode: Episode
    day: date
    time_zone: str
    published: Window
    lines: int  # of the episode in the lake, all days
    days: list[date]  # with requests of it
    thresholds: list[Row]  # one an enclosure: its evidence (R13)
    figures: list[Figures]
    listeners: list[Heard]
    stories: list[Story] = field(default_factory=list)
    lists: list[Row] = field(default_factory=list)  # columns of schema.RULES: the lists that judged


def explain(
    question: Question, settings: Settings, progress: Callable[[str], None] = lambda step: None
) -> Explanation:
    """Answer `question` from the lake. Raises NothingToExplain, LakeFormatError, DbtFailed."""
    lake = existing_lake(settings)
    kept = lake.first_kept_day()
    if kept and question.day < kept:
        raise NothingToExplain(
            f"requests before {kept} were removed for their age (keep_days); their figures stay in the marts"
        )
    episode = find_episode(question, settings, lake)
    with warehouse_of(episode.enclosure_keys, settings, lake, progress) as (con, lines):
        scope = Scope(episode.episode_key, question.day, question.source_class)
        listener = the_listener(con, scope, question.listener) if question.listener else None
        told = stories(con, scope, listener) if listener is not None else []
        found = figures(con, scope)
        return Explanation(
            episode,
            question.day,
            settings.time_zone,
            settings.window,
            lines,
            days_heard(con, scope),
            thresholds(con, episode),
            found,
            heard(con, scope),
            told,
            lists_behind(lake, {row["rules_version"] for one in found for row in one.not_counted}),
        )


def existing_lake(settings: Settings) -> Lake:
    """The lake of this installation; unlike Lake() it makes none. Raises NothingToExplain."""
    if not any((settings.lake_dir / name).exists() for name in ("FORMAT", checksums.FOLDER)):
        raise NothingToExplain(f"there is no lake at {settings.lake_dir}: EARSHOT_DATA names the data folder")
    return Lake(settings.lake_dir)


@contextmanager
def warehouse_of(
    enclosure_keys: Sequence[int],
    settings: Settings,
    lake: Lake,
    progress: Callable[[str], None] = lambda step: None,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
    """A temporary warehouse in which the models counted these enclosures, and how many lines they have."""
    with folder_aside("earshot-explain-") as folder:
        mine = settings.model_copy(update={"data": folder, "landing": None})
        progress("reading")
        with reading_lake(lake.root):
            lines = excerpt(lake, enclosure_keys, Lake(mine.lake_dir))
        progress("counting")
        run_dbt(mine, ["run", "--vars", f"{{explain: {MOST}}}", "--select", MODELS])
        with reading(mine.warehouse) as con:
            yield con, lines


def find_episode(question: Question, settings: Settings, lake: Lake) -> Episode:
    """The episode meant: by its id, else by an enclosure's URL. Raises NothingToExplain."""
    catalog = pl.read_parquet(lake.episodes_path)
    if question.show is not None:
        catalog = catalog.filter(pl.col("show_id") == question.show)
        if catalog.is_empty():
            raise NothingToExplain(f"the catalogue has no show {question.show!r}")
    found = catalog.filter(pl.col("episode_id") == question.episode)
    url = canonical_url(question.episode, prefixes_in_force(settings))
    if found.is_empty():
        key = catalog.filter(pl.col("enclosure_url") == url).select("show_id", "episode_id")
        found = catalog.join(key, on=["show_id", "episode_id"], how="semi")
    shows = found["show_id"].unique().sort().to_list()
    if len(shows) > 1:
        named = ", ".join(shows)
        raise NothingToExplain(
            f"several shows have an episode {question.episode!r}: choose one with --show: {named}"
        )
    if shows:
        first = found.sort("enclosure_url").row(0, named=True)
        return Episode(
            first["episode_key"],
            first["episode_id"],
            first["show_id"],
            first["episode_title"],
            first["show_title"],
            tuple(found["enclosure_key"].sort()),
        )
    if question.show is None and "/" in question.episode:
        # An enclosure the catalogue does not know is an episode of its own.
        return Episode(enclosure_key(url), url, None, None, None, (enclosure_key(url),))
    alike = difflib.get_close_matches(question.episode, catalog["episode_id"].unique().to_list(), 3)
    hint = f"; alike are {', '.join(alike)}" if alike else ""
    raise NothingToExplain(
        f"the catalogue has no episode {question.episode!r}"
        f"{f' of show {question.show!r}' if question.show else ''}{hint}"
    )


def the_listener(con: duckdb.DuckDBPyConnection, scope: Scope, digits: str) -> int:
    """The listener meant. Raises NothingToExplain unless the digits fit one who was there on the day."""
    keys = listeners_like(con, scope, digits)
    if not keys:
        raise NothingToExplain(
            f"no listener of this episode on {scope.day} has a key that begins with {digits!r}"
        )
    if len(keys) > 1:
        some = ", ".join(map(str, keys[:5])) + (f" and {len(keys) - 5:,} more" if len(keys) > 5 else "")
        raise NothingToExplain(f"{len(keys):,} listeners have a key that begins with {digits!r}: {some}")
    days = days_heard(con, scope, keys[0])
    if scope.day not in days:
        raise NothingToExplain(
            f"listener {keys[0]} did not ask for this episode on {scope.day}, but on "
            f"{', '.join(map(str, days[:10]))}{' …' if len(days) > 10 else ''}"
        )
    return keys[0]


def thresholds(con: duckdb.DuckDBPyConnection, episode: Episode) -> list[Row]:
    """What one minute of the episode is, and on what that rests: a row an enclosure of the catalogue."""
    return rows_of(
        con,
        """
        select
            enclosures.enclosure_url, enclosures.threshold_bytes, enclosures.threshold_source,
            enclosures.file_bytes, catalog.file_bytes as catalog_file_bytes, catalog.duration_s,
            enclosures.header_bytes, catalog.id3_bytes as catalog_id3_bytes
        from intermediate.int_enclosures as enclosures
        inner join intermediate.int_catalog_enclosures as catalog using (enclosure_key)
        where enclosures.episode_key = $episode
        order by enclosures.enclosure_url
        """,
        {"episode": episode.episode_key},
    )


def lists_behind(lake: Lake, versions: set[str | None]) -> list[Row]:
    """The lists behind each rules version, columns of schema.RULES."""
    paths = [lake.root / "rules" / f"{version}.parquet" for version in sorted(filter(None, versions))]
    rows = [row for path in paths if path.is_file() for row in pl.read_parquet(path).to_dicts()]
    return [{name: row[name] for name in RULES} for row in rows]
