"""What somebody wrote who wants to be told of changes, checked; what is refused names its field."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from cronsim import CronSimError
from pydantic import TypeAdapter, ValidationError

from ingest.feeds.diff import VOLATILE
from ingest.feeds.guard import Guard, PrivateAddress
from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT, ChangeType
from ingest.feeds.urls import BadFeedUrl, feed_url, host_of, without_credentials
from ingest.lake import utc_now_us
from ingest.schema import DAY_US
from ingest.settings import TimeZone
from registry.digests import next_digest_us
from registry.registration import DEFAULT_TENANT, BadRegistration, checked_name

TYPES = tuple(change for change in ChangeType if change is not ChangeType.PODCAST_ADDED)
# What a change can name. A podcast's volatile fields are followed without one.
FIELDS = tuple(
    name
    for name in dict.fromkeys((*PODCAST_CONTENT, *EPISODE_CONTENT))
    if name not in VOLATILE or name in EPISODE_CONTENT
)
MAX_URL_CHARS = 2000
MAX_PODCASTS = 10_000  # named one by one: more are a label
MAX_BATCH, DEFAULT_BATCH = 1000, 100
DEFAULT_TIME_ZONE = "UTC"
MAX_COALESCE_S = 86_400
MIN_RATE_PER_S, MAX_RATE_PER_S = 0.01, 1000.0
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64  # Standard Webhooks, "Signature scheme"
SECRET_PREFIX = "whsec_"

_MAX_CRON_CHARS = 200
_MAX_WAIT_US = 400 * DAY_US
_SCHEMES = ("http:", "https:")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*=*")
_KEY = re.compile(r"-?[0-9]{1,19}")
_TIME_ZONE: TypeAdapter[str] = TypeAdapter(TimeZone)


class Mode(StrEnum):
    """When a subscriber hears of a change."""

    IMMEDIATE = "immediate"
    SCHEDULED = "scheduled"


class BadSubscription(ValueError):
    """A wish that cannot be met; the message is for people and begins with the field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


@dataclass(frozen=True)
class PodcastFilter:
    """Which of a tenant's podcasts are meant: these, or those with any of these labels; of neither, all."""

    keys: tuple[int, ...] = ()  # sorted, distinct
    labels: tuple[str, ...] = ()  # sorted, distinct


@dataclass(frozen=True)
class SubscriptionWish:
    """A checked wish: `wish` makes it."""

    url: str
    secret: str = field(repr=False)
    tenant: str
    types: tuple[ChangeType, ...]  # (): all
    podcasts: PodcastFilter
    fields: tuple[str, ...]  # (): all that are not minor
    mode: Mode
    cron: str | None
    time_zone: str
    batch_size: int
    coalesce_s: float
    is_ordered: bool
    rate_per_s: float | None


def wish(
    url: str,
    *,
    tenant: str = DEFAULT_TENANT,
    types: Collection[str] = (),
    podcasts: Collection[int | str] = (),
    labels: Collection[str] = (),
    fields: Collection[str] = (),
    mode: str = Mode.IMMEDIATE,
    cron: str | None = None,
    time_zone: str | None = None,
    batch_size: int | None = None,
    coalesce_s: float = 0,
    is_ordered: bool = False,
    rate_per_s: float | None = None,
    secret: str | None = None,
    guard: Guard | None = None,
    now_us: int | None = None,
) -> SubscriptionWish:
    """A subscription as somebody wrote it. `podcasts`: keys; `time_zone`: of `cron`, None is UTC; `secret`:
    None makes one; `guard`: with the test hosts that may be private. Raises BadSubscription.
    """
    chosen = _mode(mode)
    zone = _time_zone(chosen, time_zone)
    if podcasts and labels:
        raise BadSubscription("labels", "name either podcasts or labels, not both")
    return SubscriptionWish(
        url=endpoint_url(url, guard or Guard()),
        secret=new_secret() if secret is None else checked_secret(secret),
        tenant=_name("tenant", tenant),
        types=tuple(ChangeType(name) for name in _known("types", types, TYPES)),
        podcasts=PodcastFilter(_keys(podcasts), tuple(sorted({_name("labels", one) for one in labels}))),
        fields=_known("fields", fields, FIELDS),
        mode=chosen,
        cron=_cron(chosen, cron, zone, utc_now_us() if now_us is None else now_us),
        time_zone=zone,
        batch_size=_batch_size(chosen, batch_size),
        coalesce_s=_coalesce_s(chosen, coalesce_s),
        is_ordered=is_ordered,
        rate_per_s=_rate(rate_per_s),
    )


def endpoint_url(text: str, guard: Guard) -> str:
    """The URL of an endpoint, normalised. Raises BadSubscription.

    An address in it is judged now, a name when it is connected to: only then is known what it means.
    """
    text = text.strip()
    if len(text) > MAX_URL_CHARS:
        raise BadSubscription("url", f"longer than {MAX_URL_CHARS} characters")
    if not text.lower().startswith(_SCHEMES):  # podcast apps' schemes are none of an endpoint
        raise BadSubscription("url", "not an absolute http or https URL")
    if "#" in text:
        raise BadSubscription("url", "with a fragment in it, which no request carries")
    try:
        url = feed_url(text)
    except BadFeedUrl as error:
        raise BadSubscription("url", without_credentials(str(error))) from None
    if len(url) > MAX_URL_CHARS:
        raise BadSubscription("url", f"longer than {MAX_URL_CHARS} characters")
    try:
        host, port = _literal(url)
        if host is not None:
            guard.check(host, port)
    except PrivateAddress:
        raise BadSubscription("url", "not a public address") from None
    return url


