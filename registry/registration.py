"""One wish that a podcast be tracked, checked where it comes in; and what is refused, with a reason."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter

from ingest.feeds.urls import BadFeedUrl, feed_url, normal_guid, podcast_key

DEFAULT_TENANT = "default"

MAX_REMEMBERED = 1_000_000  # rows, for about 70 bytes each

_NAME = re.compile(r"[\w.@:+-]{1,64}")  # of a tenant or label: stands in URLs, files and JSON as it is
_MAX_ID_CHARS = 200
_MAX_ID = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RejectReason(StrEnum):
    """Why a line or outline is not a registration."""

    BAD_URL = "bad_url"
    NO_URL = "no_url"
    BAD_VALUE = "bad_value"  # a tenant, label, id or time that cannot be
    DUPLICATE = "duplicate"  # says again what an earlier line of the file said: nothing is lost
    BAD_LINE = "bad_line"  # not CSV, not XML, not UTF-8, too long
    NOT_TRACKED = "not_tracked"  # to be deregistered, but not registered


@dataclass(frozen=True, slots=True)
class Reject:
    """What could not be used of a file, or of the command line."""

    name: str  # the file's, or ""
    line: int  # from 1; 0: unknown
    reason: StrEnum  # RejectReason, or the one of what was to be taken in
    detail: str  # for people


class BadRegistration(ValueError):
    """A wish that cannot be met; `reason` is for programs, the message for people."""

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Registration:
    """A checked wish: `registration()` makes it."""

    url: str  # normalised (ingest.feeds.urls)
    tenant: str = DEFAULT_TENANT
    labels: tuple[str, ...] = ()  # sorted, distinct
    podcast_guid: str | None = None
    itunes_id: int | None = None
    podcastindex_id: int | None = None
    show_id: str | None = None  # None: the podcast_guid
    since_us: int | None = None  # None: now


class Repeats:
    """Finds what a file says again word for word.

    Remembers MAX_REMEMBERED rows; behind them a repetition is registered again, which changes nothing.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def refuse(self, wish: Registration) -> None:
        """Raises BadRegistration where the same stood before."""
        said = hash((podcast_key(wish.url), _beside_url(wish)))
        if said in self._seen:
            raise BadRegistration(RejectReason.DUPLICATE, f"stands in the file before: {wish.url}")
        if len(self._seen) < MAX_REMEMBERED:
            self._seen.add(said)


_beside_url = attrgetter(*(field.name for field in fields(Registration) if field.name != "url"))


def registration(
    url: str,
    tenant: str = DEFAULT_TENANT,
    labels: Collection[str] = (),
    *,
    guid: str = "",
    itunes_id: str = "",
    podcastindex_id: str = "",
    show_id: str = "",
    since: str = "",
) -> Registration:
    """What a person or file wrote, checked; "" stands for nothing said. Raises BadRegistration."""
    if not url or url.isspace():
        raise BadRegistration(RejectReason.NO_URL, "no URL")
    try:
        normal = feed_url(url)
    except BadFeedUrl as error:
        raise BadRegistration(RejectReason.BAD_URL, str(error)) from None
    return Registration(
        normal,
        checked_name("tenant", tenant),
        _labels(tuple(labels)),
        _id_text("guid", guid) if guid else None,
        _number("itunes_id", itunes_id) if itunes_id else None,
        _number("podcastindex_id", podcastindex_id) if podcastindex_id else None,
        _id_text("show_id", show_id) if show_id else None,
        _instant_us(since) if since else None,
    )


@lru_cache(1024)  # a file says the same few again and again
def _labels(written: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({checked_name("label", label) for label in written}))


@lru_cache(1024)
def checked_name(what: str, name: str) -> str:
    """A tenant's name or a label. Raises BadRegistration."""
    if not _NAME.fullmatch(name):
        raise BadRegistration(
            RejectReason.BAD_VALUE,
            f"{what} {name[:80]!r}: 1 to 64 letters, digits and any of . _ @ : + - are allowed",
        )
    return name


def _id_text(what: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > _MAX_ID_CHARS or not text.isprintable():
        raise BadRegistration(
            RejectReason.BAD_VALUE, f"{what} {text[:80]!r}: 1 to {_MAX_ID_CHARS} printable characters"
        )
    return normal_guid(text) if what == "guid" else text


def _number(what: str, text: str) -> int:
    text = text.strip()
    # The length first: int() of a million digits takes its time.
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 0 < int(text) <= _MAX_ID):
        raise BadRegistration(RejectReason.BAD_VALUE, f"{what} {text[:80]!r}: not a positive whole number")
    return int(text)


def _instant_us(text: str) -> int:
    try:
        return iso_us(text)
    except ValueError:
        raise BadRegistration(
            RejectReason.BAD_VALUE, f"since {text[:80]!r}: no ISO 8601 time such as 2026-09-01"
        ) from None


def iso_us(text: str) -> int:
    """Epoch µs of an ISO 8601 date or time; UTC where it names no zone. Raises ValueError."""
    try:
        instant = datetime.fromisoformat(text.strip())
        since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - _EPOCH
    except OverflowError as error:
        raise ValueError(str(error)) from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
