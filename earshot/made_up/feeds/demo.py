"""Feeds for the shows of the demo's world: the catalogue's episodes, and what befalls them.

The episodes are those of `earshot.made_up.world_traffic.make_shows`: guid = episode_id, enclosures, durations
and sizes as in the catalogue's CSV, so that downloads find them by either way. Files and durations are never
edited: the world's true downloads hold. The shows of `earshot.made_up.collaborations` follow; those the feeds
alone know. The world lasts from PLAYED_DAYS before the demo goes live to a day
after; live, something changes every few seconds. Instants: epoch microseconds, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from random import Random
from typing import NamedTuple

from earshot.made_up import collaborations
from earshot.made_up.feeds.casting import Kind, perform
from earshot.made_up.feeds.content import DAY, HOUR, MINUTE, SECOND, Channel, Feed, Item
from earshot.made_up.feeds.plots import Act, Span
from earshot.made_up.feeds.script import Habits, Podcast, Script
from earshot.made_up.feeds.world import FeedWorld
from earshot.made_up.feeds.xml import Style
from earshot.made_up.world_formats import Target
from earshot.made_up.world_traffic import day_start_ms, make_shows

FEEDS = 60  # the first shows have one; of the others the catalogue alone knows
PLAYED_DAYS, LIVE_DAYS = 9, 1
ON_AIR = 6 * HOUR  # so long after it went live, every podcast changes now and then
_BETWEEN, _AT_LEAST = 10 * SECOND, 10 * MINUTE  # two changes of all podcasts; two of one
_HABITS = Habits(limit=100, keeps_files=True)
KINDS = (
    Kind("daily", "daily", _HABITS, max_age_s=300),
    Kind("weekly", "weekly", _HABITS, edits_a_day=1),
    Kind("much edited", "weekly", _HABITS, Style(cdata=True), edits_a_day=4),
    Kind("build date at each fetch", "daily", _HABITS, Style(build_date="fetch")),
    Kind("moves", "daily", _HABITS, plot="moves"),
    Kind("breaks its answers", "daily", _HABITS, spells=("truncated", "html_page", "cut_off")),
    Kind("breaks its server", "weekly", _HABITS, spells=("server_error", "busy", "not_found")),
    Kind("goes live", "weekly", _HABITS, plot="goes_live"),
    Kind("removes episodes", "daily", _HABITS, plot="removes"),
    Kind("gone", "weekly", _HABITS, plot="gone"),
    Kind("monthly", "monthly", _HABITS),
    Kind("redirected for a day", "daily", _HABITS, plot="brief_redirect"),
)
_COLLABORATING = Kind("collaborates", "weekly", _HABITS)
_CATEGORIES = ("News", "Comedy", "Society & Culture > Documentary", "Science > Physics")


class _Show(NamedTuple):
    title: str
    category: str
    kind: Kind
    episodes: Sequence[Target]  # newest first


def demo_world(
    seed: int, shows: int, days: int, start: date, live_us: int | None = None, **_: object
) -> FeedWorld:
    """The feeds of the world that `earshot.made_up.world.build` makes of a WorldSpec with these values.

    live_us: when the demo goes live; None: PLAYED_DAYS after `start`.
    """
    # Shows are the first thing that world draws from its seed.
    made = make_shows(Random(seed), shows, start, days)[:FEEDS]
    if live_us is None:
        live_us = day_start_ms(start) * 1000 + PLAYED_DAYS * DAY
    span = Span(live_us - PLAYED_DAYS * DAY, live_us + LIVE_DAYS * DAY)
    cast = [
        # Titles as in the catalogue.
        _Show(f"Show {n + 1}", _CATEGORIES[n % len(_CATEGORIES)], KINDS[n % len(KINDS)], episodes)
        for n, episodes in enumerate(made)
    ]
    cast += [
        _Show(collaborations.TITLES[n], collaborations.genre(n), _COLLABORATING, episodes)
        for n, episodes in enumerate(collaborations.make_shows(start, days))
    ]
    every = max(_BETWEEN * len(cast), _AT_LEAST)
    podcasts = [_podcast(number, show, span, live_us, every) for number, show in enumerate(cast)]
    return FeedWorld(podcasts, span.start_us, span.end_us)


def announces(podcast: Podcast) -> bool:
    """Whether it tells of its changes by podping: three of five do."""
    return podcast.number % 5 < 3


def _podcast(number: int, show: _Show, span: Span, live_us: int, every: int) -> Podcast:
    title, category, kind, episodes = show
    show_id = str(episodes[0].show_id)
    rng = Random(f"demo feeds {show_id}")
    urls = (
        f"http://feeds.{show_id}.example/feed.xml",
        f"http://feeds.new-{show_id}.example/{show_id}.rss",
    )
    channel = Channel(
        title=title,
        description=f"The podcast {title}.",
        link=f"https://www.{show_id}.example/",
        podcast_guid=None if kind.plot == "brief_redirect" else f"{number:08x}-0000-5000-8000-{0xDE30:012x}",
        language=("en", "de", "fr", "pt-BR")[number % 4],
        author=f"The makers of {title}",
        owner_name=f"Owner of {title}",
        owner_email=f"owner@{show_id}.example",
        image_url=f"https://media{number % 5}.podhost.example/{show_id}/cover.jpg",
        categories=(category,),
        show_type="episodic",
        medium="podcast",
    )
    items = sorted(map(item_of, episodes), key=lambda item: item.published_us or 0, reverse=True)
    out = tuple(item for item in items if (item.published_us or 0) <= span.start_us)
    script = Script.beginning_with(rng, number, show_id, kind.habits, Feed(channel, out))
    to_come: list[Act] = [
        (item.published_us, partial(script.publish, item=item))
        for item in items
        if item.published_us is not None and item.published_us > span.start_us
    ]
    for n, at_us in enumerate(range(live_us + rng.randrange(every), live_us + ON_AIR, every)):
        to_come.append((at_us // SECOND * SECOND, script.edit_something if n % 3 else script.publish))
    return perform(kind, script, urls, span, rng.randrange(kind.rhythm_us // DAY) * DAY // 2, to_come)


def item_of(target: Target) -> Item:
    """A catalogue's episode as its feed has it."""
    return Item(
        guid=target.episode_id,
        title=target.title,
        published_us=target.published_ms * 1000,
        description=f"{target.title} of {target.show_id}.",
        enclosure_canonical=target.enclosure_url,  # with the prefixes and parameters the catalogue has, too
        enclosure_bytes=target.file_bytes,
        enclosure_type=target.content_type,
        duration_s=float(target.duration_s),
        is_explicit=False,
        episode_type="full",
    )
