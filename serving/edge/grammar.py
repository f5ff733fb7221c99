"""How the prefix reads `/e/…`: regexes for nginx, of the same grammar as ingest/logs/prefixes.py.

A URL is judged by the host where its chain of known prefixes ends: a chain that is let through by its first
host alone would lead anywhere. What nginx takes for that host and what intake counts must be the same, and
are held together by a test.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ingest.logs.prefixes import DOT_NAMES_OF_FILES, PLAIN, PLAIN_REST, REDIRECT_FILE, PrefixRules

LONGEST_PATTERN = 3_900  # nginx reads no longer word

_SLASH = "(?:/|%2F)"
_ANY_SLASH = "(?:/|%(?:25)*2F)"  # also of a target that was encoded again with each link
_HOST = (
    rf"(?:[a-z0-9_-]++\.)++(?!(?:{DOT_NAMES_OF_FILES}){_ANY_SLASH})(?:[a-z]{{2,24}}|xn--[a-z0-9-]{{1,59}})"
)
_PORT = "(?::[0-9]{1,5})?"
_SCHEME = "(?:https?(?::/{1,2}|%3A%2F%2F))?+"
_ANY_SCHEME = "(?:https?(?::/{1,2}|%(?:25)*3A%(?:25)*2F%(?:25)*2F))?"
# Once decoded what can stand on the wire: no control characters, no space, nothing beyond ASCII.
_WIRE = r"(?:[^%/?#\x00-\x20\x7f-\xff]|%(?:2[1-9A-F]|[3-6][0-9A-F]|7[0-9A-E]))"
_DOTS = r"[^?]*(?:/|%2F|%5C)(?:\.|%2E){1,2}(?:/|%2F|\?|%3F|%5C|$)"


@dataclass(frozen=True)
class Grammar:
    """Regexes over the raw request line's target (`$request_uri`), but for `whole`: over `$uri`."""

    end: str  # captures edge_host, edge_port: where the chain ends; over `$uri` where the target is `encoded`
    plain: str  # captures edge_asked: what follows the scheme, byte for byte
    encoded: str  # the target is percent-encoded as a whole, and decodes to what can stand on the wire
    whole: str  # captures edge_whole: the same, decoded by nginx
    http: str  # the target is to be asked without TLS


class TooManyPrefixes(ValueError):
    """The list of prefixes does not fit into one regex of nginx's."""


def grammar(rules: PrefixRules) -> Grammar:
    """Of the prefixes known. Raises TooManyPrefixes."""
    # Behind an encoded scheme encoded slashes are slashes; before it they are part of a name.
    encoded = rf"(?:(?<=%2F){_link(rules, _ANY_SLASH, _ANY_SCHEME)}*+)?"
    end = (
        rf"^/e/(?is){_SCHEME}{_link(rules, '/', _SCHEME)}*+{encoded}"
        rf"(?<edge_host>{_HOST})(?::(?:443|80)(?={_ANY_SLASH})|(?<edge_port>:[0-9]{{1,5}}))?+{_ANY_SLASH}"
    )
    if len(end) > LONGEST_PATTERN:
        raise TooManyPrefixes(
            f"{len(rules.known)} prefixes are more than nginx can look for: shorten the list `prefixes`"
        )
    return Grammar(
        end=end,
        plain=rf"^/e/(?is){_SCHEME}(?<edge_asked>{_HOST}{_PORT}/.*)$",
        encoded=rf"^/e/(?is)(?!{_DOTS}){_SCHEME}{_HOST}{_PORT}%2F{_WIRE}*+(?:/[^%?#\x00-\x20\x7f-\xff]*+)?(?:\?.*)?$",
        whole=r"^/e/(?is)(?:https?:/{1,2})?+(?<edge_whole>.*)$",
        http=r"^/e/(?i)http(?::|%3A)",
    )


def _link(rules: PrefixRules, slash: str, scheme: str) -> str:
    """A known prefix, and the plain parts up to the host behind it; whatever else comes between ends it."""
    between = rf"{slash}(?:{REDIRECT_FILE}|(?:{PLAIN}{PLAIN_REST}*+)?)(?={slash})"
    return (
        rf"(?:{_known(rules, slash)}{PLAIN_REST}*+(?:{between})*+"
        rf"{slash}{scheme}(?={_HOST}{_PORT}{_ANY_SLASH}))"
    )


def _known(rules: PrefixRules, slash: str) -> str:
    """A known prefix's host, also one below it, and its path."""
    hosts: dict[str, set[str]] = defaultdict(set)
    for host, path in rules.known:
        hosts[path].add(host.replace(".", r"\."))
    longest_first = sorted(hosts.items(), key=lambda found: (-len(found[0]), found[0]))
    several = [
        rf"(?:{'|'.join(sorted(names))})(?:\.|:443|:80|:)*{_as_written(path, slash)}"
        for path, names in longest_first
    ]
    return rf"(?:[a-z0-9_-]++\.)*(?:{'|'.join(several)})"


def _as_written(path: str, slash: str) -> str:
    """A prefix's path; empty: any path."""
    special = "".join(c if c.isalnum() or c in "/_-" else f"\\x{ord(c):02x}" for c in path)
    return special.replace("/", slash) or f"(?={slash})"
