"""Address ranges out of what providers publish: JSON of several shapes, plain text, CSV; told by content."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import orjson

from ingest.logs.ranges import Network, ReferenceListError

# The keys under which AWS, Google, Azure, Oracle and their like name a range.
_KEYS = ("ip_prefix", "ipv6_prefix", "ipv4Prefix", "ipv6Prefix", "addressPrefixes", "cidr")
_HEADINGS = {"address", "cidr", "ip", "ip_range", "network", "prefix", "range", "start"}
_MAX_DEPTH = 16
# Of an address: an entry wider than this is a slip (0.0.0.0/0 would leave everybody out). The widest that a
# provider publishes are an IPv4 /9 and an IPv6 /20.
WIDEST = {4: 8, 6: 16}


class TooWide(ReferenceListError):
    """A range that no list can mean."""


def networks(body: bytes) -> list[Network]:
    """Every range in `body`. Raises ReferenceListError naming the entry or line."""
    text = readable(body)
    if text.lstrip().startswith(("{", "[")):
        found = [_network(entry, f"entry {number}") for number, entry in enumerate(_in_json(body), 1)]
        if not found:
            raise ReferenceListError(f"no address range in this JSON; known are the keys {', '.join(_KEYS)}")
        return found
    return [network for line in _in_text(text) for network in line]


def readable(body: bytes) -> str:
    """`body` as text. Raises ReferenceListError for a page or for bytes that are none."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReferenceListError(f"not UTF-8: {error.reason} at byte {error.start}") from error
    if text.lstrip().startswith("<"):
        raise ReferenceListError(f"a web page (or XML), no list: it begins with {text.strip()[:40]!r}")
    return text


def one_network(text: str) -> Network:
    """One address or CIDR. Raises ReferenceListError for none, or one too wide to be meant."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ReferenceListError(f"no address range: {text[:60]!r}") from error
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network((mapped, network.prefixlen - 96))
    if network.prefixlen < WIDEST[network.version]:
        raise TooWide(f"{text!r} is wider than a /{WIDEST[network.version]}: surely a slip")
    return network


def _network(entry: object, where: str) -> Network:
    if not isinstance(entry, str):
        raise ReferenceListError(f"{where}: no address range: {entry!r}"[:200])
    try:
        return one_network(entry)
    except ReferenceListError as error:
        raise ReferenceListError(f"{where}: {error}") from error


def _in_json(body: bytes) -> Iterator[object]:
    try:
        content = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ReferenceListError(f"not JSON: {error}") from error
    if isinstance(content, list) and all(isinstance(entry, str) for entry in content):
        yield from content
    else:
        yield from _under_known_keys(content, 0)


def _under_known_keys(content: object, depth: int) -> Iterator[object]:
    if depth > _MAX_DEPTH:
        raise ReferenceListError(f"JSON nested more than {_MAX_DEPTH} deep")
    if isinstance(content, list):
        for value in content:
            yield from _under_known_keys(value, depth + 1)
    elif isinstance(content, dict):
        for key, value in content.items():
            if key not in _KEYS:
                yield from _under_known_keys(value, depth + 1)
            elif isinstance(value, list):
                yield from value
            else:
                yield value


def _in_text(text: str) -> Iterator[list[Network]]:
    """A line: `range`, `range,more…` or `first,last,more…`; `#` and `;` begin a comment."""
    begun = False
    for number, line in enumerate(text.splitlines(), 1):
        fields = [field.strip().strip('"') for field in line.partition("#")[0].partition(";")[0].split(",")]
        if not fields[0]:
            continue
        if not begun and fields[0].lower() in _HEADINGS:
            begun = True
            continue
        begun = True
        try:
            yield _line(fields)
        except ReferenceListError as error:
            raise ReferenceListError(f"line {number}: {error}") from error


def _line(fields: list[str]) -> list[Network]:
    try:
        first, last = ipaddress.ip_address(fields[0]), ipaddress.ip_address(fields[1])
    except (IndexError, ValueError):
        return [one_network(fields[0])]
    try:
        between = list(ipaddress.summarize_address_range(first, last))
    except (TypeError, ValueError) as error:
        raise ReferenceListError(f"no address range: {fields[0]} to {fields[1]}: {error}") from error
    return [one_network(str(network)) for network in between]
