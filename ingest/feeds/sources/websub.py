"""WebSub (W3C Recommendation, 2018): a hub tells us that a feed changed, instead of our asking.

Pure but for `request`: what to ask a hub for, what its visits are answered, whether a body is its own, when
to renew. The callback itself belongs to the API, which writes each delivery as an `envelope` into
`landing/hints/websub/`. A hub is named by a feed, hence a stranger: `request` needs `calls.guarded_client`,
and secret and callback are of one topic alone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlencode, urljoin

import orjson

from ingest.feeds.sources.calls import Calls, SourceReason
from ingest.feeds.sources.values import as_url
from ingest.feeds.urls import host_of

NAME = "websub"
LEASE_S = 10 * 86_400  # asked for; the hub decides
MIN_LEASE_S, MAX_LEASE_S = 3_600, 90 * 86_400  # what a hub may decide: others are cut to it
RENEW_SHARE = 0.75  # of the lease: a hub that is down for some days then costs nothing
MAX_CHALLENGE_CHARS = 1_024
_REDIRECTS = (307, 308)  # §5.1: the request is to be made again there
_MAX_REDIRECTS = 3
_METHODS = ("sha1", "sha256", "sha384", "sha512")  # §7.1


class Mode(StrEnum):
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True)
class Subscription:
    """What we want of a hub for one feed. `secret` signs its deliveries; never shown."""

    hub: str
    topic: str  # the feed's rel=self, which may differ from where we fetch it
    callback: str  # unguessable, of this topic alone (§5.1)
    secret: str = field(repr=False)
    mode: Mode = Mode.SUBSCRIBE
    lease_s: int = LEASE_S

    def form(self) -> dict[str, str]:
        """The body of the request to the hub (§5.1)."""
        said = {"hub.mode": str(self.mode), "hub.topic": self.topic, "hub.callback": self.callback}
        if self.mode is Mode.UNSUBSCRIBE:
            return said
        return {**said, "hub.lease_seconds": str(self.lease_s), "hub.secret": self.secret}


def subscription(
    hub: str,
    topic: str,
    podcast_key: int,
    callback_base: str,
    master: str,
    mode: Mode = Mode.SUBSCRIBE,
    lease_s: int = LEASE_S,
) -> Subscription:
    """The subscription of a podcast. Callback and secret follow from the installation's `master` secret, so
    that nothing secret is stored, and one hub that leaks gives away no other topic.
    """
    token = callback_token(master, podcast_key, topic)
    callback = f"{callback_base.rstrip('/')}/{podcast_key}/{token}"
    secret = _derived(master, "secret", podcast_key, topic)
    return Subscription(hub, topic, callback, secret, mode, lease_s)


def budget_name(hub: str) -> str:
    """Every hub has a budget of its own: one that is busy holds up no other. `hub`: normalised."""
    return f"{NAME}:{host_of(hub)}"


def callback_token(master: str, podcast_key: int, topic: str) -> str:
    """What the callback's path must end in (compare with `hmac.compare_digest`)."""
    return _derived(master, "callback", podcast_key, topic)[:32]


def _derived(master: str, purpose: str, podcast_key: int, topic: str) -> str:
    message = f"{purpose}\n{podcast_key}\n{topic}".encode()
    return hmac.new(master.encode(), message, hashlib.sha256).hexdigest()


async def request(calls: Calls, wanted: Subscription) -> None:
    """Ask the hub. It answers 202 and verifies later (`verify`). Raises SourceUnavailable.

    Redirects of 307 and 308 are followed, each a call of its own.
    """
    url = as_url(wanted.hub)
    for _ in range(_MAX_REDIRECTS + 1):
        if url is None:
            raise calls.failed(SourceReason.REFUSED, "the hub is no http(s) address")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        post = calls.http.build_request("POST", url, content=urlencode(wanted.form()), headers=headers)
        reply = await calls.send(post, also=_REDIRECTS)
        if reply.status not in _REDIRECTS:
            return
        was_secure = url.startswith("https:")
        url = as_url(urljoin(url, reply.location or ""))
        if was_secure and url is not None and not url.startswith("https:"):
            raise calls.failed(SourceReason.REFUSED, "redirected from https to http: our secret stays here")
    raise calls.failed(SourceReason.REFUSED, f"more than {_MAX_REDIRECTS} redirects")


class Outcome(StrEnum):
    """What the hub's visit to the callback means."""

    CONFIRMED = "confirmed"  # it is our wish: it begins, or ends, now
    DENIED = "denied"  # the hub will not, or no longer, deliver (§5.2)
    NOT_OURS = "not_ours"  # we asked for no such thing


@dataclass(frozen=True)
class Verification:
    """What to answer (`status`, `body` as text/plain), and what to keep."""

    outcome: Outcome
    status: int
    body: str = ""
    lease_s: int | None = None  # of a subscription that begins
    reason: str = ""  # of a denial, as the hub wrote it


def verify(query: Mapping[str, str], wanted: Subscription | None) -> Verification:
    """The answer to a hub's GET of a callback (§5.3). `wanted`: what we last asked for there, if anything."""
    mode, topic = query.get("hub.mode"), query.get("hub.topic")
    not_ours = Verification(Outcome.NOT_OURS, 404)
    if wanted is None or topic != wanted.topic:
        return not_ours
    if mode == "denied":
        reason = "".join(sign for sign in query.get("hub.reason", "")[:200] if sign.isprintable())
        return Verification(Outcome.DENIED, 200, reason=reason)
    challenge = query.get("hub.challenge", "")
    if mode != wanted.mode or not 0 < len(challenge) <= MAX_CHALLENGE_CHARS or not challenge.isprintable():
        return not_ours
    if wanted.mode is Mode.UNSUBSCRIBE:
        return Verification(Outcome.CONFIRMED, 200, challenge)
    return Verification(Outcome.CONFIRMED, 200, challenge, _lease_s(query.get("hub.lease_seconds", "")))


def _lease_s(text: str) -> int:
    """A hub must say it; one that does not is taken at our word, but asked again soon."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return MIN_LEASE_S
    return max(MIN_LEASE_S, min(int(text), MAX_LEASE_S))


def renew_at_us(confirmed_us: int, lease_s: int) -> int:
    """When to ask for the subscription again: well before the lease ends."""
    return confirmed_us + int(lease_s * RENEW_SHARE * 1_000_000)


def is_signed(body: bytes, header: str | None, secret: str) -> bool:
    """Is `X-Hub-Signature` (`method=hex`) that of `body`? Takes the same time wherever it differs (§7.1)."""
    method, _, signature = (header or "").strip().partition("=")
    method = method.lower()
    if method not in _METHODS:
        return False
    expected = hmac.new(secret.encode(), body, method).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.strip().lower().encode("utf-8", "replace"))


def envelope(
    podcast_key: int, topic: str, hub: str, received_us: int, content_type: str, is_genuine: bool | None
) -> bytes:
    """One line for `landing/hints/websub/*.jsonl`. is_genuine: `is_signed`; None: no secret was agreed on.

    The body is left out: the topic is polled instead, so that what a hub says is never taken for the feed.
    """
    said = {
        "podcast_key": podcast_key,  # a topic (rel=self) need not be the URL that is polled
        "topic": topic,
        "hub": hub,
        "received_at": datetime.fromtimestamp(received_us / 1e6, UTC).isoformat(),
        "content_type": content_type,
        "signature": is_genuine,
    }
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
