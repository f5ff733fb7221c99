"""What the published marts of a data folder hold of collaborations, and what they would need to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from earshot.pipeline import reading
from earshot.published import Published
from orchestration.constants import QUIET_S, WHOLE_INTERVAL_S
from serving.attribution import marts
from serving.attribution.marts import LIFT, MARTS, NEWER, POOLED, NoAttribution, Rows
from serving.reports.asking import Asks, OverConnection

Row = dict[str, Any]

WHOLE_BUILD = (  # when there is one
    f"every {WHOLE_INTERVAL_S // 60} minutes, or after {QUIET_S // 60} minutes without news; by hand the job "
    "`marts` in Dagster"
)


def lifts(published: Published) -> list[Row]:
    """One row a collaboration, the newest first. Raises NoAttribution."""
    with _checked(published, {LIFT: MARTS[LIFT]}) as (asks, lacking):
        return marts.lifts(asks, lacking=lacking)


def rows_of(published: Published, collaboration_id: int) -> Rows | None:
    """All of one collaboration; None: the marts do not have it. Raises NoAttribution."""
    with _checked(published, MARTS) as (asks, lacking):
        return marts.rows_of(asks, collaboration_id, lacking)


def pooled(published: Published, mart: str, column: str) -> list[Row]:
    """The rows of a mart of collaborations together by show and `column`. Raises NoAttribution."""
    with _checked(published, {mart: (*POOLED, column)}) as (asks, lacking):
        return marts.pooled(asks, mart, column, lacking=lacking)


@contextlib.contextmanager
def _checked(
    published: Published, needed: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Asks, frozenset[str]]]:
    """The marts, and which of their newer columns they lack. Raises NoAttribution: one that is needed."""
    with reading(published.database) as con:
        there: dict[str, set[str]] = {}
        for mart, column in con.execute("select table_name, column_name from duckdb_columns()").fetchall():
            there.setdefault(mart, set()).add(column)
        _check(there, published, needed)
        lacking = {name for mart in needed for name in NEWER.get(mart, ()) if name not in there[mart]}
        yield OverConnection(con), frozenset(lacking)


def _check(there: Mapping[str, set[str]], published: Published, needed: Mapping[str, Sequence[str]]) -> None:
    """needed: marts, each with the columns that it must have. Raises NoAttribution."""
    missing = [mart for mart in needed if mart not in there]
    if missing:
        raise NoAttribution(
            f"the marts (version {published.version} of {published.made_at}) have no {', '.join(missing)}: "
            "they were built by an older Earshot, or not yet whole. A whole build makes them "
            f"({WHOLE_BUILD})"
        )
    for mart, columns in needed.items():
        if lacking := [name for name in columns if name not in there[mart]]:
            raise NoAttribution(
                f"{mart} in version {published.version} of the marts has no {', '.join(lacking)}: it was "
                f"built by another version of Earshot. A whole build mends that ({WHOLE_BUILD})"
            )
