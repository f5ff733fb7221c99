"""The page of a tracked podcast: its record, how its feed fares, and what changed, from what to what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import urlsplit

from serving.pages.view.overview import href
from serving.pages.view.parts import RECORD, Cell, Table, columns
from serving.pages.view.sight import Row, ask
from serving.pages.view.words import ago, count, day, duration, minute, podcast_href, show_href
from serving.reports.asking import Asks

PER_PAGE = 50
CHANGES = 40  # shown at once
LONGEST = 160  # characters of a value
_RECORD = "select * from dim_podcasts where podcast_key = $podcast"
_HEALTH = "select * from fct_feed_health where podcast_key = $podcast"
_CHANGES = """
    with newest as (
        select distinct sequence
        from fct_metadata_changes
        where podcast_key = $podcast and sequence < $before
        order by sequence desc
        limit $limit
    )
    select c.sequence, c.detected_at, c.change, c.is_minor, c.field, c.old_value, c.new_value, c.episode_id,
        coalesce(
            max(c.new_value) filter (c.field = 'title') over (partition by c.sequence), e.episode_title,
            c.episode_id
        ) as episode
    from fct_metadata_changes as c
    join newest using (sequence)
    left join dim_episodes as e on e.podcast_key = c.podcast_key and e.episode_id = c.episode_id
    where c.podcast_key = $podcast
    order by c.sequence desc, c.field
"""
_LIST = """
    select p.podcast_key, coalesce(p.title, 'Podcast ' || p.podcast_key) as title, p.author, p.episode_count,
        p.newest_published_at, p.content_changed_at
    from dim_podcasts as p
    where ($all or p.show_id in (select unnest($shows::varchar[])))
        and ($query = '' or contains(lower(coalesce(p.title, '')), lower($query))
            or contains(lower(coalesce(p.author, '')), lower($query)))
    order by p.content_changed_at desc nulls last, p.podcast_key
    limit $limit offset $offset
