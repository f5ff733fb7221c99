"""Listeners of a show or an episode, new and returning, by period: distinct within each, never summed."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from serving.reports.asking import Query, Report
from serving.reports.downloads import Episode
from serving.reports.periods import By, label, range_of
from serving.reports.rules import LISTENERS
from serving.reports.shows import Scope


class Period(StrEnum):
    """Within what listeners are distinct; a trailing one ends with each date."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TRAILING_7 = "trailing_7"
    TRAILING_28 = "trailing_28"


def listeners(
    scope: Scope,
    period: Period = Period.WEEK,
    first: date | None = None,
    last: date | None = None,
    episode: Episode | None = None,
    with_new: bool = True,
) -> Report:
    """Rows: period, period_start, period_end, listeners, new_listeners, returning_listeners,
    uncomparable_listeners, is_complete. Those that touch the range; of trailing ones that end in it.

    with_new: with new_listeners and returning_listeners. Dates are the marts'. Raises BadQuestion.
    """
    scope.only_published("listeners")
    by = By.DAY if period.startswith("trailing") else By(period)
    dates = range_of(by, first, last, scope.ends, since=episode.since if episode else None)
    trails = period.startswith("trailing")
    at = "period_end" if trails else "period_start"
    touches = (
        "period_end between $first and $last" if trails else "period_start <= $last and period_end >= $first"
    )
    sql = f"""
        select {label(by, at)} as period, period_start, period_end, listeners,
            {"new_listeners, returning_listeners," if with_new else ""} uncomparable_listeners, is_complete
            {", listeners as least_listeners" if scope.outside else ""}
        from {"fct_episode_listeners" if episode else "fct_show_listeners"}
        where show_id = $show and source_class = $class and {touches}
            and period = $period {"and episode_key = $episode" if episode else ""}
        order by {at}
    """
    params = {"period": str(period), "episode": episode.episode_key if episode else None}
    return Report(
        Query.of(sql, scope.params, dates.params, params),
        scope.about(
            LISTENERS,
            **{"from": dates.first, "to": dates.last},
            period=period,
            **(episode.about if episode else {}),
        ),
        scope.outside,
        ("listeners", "new_listeners", "returning_listeners", "uncomparable_listeners"),
        # They are no sums of each other, so nothing can be worked out.
        (),
    )
