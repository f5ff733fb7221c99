"""What is known of one tracked podcast, in words for people: from its registry row and its crawl state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest.feeds.moves import MOVE_OVER_US, MOVE_TIMES
from ingest.feeds.schema import Record, Tier, shard_of
from registry.findings import Finding
from registry.podcasts import Podcast
from registry.tables import PodcastState

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))  # seconds


@dataclass(frozen=True)
class PodcastStatus:
    """One podcast; `explanation` says in one line when it is polled, and why then."""

    podcast_key: int
    feed_url: str
    original_url: str
    podcast_guid: str | None
    show_id: str | None
    itunes_id: int | None
    podcastindex_id: int | None
    tracked_by: tuple[str, ...]  # "tenant: label, label; since …"
    since: str
    state: str
    state_reason: str | None
    explanation: str
    tier: str | None = None
    last_poll: str | None = None
    last_good_answer: str | None = None
    last_change: str | None = None
    next_poll: str | None = None
    last_notice: str | None = None  # podping, WebSub
    http_status: int | None = None
    error: str | None = None
    moving_to: str | None = None
    findings: tuple[str, ...] = ()  # what directories say otherwise


def status_of(
    podcast: Podcast, state: Record | None, now_us: int, findings: Sequence[Finding] = ()
) -> PodcastStatus:
    """Of a podcast whose row in STATE is `state` (None: it was never polled), as of `now_us`."""
    known = state or {}

    def at(column: str) -> str | None:
        return None if known.get(column) is None else _when(known[column], now_us)

    return PodcastStatus(
        podcast_key=podcast.podcast_key,
        feed_url=podcast.feed_url,
        original_url=podcast.original_url,
        podcast_guid=podcast.podcast_guid,
        show_id=podcast.show_id,
        itunes_id=podcast.itunes_id,
        podcastindex_id=podcast.podcastindex_id,
        tracked_by=tuple(
            f"{each.tenant}{': ' if each.labels else ''}{', '.join(each.labels)}; since {_day(each.since_us)}"
            for each in podcast.trackings
        ),
        since=_day(podcast.since_us),
        state=podcast.state,
        state_reason=podcast.reason,
        explanation=explained(podcast, state, now_us),
        tier=known.get("tier"),
        last_poll=at("polled_us"),
        last_good_answer=at("fetched_us"),
        last_change=at("changed_us"),
        next_poll=_next_poll(known, now_us) if _is_polled(podcast, known) else None,
        last_notice=at("hinted_us"),
        http_status=known.get("status"),
        error=_error(known, now_us),
        moving_to=_move(known, now_us),
        findings=tuple(_finding(each, now_us) for each in findings),
    )


def _next_poll(known: Record, now_us: int) -> str | None:
    due_us = known.get("next_due_us")
    if due_us is None:
        return None
    when = _when(due_us, now_us)
    return when if due_us > now_us else f"with the next sweep; was due {when}"


def _is_polled(podcast: Podcast, known: Record) -> bool:
    stopped = (PodcastState.GONE, PodcastState.DEREGISTERED)
    return podcast.state not in stopped and known.get("tier") != Tier.GONE


def explained(podcast: Podcast, state: Record | None, now_us: int) -> str:
    """Whether and when it is polled, and why then, in one line."""
    if podcast.state is PodcastState.DEREGISTERED:
        return f"not polled: {podcast.reason or 'nobody tracks it any more'}"
    if state is None or state.get("tier") is None:
        return f"not polled yet: waits for the next sweep of shard {shard_of(podcast.podcast_key)}"
    why = state.get("tier_reason") or f"{state['tier']}: no reason given"
    if not _is_polled(podcast, state) or state.get("next_due_us") is None:
        return f"{why}; not polled"
    wait_us = state["next_due_us"] - now_us
    return f"{why}; {f'due in {span(wait_us)}' if wait_us > 0 else f'was due {span(-wait_us)} ago'}"


def _error(known: Record, now_us: int) -> str | None:
    if known.get("reason") is None:
        return None
    detail = f" ({known['detail']})" if known.get("detail") else ""
    failures = known.get("failures") or 0
    times = f", {failures} times in a row" if failures > 1 else ""
    since = known.get("failing_since_us")
    return f"{known['reason']}{detail}{times}{f', for {span(now_us - since)}' if since is not None else ''}"


def _move(known: Record, now_us: int) -> str | None:
    if known.get("move_url") is None:
        return None
    since, seen = known.get("move_since_us"), known.get("move_seen") or 0
    if not seen:
        return f"no: what is at {known['move_url']} is another podcast"
    times = "once" if seen == 1 else f"{seen} times"
    lasting = f", for {span(now_us - since)}" if since is not None else ""
    wanted = f"{MOVE_TIMES} times over {span(MOVE_OVER_US)}, and the same guid or episodes there"
    return f"{known['move_url']} (seen {times}{lasting}; it takes {wanted})"


def _finding(each: Finding, now_us: int) -> str:
    """One difference in a line: whose, over what, for how long."""
    lasting = f"{each.reason}, for {span(now_us - each.first_us)}, said {span(now_us - each.last_us)} ago"
    theirs, ours = each.theirs or "nothing", each.ours or "none"
    return f"{each.source} has {each.field} {theirs}, we have {ours} ({lasting})"


def _when(at_us: int, now_us: int) -> str:
    """An instant and how far off it is."""
    apart = now_us - at_us
    distance = f"{span(apart)} ago" if apart >= 0 else f"in {span(-apart)}"
    return f"{_instant(at_us):%Y-%m-%d %H:%M:%S} UTC ({distance})"


def _day(at_us: int) -> str:
    return f"{_instant(at_us):%Y-%m-%d}"


def _instant(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC)


def span(us: int) -> str:
    """A length of time in its largest whole unit, from two of it on: 119 min, 2 h."""
    seconds = us // 1_000_000
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