def _literal(url: str) -> tuple[str | None, int]:
    """(its address, or None where it has a name; its port)."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return str(ipaddress.ip_address(host_of(url))), port
    except ValueError:
        return None, port


def new_secret() -> str:
    """A secret to sign with: whsec_ and 24 random bytes in base64."""
    return _written(secrets.token_bytes(MIN_SECRET_BYTES))


def checked_secret(text: str) -> str:
    """A secret that somebody chose, with its prefix. Raises BadSubscription, which does not show it."""
    encoded = text.strip().removeprefix(SECRET_PREFIX)
    needed = f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes are needed, written in base64"
    if not _BASE64.fullmatch(encoded):
        raise BadSubscription("secret", f"it holds characters that are not of base64; {needed}")
    size = len(encoded.rstrip("=")) * 3 // 4
    if not MIN_SECRET_BYTES <= size <= MAX_SECRET_BYTES:
        what = "too short" if size < MIN_SECRET_BYTES else "too long"
        raise BadSubscription("secret", f"{what}, it has {size:,} bytes; {needed}")
    try:
        return _written(base64.b64decode(encoded, validate=True))
    except binascii.Error:
        raise BadSubscription("secret", f"no whole base64: its end is missing or wrong; {needed}") from None


def _written(secret: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise BadSubscription("mode", f"{text[:80]!r} is neither immediate nor scheduled") from None


def _time_zone(mode: Mode, name: str | None) -> str:
    if name is None:
        return DEFAULT_TIME_ZONE
    if mode is Mode.IMMEDIATE:
        raise BadSubscription("time_zone", "only a scheduled subscription has one")
    try:
        return _TIME_ZONE.validate_python(name)
    except ValidationError:
        raise BadSubscription(
            "time_zone", f"{name[:80]!r}: no such time zone; IANA names such as Europe/Berlin are known"
        ) from None


def _name(field: str, name: str) -> str:
    try:
        return checked_name("tenant" if field == "tenant" else "label", name)
    except BadRegistration as error:
        raise BadSubscription(field, str(error)) from None


def _known(field: str, names: Collection[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of `known` that are named, in that order."""
    for name in names:
        if name not in known:
            raise BadSubscription(field, f"{name[:80]!r} is unknown; known are {', '.join(known)}")
    return tuple(name for name in known if name in names)


def _keys(written: Collection[int | str]) -> tuple[int, ...]:
    if len(written) > MAX_PODCASTS:
        raise BadSubscription("podcasts", f"more than {MAX_PODCASTS}: give them a label instead")
    keys = set()
    for one in written:
        text = str(one)
        key = int(text) if _KEY.fullmatch(text) else None
        if key is None or not -(2**63) <= key < 2**63:
            raise BadSubscription("podcasts", f"{text[:80]!r} is no podcast key")
        keys.add(key)
    return tuple(sorted(keys))


def _cron(mode: Mode, cron: str | None, time_zone: str, now_us: int) -> str | None:
    if mode is Mode.IMMEDIATE:
        if cron is not None:
            raise BadSubscription("cron", "only a scheduled subscription has one")
        return None
    if cron is None:
        raise BadSubscription("cron", "a scheduled subscription needs one, such as 0 7 * * MON-FRI")
    text = " ".join(cron[: _MAX_CRON_CHARS + 1].split())
    if len(cron) > _MAX_CRON_CHARS or len(text.split()) != 5:
        raise BadSubscription("cron", "not five fields: minute, hour, day of month, month, day of week")
    try:
        due_us = next_digest_us(text, time_zone, now_us)
    except (CronSimError, ValueError) as error:
        raise BadSubscription("cron", f"{text[:80]!r}: {error}") from None
    if due_us > now_us + _MAX_WAIT_US:
        raise BadSubscription("cron", f"{text[:80]!r} is not due within {_MAX_WAIT_US // DAY_US} days")
    return text


def _batch_size(mode: Mode, size: int | None) -> int:
    if size is None:
        return DEFAULT_BATCH
    if mode is Mode.IMMEDIATE:
        raise BadSubscription("batch_size", "only a scheduled subscription has batches")
    if not 1 <= size <= MAX_BATCH:
        raise BadSubscription("batch_size", f"{size} is not within 1 and {MAX_BATCH}")
    return size


def _coalesce_s(mode: Mode, seconds: float) -> float:
    if not 0 <= seconds <= MAX_COALESCE_S:  # also false of NaN
        raise BadSubscription("coalesce_s", f"{seconds} is not within 0 and {MAX_COALESCE_S} seconds")
    if seconds and mode is Mode.SCHEDULED:
        raise BadSubscription("coalesce_s", "a scheduled subscription tells of each change in its batch")
    return float(seconds)


def _rate(per_s: float | None) -> float | None:
    if per_s is not None and not MIN_RATE_PER_S <= per_s <= MAX_RATE_PER_S:
        raise BadSubscription(
            "rate_per_s", f"{per_s} is not within {MIN_RATE_PER_S:g} and {MAX_RATE_PER_S:g} requests a second"
        )
    return None if per_s is None else float(per_s)
