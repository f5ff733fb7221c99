"""Where a prefix and the host's log see the same show: both counts, their difference, its likely cause."""

from __future__ import annotations

from datetime import date

from serving.reports.asking import Query, Report
from serving.reports.downloads import about_range
from serving.reports.periods import By, range_of
from serving.reports.rules import RECONCILIATION
from serving.reports.shows import Scope

CAUSES = {  # likely_cause of fct_reconciliation_daily, in words
    "agrees": "the two agree within the tolerance",
    "too_few": "both are under 20: chance",
    "late_files": "files of the smaller class seem to be missing still",
    "missing_prefix": "the prefix has no request: it is not in the feed, or was not on that day",
    "missing_server_log": "the host's log has no request: its files are missing, or another host served it",
    "below_threshold": "half of the difference is windows of less than a minute at the host",
    "first_two": "half of the difference is prefix downloads of bytes 0-1 alone: it does not see the rest",
    "bots": "the smaller class left out more as not human, by half of the difference or more",
    "unexplained": "none of the known causes explains it",
}
_WORDS = ", ".join(
    "({})".format(", ".join("'" + one.replace("'", "''") + "'" for one in pair)) for pair in CAUSES.items()
)


def reconciliation(
    scope: Scope, first: date | None = None, last: date | None = None, by_episode: bool = False
) -> Report:
    """Rows by date (by_episode: and episode, those out of tolerance first).

    Columns: date, prefix_downloads, server_log_downloads, difference, difference_share,
    unaccounted_downloads, is_within_tolerance, likely_cause, words, is_complete; none where only one
    class sees the show.
    Raises BadQuestion.
    """
    scope.only_published("both classes")
    dates = range_of(By.DAY, first, last, scope.ends)
    mart = "fct_reconciliation_daily" if by_episode else "fct_show_reconciliation_daily"
    sql = f"""
        select r.date, {"e.episode_id, e.episode_title," if by_episode else ""}
            r.prefix_downloads, r.server_log_downloads, r.difference, r.difference_share,
            r.unaccounted_downloads, r.is_within_tolerance, r.likely_cause,
            coalesce(w.words, r.likely_cause) as words, r.is_complete
        from (from {mart} where show_id = $show and date between $first and $last) as r
        {_EPISODES if by_episode else ""}
        left join (values {_WORDS}) as w(cause, words) on r.likely_cause = w.cause
        order by r.date {", r.is_within_tolerance, e.episode_id limit 5000" if by_episode else ""}
    """
    return Report(
        Query.of(sql, {"show": scope.show.show_id}, dates.params),
        about_range(scope, dates, scope.basis.time_zone)
        | {"rule": RECONCILIATION.about, "source_class": None, "notes": []},
    )


_EPISODES = "left join (from dim_episodes where show_id = $show) as e on r.episode_key = e.episode_key"
