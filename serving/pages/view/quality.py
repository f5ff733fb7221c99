"""Why requests are not counted, and whether two sources of a show agree."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.schema import SourceClass
from serving.pages.view.parts import EXCLUSION, TWO_SOURCES, Cell, Section, Table, columns
from serving.pages.view.sight import Row, Sight, days_of, tells
from serving.pages.view.words import count, day, percent, span, window_words
from serving.reports.asking import Asks
from serving.reports.exclusions import exclusions as report
from serving.reports.reconciliation import reconciliation as both

_REASONS = {  # reason: title, and what it means to a podcaster
    "method": ("Not a download request", "it asked about the file, not for it"),
    "status": ("Nothing was delivered", "the server answered with an error, or that nothing had changed"),
    "not_media": ("Not the audio", "a picture, a page, the feed or a playlist"),
    "probe": (
        "A look at the first two bytes",
        "a player asks whether the file is there before it fetches it",
    ),
    "watch_duplicate": ("A watch repeating its phone", "the same listener's phone has fetched it already"),
    "bot": ("Bots", "a known robot, or a program that calls itself one"),
    "bot_library": ("Automated software", "a tool for programs, not an app for listeners"),
    "no_agent": ("No name given", "the request does not say which app or program sent it"),
    "datacenter": ("From a data centre", "listeners do not live there; apps that come through a VPN count"),
    "bogus_referrer": (
        "Sent by a page that no listener comes from",
        "the page is on a list of false referrers",
    ),
    "excluded_address": ("An excluded address", "on the list of addresses that are left out here"),
    "before_publication": ("Before publication", "earlier than the episode came out"),
    "below_threshold": ("Less than a minute", "so little was delivered that nobody heard a minute of it"),
    "duplicate": ("Part of a download that counts already", "players fetch an episode in pieces, and again"),
    "redelivered_line": ("A log line that came twice", "the log was delivered again: no second request"),
}
_CAUSES = {  # of fct_show_reconciliation_daily, as a podcaster would say it
    "agrees": "they agree",
    "too_few": "both are under 20: chance",
    "late_files": "the smaller one seems to lack log files that are still to come",
    "missing_prefix": "the prefix saw nothing: it was not in the feed's links on that day",
    "missing_server_log": "the server logs have nothing: files are missing, or another host delivered",
    "below_threshold": "mostly requests that fetched less than a minute, which the prefix cannot see",
    "first_two": "mostly players that asked the prefix for two bytes only: it does not see the rest",
    "bots": "mostly bots, which one of the two left out more often",
    "unexplained": "none of the known causes explains it",
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
                        _reason(row)[0],
                        bar=row["requests"] / left_out,
                        note=_reason(row)[1],
                    ),
                    Cell(str(row["rule"]).replace("ours", "our own"), href=EXCLUSION.href),
                    Cell(count(row["requests"])),
                    Cell(percent(row["share"])),
                )
                for row in rows
            ],
        ),
        is_folded=False,
    )


def _reason(row: Row) -> tuple[str, str]:
    title, words = _REASONS.get(row["reason"], (row["reason"], row["words"]))
    return str(title), str(words)


def reconciliation(asks: Asks, sight: Sight) -> Section | None:
    """Prefix and server logs of one show beside each other; None where only one saw it."""
    if len(sight.classes) < 2 or not sight.is_owner:
        return None
    rows = [
        row for row in both(sight.published.scope, sight.first, sight.last).rows(asks) if row["is_complete"]
    ]
    if not rows:
        return None
    apart = [row for row in rows if not row["is_within_tolerance"]]
    prefix = sum(row["prefix_downloads"] for row in rows)
    logs = sum(row["server_log_downloads"] for row in rows)
    return Section(
        "two-sources",
        "The prefix beside the server logs",
        TWO_SOURCES,
        notes=under_published(sight),
        lead=(
            "This show is seen twice: the prefix in its feed's links sees each request, the server logs see "
            f"what was delivered. {_when(rows)}, the prefix counts {count(prefix)} downloads, the server "
            f"logs {count(logs)}. They count the same listening: never add them. "
            + _agreeing(len(rows) - len(apart), len(rows))
        ),
        table=Table(
            "By day, the newest first",
            columns("Day", "Prefix#", "Server logs#", "Difference#", "Likely reason…"),
            [
                (
                    Cell(day(row["date"])),
                    Cell(count(row["prefix_downloads"])),
                    Cell(count(row["server_log_downloads"])),
                    Cell(percent(row["difference_share"])),
                    Cell(_CAUSES.get(row["likely_cause"], str(row["words"]))),
                )
                for row in reversed(rows)
            ],
        ),
    )


def _when(rows: Sequence[Row]) -> str:
    first, last = rows[0]["date"], rows[-1]["date"]
    return f"On {day(first)}" if first == last else f"From {span(first, last)}"


def _agreeing(days: int, of: int) -> str:
    if days in (0, of):
        return "They agree on every day." if days else "They agree on no day."
    return f"They agree on {count(days)} of {count(of)} days."


def under_published(sight: Sight, what: str = "These figures") -> tuple[str, ...]:
    """What is said beside figures that there are under the published window only, where it is not shown."""
    if sight.is_published:
        return ()
    words = window_words(sight.scope.basis.window)
    return (f"{what} are counted {words} only, as published.",)


def basis(sight: Sight) -> str:
    """The sentence under a page's title that says what all of it rests on."""
    is_log = sight.scope.source_class is SourceClass.SERVER_LOG
    seen = "see what was delivered" if is_log else "sees requests, not what was delivered"
    kind = "server logs" if is_log else "the prefix in the feed's links"
    zone = sight.scope.basis.time_zone
    which = window_words(sight.scope.window) + (
        "" if sight.is_published else ", an alternative to what is published"
    )
    return (
        f"Counted from {kind}, which {seen}; a listener's downloads of an episode count {which}; "
        f"days begin at 00:00 {zone}"
    )
