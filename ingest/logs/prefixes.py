"""Unwinds chains of redirecting prefixes to the enclosure they lead to (MEASUREMENT §4).

Forms: `prefix/e/host/path`, `prefix/e/https://host/path`, `prefix/e/https%3A%2F%2Fhost%2Fpath`,
`prefix/redirect.mp3/host/path`, and any nesting of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from urllib.parse import unquote_to_bytes

import orjson

from ingest.logs.ranges import ReferenceListError
from ingest.settings import Settings

# Hostile chains: beyond either bound nothing is unwound at all, so that unwinding twice changes nothing.
MAX_LINKS = 64
MAX_DECODINGS = 8

# redirect.ogg is no host.
DOT_NAMES_OF_FILES = "ogg|oga|wav|aac|flac|opus|mov|wma|webm|mpg|mpeg|avi|aif|aiff"
# What may lie between a prefix and the host it leads to: ids, options, `redirect.mp3`. Anything else might be
# the host to the prefix itself, which is not ours: an address, `user@host`, `evil.example.`, `evil.mov`; so a
# chain that goes on behind it leads nobody knows where. Also an address as one number.
PLAIN_REST = "[a-z0-9_,=;~+-]"
PLAIN = rf"(?!0x|[0-9]{{8}}){PLAIN_REST}"
REDIRECT_FILE = r"redirect\.(?:mp3|mp4|m4a|m4v|m4b|ogg|oga|wav|aac|flac|opus)"
# Linear on any input: a part between has no dot but that of `redirect.mp3`, a host has one.
_TARGET = re.compile(
    rf"{PLAIN_REST}*(?:/(?:{REDIRECT_FILE}|(?:{PLAIN}{PLAIN_REST}*)?)(?=/))*"
    r"/(?P<scheme>https?:/{1,2}|https?%3A%2F%2F|)"
    r"(?P<host>(?=(?P<labels>(?:[a-z0-9_-]++\.)+))(?P=labels)"
    rf"(?!(?:{DOT_NAMES_OF_FILES})(?:/|%2F))(?:[a-z]{{2,24}}|xn--[a-z0-9-]{{1,59}})(?::[0-9]{{1,5}})?)"
    r"(?P<slash>/|%2F)",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,62}")
_LONE = re.compile("[\udc80-\udcff]")
_HOST_TAIL = re.compile(r"(?:\.|:443|:80|:)+$")


def percent_decode(text: str) -> str:
    """`text` percent-decoded once; a byte that is not UTF-8 stays percent-encoded."""
    decoded = unquote_to_bytes(text).decode("utf-8", "surrogateescape")
    return _LONE.sub(lambda lone: f"%{ord(lone[0]) - 0xDC00:02X}", decoded)


def own_prefix_hosts(settings: Settings) -> tuple[str, ...]:
    """Hosts of our own redirect (setting prefix_hosts)."""
    return tuple(host.strip() for host in settings.prefix_hosts.split(",") if host.strip())


def _prefix(number: int, entry: object) -> tuple[str, str]:
    pattern = entry.get("prefixpattern") if isinstance(entry, dict) else None
    if not isinstance(pattern, str):
        raise ReferenceListError(f"entry {number} has no prefixpattern")
    host, slash, path = pattern.strip().lower().partition("/")
    # A top-level domain alone would unwind every enclosure there is.
    if not _HOST.fullmatch(host.strip(".")):
        raise ReferenceListError(
            f"entry {number}: prefixpattern {pattern!r} does not begin with a host"[:300]
        )
    return host.strip("."), (slash + path).rstrip("/")


@dataclass(frozen=True)
class PrefixRules:
    """Known prefixes as (host, start of path): also every host below that host."""

    known: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, entries: object, own_hosts: tuple[str, ...] = ()) -> PrefixRules:
        """From OPAWG's list: objects with `prefixpattern`. `own_hosts` redirect below `/e/`.

        Raises ReferenceListError naming the entry.
        """
        if not isinstance(entries, list) or not entries:
            raise ReferenceListError(
                "there are no prefixes: wanted is a list of objects with 'prefixpattern'"
            )
        known = [_prefix(number, entry) for number, entry in enumerate(entries, 1)]
        return cls(tuple(known)).with_hosts(own_hosts)

    @classmethod
    def built_in(cls, own_hosts: tuple[str, ...] = ()) -> PrefixRules:
        """Our own list."""
        data = resources.files("ingest.reference").joinpath("prefixes.json").read_bytes()
        return cls.of(orjson.loads(data), own_hosts)

    def with_hosts(self, own_hosts: tuple[str, ...]) -> PrefixRules:
        """These rules and a redirect of our own on `own_hosts`."""
        return PrefixRules(self.known + tuple((host.lower().strip("."), "/e") for host in own_hosts))

    @property
    def host_pattern(self) -> str:
        """A regex (also for Rust) that finds hosts that may be a prefix."""
        hosts = sorted({re.escape(host) for host, _ in self.known})
        return rf"(?:^|\.)(?:{'|'.join(hosts)})$"

    def behind(self, host: str, text: str, slash: int) -> int | None:
        """Where the path of a known prefix ends, if `host`, whose path begins at `text[slash]`, is one."""
        ends = [
            slash + len(path)
            for known, path in self.known
            if (host == known or host.endswith("." + known))
            and text[slash : slash + len(path)].lower() == path
        ]
        return max(ends, default=None)

    def unwind(self, url: str, first_is_prefix: bool = False) -> str | None:
        """`host/path` behind the chain in `url` (`host/path`), or None where `url` is no (bounded) chain.

        first_is_prefix: the first host is one, whatever its name (a prefix log's own lines).
        """
        text, at, decodings = url, 0, 0
        for link in range(MAX_LINKS):
            slash = text.find("/", at)
            host = _HOST_TAIL.sub("", text[at:slash].lower()) if slash >= 0 else ""
            behind = self.behind(host, text, slash) if slash >= 0 else None
            if behind is None and slash >= 0 and link == 0 and first_is_prefix:
                behind = slash
            target = _TARGET.match(text, behind) if behind is not None else None
            if target is None:
                return text[at:] if link else None
            at = target.start("host")
            if "%" in target["scheme"] or target["slash"] != "/":
                decodings += 1
                if decodings > MAX_DECODINGS:
                    return None
                end = text.find("/", at)
                end = len(text) if end < 0 else end
                text, at = percent_decode(text[at:end]) + text[end:], 0
        return None
