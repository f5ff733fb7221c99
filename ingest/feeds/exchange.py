"""The requests of one ask, from the first URL to the answer."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp

from ingest.feeds import headers
from ingest.feeds.reasons import Reason
from ingest.feeds.urls import feed_url, without_credentials

_PERMANENT = (301, 308)
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # bytes of a header, as aiohttp keeps those that are none


@dataclass(frozen=True)
class Ask:
    """A feed to fetch, with the validators of the copy we have: one latin-1 character a byte."""

    key: int
    url: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came of an `Ask`. Good: a body, or status 304 for one that was asked with validators."""

    key: int
    url: str  # effective, after redirects
    status: int | None  # of the last answer; None: none came
    reason: Reason | None  # None: good
    detail: str  # for people; "" when good
    body: bytes | None  # unpacked; None unless a good 200
    content_type: str | None
    etag: str | None  # to be sent next time; on 304 those asked with, unless the answer brings new ones
    last_modified: str | None
    permanent_url: str | None  # where a chain of permanent redirects alone leads; https → http is none
    max_age_s: int | None  # Cache-Control, also on 304
    retry_after_s: int | None  # at most a day; also when a paused host was not asked at all
    received_bytes: int  # of the body, as sent
    seconds: float  # of the exchange; waiting for a turn at the host is not counted


class Failed(Exception):
    """No good answer, and why."""

    def __init__(self, reason: Reason, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.retry_after_s = reason, detail, retry_after_s


class Exchange:
    """The requests of one ask as they go on."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.url = ask.url
        self.status: int | None = None
        self.has_answered = False  # the request that runs
        self.received = 0
        self._spent = 0.0
        self._began: float | None = None
        self._is_redirected, self._is_permanent = False, True
        self.conditions = {
            name: value
            for name, value in (
                ("If-None-Match", headers.validator(ask.etag)),
                ("If-Modified-Since", headers.validator(ask.last_modified)),
            )
            if value is not None
        }

    @property
    def seconds(self) -> float:
        """Of all requests so far."""
        return self._spent + (time.monotonic() - self._began if self._began is not None else 0.0)

    def begin(self) -> None:
        """A request sets out."""
        self._began, self.has_answered = time.monotonic(), False

    def end(self) -> None:
        """It is over."""
        self._spent, self._began = self.seconds, None

    def redirect(self, status: int, location: str | None) -> None:
        """Go on where the answer points. Raises Failed."""
        if not location:
            raise Failed(Reason.UNEXPECTED_STATUS, f"{status} without a Location")
        location = _NO_UTF8.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", location)
        try:
            target = feed_url(urljoin(self.url, location))
        except ValueError as error:
            raise Failed(Reason.BAD_URL, f"redirected to {location[:200]!r}: {error}") from None
        is_downgrade = self.url.startswith("https:") and target.startswith("http:")
        self._is_permanent = self._is_permanent and status in _PERMANENT and not is_downgrade
        self._is_redirected, self.url = True, target

    def good(self, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        fields = response.headers
        content_type = fields.get("Content-Type")
        return self._answer(
            body=body,
            content_type=None if content_type is None else headers.latin1(content_type)[:200],
            etag=_validator(fields.get("ETag")),
            last_modified=_validator(fields.get("Last-Modified")),
            max_age_s=headers.max_age_s(",".join(fields.getall("Cache-Control", ()))),
        )

    def unchanged(self, response: aiohttp.ClientResponse) -> Answer:
        fields = response.headers
        return self._answer(
            etag=_validator(fields.get("ETag")) or self.ask.etag,
            last_modified=_validator(fields.get("Last-Modified")) or self.ask.last_modified,
            max_age_s=headers.max_age_s(",".join(fields.getall("Cache-Control", ()))),
        )

    def failed(self, reason: Reason, detail: str, retry_after_s: int | None = None) -> Answer:
        """Validators stay those of the ask: they belong to the copy we have."""
        return self._answer(
            reason=reason,
            detail=without_credentials(detail),
            etag=self.ask.etag,
            last_modified=self.ask.last_modified,
            retry_after_s=retry_after_s,
        )

    def _answer(
        self,
        reason: Reason | None = None,
        detail: str = "",
        body: bytes | None = None,
        content_type: str | None = None,
        etag: str | None = None,
        last_modified: str | None = None,
        max_age_s: int | None = None,
        retry_after_s: int | None = None,
    ) -> Answer:
        is_move = reason is None and self._is_redirected and self._is_permanent
        return Answer(
            key=self.ask.key,
            url=self.url,
            status=self.status,
            reason=reason,
            detail=detail,
            body=body,
            content_type=content_type,
            etag=etag,
            last_modified=last_modified,
            permanent_url=self.url if is_move else None,
            max_age_s=max_age_s,
            retry_after_s=retry_after_s,
            received_bytes=self.received,
            seconds=self.seconds,
        )


def _validator(value: str | None) -> str | None:
    return None if value is None else headers.validator(headers.latin1(value))
