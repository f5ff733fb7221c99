"""The prefix redirect's own log: nginx's keys, `uri` = `/e/<enclosure URL, with or without scheme>`.

It sees the request only: no bytes of the enclosure (IAB 2.3 §5.2).
"""

from __future__ import annotations

from ingest.logs.formats import nginx
from ingest.logs.formats.base import UTC, Header, Parsed, Traits
from ingest.schema import SourceClass

NAME = "prefix"
SOURCE_CLASS = SourceClass.PREFIX
TRAITS = Traits()


def sniff(head: bytes) -> bool:
    return nginx.looks_like_ours(head) and nginx.is_prefix_log(head)


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    return nginx.parse(body, first_line, header)
