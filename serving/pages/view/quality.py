"""Why requests are not counted, and whether two sources of a show agree."""

from __future__ import annotations

from serving.pages.view.parts import DOWNLOAD, EXCLUSION, TWO_SOURCES, Cell, Section, Table, columns
from serving.pages.view.sight import Asks, Sight
from serving.pages.view.words import count, day, percent, source_words, span
from serving.reasons import REASONS

_TITLES = {
    "method": "Not a download request",
    "status": "Nothing was delivered",
    "not_media": "Not the audio",
    "probe": "A look at the first two bytes",
    "watch_duplicate": "A watch repeating its phone",
    "bot": "Bots",
    "bot_library": "Automated software",
    "no_agent": "No user agent",
    "datacenter": "From a data centre",
    "bogus_referrer": "A referrer no listener comes from",
    "excluded_address": "An excluded address",
    "before_publication": "Before publication",
    "below_threshold": "Less than a minute",
    "duplicate": "Part of a download that counts already",
    "redelivered_line": "A log line that came twice",
}
_EXCLUDED = """
    select reason, sum(requests) as requests
    from fct_exclusions_daily
    where show_id = $show and source_class = $class and date between $first and $last
    group by reason
    having sum(requests) > 0
    order by requests desc, reason
"""
_COUNTED = """
    select coalesce(sum(downloads), 0) as downloads
    from fct_show_daily
    where show_id = $show and source_class = $class and date between $first and $last
"""
_RECONCILED = """
    select date, prefix_downloads, server_log_downloads, difference_share, is_within_tolerance, likely_cause
    from fct_show_reconciliation_daily
    where show_id = $show and date between $first and $last and is_complete
    order by date desc
"""
_CAUSES = {
    "agrees": "they agree",
    "too_few": "too few to tell from chance",
    "late_files": "files of one side seem to be missing",
    "missing_prefix": "nothing came from the prefix",
    "missing_server_log": "nothing came from the server logs",
    "below_threshold": "the prefix cannot see that less than a minute was delivered",
    "first_two": "requests for two bytes, which only the prefix counts",
    "bots": "one side left out more bots",
    "unexplained": "not explained",
}


def exclusions(asks: Asks, sight: Sight) -> Section:
    """Requests of the days shown that are no download, each with the first rule that applied."""
    found = asks.rows(_EXCLUDED, sight.params)
    [counted] = asks.rows(_COUNTED, sight.params)
    rows = [row for row in found if sight.may_tell(row["requests"])]
    title = "Why not counted"
    if not rows:
        return Section("exclusions", title, EXCLUSION, nothing="Every request of these days counted.")
    left_out = sum(row["requests"] for row in rows)
    total = left_out + counted["downloads"]
    again = next((row["requests"] for row in rows if row["reason"] == "duplicate"), 0)
    return Section(
        "exclusions",
        title,
        EXCLUSION,
        lead=(
            f"{span(sight.first, sight.last)}: of {count(total)} log lines {count(counted['downloads'])} are a "
            f"download. {count(again)} more belong to one of these: players fetch an episode in parts. The "
            "rest is left out for the first of these reasons that applies."
        ),
        table=Table(
            "Requests left out, by reason",
            columns("Reason", "Rule", "Requests#", "Share#"),
            [
                (
                    Cell(
                        _TITLES.get(row["reason"], row["reason"]),
                        bar=row["requests"] / left_out,
                        note=REASONS[row["reason"]].words.replace("`", "") if row["reason"] in REASONS else None,
                    ),
                    Cell(
                        REASONS[row["reason"]].rule if row["reason"] in REASONS else "–",
                        href=EXCLUSION.href,
                    ),
                    Cell(count(row["requests"])),
                    Cell(percent(row["requests"] / total)),
                )
                for row in rows
            ],
        ),
        is_folded=False,
    )


def reconciliation(asks: Asks, sight: Sight) -> Section | None:
    """Prefix and server logs of one show beside each other; None where only one saw it."""
    rows = asks.rows(_RECONCILED, sight.params)
    if len(sight.classes) < 2 or not rows:
        return None
    apart = [row for row in rows if not row["is_within_tolerance"]]
    prefix = sum(row["prefix_downloads"] for row in rows)
    logs = sum(row["server_log_downloads"] for row in rows)
    return Section(
        "two-sources",
        "Prefix against server logs",
        TWO_SOURCES,
        lead=(
            f"Both saw this show: the prefix counts {count(prefix)} downloads, the server logs {count(logs)}. "
            f"They are alternatives, never to be added. On {count(len(rows) - len(apart))} of {count(len(rows))} "
            "days they agree."
        ),
        table=Table(
            "By day, the newest first",
            columns("Day", "Prefix#", "Server logs#", "Difference#", "Likely cause"),
            [
                (
                    Cell(day(row["date"])),
                    Cell(count(row["prefix_downloads"])),
                    Cell(count(row["server_log_downloads"])),
                    Cell(percent(row["difference_share"])),
                    Cell(_CAUSES.get(row["likely_cause"], row["likely_cause"])),
                )
                for row in rows
            ],
        ),
    )


def basis(sight: Sight) -> str:
    """The sentence under a page's title that says what all of it rests on."""
    seen = "bytes delivered" if sight.source_class == "server_log" else "requests, not what was delivered"
    return f"counted from {source_words(sight.source_class)}, which see {seen}; days begin at 00:00 UTC"


__all__ = ["DOWNLOAD", "basis", "exclusions", "reconciliation"]
