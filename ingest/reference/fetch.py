"""One file of a list over HTTP: conditional, bounded in time and size, https only."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from ingest.feeds.guard import refusal
from ingest.reference.declared import refuse_unsafe
from ingest.reference.lists import MAX_FILE_BYTES
from ingest.settings import SettingError
from ingest.web import LOCAL_HOSTS, Known, Refused, Unreachable, is_uncompressed, user_agent

__all__ = ["Answer", "Known", "Refused", "Unreachable", "client", "get"]

TIMEOUT = httpx.Timeout(30, connect=10)  # seconds, for each wait
WHOLE_S = 120  # a server that sends a byte a second would never run into a timeout
MAX_REDIRECTS = 5
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # the server's trouble of today


@dataclass(frozen=True)
class Answer:
    """The file, or None when it has not changed; and what to ask with next time."""

    body: bytes | None
    known: Known


@contextmanager
def client() -> Iterator[httpx.Client]:
    """The HTTP client of one refresh."""
    # Uncompressed: a size limit then holds on the wire too, and no server names its tag differently for it.
    headers = {"User-Agent": user_agent("reference lists"), "Accept-Encoding": "identity"}
    directly: dict[str, httpx.BaseTransport | None] = {
        f"all://{host}": None for host in ("localhost", "127.0.0.1")
    }
    with httpx.Client(timeout=TIMEOUT, headers=headers, mounts=directly) as made:  # by the proxy of the house
        yield made


def get(url: str, known: Known, http: httpx.Client) -> Answer:
    """Fetch `url` unless it is still what `known` says. Raises Unreachable and Refused."""
    until = time.monotonic() + WHOLE_S
    try:
        for _ in range(MAX_REDIRECTS + 1):
            with http.stream("GET", url, headers=known.conditions()) as response:
                if response.has_redirect_location:
                    url = _target(url, response)
                    continue
                return _answer(response, known, until)
    except httpx.InvalidURL as error:
        raise Refused(f"no address: {error}") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"{_site(url)}: {error or type(error).__name__}") from error
    raise Refused(f"more than {MAX_REDIRECTS} redirects")


def _target(url: str, response: httpx.Response) -> str:
    """Where a redirect leads, if we may follow."""
    target = urljoin(url, str(response.headers.get("Location", "")))
    try:
        refuse_unsafe(target, "redirect")
    except SettingError:
        raise Refused(f"redirect from {_site(url)} to {target[:200]!r}: only https is followed") from None
    # A public server must not make us ask services of this machine, or of its network.
    if (why := _private(target)) and not _private(url):
        raise Refused(f"redirect from {_site(url)} to {_site(target)[:200]}, which is {why}")
    return target


def _private(url: str) -> str | None:
    """What the host's address is, unless it is a public one. None, too, for a name that only a proxy knows.

    A name that turns private between this look and the connection is not noticed: hosts are the operator's
    choice, and what they answer is judged as a list and shown to nobody.
    """
    host = urlsplit(url).hostname or ""
    if host in LOCAL_HOSTS:
        return "this machine"
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    return next((why for *_, (address, *_) in found if (why := refusal(str(address)))), None)


def _answer(response: httpx.Response, known: Known, until: float) -> Answer:
    status, site = response.status_code, _site(str(response.url))
    if status == 304 and known != Known():
        return Answer(None, known)
    if status in _PASSING:
        raise Unreachable(f"{site} answers {status} {response.reason_phrase}")
    if status != 200:
        raise Refused(f"{site} answers {status} {response.reason_phrase}: is the address still right?")
    if not is_uncompressed(response):
        raise Refused(f"{site} sends it compressed, which was not asked for")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MAX_FILE_BYTES:
            raise Refused(f"{site} sends more than {MAX_FILE_BYTES:,} bytes")
        if time.monotonic() > until:
            raise Unreachable(f"{site} needs more than {WHOLE_S} s")
    return Answer(bytes(body), Known.of(response))


def _site(url: str) -> str:
    return urlsplit(url).netloc
