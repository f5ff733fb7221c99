"""Who is in the world of feeds: the kinds of podcasts there are, and the script each one plays.

A kind names a rhythm and the trouble it makes. Podcast number n is of kind n modulo their number, so that
every world of `len(KINDS)` podcasts has one of each. Instants: epoch microseconds, UTC.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from earshot.made_up.feeds.content import DAY, HOUR, MINUTE, SECOND, Channel
from earshot.made_up.feeds.plots import NEEDS_GUID, PLOTS, Act, Span, brief_spells
from earshot.made_up.feeds.script import Habits, Podcast, Script
from earshot.made_up.feeds.xml import Style

_RHYTHMS = {"hourly": HOUR, "daily": DAY, "weekly": 7 * DAY, "monthly": 30 * DAY, "burst": 9 * DAY}


_HABITS, _STYLE = Habits(), Style()


@dataclass(frozen=True)
class Kind:
    """A sort of podcast: how often it publishes, how it writes, what befalls it."""

    name: str
    rhythm: str = "daily"
    habits: Habits = _HABITS
    style: Style = _STYLE
    validators: str = "etag"
    max_age_s: int | None = None
    edits_a_day: float = 0.7
    spells: tuple[str, ...] = ()  # short ones, one after the other, with a recovery after each
    plot: str = ""  # what else befalls it: one of PLOTS

    @property
    def rhythm_us(self) -> int:
        return _RHYTHMS[self.rhythm]


KINDS: tuple[Kind, ...] = (
    Kind("hourly news", "hourly", Habits(limit=24), max_age_s=300),
    Kind("daily", "daily", Habits(limit=30), Style(cdata=True)),
    Kind("weekly", "weekly", validators="weak", edits_a_day=1.5),
    Kind("monthly", "monthly", style=Style(dates="-0500", durations="clock"), validators="date"),
    Kind("bursts", "burst", Habits(limit=15), Style(dates="GMT")),
    Kind("much edited", "weekly", edits_a_day=6),
    Kind("removes episodes", "daily", plot="removes"),
    Kind("short window", "daily", Habits(limit=5), edits_a_day=2),
    Kind("tokens at each fetch", "daily", style=Style(tokens="fetch"), validators="none"),
    Kind("tokens at each edit", "weekly", style=Style(tokens="edit"), validators="bare"),
    Kind("build date at each fetch", "weekly", style=Style(build_date="fetch")),
    Kind("moves", "daily", plot="moves"),
    Kind("moves without a word", "daily", plot="redirects"),
    Kind("announces, then moves", "weekly", plot="announces"),
    Kind("redirected for a day", "daily", plot="brief_redirect"),
    Kind("found elsewhere", "daily", plot="elsewhere"),
    Kind("redirected to a stranger", "weekly", edits_a_day=0, plot="stranger"),
    Kind("breaks its answers", "daily", spells=("truncated", "html_page", "cut_off", "silent")),
    Kind("breaks its server", "daily", spells=("server_error", "busy", "not_found", "endless")),
    Kind("gone for a day", "daily", spells=("gone",)),
    Kind("gone, comes back", "daily", plot="gone_and_back"),
    Kind("gone", "weekly", plot="gone"),
    Kind("not found any more", "weekly", plot="not_found"),
    Kind("stale replica", "daily", Habits(limit=20), edits_a_day=0, plot="stale"),
    Kind("flaps", "monthly", edits_a_day=0, plot="flapping"),
    Kind("recycles a guid", "hourly", Habits(limit=1, recycles_guid=True), edits_a_day=0),
    Kind("no guids", "daily", Habits(limit=20, has_guids=False)),
    Kind("odd dates", "weekly", Habits(limit=200), plot="odd_dates"),
    Kind("latin-1", "weekly", Habits(beyond_ascii=True), Style("iso-8859-1", "ISO-8859-1")),
    Kind("wrong about its encoding", "weekly", Habits(beyond_ascii=True), Style("cp1252", "UTF-8")),
    Kind("goes live", "weekly", plot="goes_live"),
    Kind("reverts its edits", "weekly", edits_a_day=0, plot="reverts"),
)  # fmt: skip


def cast(seed: int, number: int, hosts: int, start_us: int, end_us: int) -> Podcast:
    """Writes the script of podcast `number`."""
    rng = Random(f"{seed}/feeds/{number}")
    kind = KINDS[number % len(KINDS)]
    slug = f"pod{number:05d}"
    host = f"feeds{number % hosts}.hoster{number % 3}.example"
    urls = (f"http://{host}/{slug}/feed.xml", f"http://new{number % hosts}.hoster.example/{slug}.rss")
    channel = Channel(
        title=f"{kind.name.capitalize()} {number}",
        description=f"A podcast of the kind: {kind.name}.",
        link=f"https://www.example/{slug}",
        # Those that stay may leave it out; a move needs it as its second signal.
        podcast_guid=str(uuid.UUID(int=rng.getrandbits(128), version=5)) if kind.plot in NEEDS_GUID else None,
        author=f"The makers of {slug}",
        owner_name=f"Owner {number}",
        owner_email=f"owner@{slug}.example",
        image_url=f"https://img.example/{slug}/cover.jpg",
        categories=("Society & Culture > Documentary", "News"),
        show_type="episodic",
        medium="podcast",
        is_locked=True,
    )
    rhythm, phase = kind.rhythm_us, rng.randrange(kind.rhythm_us // MINUTE) * MINUTE
    before = min(kind.habits.limit, 12 if rhythm >= 7 * DAY else 25)
    script = Script(
        rng, number, slug, kind.habits, channel,
        [start_us - phase - n * rhythm - HOUR for n in range(before, 0, -1)],
    )  # fmt: skip
    return perform(kind, script, urls, Span(start_us, end_us), phase)


def perform(
    kind: Kind, script: Script, urls: tuple[str, str], span: Span, phase: int, acts: Iterable[Act] = ()
) -> Podcast:
    """Plays a kind's usual life and its plot, and `acts`; `phase` shifts the rhythm of publication, in µs."""
    acts = [*acts, *_usual_acts(kind, script, span, phase)]
    acts += brief_spells(script, span, kind.spells)
    if kind.plot:
        acts += PLOTS[kind.plot](script, span, urls[1])
    play(script, acts, span)
    return Podcast(
        script.number, kind.name, script.slug, urls, kind.style, tuple(script.versions), tuple(script.spells),
        tuple(script.happened), script.stranger, kind.max_age_s, kind.validators,
    )  # fmt: skip


def play(script: Script, acts: list[Act], span: Span) -> None:
    """Acts in order of time, no two at one instant; none while the plot wants quiet."""
    last = span.start_us + MINUTE  # the first poll comes before anything happens
    for at_us, act in sorted(acts, key=lambda pair: pair[0]):
        at_us = max(at_us, last + SECOND)
        if at_us < span.end_us and not any(begins < at_us < ends for begins, ends in script.quiet):
            act(at_us)
            last = at_us


def _usual_acts(kind: Kind, script: Script, span: Span, phase: int) -> Iterator[Act]:
    """New episodes on the rhythm, and edits at any time."""
    rng = script.rng
    for at_us in range(span.start_us + kind.rhythm_us - phase, span.end_us, kind.rhythm_us):
        yield at_us, script.publish
        if kind.rhythm == "burst":
            for n in range(1, 5):
                yield at_us + n * 25 * MINUTE, script.publish
    for _ in range(round(kind.edits_a_day * span.days)):
        act = script.edit_channel_somehow if rng.random() < 0.25 else script.edit_something
        yield span.at(rng.random()), act
