"""Episodes of a show with what they have got, and the largest of them in a range of dates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from serving.reports.asking import Asks, BadQuestion, Query, Report, first_rows, hidden_last
from serving.reports.downloads import about_range
from serving.reports.periods import FIRST_DATE, LAST_DATE, Range, range_of
from serving.reports.shows import Scope
from serving.reports.suppression import COLUMN, LEAST, cover
from serving.reports.told import Told

Row = dict[str, Any]

MOST = 1001  # a page of the API, and one to know whether there is a next one
_TEXTS: dict[str, Any] = {
    "episode_id": pl.String,
    "episode_title": pl.String,
    "published_at": pl.Datetime("us"),
}


def episodes(scope: Scope, most: int = 100, offset: int = 0, with_urls: bool = True) -> Report:
    """Rows: the show's episodes, the newest first, with their downloads so far. Two queries.

    Columns: episode_id, episode_title, published_at, duration_s, enclosure_url, is_removed, downloads,
    first_date, last_date. The enclosure_url is for owners. most, offset: which page of them.
    with_urls: the reader may be told addresses of files.
    """
    scope.check_outside()
    has_url = with_urls and not scope.outside
    url = "enclosure_url," if has_url else ""
    sql = f"""
        select episode_key, episode_id, episode_title, published_at, duration_s, {url}
            removed_at is not null as is_removed
        from dim_episodes
        where show_id = $show and is_in_catalog
        order by published_at desc nulls last, episode_key desc
        {"" if scope.outside else "limit $most offset $offset"}
    """
    most = min(most, MOST)

    def counted(rows: list[Row], asks: Asks) -> list[Row]:
        of = _downloads(scope, asks)
        _hide(list(of.values()), scope, asks)
        # An order in the query is one of the answer, too.
        return [_with(row, of.get(row.pop("episode_key")), scope.outside) for row in rows]

    return Report(
        Query.of(sql, scope.params, {"most": most, "offset": offset}),
        scope.about(scope.rule),
        scope.outside,
        ("downloads", "first_date", "last_date"),
        (),
        finish=counted,
        # What is hidden is not to depend on the page.
        keeps=(lambda rows: [offset <= index < offset + most for index in range(len(rows))])
        if scope.outside
        else None,
        schema={
            **_TEXTS,
            "duration_s": pl.Float64,
            **({"enclosure_url": pl.String} if has_url else {}),
            "is_removed": pl.Boolean,
            "downloads": pl.Int64,
            "first_date": pl.Date,
            "last_date": pl.Date,
        },
    )


def _downloads(scope: Scope, asks: Asks) -> dict[int, Row]:
    """All downloads of the show's episodes, by their keys: to choose some would cost more."""
    least = f", max(listeners) as {COLUMN}" if scope.outside else ""
    sql = f"""
        select episode_key, cast(sum({scope.measure}) as bigint) as downloads, min(date) as first_date,
            max(date) as last_date {least}
        from fct_episode_daily
        where show_id = $show and source_class = $class
        group by episode_key
    """
    return {row.pop("episode_key"): row for row in asks.rows(sql, scope.params)}


def _hide(rows: Sequence[Row], scope: Scope, asks: Asks) -> None:
    """Of the downloads of all episodes so far, those that outsiders are not told: one sum knows them, that of
    the show."""
    if not scope.outside:
        return
    small = [(row[COLUMN] or 0) < LEAST for row in rows]
    is_covered = cover(range(len(rows)), [row["downloads"] for row in rows], small)
    is_told = is_covered and Told.of(asks, scope.params).is_all
    for row, is_small in zip(rows, small, strict=True):
        row[COLUMN] = 0 if is_small or not is_told else LEAST


def _with(row: Row, counts: Row | None, outside: bool) -> Row:
    if counts is None:
        counts = {"downloads": 0, "first_date": None, "last_date": None} | ({COLUMN: 0} if outside else {})
    return row | counts


def top_episodes(scope: Scope, first: date | None = None, last: date | None = None, most: int = 10) -> Report:
    """Rows: rank, episode_id, episode_title, published_at, downloads in the range, share of the show's.

    Two queries. Those who do not own the show are told all so far, as in `episodes`. Raises BadQuestion.
    """
    scope.check_outside()
    if scope.outside:
        for name, given in (("from", first), ("to", last)):
            if given is not None:
                raise BadQuestion(
                    name, "episodes of a show that is not yours are ranked by all so far: leave it out"
                )
        begins, ends = scope.ends or (LAST_DATE, FIRST_DATE)
        dates = Range(begins, ends, begins, ends)
    else:
        dates = range_of(None, first, last, scope.ends)
    sql = f"""
        select episode_key, episode_id, cast(sum({scope.measure}) as bigint) as downloads
            {f", max(listeners) as {COLUMN}" if scope.outside else ""}
        from fct_episode_daily
        where show_id = $show and source_class = $class and date between $first and $last
        group by episode_key, episode_id
    """

    def ranked(rows: list[Row], asks: Asks) -> list[Row]:
        _hide(rows, scope, asks)
        total = sum(row["downloads"] for row in rows)
        largest = sorted(rows, key=lambda row: (-row["downloads"], row["episode_id"]))
        told = largest if scope.outside else largest[: min(most, MOST)]
        named = titles(scope, asks, [row["episode_key"] for row in told])
        found: list[Row] = []
        for place, row in enumerate(largest, 1):
            if not row["downloads"]:
                break
            title, published_at = named.get(row["episode_key"], (None, None))
            is_equal = bool(found) and found[-1]["downloads"] == row["downloads"]
            found.append(
                {
                    "rank": found[-1]["rank"] if is_equal else place,
                    "episode_id": row["episode_id"],
                    "episode_title": title,
                    "published_at": published_at,
                    "downloads": row["downloads"],
                    "share": round(row["downloads"] / total, 6),
                    **({COLUMN: row[COLUMN]} if scope.outside else {}),
                }
            )
        return found

    return Report(
        Query.of(sql, scope.params, dates.params),
        about_range(scope, dates, scope.basis.time_zone),
        scope.outside,
        ("downloads", "share"),
        (),
        settled=hidden_last("downloads", "episode_id"),
        finish=ranked,
        schema={"rank": pl.Int64, **_TEXTS, "downloads": pl.Int64, "share": pl.Float64},
        keeps=first_rows(min(most, MOST)),
    )


def titles(scope: Scope, asks: Asks, keys: Iterable[int]) -> dict[int, tuple[str | None, datetime | None]]:
    """Title and publication of these episodes, by their keys."""
    wanted = list(keys)
    if not wanted:
        return {}
    # No `in`, which would be planned as a join; and one text for all keys, which is parsed once.
    sql = (
        "select episode_key, episode_title, published_at from dim_episodes"
        " where show_id = $show and list_contains(cast($keys as bigint[]), episode_key)"
    )
    found = asks.rows(sql, {"show": scope.show.show_id, "keys": wanted})
    return {row["episode_key"]: (row["episode_title"], row["published_at"]) for row in found}
