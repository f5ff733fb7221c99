"""Who looks at what: the show, the source class and the days of a page, and what of it may be told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Protocol

Row = dict[str, Any]

FEWEST = 10  # listeners of a cell that a stranger may read (DESIGN §2, privacy)
SPANS = (28, 90, 365)  # days that a page may show
SUBJECTS = ("downloads", "audience", "pacing", "collaborations")


class Marts(Protocol):
    """One published version, as serving/api/marts.py opens it."""

    def rows(self, sql: str, parameters: dict[str, object] = ..., /) -> list[Row]: ...


class Asks:
    """Asks a published version; of the values given a query gets those it names, since more are an error."""

    def __init__(self, marts: Marts) -> None:
        self._marts = marts

    def rows(self, sql: str, given: Mapping[str, Any]) -> list[Row]:
        named = set(_NAMED.findall(sql))
        return list(self._marts.rows(sql, {name: value for name, value in given.items() if name in named}))


_NAMED = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Sight:
    """One look at a show: which figures, of which days, for whom."""

    show_id: str
    source_class: str
    classes: tuple[str, ...]  # that have counted something of the show
    first: date
    last: date  # the last date that is over
    is_owner: bool
    subjects: frozenset[str] = frozenset(SUBJECTS)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Sight:
        """As many days before."""
        return replace(self, first=self.first - timedelta(self.days), last=self.first - timedelta(1))

    @property
    def params(self) -> Row:
        return {"show": self.show_id, "class": self.source_class, "first": self.first, "last": self.last}

    def may_tell(self, listeners: float | None) -> bool:
        """Whether a figure that rests on so many listeners may be read."""
        return self.is_owner or (listeners or 0) >= FEWEST

    def few_together(self, rows: Sequence[Row], others: str) -> list[Row]:
        """Rows of a breakdown, largest first; for strangers those of few listeners are one row.

        At least two are put together, so that none can be told from the whole. Listeners are not summed.
        """
        if self.is_owner or all(row["listeners"] >= FEWEST for row in rows):
            return list(rows)
        kept = [row for row in rows if row["listeners"] >= FEWEST]
        few = [row for row in rows if row["listeners"] < FEWEST]
        if len(few) == 1 and kept:
            few.append(kept.pop())
        together = {"value": others, "downloads": sum(row["downloads"] for row in few), "listeners": None}
        return [*kept, together] if together["downloads"] >= FEWEST else kept


_CLASSES = """
    select source_class, sum(downloads) filter (date > ended - 90) as downloads, min(date) as first,
        max(date) as last
    from (
        select *, max(date) over () as ended
        from fct_show_daily
        where show_id = $show
    )
    group by source_class
    order by downloads desc nulls last, source_class desc
"""
_LAST_WHOLE_DAY = """
    select max(period_end) as last
    from fct_show_listeners
    where show_id = $show and source_class = $class and period = 'day' and is_complete
"""


def sight(
    asks: Asks,
    show_id: str,
    days: int,
    source_class: str | None,
    is_owner: bool,
    subjects: frozenset[str],
) -> Sight | None:
    """The look that was asked for; None where nothing was ever counted of the show.

    source_class: by default the one with most downloads lately. The days end with the last that is over, and
    begin no earlier than the data.
    """
    found = asks.rows(_CLASSES, {"show": show_id})
    if not found:
        return None
    chosen = next((row for row in found if row["source_class"] == source_class), found[0])
    one = {"show": show_id, "class": chosen["source_class"]}
    [whole] = asks.rows(_LAST_WHOLE_DAY, one)
    last = whole["last"] or chosen["last"]
    first = max(last - timedelta(days - 1), min(chosen["first"], last))
    return Sight(
        show_id,
        chosen["source_class"],
        tuple(sorted(row["source_class"] for row in found)),
        first,
        last,
        is_owner,
        subjects,
    )
