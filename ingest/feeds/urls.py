"""The URL of a feed: one written form, one key, one derived podcast:guid."""

from __future__ import annotations

import ipaddress
import re
import uuid
from urllib.parse import quote

import idna
import xxhash

MAX_CHARS = 4096

_DEFAULT_PORTS = {"http": "80", "https": "443"}
# What apps write for "subscribe to": the scheme says what to do with it, not how to fetch it.
_SUBSCRIBE = re.compile(r"(?:feed|pcast|itpc|podcast):(?://)?", re.IGNORECASE)
_PARTS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*):)?//(?P<authority>[^/?#\\]*)(?P<path>(?:/[^?#]*)?)(?P<query>\?[^#]*)?(?:#.*)?",
    re.IGNORECASE | re.DOTALL,
)
_HOST_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as the last label: an IPv4 address, if anything
_MAX_HOST_CHARS = 253  # RFC 1035
_WIREABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"<>\\^`{|}')
# Nearly all of them: nothing to do. A digit before the path could end a port or an IPv4 address.
_NORMAL = re.compile(r"https?://(?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,63}/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_HYPHEN_AT_EDGE = re.compile(r"[/.]-|-[/.]")
_GUID_NAMESPACE = uuid.UUID(
    "ead4c236-bf58-58c6-a2c6-a6b28d128cb6"
)  # the podcast namespace's, for podcast:guid


_CREDENTIALS = re.compile(r"(?<=//)[^/?#\\\s]*@")


def without_credentials(text: str) -> str:
    """A text with what stands before the @ of its URLs masked: for messages and what is kept of them."""
    return _CREDENTIALS.sub("***@", text)


class BadFeedUrl(ValueError):
    """Not a URL that a feed can be fetched from; the message says why."""


def feed_url(text: str) -> str:
    """The absolute http(s) URL that `text` means; of an own result the same again.

    Scheme and host in lower case, the host as IDNA, default port and fragment dropped, what cannot stand on
    the wire percent-encoded as UTF-8, path and query else byte for byte; `feed://`, `pcast://` and `itpc://`
    mean https, `feed:https://…` what follows. Raises BadFeedUrl, also for credentials in it.
    """
    text = text.strip()
    if len(text) > MAX_CHARS:
        raise BadFeedUrl(f"longer than {MAX_CHARS} characters")
    if _NORMAL.fullmatch(text) and not _HYPHEN_AT_EDGE.search(text, 0, text.index("/", 8) + 1):
        return text
    text = _without_subscribe_scheme(text)
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise BadFeedUrl(f"not an absolute URL: {text[:100]!r}" if text else "empty")
    scheme = (parts["scheme"] or "").lower()
    if scheme not in _DEFAULT_PORTS:
        raise BadFeedUrl(f"{scheme}: is not http or https" if scheme else "without a scheme")
    authority = _authority(scheme, parts["authority"])
    url = f"{scheme}://{authority}{_wireable(parts['path'] or '/')}{_wireable(parts['query'] or '')}"
    if len(url) > MAX_CHARS:
        raise BadFeedUrl(f"longer than {MAX_CHARS} characters")
    return url


def podcast_key(url: str) -> int:
    """Signed xxh3-64 of a normalised URL without scheme and trailing slash."""
    key = xxhash.xxh3_64_intdigest(_bare(url).encode())
    return key - (1 << 64) if key >> 63 else key


def derived_guid(url: str) -> str:
    """The podcast:guid of a feed that declares none: UUIDv5 of the URL without scheme and trailing slash."""
    return str(uuid.uuid5(_GUID_NAMESPACE, _bare(url)))


def is_derived_guid(guid: str | None, *urls: str) -> bool:
    """Whether nobody needs to have said it: it follows from one of the podcast's URLs."""
    return guid is not None and guid in map(derived_guid, urls)


def normal_guid(text: str) -> str:
    """A podcast:guid as it is kept: a UUID in its one written form, what is none as it is."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text


def host_of(url: str) -> str:
    """The host of a normalised URL, without port and brackets."""
    authority = url.split("/", 3)[2]
    return authority[1 : authority.index("]")] if authority.startswith("[") else authority.partition(":")[0]


def _bare(url: str) -> str:
    return url.partition("://")[2].rstrip("/")


def _without_subscribe_scheme(text: str) -> str:
    found = _SUBSCRIBE.match(text)
    if found is None:
        return text
    rest = text[found.end() :]
    return rest if re.match(r"https?://", rest, re.IGNORECASE) else f"https://{rest.lstrip('/')}"


def _authority(scheme: str, authority: str) -> str:
    if "@" in authority:
        raise BadFeedUrl("with credentials in it")
    found = _HOST_PORT.fullmatch(authority)
    if found is None:
        raise BadFeedUrl(f"no host: {authority[:100]!r}")
    host = _host(found["host"])
    port = (found["port"] or "").lstrip("0")
    if found["port"] and not (port and len(port) <= 5 and int(port) <= 0xFFFF):
        raise BadFeedUrl(f"no port: {found['port'][:20]}")
    return host if port in ("", _DEFAULT_PORTS[scheme]) else f"{host}:{port}"


def _host(written: str) -> str:
    if written.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(written[1:-1])}]"
        except ValueError:
            raise BadFeedUrl(f"no IPv6 address: {written[:100]}") from None
    host = written.lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise BadFeedUrl(f"no host name: {written[:100]!r} ({error})") from None
    host = host.removesuffix(".")
    if not host or len(host) > _MAX_HOST_CHARS or not _HOST.fullmatch(host):
        raise BadFeedUrl(f"no host name: {written[:100]!r}" if written else "without a host")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:  # resolvers read 0x7f.1, 017700000001 and 2130706433 as addresses too; nobody means these
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            if host.count(".") == 3 and host.replace(".", "").isdecimal():
                raise BadFeedUrl(f"no IPv4 address: {host}") from None
            raise BadFeedUrl(f"an address written as a number, not a public name: {host}") from None
    return host


def _wireable(text: str) -> str:
    try:
        return quote(text, safe=_WIREABLE)
    except UnicodeEncodeError:
        raise BadFeedUrl("with characters that are none (lone surrogates)") from None