"""
_WORDS = {
    "podcast.added": "First seen",
    "podcast.updated": "The podcast changed",
    "podcast.moved": "The feed moved",
    "podcast.gone": "The feed is gone",
    "podcast.recovered": "The feed is back",
    "podcast.live": "Live",
    "episode.created": "New episode",
    "episode.updated": "Episode changed",
    "episode.removed": "Episode removed",
}
_HEALTH_WORDS = {
    "good": "When we last fetched the feed, it was well",
    "failing": "When we last fetched the feed, it failed",
    "never_good": "The feed has never been well yet",
    "waiting": "Not fetched yet",
}
# Of a new episode, what a reader wants first; the rest is the record itself.
_OF_NEW = ("published_us", "duration_s")
# What strangers are told of: addresses of private feeds and files may hold a token.
_OF_ALL = frozenset(
    (
        "title", "subtitle", "description", "author", "link", "image_url", "language", "categories",
        "copyright", "is_explicit", "show_type", "is_complete", "medium", "published_us", "duration_s",
        "season", "episode", "episode_type",
    )
)  # fmt: skip
# Nested values, which nobody reads.
_NESTED = ("podcast_tags", "persons", "transcripts", "alternate_enclosures", "value", "chapters", "socials")
_HIDDEN = ("description_html", "content_html", "published_raw", "duration_raw", "enclosure_canonical")


@dataclass(frozen=True)
class FieldChange:
    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Change:
    """One change of a podcast or of one of its episodes."""

    title: str
    episode: str | None
    at: str
    iso: str
    is_minor: bool
    fields: Sequence[FieldChange]


@dataclass(frozen=True)
class PodcastPage:
    title: str
    about: str
    show_href: str | None
    record: Sequence[tuple[str, str]]
    links: Sequence[tuple[str, str]]
    is_good: bool
    health: str
    polls: Sequence[tuple[str, str]]
    changes: Sequence[Change]
    older: str | None
    rule: object = RECORD


@dataclass(frozen=True)
class PodcastList:
    table: Table | None
    query: str
    newer: str | None
    older: str | None


def found(asks: Asks, podcast_key: int) -> Row | None:
    rows = ask(asks, _RECORD, {"podcast": podcast_key})
    return rows[0] if rows else None


def page(asks: Asks, podcast: Row, before: int, known_since: datetime | None, show_seen: bool) -> PodcastPage:
    """known_since (UTC): since when the looker tracks it, who is told how and where it is polled, and all of
    the changes from then on; None: the looker does not."""
    is_inside = known_since is not None
    key = podcast["podcast_key"]
    health = (ask(asks, _HEALTH, {"podcast": key}) or [{}])[0]
    changed = ask(asks, _CHANGES, {"podcast": key, "before": before, "limit": CHANGES + 1})
    groups = [list(of) for _, of in groupby(changed, key=lambda row: row["sequence"])]
    more = len(groups) > CHANGES
    groups = groups[:CHANGES]
    title = podcast["title"] or f"Podcast {key}"
    author = f"by {podcast['author']}, " if podcast["author"] else ""
    return PodcastPage(
        title,
        f"{author}{count(podcast['episode_count'])} episodes in the feed",
        show_href(podcast["show_id"]) if podcast["show_id"] and show_seen else None,
        _record(podcast, is_inside),
        _links(podcast, is_inside),
        health.get("health") == "good",
        _HEALTH_WORDS.get(health.get("health", "waiting"), "Not fetched yet"),
        _polls(podcast, health) if is_inside else [],
        [_change(of, is_inside and of[0]["detected_at"] >= known_since) for of in groups],
        f"{podcast_href(key)}?before={groups[-1][0]['sequence']}" if more else None,
    )


def _record(podcast: Row, is_inside: bool) -> list[tuple[str, str]]:
    told = [
        ("Author", podcast["author"]),
        ("Language", podcast["language"]),
        ("Categories", podcast["categories"]),
        ("Kind", podcast["show_type"]),
        ("Explicit", {True: "yes", False: "no", None: None}[podcast["is_explicit"]]),
        ("Newest episode", day(podcast["newest_published_at"]) if podcast["newest_published_at"] else None),
        ("Oldest episode", day(podcast["oldest_published_at"]) if podcast["oldest_published_at"] else None),
        ("Publishes", podcast["update_frequency"]),
        ("Made with", podcast["generator"] if is_inside else None),
        ("Copyright", podcast["copyright"]),
        ("License", podcast["license"]),
        ("Podcast GUID", podcast["podcast_guid"]),
        ("Apple Podcasts id", str(podcast["itunes_id"]) if podcast["itunes_id"] else None),
        ("Podcast Index id", str(podcast["podcastindex_id"]) if podcast["podcastindex_id"] else None),
    ]
    return [(name, value) for name, value in told if value]


def _links(podcast: Row, is_inside: bool) -> list[tuple[str, str]]:
    links = [("Web page", podcast["link"])]
    if is_inside:
        links.append(("Feed", podcast["feed_url"]))
    return [(name, url) for name, url in links if url and urlsplit(url).scheme in ("http", "https")]


def _polls(podcast: Row, health: Row) -> list[tuple[str, str]]:
    told = [
        ("Last fetched", f"{minute(podcast['polled_at'])}" if podcast["polled_at"] else None),
        ("Last good answer", minute(podcast["fetched_at"]) if podcast["fetched_at"] else None),
        ("Next due", minute(podcast["next_due_at"]) if podcast["next_due_at"] else None),
        ("How often", podcast["tier_reason"]),
        (
            "Promise",
            f"fetched at least every {ago(health['promise_s'])}" if health.get("promise_s") else None,
        ),
        ("What failed", health.get("detail") if health.get("health") != "good" else None),
        ("Failing since", minute(health["failing_since_at"]) if health.get("failing_since_at") else None),
        ("Fetched so often", count(health["polls"]) if health.get("polls") else None),
    ]
    return [(name, str(value)) for name, value in told if value]


def _change(of: list[Row], is_inside: bool) -> Change:
    first = of[0]
    is_new = first["change"] in ("episode.created", "podcast.added")
    fields = [
        FieldChange(_field(row["field"]), *(_value(row, name) for name in ("old_value", "new_value")))
        for row in of
        if row["field"]
        and row["field"] not in _HIDDEN
        and (is_inside or row["field"] in _OF_ALL)
        and (not is_new or row["field"] in _OF_NEW)
    ]
    return Change(
        _WORDS.get(first["change"], str(first["change"])),
        first["episode"] if first["episode_id"] else None,
        minute(first["detected_at"]),
        f"{first['detected_at']:%Y-%m-%dT%H:%M:%SZ}",
        bool(first["is_minor"]),
        fields,
    )


def _field(name: str) -> str:
    known = {"published_us": "published", "duration_s": "length", "podcast_tags": "other tags of the feed"}
    plain = name.removesuffix("_url").removesuffix("_us").removesuffix("_s").removeprefix("is_")
    return known.get(name, plain.replace("_", " "))


def _value(row: Row, name: str) -> str | None:
    value: str | None = row[name]
    if value is None:
        return None
    if value[:1] in ("{", "[") and row["field"] in _NESTED:
        return "changed" if name == "new_value" else None
    if value in ("true", "false"):
        return "yes" if value == "true" else "no"
    if row["field"] == "duration_s":
        return duration(float(value))
    if row["field"].endswith("_us") and value.lstrip("-").isdigit():
        return minute(datetime.fromtimestamp(int(value) // 1_000_000, UTC))
    return value if len(value) <= LONGEST else value[:LONGEST].rstrip() + "…"


def listing(asks: Asks, visible: frozenset[str] | None, number: int, query: str) -> PodcastList:
    """Tracked podcasts, what changed last first."""
    rows = ask(
        asks,
        _LIST,
        {
            "all": visible is None,
            "shows": sorted(visible or ()),
            "query": query,
            "limit": PER_PAGE + 1,
            "offset": (number - 1) * PER_PAGE,
        },
    )
    shown = rows[:PER_PAGE]
    table = Table(
        "Podcasts, the last changed first",
        columns("Podcast", "By", "Episodes#", "Newest episode", "Changed"),
        [
            (
                Cell(row["title"], href=podcast_href(row["podcast_key"])),
                Cell(row["author"] or ""),
                Cell(count(row["episode_count"])),
                Cell(day(row["newest_published_at"])),
                Cell(minute(row["content_changed_at"])),
            )
            for row in shown
        ],
    )

    return PodcastList(
        table if shown else None,
        query,
        href("/podcasts", number - 1, query) if number > 1 else None,
        href("/podcasts", number + 1, query) if len(rows) > PER_PAGE else None,
    )
