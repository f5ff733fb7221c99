"""What can befall a scripted podcast beyond publishing and editing: moves, outages, deaths, live shows.

A plot notes its spells in the script and returns acts: instants, and what the script then does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from earshot.made_up.feeds.content import DAY, HOUR, MINUTE, SECOND
from earshot.made_up.feeds.script import FOR_EVER, Habits, Script
from earshot.made_up.feeds.xml import rfc822

Act = tuple[int, Callable[[int], None]]
UNREADABLE_DATES = ("Thu, 01 Jan 1970 00:00:00 +0000", "yesterday evening", "Fri, 31 Dec 9999 23:59:59 GMT")


@dataclass(frozen=True)
class Span:
    """The time a world lasts."""

    start_us: int
    end_us: int

    @property
    def days(self) -> float:
        return (self.end_us - self.start_us) / DAY

    def at(self, share: float) -> int:
        """The instant at a share of the time, on a whole second."""
        return self.start_us + int((self.end_us - self.start_us) * share) // SECOND * SECOND


def brief_spells(script: Script, span: Span, hows: Sequence[str]) -> list[Act]:
    """Outages of half an hour to a day, one after the other, each over before the next begins."""
    for n, how in enumerate(hows):
        begins = span.at((n + 0.3) / len(hows))
        longest = min(DAY, span.at((n + 0.9) / len(hows)) - begins)
        script.spell(begins, begins + max(MINUTE, int(longest * script.rng.uniform(0.3, 1.0))), how)
    return []


def removes(script: Script, span: Span, _: str) -> list[Act]:
    """Takes episodes out of the feed and puts some of them back."""
    acts: list[Act] = []
    for n in range(max(1, round(span.days * 0.6))):
        at_us = span.at(script.rng.uniform(0.05, 0.8))
        acts.append((at_us, script.remove))
        if n % 2:
            acts.append((at_us + script.rng.randrange(1, 40) * HOUR, script.restore))
    return acts


def moves(script: Script, span: Span, new_url: str) -> list[Act]:
    """All that a publisher should do: 301 to the new address, itunes:new-feed-url there, the same guid."""
    script.spell(span.at(0.3), FOR_EVER, "moved")
    return [(span.at(0.3), partial(script.edit_channel, announced_url=new_url))]


def redirects(script: Script, span: Span, _: str) -> list[Act]:
    """301 to the new address, where the feed says nothing of it but has the same guid."""
    script.spell(span.at(0.3), FOR_EVER, "moved")
    return []


def announces(script: Script, span: Span, new_url: str) -> list[Act]:
    """itunes:new-feed-url first; the old address redirects only later."""
    script.spell(span.at(0.5), FOR_EVER, "moved")
    return [(span.at(0.25), partial(script.edit_channel, announced_url=new_url))]


def brief_redirect(script: Script, span: Span, _: str) -> list[Act]:
    """301 for a day, then the old address answers again: not a move."""
    script.spell(span.at(0.4), min(span.at(0.4) + DAY, span.at(0.6)), "moved")
    return []


def elsewhere(script: Script, span: Span, _: str) -> list[Act]:
    """302 for ever: not a move."""
    script.spell(span.at(0.2), FOR_EVER, "elsewhere")
    return []


def stranger(script: Script, span: Span, _: str) -> list[Act]:
    """301 to another podcast (a lapsed domain): the second signal is missing."""
    channel = replace(
        script.feed.channel,
        title="Best Deals Daily",
        description="Not the podcast you came for.",
        link="https://www.example/deals",
        podcast_guid="00000000-0000-5000-8000-0000000000aa",
    )
    times = [span.start_us - n * DAY for n in range(5, 0, -1)]
    rng = Random(f"stranger {script.number}")
    script.stranger = Script(rng, 900_000 + script.number, "deals", Habits(), channel, times).feed
    script.spell(span.at(0.4), FOR_EVER, "stranger")
    script.quiet.append((span.at(0.4) - SECOND, FOR_EVER))
    return []


def gone(script: Script, span: Span, _: str) -> list[Act]:
    """410 for ever."""
    script.spell(span.at(0.4), FOR_EVER, "gone")
    return []


def gone_and_back(script: Script, span: Span, _: str) -> list[Act]:
    """410 long enough to be believed, then alive again."""
    script.spell(span.at(0.2), span.at(0.8), "gone")
    return []


def not_found(script: Script, span: Span, _: str) -> list[Act]:
    """404 for ever."""
    script.spell(span.at(0.3), FOR_EVER, "not_found")
    return []


def stale(script: Script, span: Span, _: str) -> list[Act]:
    """After an episode came out, one replica has the old feed for half a day."""
    begins, ends = span.at(0.5), span.at(0.5) + 12 * HOUR
    script.spell(begins, ends, "stale")
    script.quiet.append((begins, ends))
    return [(begins, script.publish)]


def flapping(script: Script, span: Span, _: str) -> list[Act]:
    """After an edit, answers are old or new for ever."""
    begins = span.at(0.3)
    script.spell(begins, FOR_EVER, "flapping")
    script.quiet.append((begins, FOR_EVER))
    return [(begins, script.edit_newest_title)]


def odd_dates(script: Script, span: Span, _: str) -> list[Act]:
    """Episodes dated in the future, in 1970, in words; some are put right later."""

    def publish_in_future(days: int, at_us: int) -> None:
        script.publish(at_us, replace(script.new_item(at_us), published_us=at_us + days * DAY))

    def publish_unreadable(text: str, at_us: int) -> None:
        script.publish(at_us, replace(script.new_item(at_us), published_us=None, published_raw=text))

    def put_right(at_us: int) -> None:
        wrong = next((item for item in script.feed.items if item.published_us is None), None)
        if wrong is not None:
            script.edit(at_us, wrong.identity, published_us=at_us, published_raw=None)

    def postpone(at_us: int) -> None:
        item = script.feed.items[0]
        if item.published_us is not None:
            later = item.published_us + HOUR
            script.edit(at_us, item.identity, published_us=later, published_raw=rfc822(later))

    def take_undated_out(at_us: int) -> None:
        undated = next((item for item in script.feed.items if item.published_us is None), None)
        if undated is not None:
            script.take_out(at_us, undated)

    def take_newest_out(at_us: int) -> None:
        script.take_out(at_us, script.feed.items[0])

    return [
        *(
            (span.at(0.1 * n), partial(publish_unreadable, text))
            for n, text in enumerate(UNREADABLE_DATES, 1)
        ),
        (span.at(0.15), partial(publish_in_future, 2)),
        (span.at(0.45), partial(publish_in_future, 200)),
        (span.at(0.6), put_right),
        (span.at(0.7), postpone),
        (span.at(0.8), take_undated_out),
        (span.at(0.9), take_newest_out),
    ]


def goes_live(script: Script, span: Span, _: str) -> list[Act]:
    """Announced, live, over; twice."""
    acts: list[Act] = []
    for share in (0.2, 0.6):
        at_us = span.at(share)
        acts += [
            (at_us + n * 4 * HOUR, partial(script.live, status=status))
            for n, status in enumerate(("pending", "live", "ended"))
        ]
    return acts


def reverts(script: Script, span: Span, _: str) -> list[Act]:
    """A title is edited and, hours later, as before: between two polls that was nothing."""

    def there_and_back(share: float) -> list[Act]:
        item = script.feed.items[int(share * len(script.feed.items))]
        begins = span.at(share)
        return [
            (begins, partial(script.edit, identity=item.identity, title=f"{item.title} (corrected)")),
            (begins + 2 * HOUR, partial(script.edit, identity=item.identity, title=item.title)),
        ]

    return [act for n in range(1, 9) for act in there_and_back(n / 10)]


Plot = Callable[[Script, Span, str], list[Act]]
PLOTS: dict[str, Plot] = {
    plot.__name__: plot
    for plot in (
        removes, moves, redirects, announces, brief_redirect, elsewhere, stranger, gone, gone_and_back,
        not_found, stale, flapping, odd_dates, goes_live, reverts,
    )
}  # fmt: skip
# A move needs the guid as its second signal; the others may leave it out.
NEEDS_GUID = frozenset({"moves", "redirects", "announces", "stranger"})
