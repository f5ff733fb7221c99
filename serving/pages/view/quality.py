"""Why requests are not counted, and whether two sources of a show agree."""

from __future__ import annotations

from ingest.schema import SourceClass
from serving.pages.view.parts import EXCLUSION, TWO_SOURCES, Cell, Section, Table, columns
from serving.pages.view.sight import Sight, days_of, tells
from serving.pages.view.words import count, day, percent, source_words, span
from serving.reports.asking import Asks
from serving.reports.exclusions import exclusions as report
from serving.reports.reconciliation import reconciliation as both

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


def exclusions(asks: Asks, sight: Sight) -> Section:
    """Requests of the days shown that are no download, each with the first rule that applied."""
    dates = days_of(sight)
    found = report(sight.scope, None, *dates).rows(asks)
    counted = sum(row["requests"] for row in found if not row["is_excluded"] and tells(row))
    rows = [row for row in found if row["is_excluded"] and tells(row)]
    title = "Why not counted"
    if not rows:
        nothing = "Of these days no request was left out"
        nothing += "." if sight.is_owner else ", or too few listeners are behind them to tell."
        return Section("exclusions", title, EXCLUSION, nothing=nothing)
    left_out = sum(row["requests"] for row in rows)
    total = left_out + counted
    again = next((row["requests"] for row in rows if row["reason"] == "duplicate"), 0)
    return Section(
        "exclusions",
        title,
        EXCLUSION,
        lead=(
            f"{span(*dates)}: of {count(total)} log lines {count(counted)} count as a "
            f"download. {count(again)} more belong to one that counts: players fetch an episode in parts. "
            "The rest is left out, each line for the first reason that applies."
        ),
        table=Table(
            "Requests left out, by reason",
            columns("Reason", "Rule", "Requests#", "Share#"),
            [
                (
                    Cell(
                        _TITLES.get(row["reason"], str(row["reason"])),
                        bar=row["requests"] / left_out,
                        note=row["words"].replace("`", ""),
                    ),
                    Cell(row["rule"], href=EXCLUSION.href),
                    Cell(count(row["requests"])),
                    Cell(percent(row["share"])),
                )
                for row in rows
            ],
        ),
        is_folded=False,
    )


def reconciliation(asks: Asks, sight: Sight) -> Section | None:
    """Prefix and server logs of one show beside each other; None where only one saw it."""
    if len(sight.classes) < 2 or not sight.is_owner:
        return None
    rows = [row for row in both(sight.scope, sight.first, sight.last).rows(asks) if row["is_complete"]]
    if not rows:
        return None
    apart = [row for row in rows if not row["is_within_tolerance"]]
    prefix = sum(row["prefix_downloads"] for row in rows)
    logs = sum(row["server_log_downloads"] for row in rows)
    return Section(
        "two-sources",
        "Prefix against server logs",
        TWO_SOURCES,
        lead=(
            f"Both saw this show: the prefix counts {count(prefix)} downloads, the server logs "
            f"{count(logs)}. They are alternatives, never to be added. On {count(len(rows) - len(apart))} of "
            f"{count(len(rows))} days they agree."
        ),
        table=Table(
            "By day, the newest first",
            columns("Day", "Prefix#", "Server logs#", "Difference#", "Likely cause…"),
            [
                (
                    Cell(day(row["date"])),
                    Cell(count(row["prefix_downloads"])),
                    Cell(count(row["server_log_downloads"])),
                    Cell(percent(row["difference_share"])),
                    Cell(row["words"]),
                )
                for row in reversed(rows)
            ],
        ),
    )


def basis(sight: Sight) -> str:
    """The sentence under a page's title that says what all of it rests on."""
    is_log = sight.scope.source_class is SourceClass.SERVER_LOG
    seen = "bytes delivered" if is_log else "requests, not what was delivered"
    kind = source_words(sight.scope.source_class)
    zone = sight.scope.basis.time_zone
    return f"Counted from {kind}, which see{'' if is_log else 's'} {seen}; days begin at 00:00 {zone}"
