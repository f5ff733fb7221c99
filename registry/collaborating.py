"""A collaboration as a person wrote it, checked; what is refused names its field and its problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from ingest.feeds.urls import without_credentials
from ingest.schema import DAY_US
from ingest.settings import PREFIX
from registry.collaboration_days import EXPOSURE_DAYS, LOOK_BACK_DAYS, TENURE_DAYS
from registry.collaboration_values import (
    SHOWN_CHARS,
    BadCollaboration,
    Problem,
    day_us,
    instant_us,
    price_of,
    shown_time,
    tenant_of,
    text_of,
    type_of,
)
from registry.named import HOW
from registry.podcasts import Podcast
from registry.tables import CollaborationType, PodcastState

MIN_KEEP_DAYS = 184  # of linkable keys that attribution needs (ATTRIBUTION.md §2)
MAX_AHEAD_DAYS = 365
MAX_NOTES_CHARS, MAX_GUID_CHARS = 2000, 2000

_KEEP_DAYS = f"{PREFIX}KEEP_DAYS"
_SHOWN_EPISODES = 3


@dataclass(frozen=True)
class Written:
    """What a person or a line of a file says; "" stands for nothing said."""

    show: str  # A: title, show_id, URL, podcast_key or podcast:guid, as registry.named takes them
    partner: str  # B, alike
    type: str  # CollaborationType
    episode: str = ""  # guid of B's
    starts: str = ""  # of an episode: when it was put in; ISO 8601, UTC where it names no zone
    ends: str = ""  # a date alone means the end of that day
    cost: str = ""
    currency: str = ""  # passed over without a cost: files fill the column in everywhere
    notes: str = ""
    tenant: str = ""  # "": the default one


class Aired(NamedTuple):
    """What the lake knows of an episode."""

    episode_key: int
    published_us: int | None
    title: str | None


@dataclass(frozen=True)
class Ground:
    """What the installation knows that a collaboration is judged by."""

    find: Callable[[str], Sequence[Podcast]]
    episodes: Callable[[int], Mapping[str, Aired] | None]  # podcast_key → guid → …; None: never read
    first_day: date | None  # of requests that were ever taken in; None: there were none yet
    keep_days: int  # of the settings; 0: for ever
    now_us: int
    told: Callable[[Sequence[Podcast]], str] = lambda found: ", ".join(
        str(podcast.podcast_key) for podcast in found[:10]
    )  # several, for people to choose one
    alike: Callable[[str], Sequence[str]] = lambda what: ()  # titles that look like a name


@dataclass(frozen=True)
class CollaborationWish:
    """A checked one: `wish` makes it."""

    tenant: str
    type: CollaborationType
    podcast_key: int
    partner_key: int
    partner_guid: str | None
    episode_key: int | None
    inserted_us: int | None
    starts_us: int
    ends_us: int | None
    cost: float | None
    currency: str | None
    notes: str | None


def wish(said: Written, ground: Ground) -> tuple[CollaborationWish, list[str]]:
    """What was written, checked; and what the writer should know of it. Raises BadCollaboration."""
    check_retention(ground.keep_days)
    notes: list[str] = []
    kind, tenant = type_of(said.type), tenant_of(said.tenant)
    show, partner = (_show(field, getattr(said, field), ground, notes) for field in ("show", "partner"))
    if _are_same(show, partner):
        raise BadCollaboration("partner", Problem.SAME_SHOW, "a show cannot collaborate with itself")
    guid = text_of("episode", said.episode, MAX_GUID_CHARS)
    aired = None if guid is None else _episode(guid, partner, ground, notes)
    inserted_us = instant_us("starts", said.starts)
    ends_us = instant_us("ends", said.ends, is_end=True)
    starts_us = _t0(guid, aired, inserted_us)
    _check_times(starts_us, ends_us, guid is not None, ground)
    notes += _of_times(starts_us, ends_us, ground.first_day)
    cost, currency = price_of(said.cost, said.currency, starts_us)
    return (
        CollaborationWish(
            tenant=tenant,
            type=kind,
            podcast_key=show.podcast_key,
            partner_key=partner.podcast_key,
            partner_guid=guid,
            episode_key=None if aired is None else aired.episode_key,
            inserted_us=inserted_us,
            starts_us=starts_us,
            ends_us=ends_us,
            cost=cost,
            currency=currency,
            notes=text_of("notes", said.notes, MAX_NOTES_CHARS, more="\n\t"),
        ),
        list(map(without_credentials, notes)),
    )


def check_retention(keep_days: int) -> None:
    """Attribution looks back further than a short retention keeps. Raises BadCollaboration."""
    if 0 < keep_days < MIN_KEEP_DAYS:
        raise BadCollaboration(
            "keep_days",
            Problem.SHORT_RETENTION,
            f"requests are kept for {keep_days} days, attribution needs {MIN_KEEP_DAYS}: "
            f"set {_KEEP_DAYS} to {MIN_KEEP_DAYS} or more, or to 0 (for ever)",
        )


def t0_us(published_us: int | None, inserted_us: int | None) -> int | None:
    """The later of air date and insertion start (ATTRIBUTION.md); None: neither is known."""
    return max((at for at in (published_us, inserted_us) if at is not None), default=None)


def _show(field: str, text: str, ground: Ground, notes: list[str]) -> Podcast:
    what = text_of(field, text, MAX_GUID_CHARS)
    if what is None:
        raise BadCollaboration(field, Problem.MISSING, f"name it by {HOW}")
    found = ground.find(what)
    if not found:
        alike = [title for title in ground.alike(what) if title.isprintable()]
        hint = f"; alike are {', '.join(alike)}" if alike else ""
        raise BadCollaboration(
            field,
            Problem.UNKNOWN_SHOW,
            f"{what[:SHOWN_CHARS]!r} is no tracked show{hint}. Name one by {HOW} (`earshot list`), or "
            "`earshot register URL` first",
        )
    if len(found) > 1:
        raise BadCollaboration(
            field, Problem.AMBIGUOUS_SHOW, f"it means {len(found):,} podcasts; name one: {ground.told(found)}"
        )
    if found[0].state is PodcastState.DEREGISTERED:
        notes.append(f"{field} {found[0].feed_url} is deregistered: it is not polled any more")
    return found[0]


def _are_same(show: Podcast, partner: Podcast) -> bool:
    """Also one podcast under two keys: both have moved to one feed, or are counted as one show."""
    return (
        show.podcast_key == partner.podcast_key
        or show.feed_url == partner.feed_url
        or (show.show_id is not None and show.show_id == partner.show_id)
    )


def _episode(guid: str, partner: Podcast, ground: Ground, notes: list[str]) -> Aired | None:
    known = ground.episodes(partner.podcast_key)
    if known is None:
        notes.append(
            f"{partner.feed_url} was never read yet: whether it has the episode {guid!r} will be seen when "
            "it is polled"
        )
        return None
    if guid not in known:
        newest = sorted(known.items(), key=lambda item: item[1].published_us or 0, reverse=True)
        told = ", ".join(
            f"{one[:SHOWN_CHARS]!r} ({(aired.title or '')[:SHOWN_CHARS]!r})"
            for one, aired in newest[:_SHOWN_EPISODES]
        )
        raise BadCollaboration(
            "episode",
            Problem.UNKNOWN_EPISODE,
            f"{partner.feed_url} has no episode with the guid {guid[:SHOWN_CHARS]!r}; "
            + (f"its newest are {told}" if told else "it has none at all"),
        )
    return known[guid]


def _t0(guid: str | None, aired: Aired | None, inserted_us: int | None) -> int:
    t0 = t0_us(None if aired is None else aired.published_us, inserted_us)
    if t0 is not None:
        return t0
    if guid is None:
        raise BadCollaboration("episode", Problem.MISSING, "name an episode of the partner, or a start")
    raise BadCollaboration("starts", Problem.MISSING, "when the episode aired is not known yet: say it here")


def _check_times(starts_us: int, ends_us: int | None, is_episode: bool, ground: Ground) -> None:
    """Raises BadCollaboration. A start may be the episode's air date, which nobody wrote: it is told."""
    start = shown_time(starts_us)
    what = f"t0, the later of air date and start, is {start}" if is_episode else start
    latest_us = ground.now_us + MAX_AHEAD_DAYS * DAY_US
    if starts_us > latest_us:
        raise BadCollaboration("starts", Problem.FAR_FUTURE, f"{what}: more than a year ahead")
    if ends_us is not None and ends_us > latest_us:
        raise BadCollaboration(
            "ends",
            Problem.FAR_FUTURE,
            f"{shown_time(ends_us)} is more than a year ahead; leave an open end out",
        )
    if ends_us is not None and ends_us <= starts_us:
        raise BadCollaboration(
            "ends", Problem.ENDS_BEFORE_START, f"{shown_time(ends_us)} is not after the start: {what}"
        )
    if ground.first_day is not None and starts_us < day_us(ground.first_day):
        raise BadCollaboration(
            "starts",
            Problem.BEFORE_DATA,
            f"{what}: before the data begin, the first requests are of {ground.first_day}"
            + ("; where it was put in later, say when" if is_episode else ""),
        )


def _of_times(starts_us: int, ends_us: int | None, first_day: date | None) -> list[str]:
    """What is measured less than somebody may think, or cannot be measured well."""
    notes = []
    measured_us = starts_us + EXPOSURE_DAYS * DAY_US
    if ends_us is not None and ends_us > measured_us:
        notes.append(f"measured: the first {EXPOSURE_DAYS} days, until {shown_time(measured_us)}")
    if first_day is None:
        return notes
    known, asked = (first_day + timedelta(days=days) for days in (TENURE_DAYS, LOOK_BACK_DAYS))
    if starts_us < day_us(known):
        notes.append(
            f"the data begin on {first_day}, and a listener must have been known for {TENURE_DAYS} days: "
            f"whoever hears it before {known} cannot be measured. Take in older logs, if there are any"
        )
    elif starts_us < day_us(asked):
        notes.append(
            f"the data begin on {first_day}, less than {LOOK_BACK_DAYS} days before: some who knew the show "
            "already will look new. Take in older logs, if there are any"
        )
    return notes
