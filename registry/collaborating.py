"""A collaboration as a person wrote it, checked; what is refused names its field and its problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from babel.core import get_global

from ingest.feeds.urls import without_credentials
from ingest.schema import DAY_US
from ingest.settings import PREFIX
from registry.podcasts import Podcast
from registry.registration import DEFAULT_TENANT, BadRegistration, checked_name, iso_us
from registry.tables import CollaborationType, PodcastState

MIN_KEEP_DAYS = 184  # of linkable keys that attribution needs (ATTRIBUTION.md §2)
MAX_AHEAD_DAYS = 365
MAX_COST = 1e12
MAX_NOTES_CHARS, MAX_GUID_CHARS = 2000, 2000

_KEEP_DAYS = f"{PREFIX}KEEP_DAYS"
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LAST_US = 253_402_300_799_000_000  # what datetime can show
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})", re.ASCII)
_SHOWN_CHARS, _SHOWN_EPISODES = 80, 3


class Problem(StrEnum):
    """Why a collaboration is refused."""

    MISSING = "missing"
    BAD_VALUE = "bad_value"  # not one of the known, not readable, too long
    UNKNOWN_SHOW = "unknown_show"
    AMBIGUOUS_SHOW = "ambiguous_show"  # it means several
    SAME_SHOW = "same_show"
    UNKNOWN_EPISODE = "unknown_episode"
    FAR_FUTURE = "far_future"
    ENDS_BEFORE_START = "ends_before_start"
    BEFORE_DATA = "before_data"
    TOO_MANY = "too_many"  # of one show at a time
    SHORT_RETENTION = "short_retention"
    BAD_COST = "bad_cost"
    NO_CURRENCY = "no_currency"
    BAD_CURRENCY = "bad_currency"


class BadCollaboration(ValueError):
    """A collaboration that cannot be; the message is for people and begins with the field."""

    def __init__(self, field: str, problem: Problem, reason: str) -> None:
        self.field, self.problem, self.reason = field, problem, without_credentials(reason)
        super().__init__(f"{field}: {self.reason}")


@dataclass(frozen=True)
class Written:
    """What a person or a line of a file says; "" stands for nothing said."""

    show: str  # A: URL, podcast_key or podcast:guid, as registry.podcasts.find takes them
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
    kind, tenant = _type(said.type), _tenant(said.tenant)
    show, partner = (_show(field, getattr(said, field), ground, notes) for field in ("show", "partner"))
    if _are_same(show, partner):
        raise BadCollaboration("partner", Problem.SAME_SHOW, "a show cannot collaborate with itself")
    guid = _text("episode", said.episode, MAX_GUID_CHARS)
    aired = None if guid is None else _episode(guid, partner, ground, notes)
    inserted_us = _instant_us("starts", said.starts)
    ends_us = _instant_us("ends", said.ends, is_end=True)
    starts_us = _t0(guid, aired, inserted_us)
    _check_times(starts_us, ends_us, guid is not None, ground)
    cost, currency = _price(said.cost, said.currency, starts_us)
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
            notes=_text("notes", said.notes, MAX_NOTES_CHARS, more="\n\t"),
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


def _type(text: str) -> CollaborationType:
    known = ", ".join(CollaborationType)
    if not text.strip():
        raise BadCollaboration("type", Problem.MISSING, f"name one of {known}")
    try:
        return CollaborationType(text.strip().lower())
    except ValueError:
        raise BadCollaboration(
            "type", Problem.BAD_VALUE, f"{text[:_SHOWN_CHARS]!r} is not one of {known}"
        ) from None


def _tenant(text: str) -> str:
    try:
        return checked_name("tenant", text.strip() or DEFAULT_TENANT)
    except BadRegistration as error:
        raise BadCollaboration("tenant", Problem.BAD_VALUE, str(error)) from None


def _show(field: str, text: str, ground: Ground, notes: list[str]) -> Podcast:
    what = _text(field, text, MAX_GUID_CHARS)
    if what is None:
        raise BadCollaboration(field, Problem.MISSING, "name it by URL, key or guid")
    found = ground.find(what)
    if not found:
        raise BadCollaboration(
            field,
            Problem.UNKNOWN_SHOW,
            f"{what[:_SHOWN_CHARS]!r} is not tracked: `earshot register URL` first",
        )
    if len(found) > 1:
        keys = ", ".join(str(podcast.podcast_key) for podcast in found[:10])
        raise BadCollaboration(
            field, Problem.AMBIGUOUS_SHOW, f"it means {len(found):,} podcasts; name one: {keys}"
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
            f"{one[:_SHOWN_CHARS]!r} ({(aired.title or '')[:_SHOWN_CHARS]!r})"
            for one, aired in newest[:_SHOWN_EPISODES]
        )
        raise BadCollaboration(
            "episode",
            Problem.UNKNOWN_EPISODE,
            f"{partner.feed_url} has no episode with the guid {guid[:_SHOWN_CHARS]!r}; "
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
    what = f"t0, the later of air date and start, is {_shown(starts_us)}" if is_episode else _shown(starts_us)
    latest_us = ground.now_us + MAX_AHEAD_DAYS * DAY_US
    if starts_us > latest_us:
        raise BadCollaboration("starts", Problem.FAR_FUTURE, f"{what}: more than a year ahead")
    if ends_us is not None and ends_us > latest_us:
        raise BadCollaboration(
            "ends", Problem.FAR_FUTURE, f"{_shown(ends_us)} is more than a year ahead; leave an open end out"
        )
    if ends_us is not None and ends_us <= starts_us:
        raise BadCollaboration(
            "ends", Problem.ENDS_BEFORE_START, f"{_shown(ends_us)} is not after the start: {what}"
        )
    if ground.first_day is not None and starts_us < _day_us(ground.first_day):
        raise BadCollaboration(
            "starts",
            Problem.BEFORE_DATA,
            f"{what}: before the data begin, the first requests are of {ground.first_day}"
            + ("; where it was put in later, say when" if is_episode else ""),
        )


def _price(cost: str, currency: str, at_us: int) -> tuple[float | None, str | None]:
    if not cost.strip():
        return None, None
    amount, code = _cost(cost.strip()), currency.strip()
    if not code:
        raise BadCollaboration("currency", Problem.NO_CURRENCY, "a cost needs one, such as EUR or USD")
    if not _CURRENCY.fullmatch(code):
        raise BadCollaboration(
            "currency",
            Problem.BAD_CURRENCY,
            f"{code[:_SHOWN_CHARS]!r} is no ISO 4217 code: three capital letters such as EUR",
        )
    day = datetime.fromtimestamp(at_us / 1e6, UTC).date()
    if not any(first <= day <= last for first, last in _tenders().get(code, ())):
        raise BadCollaboration("currency", Problem.BAD_CURRENCY, f"{code} is money nowhere on {day}")
    return amount, code


def _cost(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise BadCollaboration(
            "cost", Problem.BAD_COST, f"{text[:_SHOWN_CHARS]!r} is not an amount such as 250 or 99.50"
        )
    if (amount := float(text)) < 0:
        raise BadCollaboration("cost", Problem.BAD_COST, f"{text} is negative")
    if amount > MAX_COST:
        raise BadCollaboration("cost", Problem.BAD_COST, f"{text} is more than {MAX_COST:,.0f}")
    return abs(amount)  # of -0


@lru_cache(1)
def _tenders() -> dict[str, list[tuple[date, date]]]:
    """Currency → when it is legal tender somewhere (Unicode CLDR, as Babel brings it)."""
    found: dict[str, list[tuple[date, date]]] = {}
    for currencies in get_global("territory_currencies").values():
        for code, since, until, is_tender in currencies:
            if is_tender:
                span = (date(*since) if since else date.min, date(*until) if until else date.max)
                found.setdefault(code, []).append(span)
    return found


def _text(field: str, text: str, most: int, more: str = "") -> str | None:
    """None: nothing said. What is stored is printable, so that both databases and every terminal take it."""
    text = text.strip()
    if len(text) > most:
        raise BadCollaboration(field, Problem.BAD_VALUE, f"longer than {most:,} characters")
    if not all(sign.isprintable() or sign in more for sign in text):
        raise BadCollaboration(field, Problem.BAD_VALUE, "with characters that cannot be printed")
    return text or None


def _instant_us(field: str, text: str, is_end: bool = False) -> int | None:
    text = text.strip()
    if not text:
        return None
    try:
        at_us = iso_us(text) + (DAY_US if is_end and _DAY.fullmatch(text) else 0)
        if at_us >= 0:
            return min(at_us, _LAST_US)
        raise ValueError(text)
    except ValueError:
        raise BadCollaboration(
            field,
            Problem.BAD_VALUE,
            f"{text[:_SHOWN_CHARS]!r} is no time such as 2026-11-29 or 2026-11-29T15:00Z",
        ) from None


def _day_us(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_US


def _shown(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
